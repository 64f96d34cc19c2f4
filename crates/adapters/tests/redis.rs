//! The kind `redis` against real servers: the contract of its ability, native commands, and what happens when servers
//! go, come back, freeze and are promoted.

#[path = "redis/answers.rs"]
mod answers;
#[path = "redis/contract.rs"]
mod contract;
#[path = "redis/limits.rs"]
mod limits;
#[path = "redis/native.rs"]
mod native;
#[path = "redis/outages.rs"]
mod outages;
#[path = "redis/scripts.rs"]
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{EndpointSpec, Failure, ServiceSpec};
use serde_json::{Value, json};
use throome_adapters::key_value::{Commands, KeyValue, Reply};
use throome_adapters::{Adapter, Home, driver};
use tokio::time::Instant;

/// Cores of this process, as far as its tests need some.
const CORES: usize = 4;

/// An adapter as a service of a document gets it; `said` lacks nothing but the kind.
fn connected(mut said: Value) -> Arc<dyn Adapter> {
    wire::cores::set_count(CORES);
    said["type"] = json!("redis");
    let service: ServiceSpec = serde_json::from_value(said).expect("a service");
    let home = Home { cluster: "test".into(), service: "cache".into(), dir: "unused".into() };
    let endpoint: EndpointSpec = service.all_endpoints().swap_remove(0);
    let driver = driver("redis").expect("the kind is in the list");
    driver.connect(&endpoint, &service, &home).expect("the options are right")
}

fn at(port: u16) -> Value {
    json!({ "host": "127.0.0.1", "port": port })
}

fn kv(adapter: &Arc<dyn Adapter>) -> &dyn KeyValue {
    adapter.key_value().expect("it keeps keys and values")
}

fn native(adapter: &Arc<dyn Adapter>) -> &dyn Commands {
    kv(adapter).commands().expect("it has commands of its own")
}

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn run(adapter: &Arc<dyn Adapter>, line: &str) -> Result<Reply, Failure> {
    native(adapter).run(&words(line), soon()).await
}

async fn probe(adapter: &Arc<dyn Adapter>) -> Result<(), Failure> {
    adapter.probe(Duration::from_secs(3)).await
}

/// Asks again until it is so, as the watch of the house does.
async fn eventually<F>(what: &str, within: Duration, mut so: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
