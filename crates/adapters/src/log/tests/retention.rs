//! What is kept no longer goes, by itself and in small steps.

use super::*;
use crate::queue::Extent;

/// Waits until this holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

async fn extent(queue: &LogAdapter, topic: &str) -> Extent {
    queue.topic(topic).await.unwrap().partitions[0].unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_by_age_and_groups_go_on_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let short = TopicSpec { retention: Some(Duration::from_millis(500)), ..spec("t", 1) };
    queue.create_topic(&short).await.unwrap();
    let messages: Vec<Message> = (0..1200).map(|n: u32| message(n.to_string())).collect();
    queue.publish("t", &messages, None).await.unwrap();
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    let held = some(&mut consumer, 10).await;
    until("all are gone", async || extent(&queue, "t").await == Extent { earliest: 1200, next: 1200 }).await;
    assert_eq!(queue.topic("t").await.unwrap().bytes, Some(0));
    assert_eq!(ack(&*queue, "t", "g", &held).await, 0, "what was delivered has gone as well");
    let group = queue.groups(Some("t")).await.unwrap().remove(0);
    assert_eq!((group.partitions[0].unwrap().settled, group.partitions[0].unwrap().lag), (1200, 0));
    say(&*queue, "t", &["new"]).await;
    assert_eq!(some(&mut consumer, 1).await[0].offset, 1200);
    // The same after a restart.
    queue.close().await.unwrap();
    let queue = open(dir.path());
    assert_eq!(extent(&queue, "t").await.next, 1201);
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_by_size_the_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open_with(dir.path(), Options { retention_bytes: 50_000, ..Options::default() });
    for n in 0..10 {
        queue.publish("t", &vec![message([n; 1000]); 10], None).await.unwrap();
    }
    until("no more than may stay", async || queue.topic("t").await.unwrap().bytes == Some(50_000)).await;
    assert_eq!(extent(&queue, "t").await, Extent { earliest: 50, next: 100 });
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    let deliveries = some(&mut consumer, 50).await;
    assert_eq!((deliveries[0].offset, deliveries[0].value[0]), (50, 5));
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_deleted_topic_go() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    for _ in 0..4 {
        queue.publish("t", &vec![message("x"); 500], None).await.unwrap();
    }
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    some(&mut consumer, 1).await;
    queue.delete_topic("t").await.unwrap();
    say(&*queue, "t", &["the name is free at once"]).await;
    let rows = async || {
        let path = dir.path().join("queue.db");
        let count = |connection: &disk::Connection| {
            connection.query_row(
                "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM groups),
                        (SELECT count(*) FROM progress), (SELECT count(*) FROM dropped)",
                [],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, i64>(3)?,
                    ))
                },
            )
        };
        disk::Disk::open_with(&path, count).unwrap().1
    };
    until("only the new message is left", async || rows().await == (1, 0, 0, 0)).await;
    queue.close().await.unwrap();
}
