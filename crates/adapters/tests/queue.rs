//! Every kind that keeps messages keeps its contract.

use std::sync::Arc;

use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::queue::suite;
use throome_adapters::{Adapter, Home, driver};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn log_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let adapter = embedded("log", dir.path(), None);
    suite::run(&adapter).await;
    adapter.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn log_in_memory_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    suite::run(&embedded("log", dir.path(), Some(":memory:"))).await;
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0, "nothing is written");
}

fn embedded(kind: &str, dir: &std::path::Path, path: Option<&str>) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let home = Home { cluster: "suite".into(), service: kind.into(), dir: dir.join("home") };
    let mut service = ServiceSpec::of_kind(kind);
    if let Some(path) = path {
        service.options.insert("path".to_owned(), path.into());
    }
    let driver = driver(kind).expect("the kind is in the list");
    driver.connect(&endpoint, &service, &home).expect("defaults are right")
}
