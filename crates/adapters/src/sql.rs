//! The ability to run SQL: statements, batches and transactions, with rows as JSON that streams.
//!
//! An engine writes each cell with the [`RowWriter`], which keeps the rules of value fidelity in one place.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Failure;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Call;

pub(crate) mod limits;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub(crate) mod write;

pub use write::{RowShape, RowWriter};

/// How much of a result is held back, in bytes, so that a failure on the way still has its status.
pub const HELD_BACK: usize = 1 << 20;

/// A statement with its arguments. Clones share both.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// One statement. Placeholders are `$1`, `$2`, …; an engine may know further forms.
    pub query: Arc<str>,
    /// What stands in for the placeholders, by position.
    pub args: Arc<[Argument]>,
}

/// What stands in for a placeholder. Where an engine knows a placeholder's type, it converts.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A number with a fraction or an exponent, as JSON writes it: no digit is lost before the engine reads it.
    Number(Box<str>),
    /// Text; also numbers, times and the like in their text form.
    Text(Box<str>),
    /// Bytes.
    Bytes(Bytes),
    /// A list or an object, as JSON text.
    Json(Box<str>),
}

/// How rows are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOptions {
    /// It must not change anything: the engine refuses what would.
    pub read_only: bool,
    /// Rows at most; the engine's own limit holds as well. More are cut, and the answer says so.
    pub max_rows: Option<u64>,
    /// Objects or arrays.
    pub shape: RowShape,
    /// A [position](Sql::position): only a server that has come as far may answer. One that has not fails, saying that
    /// a primary is wanted.
    pub after: Option<Box<str>>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        QueryOptions { read_only: false, max_rows: None, shape: RowShape::Objects, after: None }
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name as rows say it; a repeated one has `_2`, `_3` behind it.
    pub name: String,
    /// Its type, as the engine calls it.
    pub kind: String,
}

/// Rows as JSON: `{…},{…}` or `[…],[…]`, without the list's own brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The text.
    pub json: Vec<u8>,
    /// How many rows it has.
    pub rows: u64,
}

impl Chunk {
    /// Puts these rows behind its own.
    pub fn append(&mut self, more: Chunk) {
        if self.rows == 0 {
            *self = more;
            return;
        }
        if more.rows > 0 {
            self.json.push(b',');
            self.json.extend_from_slice(&more.json);
            self.rows += more.rows;
        }
    }
}

/// A result. Dropping it ends the statement where it still runs.
#[derive(Debug)]
pub struct Rows {
    /// The columns, in order.
    pub columns: Arc<[Column]>,
    /// The first rows: all of them, or [`HELD_BACK`] of them and more to come.
    pub first: Chunk,
    /// What follows.
    pub rest: Rest,
}

/// What follows the first rows.
#[derive(Debug)]
pub enum Rest {
    /// Nothing.
    End {
        /// Whether a limit cut the result.
        truncated: bool,
    },
    /// More, piece by piece. When the channel ends without an end being said, the result is cut.
    Stream(mpsc::Receiver<Result<Piece, Failure>>),
}

/// One piece of a result that streams.
#[derive(Debug)]
pub enum Piece {
    /// More rows.
    Rows(Chunk),
    /// The end.
    End {
        /// Whether a limit cut the result.
        truncated: bool,
    },
}

/// What a statement of a batch gave.
#[derive(Debug)]
pub enum BatchResult {
    /// Rows, collected up to the engine's limit.
    Rows {
        /// The columns, in order.
        columns: Arc<[Column]>,
        /// The rows.
        rows: Chunk,
        /// Whether a limit cut them.
        truncated: bool,
    },
    /// How many rows it changed.
    Affected(u64),
}

/// How far apart transactions are kept. An engine may give more than what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the standard")]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// How a transaction is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// `None` is the engine's own default.
    pub isolation: Option<Isolation>,
    /// It only looks.
    pub read_only: bool,
    /// One that only looks may wait until it can look without being disturbed, where the engine knows such.
    pub deferrable: bool,
}

impl TransactionOptions {
    /// Whether a server that only reads can carry it out. None of those runs a serializable transaction, whatever that
    /// does.
    #[must_use]
    pub fn suits_replicas(self) -> bool {
        self.read_only && self.isolation != Some(Isolation::Serializable)
    }
}

/// Runs SQL. Every call ends at its deadline: what has not begun by then is `busy`, which may be sent again;
/// what has begun is interrupted, undone, and `timeout`. A caller that drops the future ends it as well.
///
/// A statement that is refused is `query_failed` (`constraint_violation` for a constraint) with the engine's
/// own code; a text with several statements is `query_failed`, one that is too long, or an argument or result
/// cell that is too large, `too_large`; a wrong number of arguments is `query_failed`, too.
pub trait Sql: Send + Sync {
    /// Runs a statement and gives its rows; none when it has none.
    fn query<'a>(
        &'a self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows>;

    /// Runs a statement for its effect; says how many rows it changed.
    fn execute<'a>(&'a self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64>;

    /// Runs all of them in one transaction, or none. The failure names the statement: its detail begins with
    /// `statement N: `, counted from 1.
    fn batch<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Call<'a, Vec<BatchResult>>;

    /// Begins a transaction. `busy` when its turn does not come before the deadline.
    fn begin<'a>(&'a self, options: TransactionOptions, deadline: Instant) -> Call<'a, Box<dyn Transaction>>;

    /// How far the engine has come: what was written before this is asked stands before it. Where one engine has one
    /// server, every position is reached.
    fn position(&self, deadline: Instant) -> Call<'_, Box<str>> {
        let _ = deadline;
        Box::pin(async { Ok("0".into()) })
    }

    /// Statements with results in the engine's own terms, where it has clients that speak in them.
    fn native(&self) -> Option<&dyn NativeSql> {
        None
    }

    /// How long a transaction may lie idle when nobody says: its turn keeps others waiting.
    fn idle_limit(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// How long a transaction may be open, whatever runs in it: it keeps writers waiting, or old versions of rows
    /// alive.
    fn life_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Statements with results in the engine's own terms: types by number, values as the text that the engine writes.
pub trait NativeSql: Send + Sync {
    /// Runs one statement by itself, or several in one transaction: all of them or none. One that is asked for with
    /// options has a transaction, too. A failure of several names the statement as [`Sql::batch`] does.
    ///
    /// Texts among the arguments are what the engine reads, whatever the type: nothing is converted. A list is an
    /// array, an object is JSON.
    fn run<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Call<'a, Vec<NativeResult>>;

    /// Writes a value of the type with this number as one JSON value, as the engine's own clients know it from
    /// elsewhere.
    fn tell(&self, type_id: u32, value: &str, out: &mut Vec<u8>);
}

/// What one statement gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeResult {
    /// Its columns.
    pub fields: Vec<NativeField>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Box<[Option<Bytes>]>>,
    /// What it was, such as `SELECT`.
    pub command: Box<str>,
    /// How many rows it gave or changed, where it says.
    pub row_count: Option<u64>,
}

/// A column in the engine's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the protocol")]
pub struct NativeField {
    pub name: Box<str>,
    pub type_id: u32,
    pub table_id: u32,
    pub column_id: i16,
    pub type_size: i16,
    pub type_modifier: i32,
}

/// A transaction under way. Dropped without an end, it is rolled back. A statement that fails leaves it as the
/// engine does; where that ended it, later calls are `transaction_ended`.
pub trait Transaction: Send {
    /// As [`Sql::query`]. Rows are collected, up to the engine's limit, so that the next statement need not
    /// wait for a reader.
    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows>;

    /// As [`Sql::execute`].
    fn execute<'a>(&'a mut self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64>;

    /// Ends it and keeps what it did; returns when that is safe.
    fn commit(self: Box<Self>, deadline: Instant) -> Call<'static, ()>;

    /// Ends it and undoes what it did.
    fn rollback(self: Box<Self>) -> Call<'static, ()>;
}
