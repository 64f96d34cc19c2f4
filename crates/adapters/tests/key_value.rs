//! Every embedded kind that keeps keys and values, against the contract of the ability.

use std::sync::Arc;

use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::suite;
use throome_adapters::{Adapter, Home, driver};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    suite::run(&embedded("memory")).await;
}

fn embedded(kind: &str) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let home = Home { cluster: "suite".into(), service: kind.into(), dir: "unused".into() };
    let driver = driver(kind).expect("the kind is in the list");
    driver.connect(&endpoint, &ServiceSpec::of_kind(kind), &home).expect("defaults are right")
}
