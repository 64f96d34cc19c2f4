//! Many at once, much at once, and a disk that takes no more.

use std::collections::{BTreeMap, BTreeSet};

use model::Code;

use super::super::clock;
use super::super::command::{Command, Publish};
use super::super::engine::Engine;
use super::super::stored::Stored;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishers_share_commits_and_who_waits_costs_none() {
    const PUBLISHERS: u64 = 50;
    const EACH: u64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::open(&dir.path().join("queue.db")).unwrap());
    let publish = async |engine: &Engine| {
        let stored = Arc::new(Stored::copy_of(&message("x"), clock::today()));
        let room = engine.room(1).await.unwrap();
        let command = |answer| {
            let messages = vec![stored];
            Command::Publish(Publish { topic: "t".into(), messages, idempotency: None, answer, _room: room })
        };
        engine.ask(command).await.unwrap()
    };
    publish(&engine).await;
    let before = engine.commits();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..PUBLISHERS {
        let engine = Arc::clone(&engine);
        tasks.spawn(async move {
            for _ in 0..EACH {
                publish(&engine).await;
            }
        });
    }
    tasks.join_all().await;
    let commits = engine.commits() - before;
    assert!(commits * 4 < PUBLISHERS * EACH, "{commits} commits for {} publishes", PUBLISHERS * EACH);
    let joined = engine.ask(|answer| Command::Join(options("t", "g"), answer)).await.unwrap();
    let before = engine.commits();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(engine.commits(), before, "nothing is written while nothing happens");
    drop(joined);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_reads_the_file_and_misses_nothing() {
    const MESSAGES: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.create_topic(&spec("t", 2)).await.unwrap();
    let mut tail = queue.consume(&ConsumeOptions { credit: 10_000, ..options("t", "tail") }).await.unwrap();
    // More than is kept in memory, so that the second group finds the beginning in the file alone.
    let publisher = Arc::clone(&queue);
    let published = tokio::spawn(async move {
        for n in 0..MESSAGES {
            let mut value = vec![0; 100 << 10];
            value[..8].copy_from_slice(&n.to_le_bytes());
            publisher
                .publish("t", &[Message { key: Some(n.to_string().into()), ..message(value) }], None)
                .await
                .unwrap();
        }
    });
    let number = |own: &Delivery| u64::from_le_bytes(own.value[..8].try_into().unwrap());
    let check = |deliveries: &[Delivery]| {
        let mut next = BTreeMap::new();
        for own in deliveries {
            let next = next.entry(own.partition).or_insert(0);
            assert_eq!((own.offset, own.delivery), (*next, 1));
            *next += 1;
        }
        let numbers: BTreeSet<u64> = deliveries.iter().map(number).collect();
        assert_eq!(numbers.len() as u64, MESSAGES);
    };
    check(&some(&mut tail, MESSAGES as usize).await);
    published.await.unwrap();
    let mut late = queue.consume(&ConsumeOptions { credit: 10_000, ..options("t", "late") }).await.unwrap();
    check(&some(&mut late, MESSAGES as usize).await);
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_while_others_publish_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    // The beginning is in the file alone, the rest comes while it is being read.
    for round in 0..10u64 {
        let topic = format!("t{round}");
        queue.publish(&topic, &vec![message("old"); 50], None).await.unwrap();
        let (publisher, to) = (Arc::clone(&queue), topic.clone());
        let published = tokio::spawn(async move {
            for _ in 0..50 {
                say(&*publisher, &to, &["new"]).await;
            }
        });
        let mut consumer = queue.consume(&options(&topic, "g")).await.unwrap();
        let offsets: Vec<u64> = some(&mut consumer, 100).await.iter().map(|own| own.offset).collect();
        assert_eq!(offsets, (0..100).collect::<Vec<u64>>());
        published.await.unwrap();
    }
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.create_topic(&spec("t", 1)).await.unwrap();
    say(&*queue, "t", &["there"]).await;
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    let large = message(vec![1; 500 << 10]);
    queue.publish("sick", std::slice::from_ref(&large), None).await.unwrap();
    let mut sick = queue.consume(&options("sick", "g")).await.unwrap();
    let dying = some(&mut sick, 1).await.remove(0);
    let term = Settlement { term: vec![dying.ack], ..settlement("sick", "g") };
    // The engine of the adapter is shared, and so is its connection.
    let pages = async |count: i64| {
        let engine = queue.engine().await.unwrap();
        engine.limit_pages(count).await;
    };
    pages(1).await;
    let full = queue.publish("t", std::slice::from_ref(&large), None).await.unwrap_err();
    assert_eq!(full.code(), Code::Overloaded, "{full}");
    assert!(full.detail().contains("no space") && full.retryable());
    assert_eq!(queue.settle(&term).await.unwrap_err().code(), Code::Overloaded, "a dead letter needs room");
    // Who reads what is there goes on, and settles.
    let deliveries = some(&mut consumer, 1).await;
    assert_eq!(texts(&deliveries), ["there"]);
    assert_eq!(ack(&*queue, "t", "g", &deliveries).await, 1);
    assert_eq!(
        queue.topic("t").await.unwrap().partitions[0].unwrap().next,
        1,
        "what failed has left nothing"
    );
    pages(1 << 30).await;
    assert_eq!(queue.settle(&term).await.unwrap(), 1, "it was not lost by having failed");
    assert_eq!(queue.topic("sick.dead").await.unwrap().partitions[0].unwrap().next, 1);
    let receipt = queue.publish("t", &[large], None).await.unwrap().remove(0).unwrap();
    assert_eq!(receipt.offset, 1);
    assert_eq!(some(&mut consumer, 1).await[0].offset, 1);
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_where_consumers_come_and_go() {
    const MESSAGES: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.create_topic(&spec("t", 3)).await.unwrap();
    let publisher = Arc::clone(&queue);
    let published = tokio::spawn(async move {
        for first in (0..MESSAGES).step_by(10) {
            let messages: Vec<Message> = (first..first + 10)
                .map(|n| Message { key: Some(n.to_string().into()), ..message(n.to_string()) })
                .collect();
            publisher.publish("t", &messages, None).await.unwrap();
        }
    });
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..5usize {
        let queue = Arc::clone(&queue);
        workers.spawn(async move {
            let mut done: BTreeMap<String, u32> = BTreeMap::new();
            let mut round = worker;
            let mut resume = None;
            // Each takes a little, settles most of it, and goes; until nothing has come for a while.
            loop {
                round += 1;
                let joined = ConsumeOptions {
                    credit: 7,
                    lease: Duration::from_millis(400),
                    resume: if round % 2 == 0 { resume.take() } else { None },
                    ..options("t", "g")
                };
                let mut consumer = queue.consume(&joined).await.unwrap();
                for _ in 0..20 {
                    let next = tokio::time::timeout(Duration::from_secs(5), consumer.next()).await;
                    let Ok(next) = next else { return done };
                    let Happening::Messages(messages) = next.unwrap() else { continue };
                    for (at, own) in messages.into_iter().enumerate() {
                        resume = Some(own.resume.clone());
                        let token = vec![own.ack.clone()];
                        match (at + round) % 9 {
                            0 => continue,
                            1 => {
                                let nack = vec![(own.ack, Duration::from_millis(20))];
                                queue.settle(&Settlement { nack, ..settlement("t", "g") }).await.unwrap();
                            }
                            _ => {
                                let ack = Settlement { ack: token, ..settlement("t", "g") };
                                if queue.settle(&ack).await.unwrap() == 1 {
                                    let text = String::from_utf8(own.value.to_vec()).unwrap();
                                    *done.entry(text).or_default() += 1;
                                }
                            }
                        }
                    }
                }
            }
        });
    }
    published.await.unwrap();
    let mut all: BTreeMap<String, u32> = BTreeMap::new();
    for done in workers.join_all().await {
        for (text, times) in done {
            *all.entry(text).or_default() += times;
        }
    }
    let dead = match queue.topic("t.dead").await {
        Ok(topic) => topic.partitions[0].unwrap().next as usize,
        Err(_) => 0,
    };
    assert!(all.values().all(|times| *times == 1), "nothing is settled twice");
    assert_eq!(all.len() + dead, MESSAGES);
    let group = queue.groups(Some("t")).await.unwrap().remove(0);
    assert_eq!(group.partitions.iter().flatten().map(|own| own.lag).sum::<u64>(), 0);
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_topics_are_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    for n in 0..1000 {
        queue.create_topic(&spec(&format!("t{n}"), 2)).await.unwrap();
    }
    say(&*queue, "t777", &["x"]).await;
    queue.close().await.unwrap();
    let queue = open(dir.path());
    assert_eq!(queue.topics().await.unwrap().len(), 1000);
    let mut consumer = queue.consume(&options("t777", "g")).await.unwrap();
    assert_eq!(texts(&some(&mut consumer, 1).await), ["x"]);
    queue.close().await.unwrap();
}
