//! The kind `redis` against real servers: the contract of its ability, native commands, and what happens when servers
//! go, come back, freeze and are promoted.

use std::sync::Arc;

use engines::Engines;
use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::suite;
use throome_adapters::{Adapter, Home, driver};

fn connected(service: &ServiceSpec, port: u16) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: "127.0.0.1".to_owned(), port, weight: 1, role: Role::Primary };
    let home = Home { cluster: "test".into(), service: "cache".into(), dir: "unused".into() };
    let driver = driver("redis").expect("the kind is in the list");
    driver.connect(&endpoint, service, &home).expect("the options are right")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    let server = Engines::shared().redis();
    suite::run(&connected(&ServiceSpec::of_kind("redis"), server.port)).await;
}
