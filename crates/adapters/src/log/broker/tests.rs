//! Turns one at a time, where it matters what falls into the same one.

use std::time::Duration;

use bytes::Bytes;
use model::Failure;
use tokio::sync::oneshot;

use super::super::command::{Publish, Settle};
use super::super::progress::Holder;
use super::super::stored::Stored;
use super::super::tables;
use super::super::token::Ack;
use super::*;
use crate::queue::{ConsumeOptions, From, Receipt, TopicSpec};

/// A broker whose turns the test takes.
fn broker() -> Broker {
    let (disk, loaded) = Disk::in_memory_with(|connection| tables::open(connection, 7)).unwrap();
    let (commands, waiting) = mpsc::channel(1);
    // Nobody sends; the broker is never run.
    drop(commands);
    Broker::new(disk, Clock::start(), loaded, waiting, mpsc::unbounded_channel())
}

async fn topic(broker: &mut Broker, name: &str, retention_bytes: Option<u64>) -> u64 {
    let spec = TopicSpec {
        name: name.into(),
        partitions: 1,
        replication_factor: 1,
        retention: None,
        retention_bytes,
    };
    broker.make_topic(&spec).await.unwrap()
}

fn options(topic: &str) -> ConsumeOptions {
    ConsumeOptions {
        topic: topic.into(),
        group: "g".into(),
        from: From::Earliest,
        credit: 1000,
        lease: Duration::from_secs(60),
        resume: None,
    }
}

type Answered = oneshot::Receiver<Result<Vec<Receipt>, Failure>>;

fn publish(name: &str, count: usize, size: usize) -> (Publish, Answered) {
    let stored = Arc::new(Stored {
        timestamp: 1,
        key: None,
        value: Bytes::from(vec![0; size]),
        headers: Bytes::new(),
    });
    let (answer, answered) = oneshot::channel();
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let messages = vec![stored; count];
    (Publish { topic: name.into(), messages, idempotency: None, answer, _room: room }, answered)
}

async fn say(broker: &mut Broker, name: &str, count: usize, size: usize) {
    let (publish, answered) = publish(name, count, size);
    broker.take(Turn { publishes: vec![publish], ..Turn::default() }).await;
    assert_eq!(answered.await.unwrap().unwrap().len(), count);
}

fn held(broker: &Broker, id: u64) -> u64 {
    let own = &broker.topics[&id].partitions[0];
    own.next - own.earliest
}

#[tokio::test]
async fn the_last_reader_leaves_in_the_turn_of_a_publish() {
    let mut broker = broker();
    let id = topic(&mut broker, "t", None).await;
    for _ in 0..3 {
        let joined = broker.join(&options("t")).await.unwrap();
        say(&mut broker, "t", 3, 100).await;
        assert_eq!(broker.recent.counted(), (900, 3));
        broker.left(joined.stream, joined.sequence);
        let group = joined.stream.group;
        broker.groups.get_mut(&group).unwrap().members[0].leaves_at = Some(0);
        broker.due.insert(group);
        say(&mut broker, "t", 3, 100).await;
        assert_eq!(broker.topics[&id].readers, 0);
        assert_eq!(broker.recent.counted(), (0, 0), "nobody reads, nothing is in memory");
    }
}

#[tokio::test]
async fn what_a_full_topic_gains_it_loses_in_the_same_turn() {
    let mut broker = broker();
    let id = topic(&mut broker, "t", Some(100_000)).await;
    for (count, size) in [(3000, 100), (10, 50_000), (3000, 10), (1, 90_000), (20_000, 10)] {
        say(&mut broker, "t", count, size).await;
        let bytes = broker.topics[&id].bytes();
        assert!(bytes <= 100_000, "{bytes} bytes after {count} of {size}");
        assert!(bytes >= 50_000, "no more than it must, to a message: {bytes}");
    }
    let kept: u64 = broker
        .disk
        .read(|connection| {
            connection.query_row("SELECT sum(length(value)) FROM messages", [], |row| row.get(0))
        })
        .await
        .unwrap();
    assert_eq!(kept, broker.topics[&id].bytes());
}

#[tokio::test]
async fn a_topic_far_beyond_its_bound_does_not_keep_others_waiting() {
    let mut broker = broker();
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(topic(&mut broker, name, None).await);
        say(&mut broker, name, 2000, 10).await;
    }
    broker.options.retention_bytes = 0;
    broker.looks_at = 0;
    for round in 1..=4 {
        for _ in 0..4 {
            broker.sweep().await;
        }
        let left: Vec<u64> = ids.iter().map(|id| held(&broker, *id)).collect();
        assert_eq!(left, [2000 - round * 500; 4], "each had its turn");
    }
}

#[tokio::test]
async fn dead_letters_go_in_turns_that_others_do_not_wait_for() {
    const MESSAGES: u64 = 24;
    let mut broker = broker();
    let id = topic(&mut broker, "t", None).await;
    say(&mut broker, "t", MESSAGES as usize, 1 << 20).await;
    let group = broker.join(&options("t")).await.unwrap().stream.group;
    let lease = |broker: &mut Broker, from: u64, until: Millis| {
        let progress = &mut broker.groups.get_mut(&group).unwrap().progress[0];
        for offset in from..MESSAGES {
            progress.owe(offset, 9, 0);
            progress.deliver(offset, until, Holder { consumer: 1, sequence: 1 });
        }
    };
    lease(&mut broker, 0, u64::MAX / 4);
    let term = (0..MESSAGES / 2)
        .map(|offset| Ack { group, partition: 0, offset, delivery: 10 }.text(broker.salt))
        .collect();
    let (answer, mut answered) = oneshot::channel();
    let settle = Settle { topic: "t".into(), group: "g".into(), ack: vec![], nack: vec![], term, answer };
    broker.take(Turn { settles: vec![settle], ..Turn::default() }).await;
    let dead = broker.names["t.dead"];
    assert!((8..10).contains(&held(&broker, dead)), "{} at once", held(&broker, dead));
    assert!(answered.try_recv().is_err(), "it is answered at its end");
    assert!(broker.wakes_at() <= Instant::now(), "it goes on at once");
    say(&mut broker, "other", 1, 1).await;
    assert_eq!(answered.await.unwrap().unwrap(), MESSAGES / 2);
    assert_eq!(held(&broker, dead), MESSAGES / 2);
    assert!(broker.carried.is_empty());

    // The same of what dies by itself.
    lease(&mut broker, MESSAGES / 2, 1);
    broker.due.insert(group);
    let mut turns = 0;
    while !broker.due.is_empty() {
        broker.take(Turn::default()).await;
        turns += 1;
    }
    assert_eq!((turns, held(&broker, dead)), (2, MESSAGES));
    assert_eq!(broker.groups[&group].progress[0].owed(), 0);
    assert_eq!(held(&broker, id), MESSAGES, "the topic keeps them as before");
}
