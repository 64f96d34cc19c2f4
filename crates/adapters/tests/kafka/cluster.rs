//! Several brokers, of which one goes: the others take over what it led, and what it alone has is said to be unknown.

use std::time::{Duration, Instant};

use engines::{Engines, Server};
use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::queue::{ConsumeOptions, Topic, TopicSpec};

use super::load::Load;
use super::{PATIENCE, connected, join, message, next, options, publish, queue};

fn spread(brokers: &[Server]) -> ServiceSpec {
    let mut service = ServiceSpec::of_kind("kafka");
    let endpoint = |broker: &Server| {
        let role = Role::Primary;
        EndpointSpec { host: "127.0.0.1".to_owned(), port: broker.port, weight: 1, role }
    };
    service.endpoints = brokers.iter().map(endpoint).collect();
    service
}

fn spec(name: &str, copies: u16) -> TopicSpec {
    TopicSpec {
        name: name.into(),
        partitions: 3,
        replication_factor: copies,
        retention: None,
        retention_bytes: None,
    }
}

fn unknown(topic: &Topic) -> usize {
    topic.partitions.iter().filter(|own| own.is_none()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn others_take_over_what_a_broker_led() {
    let engines = Engines::own();
    let brokers = engines.kafka_cluster();
    let service = spread(&brokers);
    let adapter = connected(&service);
    // Each broker leads one partition of each.
    for (name, copies) in [("kept", 3), ("alone", 1)] {
        let made = queue(&adapter).create_topic(&spec(name, copies)).await.expect("it is made");
        assert_eq!((unknown(&made), made.replication_factor), (0, copies));
    }
    publish(&adapter, "alone", &[message(None, "x")]).await;
    let mut reader = join(&adapter, &ConsumeOptions { group: "other".into(), ..options("kept") }).await;
    let load = Load::on(&adapter, "kept");
    load.more(200).await;
    let [first, second, third] = brokers;
    let second = tokio::task::spawn_blocking(move || {
        second.kill();
        second
    });
    let second = second.await.expect("it is gone");
    let killed = Instant::now();
    // The list is there all the while, whoever is asked.
    let mut slowest = Duration::ZERO;
    while killed.elapsed() < Duration::from_secs(6) {
        let began = Instant::now();
        let all = queue(&adapter).topics().await.expect("what is known is shown");
        slowest = slowest.max(began.elapsed());
        let alone = all.iter().find(|own| &*own.name == "alone").expect("it is listed");
        assert_eq!(unknown(alone), 1, "{alone:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(slowest < Duration::from_secs(5), "a list took {slowest:?}");
    load.more(200).await;
    let all = queue(&adapter).topics().await.expect("topics are listed");
    let kept = all.iter().find(|own| &*own.name == "kept").expect("it is listed");
    assert_eq!(unknown(kept), 0, "{kept:?}");
    next(&mut reader).await;
    let groups = queue(&adapter).groups(Some("kept")).await.expect("groups are shown");
    assert!(groups[0].partitions.iter().all(Option::is_some), "{groups:?}");
    let second = tokio::task::spawn_blocking(move || {
        second.restart();
        second
    });
    let second = second.await.expect("it restarts");
    let whole = async { while unknown(&queue(&adapter).topic("alone").await.expect("it is shown")) > 0 {} };
    tokio::time::timeout(PATIENCE, whole).await.expect("it is known again");
    load.more(200).await;
    drop(reader);
    queue(&adapter).topic("kept").await.expect("it is shown");
    load.finish(&spread(&[first, second, third])).await;
}
