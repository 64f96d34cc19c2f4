//! The kind `kafka` against real brokers: the contract of its ability, ways to prove who one is, and what happens when
//! brokers go, consumers change and readers are slow.
#![cfg(feature = "kafka")]

mod between;
mod bounds;
mod faults;
mod groups;
mod load;
mod others;
mod secure;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use engines::Engines;
use model::ServiceSpec;
use throome_adapters::queue::{
    ConsumeOptions, Consumer, Delivery, From, Happening, Message, Queue, Receipt, Settlement, TopicSpec,
    suite,
};
use throome_adapters::{Adapter, Home, driver};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    let adapter = connected(&service(Engines::shared().kafka().port));
    adapter.probe(PATIENCE).await.expect("it is well");
    suite::run(&adapter).await;
    adapter.close().await.expect("it closes");
}

fn service(port: u16) -> ServiceSpec {
    let mut service = ServiceSpec::of_kind("kafka");
    (service.host, service.port) = (Some("127.0.0.1".to_owned()), Some(port));
    service
}

/// Connects as another gateway would.
fn connected(service: &ServiceSpec) -> Arc<dyn Adapter> {
    let endpoint = service.all_endpoints().remove(0);
    let home = Home { cluster: "test".into(), service: "queue".into(), dir: "unused".into() };
    let driver = driver("kafka").expect("the kind is in the list");
    driver.connect(&endpoint, service, &home).expect("the options are right")
}

fn queue(adapter: &Arc<dyn Adapter>) -> &dyn Queue {
    adapter.queue().expect("it keeps messages")
}

/// Makes a topic that no other test has.
async fn topic(adapter: &Arc<dyn Adapter>, name: &str, partitions: u32) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_nanos();
    let name = format!("{name}.{}.{nanos}", std::process::id());
    let spec = TopicSpec {
        name: name.as_str().into(),
        partitions,
        replication_factor: 1,
        retention: None,
        retention_bytes: None,
    };
    queue(adapter).create_topic(&spec).await.expect("the topic is made");
    name
}

fn message(key: Option<&str>, value: impl Into<Bytes>) -> Message {
    let key = key.map(|key| Bytes::copy_from_slice(key.as_bytes()));
    Message { key, value: value.into(), headers: Vec::new() }
}

/// Publishes all of them; each must arrive.
async fn publish(adapter: &Arc<dyn Adapter>, topic: &str, messages: &[Message]) -> Vec<Receipt> {
    let results = queue(adapter).publish(topic, messages, None).await.expect("they are published");
    results.into_iter().map(|result| result.expect("it is published")).collect()
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

async fn join(adapter: &Arc<dyn Adapter>, options: &ConsumeOptions) -> Box<dyn Consumer> {
    queue(adapter).consume(options).await.expect("it joins")
}

/// The next messages, whatever else happens before them.
async fn next(consumer: &mut Box<dyn Consumer>) -> Vec<Delivery> {
    let wait = async {
        loop {
            match consumer.next().await.expect("it goes on") {
                Happening::Messages(messages) => return messages,
                Happening::Assignment(_) => {}
            }
        }
    };
    let messages = tokio::time::timeout(PATIENCE, wait).await.expect("something comes");
    consumer.written(messages.last().expect("messages are at least one"));
    messages
}

/// Settles all of them; says how many that were.
async fn ack(adapter: &Arc<dyn Adapter>, topic: &str, deliveries: &[Delivery]) -> u64 {
    let ack = deliveries.iter().map(|delivery| delivery.ack.clone()).collect();
    let settlement = Settlement { topic: topic.into(), group: "g".into(), ack, ..Settlement::default() };
    queue(adapter).settle(&settlement).await.expect("they are settled")
}

/// Waits until the probe passes.
async fn until_well(adapter: &Arc<dyn Adapter>) {
    let until = Instant::now() + PATIENCE;
    while let Err(failure) = adapter.probe(Duration::from_secs(2)).await {
        assert!(Instant::now() < until, "it does not recover by itself: {failure}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
