//! The adapter: finds the engine, sends each statement where it belongs, and puts outcomes into the words of the
//! contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use disk::{Disk, Glance, Reply, Session};
use model::{Code, Failure};
use tokio::time::{Instant, timeout_at};

use super::failure::{self, Stop};
use super::options::Options;
use super::pace::Pace;
use super::run::{self, Done, READ_ONLY_TRANSACTION, Terms};
use super::text;
use super::transaction::SqliteTransaction;
use crate::embedded::Slot;
use crate::sql::limits::Limits;
use crate::sql::{
    Argument, BatchResult, Piece, QueryOptions, Rest, Rows, Sql, Statement, Transaction, TransactionOptions,
};
use crate::{Adapter, Call};

/// The largest value that is handled in a glance, in bytes: each is copied while a core waits.
const GLANCED: usize = 16 << 10;

/// One database of this process, as one service sees it.
pub(super) struct SqliteAdapter {
    slot: Arc<Slot<Disk>>,
    limits: Limits,
    pace: Arc<Pace>,
    /// It has let go of the database.
    left: AtomicBool,
}

impl SqliteAdapter {
    pub(super) fn new(slot: Arc<Slot<Disk>>, options: &Options) -> Self {
        let left = AtomicBool::new(false);
        SqliteAdapter { slot, limits: options.limits, pace: Arc::new(Pace::new()), left }
    }

    /// The engine, within the time that the call has.
    async fn disk(&self, deadline: Instant) -> Result<Arc<Disk>, Failure> {
        if self.left.load(Ordering::Acquire) {
            return Err(failure::of(&disk::Error::Closed));
        }
        if let Some(disk) = self.slot.open_engine() {
            return Ok(disk);
        }
        match timeout_at(deadline, self.slot.engine()).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::gateway(Code::Busy, "The database is still being opened.")),
        }
    }

    /// Runs a statement where it belongs: on a reader if it looks like one that only looks, or else, and also if
    /// SQLite then says that it writes after all, on the writer.
    async fn run(&self, statement: &Statement, terms: Terms, deadline: Instant) -> Result<Done, Failure> {
        run::check(statement, &self.limits)?;
        let disk = self.disk(deadline).await?;
        let at = deadline.into_std();
        if terms.only_looks.is_some() || text::seems_to_look(&statement.query) {
            if Instant::now() < deadline
                && let Some(done) = self.on_the_spot(&disk, statement, &terms)
            {
                return done;
            }
            let own = statement.clone();
            let of = self.pace.wants_a_look(&statement.query);
            let pace = Arc::clone(&self.pace);
            let job = move |session: &Session<'_>, reply: &mut Reply<Done, Stop>| {
                let done = run::run(session, &own, &terms, Some(reply))?;
                pace.took(&own.query, done.took, done.is_new);
                if let Some(of) = of.filter(|_| !done.is_new) {
                    // In the same moment as the statement itself, so that the schema is the same.
                    pace.looked(&own.query, of, session.is_plain(&own.query));
                }
                Ok(done)
            };
            match disk.read_until(at, job).await {
                Err(Stop::Writes) => {}
                Err(Stop::Failed(failure)) => return Err(failure),
                Ok(done) => return Ok(done),
            }
        }
        let own = statement.clone();
        let job = move |session: &Session<'_>| run::run(session, &own, &terms, None);
        disk.write_until(at, job).await.map_err(Stop::into_failure)
    }

    /// Runs a statement on this thread that is known to be quick, and whose every step is short whatever its
    /// arguments are; `None` when it has to be run elsewhere.
    fn on_the_spot(
        &self,
        disk: &Disk,
        statement: &Statement,
        terms: &Terms,
    ) -> Option<Result<Done, Failure>> {
        if !self.pace.is_quick(&statement.query) {
            return None;
        }
        let large = |argument: &Argument| match argument {
            Argument::Text(text) | Argument::Json(text) => text.len() > GLANCED,
            Argument::Bytes(bytes) => bytes.len() > GLANCED,
            _ => false,
        };
        if statement.args.iter().any(large) {
            return None;
        }
        let mut terms = *terms;
        terms.limits.max_value = terms.limits.max_value.min(GLANCED as u64);
        match disk.glance(|session| run::run(session, statement, &terms, None)) {
            Glance::Seen(Ok(done)) => {
                self.pace.took(&statement.query, done.took, done.is_new);
                Some(Ok(done))
            }
            // Also what failed for being too large here; where it is said, it is said of the way with all the room.
            Glance::Seen(Err(_)) | Glance::TooLong => {
                self.pace.was_slow(&statement.query);
                None
            }
            Glance::NoneFree => None,
        }
    }

    #[cfg(test)]
    pub(super) fn is_quick(&self, query: &str) -> bool {
        self.pace.is_quick(query)
    }

    async fn batch(
        &self,
        statements: &[Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Result<Vec<BatchResult>, Failure> {
        for (at, statement) in statements.iter().enumerate() {
            run::check(statement, &self.limits).map_err(|failure| numbered(at, &failure))?;
        }
        let terms = Terms { rows: true, ..Terms::execute(self.limits) };
        let terms = if options.read_only { terms.only_looking(READ_ONLY_TRANSACTION) } else { terms };
        let only_looks = terms.only_looks.is_some();
        let statements: Arc<[Statement]> = statements.into();
        // Which one is under way, for a batch that is ended from outside.
        let current = Arc::new(AtomicUsize::new(0));
        let place = Arc::clone(&current);
        let job = move |session: &Session<'_>| all(session, &statements, terms, &place);
        let disk = self.disk(deadline).await?;
        let at = deadline.into_std();
        let done = if only_looks {
            disk.read_until(at, move |session, _| job(session)).await
        } else {
            disk.write_until(at, job).await
        };
        done.map_err(|stop| match stop.into_failure() {
            failure if failure.code() == Code::Timeout => numbered(current.load(Ordering::Relaxed), &failure),
            failure => failure,
        })
    }
}

/// Runs all of them, one after the other; the first that fails ends it.
fn all(
    session: &Session<'_>,
    statements: &[Statement],
    terms: Terms,
    current: &AtomicUsize,
) -> Result<Vec<BatchResult>, Stop> {
    let mut results = Vec::with_capacity(statements.len());
    let mut terms = terms;
    for (at, statement) in statements.iter().enumerate() {
        current.store(at, Ordering::Relaxed);
        let done = run::run(session, statement, &terms, None).map_err(|stop| match stop {
            Stop::Failed(failure) => Stop::Failed(numbered(at, &failure)),
            Stop::Writes => Stop::Writes,
        })?;
        // All results of the batch are held at the same time.
        terms.room = terms.room.saturating_sub(done.bytes);
        results.push(if done.has_rows { rows_of(done.rows) } else { BatchResult::Affected(done.affected) });
    }
    Ok(results)
}

fn numbered(at: usize, failure: &Failure) -> Failure {
    failure::prefixed(&format!("statement {}: ", at + 1), failure)
}

/// A result in one piece.
fn rows_of(rows: Rows) -> BatchResult {
    let Rows { columns, first: mut rows, rest } = rows;
    let mut cut = false;
    match rest {
        Rest::End { truncated } => cut = truncated,
        // All of it is in the channel already.
        Rest::Stream(mut rest) => {
            while let Ok(Ok(piece)) = rest.try_recv() {
                match piece {
                    Piece::Rows(chunk) => rows.append(chunk),
                    Piece::End { truncated } => cut = truncated,
                }
            }
        }
    }
    BatchResult::Rows { columns, rows, truncated: cut }
}

impl Adapter for SqliteAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            if self.left.load(Ordering::Acquire) {
                return Err(failure::of(&disk::Error::Closed));
            }
            let opened = timeout_at(deadline, self.slot.probe()).await;
            let opened = opened.unwrap_or_else(|_| {
                Err(Failure::service(
                    Code::Timeout,
                    "The database is still being opened: it is checked first.",
                ))
            });
            match opened?.probe(deadline.into_std()).await.map_err(|error| failure::of(&error)) {
                // A crowd, or a want of threads or memory: the database is well, and who comes next may be let in.
                Err(failure) if failure.code() == Code::Overloaded => Ok(()),
                looked => looked,
            }
        })
    }

    fn sql(&self) -> Option<&dyn Sql> {
        Some(self)
    }

    fn close(&self) -> Call<'_, ()> {
        Box::pin(async move {
            if !self.left.swap(true, Ordering::AcqRel)
                && let Some(disk) = self.slot.leave()
            {
                disk.close().await;
            }
            Ok(())
        })
    }
}

impl Drop for SqliteAdapter {
    fn drop(&mut self) {
        if !self.left.swap(true, Ordering::AcqRel) {
            // Its threads end by themselves once nobody has it any more.
            self.slot.leave();
        }
    }
}

impl Sql for SqliteAdapter {
    fn query<'a>(
        &'a self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows> {
        Box::pin(
            async move { Ok(self.run(statement, Terms::query(self.limits, options), deadline).await?.rows) },
        )
    }

    fn execute<'a>(&'a self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64> {
        Box::pin(
            async move { Ok(self.run(statement, Terms::execute(self.limits), deadline).await?.affected) },
        )
    }

    fn batch<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Call<'a, Vec<BatchResult>> {
        Box::pin(self.batch(statements, options, deadline))
    }

    fn begin<'a>(&'a self, options: TransactionOptions, deadline: Instant) -> Call<'a, Box<dyn Transaction>> {
        Box::pin(async move {
            // There is one way to keep transactions apart here, and it is the strictest: any is granted by it.
            let disk = self.disk(deadline).await?;
            let at = deadline.into_std();
            let read_only = options.read_only || self.limits.read_only;
            let life = self.limits.max_result_time;
            let turn = if read_only { disk.begin_looking(at, life).await } else { disk.begin(at).await };
            let turn = turn.map_err(|error| failure::of(&error))?;
            let transaction = SqliteTransaction::new(turn, self.limits, options.read_only);
            Ok(Box::new(transaction) as Box<dyn Transaction>)
        })
    }

    fn idle_limit(&self) -> Duration {
        self.limits.transaction_idle
    }
}
