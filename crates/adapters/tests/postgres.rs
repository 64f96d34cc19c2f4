//! PostgreSQL as it is: the contract, and what connections, pool and roles promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "postgres/access.rs"]
mod access;
#[path = "postgres/doubt.rs"]
mod doubt;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/native.rs"]
mod native;
#[path = "postgres/pool.rs"]
mod pool;
#[path = "postgres/roles.rs"]
mod roles;
#[path = "postgres/statements.rs"]
mod statements;

use std::sync::Arc;
use std::time::Duration;

use engines::{Engines, Server, secrets};
use model::{EndpointSpec, Failure, Role, Secret, ServiceSpec};
use serde_json::{Value, json};
use throome_adapters::sql::suite::{self, Dialect};
use throome_adapters::sql::{Argument, Piece, QueryOptions, Rest, RowShape, Rows, Statement};
use throome_adapters::{Adapter, Home, driver};
use tokio::time::Instant;

const POSTGRES: Dialect = Dialect { bytes: "BYTEA", one_writer: false, readers_wait: false };

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs for longer than anybody waits, and can be ended at any time.
const SLEEP: &str = "SELECT pg_sleep(60)";

/// With statements that stay prepared over an encrypted connection, and without either. One after the other: both keep
/// the server busy on purpose.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_keeps_the_contract() {
    // More than the suite has readers that do not read, each of whom has a connection.
    let pool = || ("pool", json!({"max_connections": 20}));
    let port = Engines::shared().postgres().port;
    for options in [vec![pool()], vec![pool(), ("statement_cache", json!(0)), ("sslmode", json!("disable"))]]
    {
        suite::run(&connected(&service(&options), port), POSTGRES).await;
    }
}

/// A service for the owner of the tests' database.
fn service(options: &[(&str, Value)]) -> ServiceSpec {
    let mut service = ServiceSpec::of_kind("postgres");
    service.username = Some(secrets::POSTGRES_OWNER.0.to_owned());
    service.password = Some(Secret::new(secrets::POSTGRES_OWNER.1));
    service.database = Some(secrets::POSTGRES_DATABASE.to_owned());
    service.options.extend(options.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    service
}

/// With a name of its own, under which the server lists its connections.
fn named(name: &str, options: &[(&str, Value)]) -> ServiceSpec {
    let mut service = service(options);
    service.options.insert("application_name".to_owned(), json!(name));
    service
}

fn connected(service: &ServiceSpec, port: u16) -> Arc<dyn Adapter> {
    connected_to(service, "127.0.0.1", port)
}

fn connected_to(service: &ServiceSpec, host: &str, port: u16) -> Arc<dyn Adapter> {
    let endpoint = EndpointSpec { host: host.to_owned(), port, weight: 1, role: Role::Primary };
    let home = Home { cluster: "test".into(), service: "db".into(), dir: "unused".into() };
    let driver = driver("postgres").expect("the kind is in the list");
    driver.connect(&endpoint, service, &home).expect("the options are right")
}

fn statement(sql: &str) -> Statement {
    Statement { query: sql.into(), args: Arc::new([]) }
}

fn asking(sql: &str, args: &[Argument]) -> Statement {
    Statement { query: sql.into(), args: args.into() }
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn arrays() -> QueryOptions {
    QueryOptions { shape: RowShape::Arrays, ..QueryOptions::default() }
}

/// The rows of a query, each a list.
async fn rows(adapter: &Arc<dyn Adapter>, sql: &str) -> Result<Vec<Value>, Failure> {
    asked(adapter, &statement(sql), &arrays()).await
}

async fn asked(
    adapter: &Arc<dyn Adapter>,
    statement: &Statement,
    options: &QueryOptions,
) -> Result<Vec<Value>, Failure> {
    whole(adapter.sql().unwrap().query(statement, options, within(20)).await?).await
}

async fn executed(adapter: &Arc<dyn Adapter>, sql: &str) -> Result<u64, Failure> {
    adapter.sql().unwrap().execute(&statement(sql), within(20)).await
}

async fn whole(rows: Rows) -> Result<Vec<Value>, Failure> {
    let read = |json: &[u8]| -> Vec<Value> { serde_json::from_slice(&[b"[", json, b"]"].concat()).unwrap() };
    let mut all = read(&rows.first.json);
    if let Rest::Stream(mut rest) = rows.rest {
        while let Piece::Rows(chunk) = rest.recv().await.expect("its end is said")? {
            all.extend(read(&chunk.json));
        }
    }
    Ok(all)
}

/// Connections that the server lists under this name, in this state.
fn listed(server: &Server, name: &str, state: &str) -> usize {
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state LIKE '{state}'"
    );
    server.psql(&count).parse().unwrap()
}

/// Waits until something is so.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = within(10);
    while !is() {
        assert!(Instant::now() < end, "{what}: not after ten seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Has the superuser do something.
fn tell(server: &Server, sql: &str) {
    let _ = server.psql(sql);
}
