//! SQL over HTTP: a section for each kind of service, with what the sections share.

mod postgres;
mod sqlite;

use serde_json::json;

use crate::direct::sqlite::person;
use crate::report::Section;
use crate::rig::Rig;

/// What Throome's database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Embedded.
    Sqlite,
    /// A server, beside its driver and PgBouncer.
    Postgres,
}

/// Statements alone, many at a time, and a large result.
pub fn run(rig: &Rig, service: Service) -> anyhow::Result<Section> {
    match service {
        Service::Sqlite => sqlite::run(rig),
        Service::Postgres => postgres::run(rig),
    }
}

/// Clients where there are many.
const CLIENTS: usize = 16;

/// Different requests, sent in turn.
const REQUESTS: usize = 1_000;

const QUERY: &str = "db/query";

/// Bodies that ask for one row each by its number.
fn selects(statement: &str) -> Vec<String> {
    let body = |call| json!({ "query": statement, "args": [person(call)] }).to_string();
    (0..REQUESTS).map(body).collect()
}
