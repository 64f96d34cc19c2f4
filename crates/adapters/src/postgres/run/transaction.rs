//! A transaction over several calls: it has a connection to itself, and lets go of it with its end.

use std::time::Duration;

use model::{Code, Failure};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::conn::Standing;
use super::super::failure::{self, Ended};
use super::super::pool::{Lease, Pool};
use super::super::text::{self, Place};
use super::{Done, Progress, Terms, check_sizes, start};
use crate::Call;
use crate::sql::limits::Limits;
use crate::sql::{QueryOptions, Rows, Statement, Transaction};

/// How long a rollback is waited for; then it goes on by itself.
const ROLLBACK: Duration = Duration::from_secs(5);

/// A transaction under way.
pub(in crate::postgres) struct PostgresTransaction {
    pool: Pool,
    /// Gone when the transaction is over.
    lease: Option<Lease>,
    limits: Limits,
    allow_admin: bool,
    read_only: bool,
}

impl PostgresTransaction {
    pub(in crate::postgres) fn new(
        pool: Pool,
        lease: Lease,
        limits: Limits,
        allow_admin: bool,
        read_only: bool,
    ) -> Self {
        PostgresTransaction { pool, lease: Some(lease), limits, allow_admin, read_only }
    }

    /// The connection, if the transaction is still open on it. A call that was left in the middle has ended it, or the
    /// server has, while nothing was asked.
    fn lease(&mut self) -> Result<&mut Lease, Failure> {
        let conn = self.lease.as_mut().ok_or_else(failure::ended)?.conn();
        let ended = if conn.stands_within() {
            conn.ended().map(|trouble| failure::ended_by_server(&trouble))
        } else {
            Some(failure::ended())
        };
        if let Some(failure) = ended {
            self.lease = None;
            return Err(failure);
        }
        self.lease.as_mut().ok_or_else(failure::ended)
    }

    async fn run(
        &mut self,
        statement: &Statement,
        deadline: Instant,
        terms: impl FnOnce(Limits, text::Look) -> Terms,
    ) -> Result<Done, Failure> {
        let (limits, pool) = (self.limits, self.pool.clone());
        let place = if self.read_only { Place::WithinReadOnly } else { Place::Within };
        let look = text::check(statement, limits.max_statement, self.allow_admin, place)?;
        check_sizes(&statement.args, &limits)?;
        let only_looks = self.read_only;
        let lease = self.lease()?;
        let terms = terms(limits, look).paged();
        let terms = Terms { only_looks, ..terms };
        let started = timeout_at(deadline, start(lease.conn(), statement, terms, pool.catalog())).await;
        match started {
            Ok(Ok(Progress::Done(done))) => Ok(done),
            Ok(Ok(Progress::Begun(..))) => {
                Err(Failure::gateway(Code::Internal, "A result within a transaction streams."))
            }
            Ok(Err(failure)) => {
                if lease.conn().is_broken() || lease.conn().standing() == Standing::Free {
                    self.lease = None;
                }
                // There is no other place where this transaction could go on.
                let retryable = failure.retryable() && failure.code() == Code::Conflict;
                Err(failure.with_retryable(retryable))
            }
            Err(_) => Err(match self.lease.take() {
                Some(lease) => {
                    lease.end().await;
                    failure::late(Ended::Undone)
                }
                None => failure::ended(),
            }),
        }
    }
}

impl Transaction for PostgresTransaction {
    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows> {
        Box::pin(async move {
            let done =
                self.run(statement, deadline, |limits, look| Terms::query(limits, look, options)).await?;
            Ok(done.rows)
        })
    }

    fn execute<'a>(&'a mut self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64> {
        Box::pin(async move { Ok(self.run(statement, deadline, Terms::execute).await?.affected) })
    }

    fn commit(mut self: Box<Self>, deadline: Instant) -> Call<'static, ()> {
        Box::pin(async move {
            self.lease()?;
            let Some(mut lease) = self.lease.take() else { return Err(failure::ended()) };
            let conn = lease.conn();
            let asked = async {
                conn.closing("COMMIT")?;
                conn.mark_asked();
                conn.last_word().await
            };
            let circumstances = failure::Circumstances { asked: true, ..failure::Circumstances::default() };
            match timeout_at(deadline, asked).await {
                Ok(Ok(tag)) if tag.word() == "ROLLBACK" => Err(failure::ended_by_failure()),
                Ok(Ok(_)) => Ok(()),
                Ok(Err(trouble)) => Err(failure::of(trouble, circumstances)),
                Err(_) => Err(failure::late(lease.end().await)),
            }
        })
    }

    fn rollback(mut self: Box<Self>) -> Call<'static, ()> {
        Box::pin(async move {
            let conn = self.lease()?.conn();
            // If it is not heard of in time, the connection is cleaned, which comes to the same.
            let _ = timeout(ROLLBACK, conn.run_alone("ROLLBACK")).await;
            Ok(())
        })
    }
}
