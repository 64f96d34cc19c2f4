//! What is done to held keys is done at once. An engine that holds none has nothing to show here.

use std::sync::Arc;
use std::time::Duration;

use super::{Subject, Ttl, Value};
use crate::key_value::{Exclusive, HeldKeys, MAX_KEY};

const AN_HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn run(subject: &Subject) {
    if subject.kv().exclusive().is_none() {
        return;
    }
    held_keys_are_the_same_keys(subject).await;
    a_key_that_is_too_long_is_refused(subject);
    nobody_sees_half_of_it(subject).await;
}

fn hold(subject: &Subject, keys: &[&[u8]], work: &mut dyn FnMut(&mut dyn HeldKeys)) {
    exclusive(subject).hold(keys, work).expect("keys of this length are held");
}

fn exclusive(subject: &Subject) -> &dyn Exclusive {
    subject.kv().exclusive().expect("it was there a moment ago")
}

async fn held_keys_are_the_same_keys(subject: &Subject) {
    let keys: [Vec<u8>; 3] = ["held:a", "held:b", "held:c"].map(|name| subject.key(name));
    let [a, b, c] = &keys;
    subject.set(a, "1").await;
    subject.set(c, "3").await;
    let mut seen = Vec::new();
    hold(subject, &[c, a, b, a], &mut |held| {
        seen = vec![held.get(a), held.get(b), held.get(c)];
        held.set(b, Value::plain("2"), Some(AN_HOUR)).expect("it is small");
        assert_eq!(held.ttl(b), Ttl::Left(AN_HOUR), "time stands still");
        assert!(held.expire(a, Some(AN_HOUR)) && held.expire(b, None));
        assert!(held.delete(c) && !held.delete(c) && !held.expire(c, None));
        assert_eq!((held.get(c), held.ttl(c), held.ttl(b)), (None, Ttl::Missing, Ttl::Forever));
        held.set(c, Value::plain("over"), Some(Duration::ZERO)).expect("it is small");
        assert_eq!(held.get(c), None);
    });
    assert_eq!(seen, [Some(Value::plain("1")), None, Some(Value::plain("3"))]);
    assert!(matches!(subject.ttl(a).await, Ttl::Left(left) if left <= AN_HOUR));
    assert_eq!(subject.text(b).await.as_deref(), Some("2"));
    assert_eq!(subject.get(c).await, None);
}

fn a_key_that_is_too_long_is_refused(subject: &Subject) {
    let (long, mut done) = (vec![b'k'; MAX_KEY + 1], false);
    let refused = exclusive(subject).hold(&[&subject.key("held:short"), &long], &mut |_| done = true);
    assert_eq!(refused.expect_err("the key is too long").code(), model::Code::TooLarge);
    assert!(!done, "nothing is done to some of them");
}

/// Tasks move amounts between two keys, held in either order, while others look: the sum is always the same.
async fn nobody_sees_half_of_it(subject: &Subject) {
    const TASKS: usize = 8;
    const EACH: usize = 200;
    const SUM: i64 = 1000;
    let keys: Arc<[Vec<u8>; 2]> = Arc::new(["held:from", "held:to"].map(|name| subject.key(name)));
    subject.set(&keys[0], SUM.to_string()).await;
    subject.set(&keys[1], "0").await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (adapter, keys) = (Arc::clone(&subject.adapter), Arc::clone(&keys));
            tokio::spawn(async move {
                let kv = adapter.key_value().expect("the adapter keeps keys and values");
                let exclusive = kv.exclusive().expect("it was there a moment ago");
                let (one, other) = if task % 2 == 0 { (&keys[0], &keys[1]) } else { (&keys[1], &keys[0]) };
                for _ in 0..EACH {
                    let mut sum = 0;
                    let work = &mut |held: &mut dyn HeldKeys| {
                        let (a, b) = (number(held, one), number(held, other));
                        sum = a + b;
                        held.set(one, Value::plain((a - 1).to_string()), None).expect("it is small");
                        held.set(other, Value::plain((b + 1).to_string()), None).expect("it is small");
                    };
                    exclusive.hold(&[one, other], work).expect("the keys are short");
                    assert_eq!(sum, SUM);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    // As many went one way as the other.
    assert_eq!(subject.text(&keys[0]).await, Some(SUM.to_string()));
    assert_eq!(subject.text(&keys[1]).await.as_deref(), Some("0"));
}

fn number(held: &mut dyn HeldKeys, key: &[u8]) -> i64 {
    let value = held.get(key).expect("it is there");
    std::str::from_utf8(&value.bytes).expect("a number").parse().expect("a number")
}
