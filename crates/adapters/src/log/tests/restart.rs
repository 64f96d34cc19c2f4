//! What a queue is when it is opened again.

use model::Code;

use super::*;
use crate::queue::Idempotency;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_and_not_settled_comes_again_counted() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path());
    before.create_topic(&spec("t", 2)).await.unwrap();
    say(&*before, "t", &["a", "b", "c", "d", "e"]).await;
    let mut consumer = before.consume(&options("t", "g")).await.unwrap();
    let deliveries = some(&mut consumer, 5).await;
    let of = |text: &str| deliveries.iter().find(|own| own.value == text.as_bytes()).unwrap().clone();
    assert_eq!(ack(&*before, "t", "g", &[of("b")]).await, 1);
    let back = |delivery: Delivery, ms| (delivery.ack, Duration::from_millis(ms));
    let nacks = Settlement { nack: vec![back(of("c"), 3_600_000)], ..settlement("t", "g") };
    assert_eq!(before.settle(&nacks).await.unwrap(), 1);
    before.close().await.unwrap();
    assert_eq!(consumer.next().await.unwrap_err().code(), Code::Draining, "its consumers end");
    assert_eq!(before.topics().await.unwrap_err().code(), Code::Draining, "and so do calls");

    let after = open(dir.path());
    // The consumer is the same one again, and what it saw settles as before.
    let resume = Some(of("e").resume);
    let mut again = after.consume(&ConsumeOptions { resume, ..options("t", "g") }).await.unwrap();
    assert_eq!(again.id(), consumer.id());
    let redelivered = some(&mut again, 3).await;
    let mut sorted = texts(&redelivered);
    sorted.sort();
    assert_eq!(sorted, ["a", "d", "e"], "at once, but for what was told to wait");
    assert!(redelivered.iter().all(|own| own.delivery == 2));
    silence(&mut again, Duration::from_millis(300)).await;
    // A token of before settles; one that gives back is too old.
    let stale = Settlement { nack: vec![back(of("d"), 0)], ..settlement("t", "g") };
    assert_eq!(after.settle(&stale).await.unwrap(), 0);
    assert_eq!(ack(&*after, "t", "g", &[of("a"), of("b"), of("c")]).await, 2, "b was settled before");
    assert_eq!(say(&*after, "t", &["f"]).await[0].offset, 5, "offsets go on");
    assert_eq!(texts(&some(&mut again, 1).await), ["f"]);
    let group = &after.groups(Some("t")).await.unwrap()[0];
    assert_eq!(group.partitions.iter().flatten().map(|own| own.delivered).sum::<u64>(), 3);
    after.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_and_places_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let key = Idempotency { key: "k".into(), fingerprint: [7; 32] };
    let before = open(dir.path());
    let first = before.publish("t", &[message("a"), message("b")], Some(&key)).await.unwrap();
    let latest = ConsumeOptions { from: From::Latest, ..options("t", "late") };
    drop(before.consume(&latest).await.unwrap());
    before.close().await.unwrap();

    let after = open(dir.path());
    let again = after.publish("t", &[message("a"), message("b")], Some(&key)).await.unwrap();
    let places =
        |results: Vec<Result<Receipt, _>>| results.into_iter().map(|own| own.ok()).collect::<Vec<_>>();
    assert_eq!(places(first), places(again));
    let other = Idempotency { fingerprint: [8; 32], ..key.clone() };
    let refused = after.publish("t", &[message("c")], Some(&other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::IdempotencyMismatch);
    let mut late = after.consume(&latest).await.unwrap();
    say(&*after, "t", &["new"]).await;
    assert_eq!(texts(&some(&mut late, 1).await), ["new"], "it began where the end was when it joined");
    // With its topic what was published is forgotten.
    after.delete_topic("t").await.unwrap();
    let anew = after.publish("t", &[message("c")], Some(&other)).await.unwrap();
    assert_eq!(anew[0].as_ref().unwrap().offset, 0);
    after.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adapters_before_and_after_a_change_share_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(dir.path());
    let mut consumer = before.consume_of("t").await;
    let after = open_with(dir.path(), Options { auto_create: false, max_message: 5, ..Options::default() });
    assert_eq!(after.publish("none", &[message("x")], None).await.unwrap_err().code(), Code::NotFound);
    say(&*after, "t", &["five5"]).await;
    assert_eq!(texts(&some(&mut consumer, 1).await), ["five5"], "who reads goes on reading");
    let large = after.publish("t", &[message("sixsix")], None).await.unwrap().remove(0);
    assert_eq!(large.unwrap_err().code(), Code::TooLarge);
    drop(before);
    say(&*after, "t", &["more"]).await;
    assert_eq!(texts(&some(&mut consumer, 1).await), ["more"]);
    after.close().await.unwrap();
}

impl LogAdapter {
    /// A consumer of a new topic.
    async fn consume_of(&self, topic: &str) -> Box<dyn Consumer> {
        self.create_topic(&spec(topic, 1)).await.unwrap();
        self.consume(&options(topic, "g")).await.unwrap()
    }
}

#[tokio::test]
async fn a_file_of_another_version_is_left_alone() {
    for (version, remedy) in [(1, "take it away"), (3, "use a newer one")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        let mark =
            move |connection: &disk::Connection| connection.pragma_update(None, "user_version", version);
        disk::Disk::open_with(&path, mark).unwrap().0.close().await;
        let adapter = open(dir.path());
        let failure = adapter.topics().await.unwrap_err();
        assert!(failure.detail().contains(&format!("version {version}")), "{failure}");
        assert!(failure.detail().contains(remedy), "{failure}");
        assert!(adapter.probe(Duration::from_secs(1)).await.is_err());
    }
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    let made = disk::Disk::open_with(&path, |connection| connection.execute_batch("CREATE TABLE theirs (a)"))
        .unwrap();
    made.0.close().await;
    let failure = open(dir.path()).topics().await.unwrap_err();
    assert!(failure.detail().contains("something else than a queue"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_memory_is_shared_by_adapters_of_its_service() {
    let dir = tempfile::tempdir().unwrap();
    let memory = || Options { path: Some(":memory:".into()), ..Options::default() };
    let before = open_with(dir.path(), memory());
    say(&*before, "t", &["kept over a change"]).await;
    let after = open_with(dir.path(), memory());
    drop(before);
    assert_eq!(after.topic("t").await.unwrap().partitions[0].unwrap().next, 1);
    after.close().await.unwrap();
    let anew = open_with(dir.path(), memory());
    assert!(anew.topics().await.unwrap().is_empty());
}
