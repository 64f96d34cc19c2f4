//! What SQL calls say in their bodies.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use adapters::sql::{Argument, Isolation, QueryOptions, RowShape, Statement, TransactionOptions};
use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Place;
use model::{Code, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::arguments::argument;
use crate::body::Table;

/// Statements of a batch at most: more is a file to load, and holds everybody else up.
const MOST_STATEMENTS: usize = 1000;

/// How long a transaction may be told to lie idle, in milliseconds.
const IDLE: std::ops::RangeInclusive<u64> = 100..=300_000;

/// The largest count that every reader of JSON has exactly.
const MOST_ROWS: i64 = 1 << 53;

/// The longest position, in bytes: no engine needs half of it.
const LONGEST_POSITION: usize = 128;

const QUERY: Field =
    field("query", Shape::Text, "One statement. Placeholders are `$1`, `$2`, …; an engine may know more.")
        .required();
const ARGS: Field = field(
    "args",
    Shape::List(&Shape::Any),
    "What stands in for the placeholders, by position: null, booleans, numbers, texts; a list or an object is \
     JSON; `{\"value\": \"…\", \"encoding\": \"base64\"}` is bytes. Whole numbers beyond 64 bits go as text.",
);
const ISOLATION: Field = field(
    "isolation",
    Shape::Text,
    "`read_uncommitted`, `read_committed`, `repeatable_read` or `serializable`; left out, the engine's own. An \
     engine may give more than what is asked.",
);
const STATEMENT: &[Field] = &[QUERY, ARGS];

type Args<'b> = Option<Vec<&'b RawValue>>;

/// `{query, args?, read_only?, max_rows?, after?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody<'b> {
    #[serde(borrow)]
    query: Cow<'b, str>,
    #[serde(borrow)]
    args: Args<'b>,
    read_only: Option<bool>,
    max_rows: Option<NonZeroU64>,
    #[serde(borrow)]
    after: Option<Cow<'b, str>>,
}

impl Table for QueryBody<'_> {
    const NAME: &'static str = "SqlQuery";
    const FIELDS: &'static [Field] = &[
        QUERY,
        ARGS,
        field(
            "read_only",
            Shape::Bool,
            "It must change nothing; the engine refuses what would, and the \
              statement may run again when a connection breaks.",
        )
        .default("false"),
        field(
            "max_rows",
            Shape::Integer(1, MOST_ROWS),
            "Rows at most; `truncated` says that there were more. \
              The service has a limit of its own.",
        ),
        field(
            "after",
            Shape::Text,
            "A `position` that an earlier answer gave: only a server that has come as far answers, or a primary. So a \
             client reads what it wrote.",
        ),
    ];
}

/// `{query, args?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementBody<'b> {
    #[serde(borrow)]
    query: Cow<'b, str>,
    #[serde(borrow)]
    args: Args<'b>,
}

impl Table for StatementBody<'_> {
    const NAME: &'static str = "SqlStatement";
    const FIELDS: &'static [Field] = STATEMENT;
}

/// `{statements, isolation?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody<'b> {
    #[serde(borrow)]
    statements: Vec<StatementBody<'b>>,
    #[serde(borrow)]
    isolation: Option<Cow<'b, str>>,
}

impl Table for BatchBody<'_> {
    const NAME: &'static str = "SqlBatch";
    const FIELDS: &'static [Field] = &[
        field("statements", Shape::List(&Shape::Fields(STATEMENT)), "1 to 1000 of them, run in this order.")
            .required(),
        ISOLATION,
    ];
}

/// `{isolation?, read_only?, idle_ms?}`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginBody<'b> {
    #[serde(borrow)]
    isolation: Option<Cow<'b, str>>,
    read_only: Option<bool>,
    idle_ms: Option<u64>,
}

impl Table for BeginBody<'_> {
    const NAME: &'static str = "SqlTransaction";
    const FIELDS: &'static [Field] = &[
        ISOLATION,
        field("read_only", Shape::Bool, "It only looks.").default("false"),
        field(
            "idle_ms",
            Shape::Integer(100, 300_000),
            "How long it may lie idle, in milliseconds, before it is rolled back. What the service allows is the most: \
             `expires_at` of the answer says what holds.",
        ),
    ];
}

/// Nothing, which may be written as `{}`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoBody {}

impl Table for NoBody {
    const NAME: &'static str = "Nothing";
    const FIELDS: &'static [Field] = &[];
}

impl QueryBody<'_> {
    /// The statement, and how its rows are asked for.
    ///
    /// # Errors
    /// `invalid_request` with every argument that cannot be read.
    pub(super) fn checked(self) -> Result<(Statement, QueryOptions), Failure> {
        let mut problems = Problems::default();
        let args = arguments(self.args, None, &mut problems);
        if let Some(after) = &self.after
            && !(1..=LONGEST_POSITION).contains(&after.len())
        {
            let message = format!("must be a position as it was given, of 1 to {LONGEST_POSITION} bytes");
            problems.add("after", Place::default(), message);
        }
        refused(problems)?;
        let options = QueryOptions {
            read_only: self.read_only.unwrap_or(false),
            max_rows: self.max_rows.map(NonZeroU64::get),
            shape: RowShape::Objects,
            after: self.after.map(|after| (&*after).into()),
        };
        Ok((Statement { query: (&*self.query).into(), args }, options))
    }
}

impl StatementBody<'_> {
    /// The statement.
    ///
    /// # Errors
    /// As [`QueryBody::checked`].
    pub(super) fn checked(self) -> Result<Statement, Failure> {
        let mut problems = Problems::default();
        let args = arguments(self.args, None, &mut problems);
        refused(problems)?;
        Ok(Statement { query: (&*self.query).into(), args })
    }
}

impl BatchBody<'_> {
    /// The statements, and how the transaction around them is asked for.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(super) fn checked(self) -> Result<(Vec<Statement>, TransactionOptions), Failure> {
        let mut problems = Problems::default();
        let isolation = isolation(self.isolation.as_deref(), &mut problems);
        if self.statements.is_empty() || self.statements.len() > MOST_STATEMENTS {
            let message = format!("must be 1 to {MOST_STATEMENTS} statements, not {}", self.statements.len());
            problems.add("statements", Place::default(), message);
        }
        let statements = self.statements.into_iter().take(MOST_STATEMENTS).enumerate();
        let statements = statements
            .map(|(at, StatementBody { query, args })| Statement {
                query: (&*query).into(),
                args: arguments(args, Some(at), &mut problems),
            })
            .collect();
        refused(problems)?;
        Ok((statements, TransactionOptions { isolation, ..TransactionOptions::default() }))
    }
}

impl BeginBody<'_> {
    /// How the transaction is asked for, and how long it may lie idle when that is said.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(super) fn checked(self) -> Result<(TransactionOptions, Option<Duration>), Failure> {
        let mut problems = Problems::default();
        let isolation = isolation(self.isolation.as_deref(), &mut problems);
        if let Some(idle) = self.idle_ms.filter(|idle| !IDLE.contains(idle)) {
            let message = format!("must be from {} to {}, not {idle}", IDLE.start(), IDLE.end());
            problems.add("idle_ms", Place::default(), message);
        }
        refused(problems)?;
        let read_only = self.read_only.unwrap_or(false);
        let options = TransactionOptions { isolation, read_only, deferrable: false };
        Ok((options, self.idle_ms.map(Duration::from_millis)))
    }
}

/// The arguments of a statement, or of the statement of a batch that stands there.
fn arguments(args: Args<'_>, statement: Option<usize>, problems: &mut Problems) -> Arc<[Argument]> {
    let args = args.unwrap_or_default();
    let read = |(at, raw): (usize, &RawValue)| {
        argument(raw).unwrap_or_else(|fault| {
            let within = statement.map_or_else(String::new, |at| format!("statements[{at}]."));
            problems.add(&format!("{within}args[{at}]"), Place::default(), fault);
            Argument::Null
        })
    };
    args.into_iter().enumerate().map(read).collect()
}

/// The words of the standard, however they are written: `READ COMMITTED` as well as `read_committed`.
fn isolation(text: Option<&str>, problems: &mut Problems) -> Option<Isolation> {
    let text = text?;
    match text.trim().to_ascii_lowercase().replace([' ', '-'], "_").as_str() {
        "read_uncommitted" => Some(Isolation::ReadUncommitted),
        "read_committed" => Some(Isolation::ReadCommitted),
        "repeatable_read" => Some(Isolation::RepeatableRead),
        "serializable" => Some(Isolation::Serializable),
        _ => {
            let known = "must be `read_uncommitted`, `read_committed`, `repeatable_read` or `serializable`";
            problems.add("isolation", Place::default(), format!("{known}, not `{text}`"));
            None
        }
    }
}

fn refused(problems: Problems) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(Code::InvalidRequest, problems.into_vec()))
}
