//! What an engine can be asked to do outside a transaction, each as one value that can be asked again.

use std::time::Duration;

use adapters::sql::{BatchResult, QueryOptions, Rows, Statement, Transaction, TransactionOptions};
use adapters::{Adapter, Call};
use clusters::Access;
use model::kind::Ability;
use tokio::time::Instant;

use super::shape::shape;
use crate::data::ask::Operation;

/// A statement for its rows. Any endpoint may answer; what would change something is refused by a standby.
pub(super) struct Query<'s> {
    pub(super) statement: &'s Statement,
    pub(super) options: &'s QueryOptions,
}

impl Operation for Query<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = Rows;

    fn name(&self) -> &'static str {
        "QUERY"
    }

    fn access(&self) -> Access {
        Access::Read
    }

    /// A query may change something, unless it says that it does not.
    fn rerun(&self) -> bool {
        self.options.read_only
    }

    fn shape(&self) -> Box<str> {
        shape(&self.statement.query).into()
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Rows>> {
        Some(adapter.sql()?.query(self.statement, self.options, deadline))
    }
}

/// A statement for its effect.
pub(super) struct Execute<'s> {
    pub(super) statement: &'s Statement,
}

impl Operation for Execute<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = u64;

    fn name(&self) -> &'static str {
        "EXECUTE"
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        shape(&self.statement.query).into()
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, u64>> {
        Some(adapter.sql()?.execute(self.statement, deadline))
    }
}

/// All of some statements, or none.
pub(super) struct Batch<'s> {
    pub(super) statements: &'s [Statement],
    pub(super) options: TransactionOptions,
}

impl Operation for Batch<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = Vec<BatchResult>;

    fn name(&self) -> &'static str {
        "BATCH"
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        shape_of(self.statements)
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Vec<BatchResult>>> {
        Some(adapter.sql()?.batch(self.statements, self.options, deadline))
    }
}

/// What may be written down of several statements.
pub(crate) fn shape_of(statements: &[Statement]) -> Box<str> {
    let first = statements.first().map_or("", |first| &first.query);
    let mut shape = shape(first);
    if statements.len() > 1 {
        shape.push_str(&format!(" (+{} more)", statements.len() - 1));
    }
    shape.into()
}

/// A transaction's beginning.
pub(super) struct Begin {
    pub(super) options: TransactionOptions,
}

/// A transaction that has begun, and how long it may lie idle and be open.
pub(super) struct Begun {
    pub(super) transaction: Box<dyn Transaction>,
    pub(super) idle_limit: Duration,
    pub(super) life_limit: Duration,
}

impl Operation for Begin {
    const ABILITY: Ability = Ability::Sql;
    type Answer = Begun;

    fn name(&self) -> &'static str {
        "BEGIN"
    }

    /// Nobody knows its `tx`: it is rolled back.
    fn if_late(&self) -> &'static str {
        ""
    }

    fn access(&self) -> Access {
        if self.options.suits_replicas() { Access::Read } else { Access::Write }
    }

    /// What only looks has changed nothing, wherever it was begun.
    fn rerun(&self) -> bool {
        self.options.read_only
    }

    fn shape(&self) -> Box<str> {
        if self.options.read_only { "READ ONLY".into() } else { Box::default() }
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Begun>> {
        let sql = adapter.sql()?;
        Some(Box::pin(async move {
            let transaction = sql.begin(self.options, deadline).await?;
            Ok(Begun { transaction, idle_limit: sql.idle_limit(), life_limit: sql.life_limit() })
        }))
    }
}

#[cfg(test)]
mod tests {
    use adapters::sql::Isolation;

    use super::*;

    #[test]
    fn whoever_hears_nothing_is_told_what_may_have_happened() {
        let statement = Statement { query: "INSERT INTO t VALUES (1)".into(), args: [].into() };
        let query = |read_only| {
            let options = QueryOptions { read_only, ..QueryOptions::default() };
            Query { statement: &statement, options: &options }.if_late()
        };
        let perhaps = Execute { statement: &statement }.if_late();
        assert!(perhaps.contains("may have been carried out"), "{perhaps}");
        let options = TransactionOptions::default();
        let batch = Batch { statements: std::slice::from_ref(&statement), options };
        assert_eq!((batch.if_late(), query(false), query(true)), (perhaps, perhaps, ""));
        assert_eq!(Begin { options }.if_late(), "");
    }

    #[test]
    fn replicas_begin_what_only_looks_and_is_not_serializable() {
        let begin = |read_only, isolation| {
            let begin = Begin { options: TransactionOptions { read_only, isolation, deferrable: false } };
            (begin.access(), begin.rerun())
        };
        let serializable = Some(Isolation::Serializable);
        assert_eq!(begin(true, None), (Access::Read, true));
        assert_eq!(begin(true, Some(Isolation::RepeatableRead)), (Access::Read, true));
        assert_eq!(begin(true, serializable), (Access::Write, true), "a standby takes none");
        assert_eq!(begin(false, None), (Access::Write, false));
    }
}
