//! What runs in a transaction that is under way: statements one after the other, and its end.

use adapters::sql::{QueryOptions, Rows, Statement, Transaction};
use adapters::{Adapter, Call};
use clusters::Access;
use model::kind::Ability;
use model::{Code, Failure};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::shape::shape;
use super::transactions::{Entry, Turn, ended};
use crate::data::ask::Operation;

/// What becomes of a transaction whose statement is left in the middle: [`Run`] sees to it.
const UNDONE: &str = " The transaction is rolled back.";

/// A statement for its rows.
pub(super) struct Query<'s> {
    pub(super) entry: &'s Entry,
    pub(super) statement: &'s Statement,
    pub(super) options: &'s QueryOptions,
}

impl Operation for Query<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = Rows;

    fn name(&self) -> &'static str {
        "TX_QUERY"
    }

    fn if_late(&self) -> &'static str {
        UNDONE
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        shape(&self.statement.query).into()
    }

    fn run<'a>(&'a self, _adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Rows>> {
        Some(Box::pin(async move {
            let mut run = Run::begin(self.entry, deadline).await?;
            let until = self.entry.until(deadline);
            let call = run.transaction()?.query(self.statement, self.options, until);
            let result = self.entry.while_it_lives(call).await;
            run.end(result)
        }))
    }
}

/// A statement for its effect.
pub(super) struct Execute<'s> {
    pub(super) entry: &'s Entry,
    pub(super) statement: &'s Statement,
}

impl Operation for Execute<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = u64;

    fn name(&self) -> &'static str {
        "TX_EXECUTE"
    }

    fn if_late(&self) -> &'static str {
        UNDONE
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        shape(&self.statement.query).into()
    }

    fn run<'a>(&'a self, _adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, u64>> {
        Some(Box::pin(async move {
            let mut run = Run::begin(self.entry, deadline).await?;
            let until = self.entry.until(deadline);
            let call = run.transaction()?.execute(self.statement, until);
            let result = self.entry.while_it_lives(call).await;
            run.end(result)
        }))
    }
}

/// A statement under way. Left in the middle, since its client went away or its time was over, it takes the
/// transaction with it: nobody knows what such a transaction holds.
struct Run<'e> {
    turn: MutexGuard<'e, Turn>,
    goes_on: bool,
}

impl<'e> Run<'e> {
    async fn begin(entry: &'e Entry, deadline: Instant) -> Result<Self, Failure> {
        Ok(Run { turn: entry.turn(deadline).await?, goes_on: false })
    }

    fn transaction(&mut self) -> Result<&mut dyn Transaction, Failure> {
        match &mut self.turn.transaction {
            Some(transaction) => Ok(&mut **transaction),
            None => Err(ended()),
        }
    }

    /// The engine has answered. Where a statement that fails ends the transaction, it says so.
    fn end<T>(mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.goes_on = !matches!(&result, Err(failure) if failure.code() == Code::TransactionEnded);
        result
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.goes_on {
            self.turn.transaction = None;
        }
        self.turn.rest();
    }
}

/// The end that keeps what it did. Once it is asked for it is carried through, also when its client goes away.
pub(super) struct Commit<'e> {
    pub(super) entry: &'e Entry,
}

impl Operation for Commit<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = ();

    fn name(&self) -> &'static str {
        "COMMIT"
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        Box::default()
    }

    fn run<'a>(&'a self, _adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, ()>> {
        Some(Box::pin(async move {
            let transaction = take(self.entry, deadline).await?;
            let committed = tokio::spawn(transaction.commit(deadline)).await.unwrap_or_else(|error| {
                let detail = "The transaction could not be ended; whether it was kept is not known.";
                Err(Failure::gateway(Code::Internal, detail).with_cause(error))
            });
            // It is over, however that went: there is nothing left to commit again.
            committed.map_err(|failure| failure.with_retryable(false))
        }))
    }
}

/// The end that undoes what it did.
pub(super) struct Rollback<'e> {
    pub(super) entry: &'e Entry,
}

impl Operation for Rollback<'_> {
    const ABILITY: Ability = Ability::Sql;
    type Answer = ();

    fn name(&self) -> &'static str {
        "ROLLBACK"
    }

    fn if_late(&self) -> &'static str {
        UNDONE
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        Box::default()
    }

    fn run<'a>(&'a self, _adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, ()>> {
        // Left in the middle it is dropped, which is the same.
        Some(Box::pin(async move {
            let rolled_back = take(self.entry, deadline).await?.rollback().await;
            rolled_back.map_err(|failure| failure.with_retryable(false))
        }))
    }
}

/// The transaction, for its end: from now on it is over for everybody else.
async fn take(entry: &Entry, deadline: Instant) -> Result<Box<dyn Transaction>, Failure> {
    entry.turn(deadline).await?.transaction.take().ok_or_else(ended)
}
