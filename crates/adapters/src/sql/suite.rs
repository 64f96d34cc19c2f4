//! The contract of [`Sql`](super::Sql) as tests: every kind that runs SQL must pass it, unchanged.
//!
//! Each rule is one function that panics with what it saw. Rules work on tables of their own, so that they run
//! against an engine that others use, and take them away when they have passed. What engines spell differently is
//! in [`Dialect`].

mod batches;
mod results;
mod statements;
mod transactions;
mod values;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use model::{Code, Failure};
use serde_json::Value;
use tokio::time::Instant;

use super::{Argument, Chunk, Column, Piece, QueryOptions, Rest, RowShape, Rows, Sql, Statement};
use crate::{Adapter, Call};

/// What engines spell differently.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The type of bytes.
    pub bytes: &'static str,
    /// Whether writers of different rows wait for each other.
    pub one_writer: bool,
    /// Whether who only looks waits for a transaction that writes.
    pub readers_wait: bool,
}

/// Long enough for whatever ought to succeed, also on a busy machine.
const AMPLE: Duration = Duration::from_secs(30);

/// Long enough to be sure that something does not come by itself.
const SHORT: Duration = Duration::from_millis(200);

/// A statement that runs for longer than anybody waits.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) \
                       SELECT count(*) FROM n";

/// Runs every rule. Takes a few seconds, and tasks that run at once, so it needs a runtime of several threads.
///
/// # Panics
/// When a rule is broken, or the adapter runs no SQL.
pub async fn run(adapter: &Arc<dyn Adapter>, dialect: Dialect) {
    let subject = Subject::new(Arc::clone(adapter), dialect);
    values::run(&subject).await;
    statements::run(&subject).await;
    batches::run(&subject).await;
    transactions::run(&subject).await;
    results::run(&subject).await;
}

/// What is tested, with its calls in the short form that rules read best in.
#[derive(Clone)]
struct Subject {
    adapter: Arc<dyn Adapter>,
    dialect: Dialect,
    prefix: String,
}

/// A result, read to its end.
struct Whole {
    columns: Arc<[Column]>,
    rows: Vec<Value>,
    truncated: bool,
}

impl Subject {
    fn new(adapter: Arc<dyn Adapter>, dialect: Dialect) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Subject { adapter, dialect, prefix: format!("suite_{}_{nanos}_", std::process::id()) }
    }

    fn sql(&self) -> &dyn Sql {
        self.adapter.sql().expect("the adapter runs SQL")
    }

    /// A table of this run.
    fn table(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A new table with these columns.
    async fn create(&self, name: &str, columns: &str) -> String {
        let table = self.table(name);
        self.execute(&format!("CREATE TABLE {table} ({columns})"), &[]).await;
        table
    }

    async fn drop(&self, table: &str) {
        self.execute(&format!("DROP TABLE {table}"), &[]).await;
    }

    async fn execute(&self, sql: &str, args: &[Argument]) -> u64 {
        passed(sql, self.sql().execute(&statement(sql, args), ample())).await
    }

    async fn fails_to_execute(&self, sql: &str, args: &[Argument]) -> Failure {
        failed(sql, self.sql().execute(&statement(sql, args), ample())).await
    }

    /// The rows, each a list.
    async fn rows(&self, sql: &str, args: &[Argument]) -> Vec<Value> {
        self.query(sql, args, &arrays()).await.rows
    }

    /// The one cell of the one row.
    async fn cell(&self, sql: &str, args: &[Argument]) -> Value {
        let rows = self.rows(sql, args).await;
        assert_eq!(rows.len(), 1, "{sql}: one row is expected, and these came: {rows:?}");
        rows[0][0].clone()
    }

    async fn query(&self, sql: &str, args: &[Argument], options: &QueryOptions) -> Whole {
        read(passed(sql, self.sql().query(&statement(sql, args), options, ample())).await).await
    }

    async fn fails_to_query(&self, sql: &str, args: &[Argument]) -> Failure {
        failed(sql, self.sql().query(&statement(sql, args), &arrays(), ample())).await
    }

    async fn count(&self, table: &str) -> Value {
        self.cell(&format!("SELECT count(*) FROM {table}"), &[]).await
    }
}

fn statement(sql: &str, args: &[Argument]) -> Statement {
    Statement { query: sql.into(), args: args.into() }
}

fn ample() -> Instant {
    Instant::now() + AMPLE
}

fn arrays() -> QueryOptions {
    QueryOptions { shape: RowShape::Arrays, ..QueryOptions::default() }
}

fn text(value: &str) -> Argument {
    Argument::Text(value.into())
}

fn bytes(value: &[u8]) -> Argument {
    Argument::Bytes(Bytes::copy_from_slice(value))
}

/// Reads a result to its end, which must be said.
async fn read(rows: Rows) -> Whole {
    let Rows { columns, first, rest } = rows;
    let mut whole = Whole { columns, rows: parsed(&first), truncated: false };
    let mut rest = match rest {
        Rest::End { truncated } => return Whole { truncated, ..whole },
        Rest::Stream(rest) => rest,
    };
    loop {
        match rest.recv().await {
            Some(Ok(Piece::Rows(chunk))) => whole.rows.extend(parsed(&chunk)),
            Some(Ok(Piece::End { truncated })) => return Whole { truncated, ..whole },
            Some(Err(failure)) => panic!("the result failed on its way: {failure}"),
            None => panic!("the result was cut: its end was not said"),
        }
    }
}

fn parsed(chunk: &Chunk) -> Vec<Value> {
    let json = [b"[", chunk.json.as_slice(), b"]"].concat();
    let rows: Vec<Value> = serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("rows are no JSON ({error}): {}", String::from_utf8_lossy(&json)));
    assert_eq!(rows.len() as u64, chunk.rows, "a piece counts its rows");
    rows
}

async fn passed<T>(name: &str, call: Call<'_, T>) -> T {
    match tokio::time::timeout(AMPLE * 2, call).await {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => panic!("{name}: {failure} {:?}", failure.native()),
        Err(_) => panic!("{name}: no answer in {AMPLE:?} and as much again"),
    }
}

async fn failed<T>(name: &str, call: Call<'_, T>) -> Failure {
    match tokio::time::timeout(AMPLE * 2, call).await {
        Ok(Ok(_)) => panic!("{name}: it should have failed"),
        Ok(Err(failure)) => failure,
        Err(_) => panic!("{name}: no answer in {AMPLE:?} and as much again"),
    }
}

#[track_caller]
fn is(failure: &Failure, code: Code) {
    assert_eq!(failure.code(), code, "{failure}");
}
