//! The kind `kafka` against a real broker.
#![cfg(feature = "kafka")]

use std::sync::Arc;

use model::ServiceSpec;
use throome_adapters::queue::suite;
use throome_adapters::{Adapter, Home, driver};

fn connected(port: u16) -> Arc<dyn Adapter> {
    let mut service = ServiceSpec::of_kind("kafka");
    (service.host, service.port) = (Some("127.0.0.1".into()), Some(port));
    let endpoint = service.all_endpoints().remove(0);
    let home = Home { cluster: "suite".into(), service: "kafka".into(), dir: "unused".into() };
    driver("kafka").expect("it is built").connect(&endpoint, &service, &home).expect("it connects")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kafka_keeps_the_contract() {
    let port = std::env::var("KPORT").unwrap().parse().unwrap();
    let adapter = connected(port);
    adapter.probe(std::time::Duration::from_secs(5)).await.expect("it is well");
    suite::run(&adapter).await;
    adapter.close().await.expect("it closes");
}
