//! Real engines under steady load while they are killed, frozen, promoted, cut off: what clients are told, and what
//! is there afterwards. A kind or a theme a file; here is what they share.

mod cut;
mod down;
mod kafka;
mod ledger;
mod mix;
mod nodes;
mod pool;
mod postgres;
mod redis;
mod same_program;
mod soak;

use std::time::Duration;

use ::engines::{Server, secrets};
use serde_json::Value;
use throome_e2e::Gateway;
use throome_e2e::calls::Told;
use throome_e2e::process::wait_for;

/// The one cluster of these tests.
const BASE: &str = "/api/v1/clusters/shop";

/// What a busy machine adds to the time that a call may take.
const SLACK: Duration = Duration::from_millis(800);

/// What a write may be told while there is nobody who takes it.
const CODES: [&str; 6] = ["timeout", "no_endpoint", "breaker_open", "bad_gateway", "busy", "overloaded"];

/// The facts of a service.
#[track_caller]
fn facts(gateway: &Gateway, service: &str) -> Value {
    gateway.show(&format!("{BASE}/services/{service}"))
}

/// The facts of one endpoint of a service, by its server.
#[track_caller]
fn endpoint(gateway: &Gateway, service: &str, server: &Server) -> Value {
    let (facts, address) = (facts(gateway, service), server.address().to_string());
    let mut endpoints = facts["endpoints"].as_array().unwrap().iter();
    endpoints.find(|one| one["address"] == address).unwrap_or_else(|| panic!("{address} in {facts}")).clone()
}

/// Waits until an old primary that came back is known for what it is; says how, and how long that took.
#[track_caller]
fn until_replaced(gateway: &Gateway, service: &str, server: &Server) -> (Value, Duration) {
    let began = std::time::Instant::now();
    let found = wait_for("the old primary is found out", Duration::from_secs(10), || {
        Some(endpoint(gateway, service, server)).filter(|own| own["role"] == "replaced")
    });
    (found, began.elapsed())
}

/// Waits until the cluster is well.
#[track_caller]
fn until_healthy(gateway: &Gateway, limit: Duration) -> Duration {
    let began = std::time::Instant::now();
    wait_for("a healthy cluster", limit, || {
        let health = gateway.show(&format!("{BASE}/health"));
        let services = health["services"].as_object().unwrap();
        // One that nobody has asked yet is not well either.
        services.values().all(|service| service["status"] == "HEALTHY").then_some(())
    });
    began.elapsed()
}

/// No call of this word failed, from when they flowed.
#[track_caller]
fn none_failed(told: &[Told], what: &str) {
    let bad = told.iter().filter(|one| one.what == what && !one.good() && !one.early);
    let failed: Vec<String> = bad.map(Told::to_string).collect();
    assert!(failed.is_empty(), "{} of {what} failed: {:#?}", failed.len(), &failed[..failed.len().min(5)]);
}

/// Every call of this word that failed said one of these codes, and nobody waited longer than the limit.
#[track_caller]
fn failed_clearly(told: &[Told], what: &str, codes: &[&str], limit: Duration) {
    let of_it = || told.iter().filter(|one| one.what == what);
    let odd: Vec<String> =
        of_it().filter(|one| !one.good() && !codes.contains(&one.code())).map(Told::to_string).collect();
    assert!(odd.is_empty(), "{:#?}", &odd[..odd.len().min(5)]);
    let late: Vec<String> = of_it().filter(|one| one.took() > limit).map(Told::to_string).collect();
    assert!(late.is_empty(), "longer than {limit:?}: {:#?}", &late[..late.len().min(5)]);
}

/// How long after a moment the last call of this word that failed was made.
fn failing_until(told: &[Told], what: &str, moment: u64) -> Duration {
    let failed = told.iter().filter(|one| one.what == what && !one.good());
    let last = failed.map(|one| one.at_us).max().unwrap_or(0);
    Duration::from_micros(last.saturating_sub(moment))
}

/// A cluster of all three, without replicas: `cache`, `db` and `queue`.
fn three(redis: &Server, postgres: &Server, kafka: &Server, timeout: Duration) -> String {
    let (user, password) = secrets::POSTGRES_OWNER;
    format!(
        "services:\n  cache: {{ type: redis, host: 127.0.0.1, port: {} }}\n  db: {{ type: postgres, host: 127.0.0.1, \
         port: {}, username: {user}, password: {password}, database: {} }}\n  queue: {{ type: kafka, host: 127.0.0.1, \
         port: {} }}\nrouting: {{ timeout_ms: {} }}\n",
        redis.port,
        postgres.port,
        secrets::POSTGRES_DATABASE,
        kafka.port,
        timeout.as_millis()
    )
}
