//! What has a time is gone when it is over, and not before.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Subject, Ttl};
use crate::key_value::SetOptions;

/// Long enough that a slow machine makes the calls of a rule in it.
const SHORT: Duration = Duration::from_millis(400);
const AN_HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn run(subject: &Subject) {
    what_is_over_is_gone_for_every_call(subject).await;
    a_time_is_told_and_counts_down(subject).await;
    a_time_can_be_changed_and_taken_away(subject).await;
    a_time_of_zero_is_over_at_once(subject).await;
    a_sum_keeps_its_time(subject).await;
}

fn for_time(ttl: Duration) -> SetOptions {
    SetOptions { ttl: Some(ttl), ..SetOptions::default() }
}

async fn what_is_over_is_gone_for_every_call(subject: &Subject) {
    let names = ["get", "delete", "incr", "expire", "ttl", "absent", "scan"];
    let [get, delete, incr, expire, ttl, absent, scan] =
        names.map(|name| subject.key(format!("over:{name}")));
    let set_at = Instant::now();
    for key in [&get, &delete, &incr, &expire, &ttl, &absent, &scan] {
        assert!(subject.set_with(key, "7", for_time(SHORT)).await);
    }
    let before = [subject.text(&get).await, subject.text(&scan).await];
    let seen = subject.scan(&subject.key("over:*"), 100).await.len();
    if set_at.elapsed() < SHORT {
        assert_eq!(before, [Some("7".to_owned()), Some("7".to_owned())]);
        assert_eq!(seen, names.len());
    }
    sleep(SHORT + Duration::from_millis(150)).await;

    assert_eq!(subject.scan(&subject.key("over:*"), 100).await, Vec::<bytes::Bytes>::new());
    assert_eq!(subject.get(&get).await, None);
    assert!(!subject.delete(&delete).await);
    assert_eq!(subject.incr(&incr, 1).await, 1);
    assert_eq!(subject.ttl(&incr).await, Ttl::Forever, "a new number does not inherit a time");
    assert!(!subject.expire(&expire, None).await);
    assert_eq!(subject.ttl(&ttl).await, Ttl::Missing);
    let if_absent = SetOptions { if_absent: true, ..SetOptions::default() };
    assert!(subject.set_with(&absent, "8", if_absent).await);
    assert_eq!(subject.text(&absent).await.as_deref(), Some("8"));
}

async fn a_time_is_told_and_counts_down(subject: &Subject) {
    let key = subject.key("told");
    assert_eq!(subject.ttl(&key).await, Ttl::Missing);
    subject.set(&key, "v").await;
    assert_eq!(subject.ttl(&key).await, Ttl::Forever);
    assert!(subject.set_with(&key, "v", for_time(AN_HOUR)).await);
    let first = left(subject, &key).await;
    assert!(first <= AN_HOUR && first > AN_HOUR - Duration::from_secs(60), "{first:?}");
    sleep(Duration::from_millis(50)).await;
    let second = left(subject, &key).await;
    assert!(second <= first - Duration::from_millis(40), "{first:?}, then {second:?}");
}

async fn a_time_can_be_changed_and_taken_away(subject: &Subject) {
    let key = subject.key("changed");
    assert!(!subject.expire(&key, Some(AN_HOUR)).await, "nothing has a time that is not there");
    assert_eq!(subject.ttl(&key).await, Ttl::Missing);
    subject.set(&key, "v").await;
    assert!(subject.expire(&key, Some(AN_HOUR)).await);
    assert!(left(subject, &key).await > AN_HOUR / 2);
    assert!(subject.expire(&key, Some(AN_HOUR / 4)).await);
    assert!(left(subject, &key).await <= AN_HOUR / 4);
    assert!(subject.expire(&key, None).await);
    assert_eq!(subject.ttl(&key).await, Ttl::Forever);

    assert!(subject.expire(&key, Some(AN_HOUR)).await);
    subject.set(&key, "v").await;
    assert_eq!(subject.ttl(&key).await, Ttl::Forever, "a set without a time takes an earlier one away");

    // A short time, a long one after it: the later word holds.
    assert!(subject.set_with(&key, "v", for_time(Duration::from_millis(100))).await);
    assert!(subject.set_with(&key, "v", for_time(AN_HOUR)).await);
    sleep(Duration::from_millis(150)).await;
    assert_eq!(subject.text(&key).await.as_deref(), Some("v"));
}

async fn a_time_of_zero_is_over_at_once(subject: &Subject) {
    let key = subject.key("zero");
    subject.set(&key, "v").await;
    assert!(subject.expire(&key, Some(Duration::ZERO)).await);
    assert_eq!(subject.get(&key).await, None);
    subject.set(&key, "v").await;
    assert!(subject.set_with(&key, "w", for_time(Duration::ZERO)).await);
    assert_eq!(subject.get(&key).await, None);
}

async fn a_sum_keeps_its_time(subject: &Subject) {
    let key = subject.key("sum");
    assert!(subject.set_with(&key, "9", for_time(AN_HOUR)).await);
    assert_eq!(subject.incr(&key, 1).await, 10);
    assert!(left(subject, &key).await > AN_HOUR / 2);
}

async fn left(subject: &Subject, key: &[u8]) -> Duration {
    match subject.ttl(key).await {
        Ttl::Left(left) => left,
        other => panic!("the key has a time, but its ttl is {other:?}"),
    }
}
