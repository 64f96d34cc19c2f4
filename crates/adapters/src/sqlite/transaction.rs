//! A transaction over several calls: it holds the writer's turn, or a reader of its own.

use disk::Turn;
use model::Failure;
use tokio::time::Instant;

use super::failure::{self, Stop};
use super::run::{self, Done, READ_ONLY_TRANSACTION, Terms};
use crate::Call;
use crate::sql::limits::Limits;
use crate::sql::{QueryOptions, Rows, Statement, Transaction};

/// A transaction under way.
pub(super) struct SqliteTransaction {
    turn: Turn,
    limits: Limits,
    read_only: bool,
}

impl SqliteTransaction {
    pub(super) fn new(turn: Turn, limits: Limits, read_only: bool) -> Self {
        SqliteTransaction { turn, limits, read_only }
    }

    async fn run(&mut self, statement: &Statement, terms: Terms, deadline: Instant) -> Result<Done, Failure> {
        run::check(statement, &self.limits)?;
        let terms = if self.read_only { terms.only_looking(READ_ONLY_TRANSACTION) } else { terms };
        let statement = statement.clone();
        let job = move |session: &disk::Session<'_>| run::run(session, &statement, &terms, None);
        self.turn.run(deadline.into_std(), job).await.map_err(Stop::into_failure)
    }
}

impl Transaction for SqliteTransaction {
    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows> {
        Box::pin(async move {
            let terms = Terms::query(self.limits, options);
            Ok(self.run(statement, terms, deadline).await?.rows)
        })
    }

    fn execute<'a>(&'a mut self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64> {
        Box::pin(async move {
            let terms = Terms::execute(self.limits);
            Ok(self.run(statement, terms, deadline).await?.affected)
        })
    }

    fn commit(self: Box<Self>, _deadline: Instant) -> Call<'static, ()> {
        // It is on its way to the disk at once, and cannot be called back.
        Box::pin(async move { self.turn.commit().await.map_err(|error| failure::of(&error)) })
    }

    fn rollback(self: Box<Self>) -> Call<'static, ()> {
        Box::pin(async move { self.turn.rollback().await.map_err(|error| failure::of(&error)) })
    }
}
