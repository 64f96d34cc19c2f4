//! A cluster's database: statements with arguments, batches that are done whole or not at all, and results
//! that are read while they come.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::address::with_query;
use crate::call::{Call, Outgoing, Patience, open};
use crate::client::Client;
use crate::error::{Error, Family};
use crate::reply::Reply;
use crate::rows::{Row, RowReader};
use crate::stream::Frames;
use crate::transaction::{Transaction, TransactionOptions};

/// A database of a cluster; from [`ClusterHandle::db`](crate::ClusterHandle::db).
///
/// ```no_run
/// # async fn example(client: throome_sdk::Client) -> Result<(), throome_sdk::Error> {
/// use serde_json::json;
///
/// let db = client.cluster("shop").db();
/// db.execute("INSERT INTO orders (item, n) VALUES ($1, $2)", &[json!("tea"), json!(3)]).await?;
/// for row in db.read_only().query("SELECT item, n FROM orders", &[]).await?.rows {
///     println!("{} {}", row["item"], row["n"]);
/// }
/// # Ok(())
/// # }
/// ```
///
/// Arguments stand in for `$1`, `$2`, … and are never part of the statement's text. They are JSON: `null`,
/// booleans, numbers, text; lists and objects go as JSON text, bytes as `{"value": "…", "encoding":
/// "base64"}`. In rows, whole numbers beyond 2^53 and decimals are text, bytes base64, times RFC 3339;
/// [`SqlColumn::kind`] says which.
#[derive(Debug, Clone)]
pub struct Database {
    client: Client,
    /// `/api/v1/clusters/{id}/db`
    base: String,
    service: Option<String>,
    read_only: bool,
    max_rows: Option<u64>,
    after: Option<String>,
    positions: bool,
    timeout: Option<Duration>,
}

/// A statement of a [batch](Database::batch).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// Its text.
    pub query: String,
    /// What stands in for its placeholders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
}

impl Statement {
    /// A statement with its arguments.
    pub fn new(query: impl Into<String>, args: &[Value]) -> Statement {
        Statement { query: query.into(), args: args.to_vec() }
    }
}

/// A whole result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Rows {
    /// Its columns, in order.
    pub columns: Vec<SqlColumn>,
    /// Its rows: each a value for each column's name, in order.
    pub rows: Vec<Map<String, Value>>,
    /// How many rows there are.
    #[serde(default)]
    pub row_count: u64,
    /// Whether a limit cut the result: there would have been more rows.
    #[serde(default)]
    pub truncated: bool,
    /// How far the database has come, where that was [asked for](Database::positions) and it could say.
    #[serde(default)]
    pub position: Option<String>,
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Written {
    /// How many rows it changed.
    pub rows_affected: u64,
    /// How far the database has come: for [`Database::after`]. `None` where it could not say.
    #[serde(default)]
    pub position: Option<String>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SqlColumn {
    /// As rows name it; a repeated name has `_2`, `_3` behind it.
    pub name: String,
    /// Its type, in the words of the database.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// What a statement of a batch gave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum BatchResult {
    /// Rows.
    Rows(Rows),
    /// How many rows it changed.
    Affected {
        /// How many.
        rows_affected: u64,
    },
}

#[derive(Deserialize)]
struct Affected {
    rows_affected: u64,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<BatchResult>,
}

impl Database {
    pub(crate) fn new(client: Client, cluster: &str) -> Database {
        Database {
            client,
            base: format!("{cluster}/db"),
            service: None,
            read_only: false,
            max_rows: None,
            after: None,
            positions: false,
            timeout: None,
        }
    }

    /// The database of this service, where the cluster has several. Left out, the gateway takes the only one
    /// there is, or fails with `ambiguous_service` and their names.
    #[must_use]
    pub fn service(mut self, name: &str) -> Database {
        self.service = Some(name.to_owned());
        self
    }

    /// Queries that only look: the database refuses what would write, and they are tried again like any read.
    #[must_use]
    pub fn read_only(mut self) -> Database {
        self.read_only = true;
        self
    }

    /// Queries give this many rows at most, and say so where there would be more.
    #[must_use]
    pub fn max_rows(mut self, rows: u64) -> Database {
        self.max_rows = Some(rows);
        self
    }

    /// Queries read from a server that has come as far as this position, which [`Written`] or [`Rows`] gave: so a
    /// client reads what it wrote.
    #[must_use]
    pub fn after(mut self, position: &str) -> Database {
        self.after = Some(position.to_owned());
        self
    }

    /// Queries say how far the database has come, in [`Rows::position`].
    #[must_use]
    pub fn positions(mut self) -> Database {
        self.positions = true;
        self
    }

    /// Time for one try of each statement, in place of 10 s. The service's own limit holds as well.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Database {
        self.timeout = Some(timeout);
        self
    }

    /// Runs a statement and gives its rows.
    pub fn query(&self, query: &str, args: &[Value]) -> Call<Rows> {
        self.client.call(self.asking(query, args))
    }

    /// The same, read while it comes: for results that are longer than memory.
    ///
    /// # Errors
    /// The statement failed before its first megabyte was there.
    pub async fn stream(&self, query: &str, args: &[Value]) -> Result<RowStream, Error> {
        RowStream::open(&self.client, &self.asking(query, args)).await
    }

    /// Runs a statement for its effect; how many rows it changed.
    pub fn execute(&self, query: &str, args: &[Value]) -> Call<u64> {
        let request = self.post("/execute").json(&json!({ "query": query, "args": args }));
        self.client.call::<Value>(request).decoded_by(affected)
    }

    /// Runs a statement for its effect, and says how far the database has come behind it.
    pub fn write(&self, query: &str, args: &[Value]) -> Call<Written> {
        let mut request = self.post("/execute").json(&json!({ "query": query, "args": args }));
        request.path = with_query(&request.path, &[("position", Some("true"))]);
        self.client.call(request)
    }

    /// Runs all of them in one transaction, or none of them.
    pub fn batch(&self, statements: &[Statement]) -> Call<Vec<BatchResult>> {
        let request = self.post("/batch").json(&json!({ "statements": statements }));
        self.client.call::<Value>(request).decoded_by(|reply| Ok(reply.json::<Batch>()?.results))
    }

    /// Begins a transaction. One that is dropped without an end is rolled back.
    ///
    /// # Errors
    /// It could not be begun; `busy` when others hold the database.
    pub async fn begin(&self, options: &TransactionOptions) -> Result<Transaction, Error> {
        let options = options.clone().only_reading(self.read_only);
        let call: Call<Value> = self.client.call(self.post("/transactions").json(&options));
        let reply = call.reply().await?;
        Transaction::begun(self.clone(), &reply)
    }

    fn asking(&self, query: &str, args: &[Value]) -> Outgoing {
        let mut question = self.question(query, args);
        if let Some(after) = &self.after {
            question["after"] = json!(after);
        }
        let mut request = self.post("/query").json(&question);
        if self.positions {
            request.path = with_query(&request.path, &[("position", Some("true"))]);
        }
        if self.read_only { request.reads_only() } else { request }
    }

    pub(crate) fn question(&self, query: &str, args: &[Value]) -> Value {
        let mut body = json!({ "query": query, "args": args });
        if self.read_only {
            body["read_only"] = json!(true);
        }
        if let Some(rows) = self.max_rows {
            body["max_rows"] = json!(rows);
        }
        body
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn post(&self, rest: &str) -> Outgoing {
        let path = with_query(&format!("{}{rest}", self.base), &[("service", self.service.as_deref())]);
        let mut request = Outgoing::post(path, Patience::Data);
        request.timeout = self.timeout;
        request
    }

    /// A statement's first byte may take as long as the statement, so its next ones may, too.
    fn silence(request: &Outgoing) -> Duration {
        request.timeout.unwrap_or(crate::stream::SILENCE)
    }
}

pub(crate) fn affected(reply: &Reply) -> Result<u64, Error> {
    Ok(reply.json::<Affected>()?.rows_affected)
}

/// A result that is read while it comes. Dropping it ends the statement.
///
/// ```no_run
/// # async fn example(db: throome_sdk::Database) -> Result<(), throome_sdk::Error> {
/// let mut rows = db.stream("SELECT * FROM orders", &[]).await?;
/// while let Some(row) = rows.next().await? {
///     println!("{}", row["item"]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct RowStream {
    frames: Frames,
    reader: RowReader,
    at_hand: VecDeque<Row>,
    columns: Vec<SqlColumn>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    columns: Vec<SqlColumn>,
}

#[derive(Deserialize)]
struct Tail {
    #[serde(default)]
    truncated: bool,
}

impl RowStream {
    pub(crate) async fn open(client: &Client, request: &Outgoing) -> Result<RowStream, Error> {
        let (head, body) = Box::pin(open(client, request)).await?;
        let mut stream = RowStream {
            frames: Frames::new(body, Database::silence(request)),
            reader: RowReader::default(),
            at_hand: VecDeque::new(),
            columns: Vec::new(),
            request_id: head.request_id().map(str::to_owned),
        };
        while !stream.reader.begun() {
            stream.read_on().await?;
        }
        stream.columns = stream.reader.frame::<Head>()?.columns;
        Ok(stream)
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// The result broke off: not all of its rows were given.
    pub async fn next(&mut self) -> Result<Option<Map<String, Value>>, Error> {
        loop {
            if let Some(row) = self.at_hand.pop_front() {
                return Ok(Some(row));
            }
            if self.reader.done() {
                return Ok(None);
            }
            self.read_on().await?;
        }
    }

    /// Whether a limit cut the result; known after the last row.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.reader.done() && self.reader.frame::<Tail>().is_ok_and(|tail| tail.truncated)
    }

    async fn read_on(&mut self) -> Result<(), Error> {
        let result = match self.frames.next().await {
            Ok(Some(bytes)) => self.reader.push(&bytes, &mut self.at_hand),
            Ok(None) => Err(Error::new(Family::Connection, "the result broke off before its end")),
            Err(error) => Err(error),
        };
        result.map_err(|error| error.with_request_id(self.request_id.as_deref()))
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream").field("columns", &self.columns).finish_non_exhaustive()
    }
}
