//! PostgreSQL as it is: the contract, and what connections, pool and roles promise.

use std::sync::Arc;

use model::{EndpointSpec, Role, Secret, ServiceSpec};
use serde_json::{Value, json};
use throome_adapters::sql::suite::{self, Dialect};
use throome_adapters::{Adapter, Home, driver};

const POSTGRES: Dialect = Dialect { bytes: "BYTEA", one_writer: false, readers_wait: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_keeps_the_contract() {
    // More than the suite has readers that do not read, each of whom has a connection.
    let adapter = adapter(&[("pool", json!({"max_connections": 20}))]);
    suite::run(&adapter, POSTGRES).await;
}

fn adapter(options: &[(&str, Value)]) -> Arc<dyn Adapter> {
    let port = std::env::var("PGTEST").expect("a port").parse().expect("a port");
    let endpoint = EndpointSpec { host: "127.0.0.1".to_owned(), port, weight: 1, role: Role::Primary };
    let home = Home { cluster: "suite".into(), service: "db".into(), dir: std::env::temp_dir() };
    let mut service = ServiceSpec::of_kind("postgres");
    service.username = Some("app".to_owned());
    service.password = Some(Secret::new("apppw"));
    service.options.extend(options.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    driver("postgres")
        .expect("the kind is in the list")
        .connect(&endpoint, &service, &home)
        .expect("the options are right")
}
