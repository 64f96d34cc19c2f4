//! Every kind that runs SQL keeps the same contract.

use std::path::Path;
use std::sync::Arc;

use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::sql::suite::{self, Dialect};
use throome_adapters::{Adapter, Home, driver};

const SQLITE: Dialect = Dialect { bytes: "BLOB", one_writer: true, readers_wait: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_keeps_the_contract_on_a_file() {
    let dir = tempfile::tempdir().expect("there is room");
    suite::run(&embedded("sqlite", dir.path(), &[]), SQLITE).await;
}

/// In memory there is one connection for all, who take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_keeps_the_contract_in_memory() {
    let dir = tempfile::tempdir().expect("there is room");
    // What is in memory does not stream, and the suite asks for results of some twenty megabytes.
    let options = [("path", ":memory:"), ("max_collected", "64mb")];
    let adapter = embedded("sqlite", dir.path(), &options);
    suite::run(&adapter, Dialect { readers_wait: true, ..SQLITE }).await;
    assert_eq!(dir.path().read_dir().expect("it is there").count(), 0, "nothing is on the disk");
}

fn embedded(kind: &str, dir: &Path, options: &[(&str, &str)]) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let home = Home { cluster: "suite".into(), service: kind.into(), dir: dir.to_path_buf() };
    let driver = driver(kind).expect("the kind is in the list");
    let mut service = ServiceSpec::of_kind(kind);
    for (key, value) in options {
        service.options.insert((*key).to_owned(), (*value).into());
    }
    driver.connect(&endpoint, &service, &home).expect("the options are right")
}
