//! Groups are shown as they stand, moved while nobody reads, and forgotten when they are deleted.

use std::time::{Duration, Instant};

use model::{Code, Failure};

use super::{Message, PATIENCE, Subject, keyed, passed, refused, texts};
use crate::queue::{Group, Position};

pub(super) async fn run(subject: &Subject) {
    a_group_is_shown_where_it_stands(subject).await;
    a_group_is_moved_while_nobody_reads(subject).await;
    a_deleted_group_begins_anew(subject).await;
    a_name_of_two_topics_is_two_groups(subject).await;
}

async fn shown(subject: &Subject, topic: &str, group: &str) -> Group {
    let groups = passed("groups", subject.queue().groups(Some(topic))).await;
    let found = groups.into_iter().find(|own| &*own.name == group);
    found.unwrap_or_else(|| panic!("there is no group {group}"))
}

/// Calls until those who have left no longer hinder it.
async fn once_nobody_reads<T>(call: &str, mut attempt: impl AsyncFnMut() -> Result<T, Failure>) -> T {
    let began = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(failure) if failure.code() == Code::Conflict && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(failure) => panic!("{call} failed: {failure}"),
        }
    }
}

async fn a_group_is_shown_where_it_stands(subject: &Subject) {
    let topic = subject.topic("shown", 1).await;
    subject.say(&topic, &["a", "b", "c", "d", "e"]).await;
    let mut reader =
        subject.join_with(&super::ConsumeOptions { credit: 3, ..super::options(&topic, "g") }).await;
    let deliveries = reader.some(3).await;
    subject.ack(&topic, "g", &deliveries[1..2]).await;
    reader.one().await;
    let group = shown(subject, &topic, "g").await;
    assert_eq!((&*group.topic, &*group.name), (topic.as_str(), "g"));
    assert_eq!(group.consumers, [Box::<str>::from(reader.consumer.id())]);
    let place = group.partitions[0].expect("it is known");
    assert_eq!((place.settled, place.next, place.lag, place.delivered), (0, 5, 4, 3));
    subject.ack(&topic, "g", &deliveries[..1]).await;
    assert_eq!(shown(subject, &topic, "g").await.partitions[0].expect("it is known").settled, 2);
    let all = passed("groups", subject.queue().groups(None)).await;
    assert!(all.iter().any(|own| *own.topic == *topic && &*own.name == "g"));
}

async fn a_group_is_moved_while_nobody_reads(subject: &Subject) {
    let topic = subject.topic("moved", 2).await;
    let messages: Vec<Message> = (0..8).map(|n| keyed(&format!("k{n}"), &n.to_string())).collect();
    subject.publish(&topic, &messages).await;
    let mut reader = subject.join(&topic, "g").await;
    let deliveries = reader.some(8).await;
    subject.ack(&topic, "g", &deliveries).await;
    let reset = |to| subject.queue().reset_group(&topic, "g", to);
    assert_eq!(refused(reset(Position::Earliest)).await, Code::Conflict);
    assert_eq!(refused(subject.queue().delete_group(&topic, "g")).await, Code::Conflict);
    drop(reader);
    let group = once_nobody_reads("reset_group", async || reset(Position::Earliest).await).await;
    assert_eq!(group.partitions.iter().flatten().map(|own| own.lag).sum::<u64>(), 8);
    let mut reader = subject.join(&topic, "g").await;
    let again = reader.some(8).await;
    assert!(again.iter().all(|delivery| delivery.delivery == 1), "what it remembered is forgotten");
    drop(reader);
    let group = once_nobody_reads("reset_group", async || reset(Position::Latest).await).await;
    assert!(group.partitions.iter().flatten().all(|own| own.lag == 0));
    let group = passed("reset_group", reset(Position::Offset(1))).await;
    assert!(group.partitions.iter().flatten().all(|own| own.settled == 1.min(own.next)));
    passed("reset_group", reset(Position::Offset(u64::MAX))).await;
    let mut reader = subject.join(&topic, "g").await;
    reader.silence().await;
    assert_eq!(
        refused(subject.queue().reset_group(&topic, "nobody", Position::Latest)).await,
        Code::NotFound
    );
}

async fn a_deleted_group_begins_anew(subject: &Subject) {
    let topic = subject.topic("forgotten", 1).await;
    subject.say(&topic, &["a"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let delivery = reader.one().await;
    subject.ack(&topic, "g", &[delivery]).await;
    drop(reader);
    once_nobody_reads("delete_group", async || subject.queue().delete_group(&topic, "g").await).await;
    assert!(passed("groups", subject.queue().groups(Some(&topic))).await.is_empty());
    let mut reader = subject.join(&topic, "g").await;
    assert_eq!(texts(&[reader.one().await]), ["a"]);
}

async fn a_name_of_two_topics_is_two_groups(subject: &Subject) {
    let (one, other) = (subject.topic("taken-out", 1).await, subject.topic("kept", 2).await);
    for topic in [&one, &other] {
        let messages: Vec<Message> = (0..8).map(|n| keyed(&format!("k{n}"), &n.to_string())).collect();
        subject.publish(topic, &messages).await;
        let mut reader = subject.join(topic, "g").await;
        let deliveries = reader.some(8).await;
        subject.ack(topic, "g", &deliveries).await;
    }
    once_nobody_reads("delete_group", async || subject.queue().delete_group(&one, "g").await).await;
    assert!(passed("groups", subject.queue().groups(Some(&one))).await.is_empty());
    let kept = shown(subject, &other, "g").await;
    assert_eq!(kept.partitions.iter().flatten().map(|own| own.settled).sum::<u64>(), 8, "{kept:?}");
    assert_eq!(kept.partitions.iter().flatten().map(|own| own.lag).sum::<u64>(), 0, "{kept:?}");
    once_nobody_reads("reset_group", async || {
        subject.queue().reset_group(&other, "g", Position::Earliest).await
    })
    .await;
    let mut reader = subject.join(&other, "g").await;
    reader.some(8).await;
}
