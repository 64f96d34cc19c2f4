//! A producer that delivers nothing although its broker answers: librdkafka has been seen to lose its way behind a broker that
//! was restarted (`kafka/faults.rs`), which cannot be had at will. A broker of its own, which refuses what is published, looks
//! the same from outside.
#![cfg(feature = "kafka")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::ServiceSpec;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use throome_adapters::queue::Message;
use throome_adapters::{Adapter, Home, driver};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_made_anew_and_publishing_goes_on() {
    let broker = MockCluster::new(1).expect("it begins");
    broker.create_topic("orders", 1, 1).expect("the topic is made");
    let adapter = connected(&broker.bootstrap_servers());
    // Who has just begun has to find the broker first.
    until_published(&adapter).await;
    let before = producers();
    assert_eq!(before.len(), 1, "one serves all");

    broker.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 10_000],
    );
    let until = Instant::now() + PATIENCE;
    while !before.is_disjoint(&producers()) {
        assert!(publish(&adapter).await.is_err(), "nothing arrives");
        assert!(Instant::now() < until, "the same producer goes on: {:?}", producers());
    }
    broker.clear_request_errors(RDKafkaApiKey::Produce);
    until_published(&adapter).await;
    assert!(producers().len() <= 2, "those that are given up end: {:?}", producers());
}

fn connected(bootstrap: &str) -> Arc<dyn Adapter> {
    let (host, port) = bootstrap.rsplit_once(':').expect("a host and a port");
    let mut service = ServiceSpec::of_kind("kafka");
    (service.host, service.port) = (Some(host.to_owned()), port.parse().ok());
    service.options.insert("delivery_timeout".to_owned(), "1s".into());
    let home = Home { cluster: "test".into(), service: "queue".into(), dir: "unused".into() };
    let endpoint = service.all_endpoints().remove(0);
    driver("kafka")
        .expect("the kind is in the list")
        .connect(&endpoint, &service, &home)
        .expect("it is right")
}

/// Publishes until a message arrives.
async fn until_published(adapter: &Arc<dyn Adapter>) {
    let until = Instant::now() + PATIENCE;
    while let Err(why) = publish(adapter).await {
        assert!(Instant::now() < until, "nothing is published: {why}");
    }
}

/// Publishes a message, which arrives or does not.
async fn publish(adapter: &Arc<dyn Adapter>) -> Result<(), String> {
    let message = Message { key: None, value: "tea".into(), headers: Vec::new() };
    let told = adapter.queue().expect("it keeps messages").publish("orders", &[message], None).await;
    let results = told.map_err(|failure| failure.to_string())?;
    results.into_iter().try_for_each(|result| result.map(drop).map_err(|failure| failure.to_string()))
}

/// The threads of producers: each has one.
fn producers() -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let is_one = |task: &std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "kafka-producer")
    };
    tasks.flatten().filter(is_one).map(|task| task.file_name().to_string_lossy().into_owned()).collect()
}
