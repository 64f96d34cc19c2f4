//! Brokers that go and come back: what was acknowledged is there, once, and nobody has to do anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engines::Engines;
use model::Code;
use throome_adapters::Adapter;
use throome_adapters::queue::{Idempotency, Message};

use super::{
    PATIENCE, ack, connected, join, message, next, options, publish, queue, service, topic, until_well,
};

/// What a publisher was told of each of its messages.
#[derive(Default)]
struct Told {
    arrived: Vec<(String, u32, u64)>,
    /// Said to have failed: these may be there all the same where the answer says so.
    failed: Vec<(String, bool)>,
}

/// What publishers look at, and what they count.
#[derive(Default)]
struct Watch {
    stop: AtomicBool,
    arrived: AtomicUsize,
}

impl Watch {
    /// Waits until so many more have arrived.
    async fn more(&self, count: usize) {
        let until = self.arrived.load(Ordering::Acquire) + count;
        let wait = async {
            while self.arrived.load(Ordering::Acquire) < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("publishing goes on");
    }
}

async fn publish_until(adapter: Arc<dyn Adapter>, topic: String, name: usize, watch: Arc<Watch>) -> Told {
    let mut told = Told::default();
    for n in 0.. {
        if watch.stop.load(Ordering::Acquire) {
            break;
        }
        let text = format!("{name}-{n}");
        let one = [message(Some(&text), text.clone())];
        match queue(&adapter).publish(&topic, &one, None).await {
            Ok(results) => match results.into_iter().next().expect("one for each") {
                Ok(receipt) => {
                    watch.arrived.fetch_add(1, Ordering::AcqRel);
                    told.arrived.push((text, receipt.partition, receipt.offset));
                }
                Err(failure) => told.failed.push((text, failure.detail().contains("all the same"))),
            },
            Err(failure) => {
                assert!(failure.retryable(), "a call that fails has sent nothing: {failure}");
                told.failed.push((text, false));
            }
        }
    }
    told
}

/// Everything that the topic holds, by its text: where it stands, each time that it does.
async fn read_all(adapter: &Arc<dyn Adapter>, topic: &str) -> BTreeMap<String, Vec<(u32, u64)>> {
    let whole = queue(adapter).topic(topic).await.expect("it is there");
    let count: u64 = whole.partitions.iter().map(|own| own.next - own.earliest).sum();
    let mut reader = join(adapter, &options(topic)).await;
    let (mut found, mut seen) = (BTreeMap::<String, Vec<(u32, u64)>>::new(), 0);
    while seen < count {
        let messages = next(&mut reader).await;
        assert_eq!(ack(adapter, topic, &messages).await, messages.len() as u64);
        seen += messages.len() as u64;
        for own in messages {
            let text = String::from_utf8(own.value.to_vec()).expect("it is a text");
            found.entry(text).or_default().push((own.partition, own.offset));
        }
    }
    found
}

/// Publishes while this happens to the broker, and compares what was told with what is there.
async fn no_message_is_lost(fault: impl FnOnce(&engines::Server) + Send + 'static) {
    let broker = Engines::own().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "lasting", 3).await;
    let watch = Arc::new(Watch::default());
    let publishers: Vec<_> = (0..8)
        .map(|name| {
            tokio::spawn(publish_until(Arc::clone(&adapter), topic.clone(), name, Arc::clone(&watch)))
        })
        .collect();
    watch.more(200).await;
    let broker = tokio::task::spawn_blocking(move || {
        fault(&broker);
        broker
    });
    let broker = broker.await.expect("it is done");
    until_well(&adapter).await;
    watch.more(200).await;
    watch.stop.store(true, Ordering::Release);
    let (mut arrived, mut failed) = (Vec::new(), Vec::new());
    for publisher in publishers {
        let told = publisher.await.expect("it ends");
        arrived.extend(told.arrived);
        failed.extend(told.failed);
    }
    // Messages that were told to be unknown may still be on their way.
    adapter.close().await.expect("it closes");
    let adapter = connected(&service(broker.port));
    let found = read_all(&adapter, &topic).await;
    for (text, partition, offset) in &arrived {
        assert_eq!(
            found.get(text),
            Some(&vec![(*partition, *offset)]),
            "{text} is there, where it was told, once"
        );
    }
    for (text, perhaps) in &failed {
        let places = found.get(text).map_or(0, Vec::len);
        assert!(places <= usize::from(*perhaps), "{text} is there {places} times; perhaps: {perhaps}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_under_load_loses_nothing() {
    no_message_is_lost(engines::Server::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_under_load_loses_nothing() {
    let crash = |broker: &engines::Server| {
        broker.kill();
        broker.restart();
    };
    no_message_is_lost(crash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_go_on_after_a_restart() {
    let broker = Engines::own().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "reading", 2).await;
    let messages: Vec<Message> = (0..20).map(|n| message(Some(&format!("k{n}")), format!("{n}"))).collect();
    publish(&adapter, &topic, &messages).await;
    let mut reader = join(&adapter, &options(&topic)).await;
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.extend(next(&mut reader).await);
    }
    assert_eq!(ack(&adapter, &topic, &seen[..10]).await, 10);
    let restarted = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = restarted.await.expect("it restarts");
    until_well(&adapter).await;
    // A broker that was away for long has given the partitions up, and these are nobody's to settle for a moment. It is
    // remembered all the same.
    let settled = ack(&adapter, &topic, &seen[10..]).await;
    assert!(settled <= 10, "{settled}");
    publish(&adapter, &topic, &messages).await;
    let mut more = Vec::new();
    while more.len() < 20 {
        more.extend(next(&mut reader).await);
    }
    assert!(
        more.iter().all(|own| own.delivery == 1
            && seen.iter().all(|old| { (old.partition, old.offset) != (own.partition, own.offset) })),
        "what was settled does not come again: {more:?}"
    );
    assert_eq!(ack(&adapter, &topic, &more).await, 20);
    // Another process finds everything settled.
    drop(reader);
    adapter.close().await.expect("it closes");
    let other = connected(&service(broker.port));
    let groups = queue(&other).groups(Some(&topic)).await.expect("groups are shown");
    assert_eq!(groups[0].partitions.iter().map(|own| own.lag).sum::<u64>(), 0, "{groups:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_away_is_said_and_missed_no_longer_than_it_is() {
    let broker = Engines::own().kafka();
    broker.stop();
    let adapter = connected(&service(broker.port));
    let failure = adapter.probe(Duration::from_secs(2)).await.expect_err("it is away");
    assert_eq!(failure.code(), Code::BadGateway);
    assert!(failure.detail().contains("refused"), "{failure}");
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = broker.await.expect("it starts");
    let began = Instant::now();
    until_well(&adapter).await;
    assert!(began.elapsed() < Duration::from_secs(5), "found after {:?}", began.elapsed());
    let topic = topic(&adapter, "again", 1).await;
    publish(&adapter, &topic, &[message(None, "x")]).await;
    // One that is frozen takes connections and answers nothing.
    broker.freeze();
    let began = Instant::now();
    let failure = adapter.probe(Duration::from_secs(2)).await.expect_err("it does not answer");
    assert!(began.elapsed() < Duration::from_secs(4), "said after {:?}", began.elapsed());
    assert!(matches!(failure.code(), Code::Timeout | Code::BadGateway), "{failure}");
    // A message that is given up is not said to be published, and neither to be lost.
    let key = Idempotency { key: "k".into(), fingerprint: [1; 32] };
    let sent = [message(None, "while it froze")];
    let given_up = queue(&adapter).publish(&topic, &sent, Some(&key));
    assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err(), "nobody answers");
    broker.thaw();
    until_well(&adapter).await;
    // Under its key it may be asked for again, and is there once.
    let again = queue(&adapter).publish(&topic, &sent, Some(&key));
    let results = tokio::time::timeout(PATIENCE, again).await.expect("it answers").expect("it is taken");
    assert!(results[0].is_ok(), "{results:?}");
    let whole = queue(&adapter).topic(&topic).await.expect("it is there");
    assert_eq!(whole.partitions[0].next, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_a_broker_is_bounded_and_given_up_in_time() {
    let broker = Engines::own().kafka();
    let mut service = service(broker.port);
    service.options.insert("buffer".to_owned(), "1mb".into());
    service.options.insert("delivery_timeout".to_owned(), "2s".into());
    let adapter = connected(&service);
    let topic = topic(&adapter, "full", 1).await;
    publish(&adapter, &topic, &[message(None, "x")]).await;
    broker.freeze();
    let many: Vec<Message> = (0..30).map(|_| message(None, vec![b'x'; 100_000])).collect();
    let began = Instant::now();
    let results = queue(&adapter).publish(&topic, &many, None).await.expect("each has its own answer");
    assert!(began.elapsed() < Duration::from_secs(10), "given up after {:?}", began.elapsed());
    let count =
        |code: Code| results.iter().filter(|one| one.as_ref().is_err_and(|own| own.code() == code)).count();
    let (late, refused) = (count(Code::Timeout), count(Code::Overloaded));
    assert_eq!(late + refused, 30, "{results:?}");
    assert!(late >= 5 && refused >= 15, "{late} waited, {refused} were refused");
    for failure in results.iter().filter_map(|one| one.as_ref().err()) {
        let is_unknown = failure.detail().contains("all the same");
        assert_eq!(is_unknown, failure.code() == Code::Timeout, "{failure}");
        assert_eq!(failure.retryable(), !is_unknown, "{failure}");
    }
    broker.thaw();
    until_well(&adapter).await;
    publish(&adapter, &topic, &[message(None, "goes on")]).await;
}
