//! Several statements in one transaction: asked in one go as far as the connection knows them, and kept all together
//! or not at all.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::{Code, Failure};

use super::super::conn::{Conn, Prepared, Tag, Trouble};
use super::super::failure::{self, Circumstances};
use super::super::text::Look;
use super::super::types::Catalog;
use super::read::{Filled, Reader};
use super::{Terms, arguments, begin_words, is_stale, numbered, recover, undo};
use crate::sql::limits::Limits;
use crate::sql::{BatchResult, Statement, TransactionOptions};

/// How often a batch begins anew when other transactions are in its way, as long as its time allows.
const CONFLICTS: u32 = 40;

/// The form that results are told in.
pub(super) trait Form: Send + Sized {
    /// What one statement gives.
    type Result: Send;

    /// The arguments as the server reads them.
    fn arguments(statement: &Statement, prepared: &Prepared) -> Result<Vec<Option<Vec<u8>>>, Failure>;

    /// For the answers to this statement.
    fn new(prepared: Arc<Prepared>, terms: Terms) -> Self;

    /// Reads them to their end; says how many bytes they are, too.
    fn read(self, conn: &mut Conn) -> impl Future<Output = Result<(Self::Result, u64), Trouble>> + Send;
}

/// Rows as JSON.
pub(super) struct Json(Reader);

impl Form for Json {
    type Result = BatchResult;

    fn arguments(statement: &Statement, prepared: &Prepared) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        arguments(statement, prepared)
    }

    fn new(prepared: Arc<Prepared>, terms: Terms) -> Self {
        Json(Reader::new(prepared, terms))
    }

    async fn read(self, conn: &mut Conn) -> Result<(BatchResult, u64), Trouble> {
        let Json(mut reader) = self;
        let tag = loop {
            match reader.fill(conn, usize::MAX).await? {
                Filled::End(tag) => break tag,
                Filled::Cut | Filled::Piece | Filled::Page => {}
            }
        };
        let bytes = reader.bytes;
        let result = if reader.has_rows() {
            let columns = Arc::clone(reader.writer.columns());
            BatchResult::Rows { columns, rows: reader.writer.take(), truncated: reader.truncated() }
        } else {
            BatchResult::Affected(tag.affected(false))
        };
        Ok((result, bytes))
    }
}

/// The statements of a batch, with what is known of each.
pub(in crate::postgres) struct Batch<'a> {
    pub(in crate::postgres) statements: &'a [Statement],
    pub(in crate::postgres) looks: &'a [Look],
    pub(in crate::postgres) options: TransactionOptions,
    pub(in crate::postgres) limits: Limits,
    /// Which one is under way, for a batch that is ended from outside.
    pub(in crate::postgres) current: &'a AtomicUsize,
}

/// Runs all of them, with rows as JSON.
///
/// # Errors
/// What one of them failed with, by its number; nothing of any is kept then.
pub(in crate::postgres) async fn batch(
    conn: &mut Conn,
    batch: &Batch<'_>,
    catalog: &Catalog,
) -> Result<Vec<BatchResult>, Failure> {
    run::<Json>(conn, batch, catalog).await
}

pub(super) async fn run<F: Form>(
    conn: &mut Conn,
    batch: &Batch<'_>,
    catalog: &Catalog,
) -> Result<Vec<F::Result>, Failure> {
    if batch.looks.iter().any(|look| look.changes_session) {
        conn.mark_changed();
    }
    let (mut anew, mut conflicts) = (true, 0);
    loop {
        let (at, trouble) = match attempt::<F>(conn, batch, catalog).await {
            Ok(results) => return Ok(results),
            Err(failed) => failed,
        };
        let trouble = recover(conn, trouble).await;
        let stale = is_stale(&trouble);
        let look = batch.looks.get(at.unwrap_or(0)).copied().unwrap_or_default();
        let only_looks = batch.options.read_only || batch.limits.read_only;
        let terms = Terms { only_looks, ..Terms::execute(batch.limits, look) };
        // Nothing commits in the middle of a transaction.
        let circumstances = Circumstances { in_parts: false, ..terms.circumstances(conn) };
        let failure = failure::of(trouble, circumstances);
        if conn.rest().await.is_ok() {
            undo(conn).await;
        }
        let statement = at.and_then(|at| batch.statements.get(at));
        match statement {
            // What has happened to one may have happened to others.
            Some(_) if stale && std::mem::take(&mut anew) => {
                batch.statements.iter().for_each(|statement| conn.forget(&statement.query));
            }
            // Nothing of it is kept, and all that it does is known: it can begin anew.
            _ if is_in_conflict(&failure) && conflicts < CONFLICTS && conn.is_at_rest() => {
                conflicts += 1;
                tokio::time::sleep(pause(conflicts)).await;
            }
            Some(_) => return Err(numbered(at.unwrap_or(0), &failure)),
            None => return Err(failure::prefixed("commit: ", &failure)),
        }
    }
}

/// Whether the server ended it for the sake of another transaction. A lock that was not to be waited for is another
/// matter: whoever says so wants to hear it.
fn is_in_conflict(failure: &Failure) -> bool {
    matches!(failure.native(), Some((_, "40001" | "40P01")))
}

/// How long to stay out of the way of others after so many conflicts: longer each time, and never in step with them.
fn pause(conflicts: u32) -> Duration {
    let most = 2_000 << conflicts.min(6);
    Duration::from_micros(RandomState::new().hash_one(conflicts) % most)
}

/// Where it failed: at a statement, or at the end.
type Failed = (Option<usize>, Trouble);

async fn attempt<F: Form>(
    conn: &mut Conn,
    batch: &Batch<'_>,
    catalog: &Catalog,
) -> Result<Vec<F::Result>, Failed> {
    let Batch { statements, looks, options, limits, current } = *batch;
    let read_only = options.read_only || limits.read_only;
    let mut reading =
        Reading::<F> { due: VecDeque::new(), done: Vec::new(), room: limits.max_collected, current };
    current.store(0, Ordering::Relaxed);
    conn.command(&begin_words(TransactionOptions { read_only, ..options }))
        .map_err(|error| (None, error.into()))?;
    let mut has_rows = false;
    for (at, (statement, look)) in statements.iter().zip(looks).enumerate() {
        let here = |trouble| (Some(at), trouble);
        if conn.known(&statement.query).is_none() {
            // What is prepared now may be of what was asked before.
            conn.flush();
            reading.catch_up(conn).await?;
        }
        let prepared = conn.prepare(&statement.query, catalog).await.map_err(here)?;
        has_rows |= prepared.columns.is_some();
        let args = match F::arguments(statement, &prepared) {
            Ok(args) => args,
            Err(failure) => {
                conn.flush();
                reading.catch_up(conn).await?;
                return Err(here(Trouble::Ours(failure)));
            }
        };
        let only_looks = read_only;
        let terms = Terms { rows: true, only_looks, ..Terms::execute(limits, *look) };
        let terms = terms.within(limits.max_collected);
        conn.ask(&prepared, &args, terms.asked_rows()).map_err(|error| here(error.into()))?;
        reading.due.push_back((at, prepared, terms));
    }
    if has_rows {
        // If their rows cannot be told, nothing of it may stand: so it is not kept before they are.
        conn.flush();
        reading.catch_up(conn).await?;
    }
    let tag = finish(conn, &mut reading).await?;
    if tag.word() == "ROLLBACK" {
        return Err((None, Trouble::Ours(failure::ended())));
    }
    Ok(reading.done)
}

async fn finish<F: Form>(conn: &mut Conn, reading: &mut Reading<'_, F>) -> Result<Tag, Failed> {
    let at_end = |trouble| (None, trouble);
    conn.closing("COMMIT").map_err(|error: io::Error| at_end(error.into()))?;
    conn.sync();
    reading.catch_up(conn).await?;
    conn.last_word().await.map_err(at_end)
}

/// Statements that were asked, and results that came.
struct Reading<'a, F: Form> {
    due: VecDeque<(usize, Arc<Prepared>, Terms)>,
    done: Vec<F::Result>,
    /// All results of the batch are held at the same time.
    room: u64,
    current: &'a AtomicUsize,
}

impl<F: Form> Reading<'_, F> {
    /// Reads the answers to all that was asked.
    async fn catch_up(&mut self, conn: &mut Conn) -> Result<(), Failed> {
        while let Some((at, prepared, terms)) = self.due.pop_front() {
            self.current.store(at, Ordering::Relaxed);
            let reader = F::new(prepared, terms.within(self.room));
            let (result, bytes) = reader.read(conn).await.map_err(|trouble| (Some(at), trouble))?;
            self.room = self.room.saturating_sub(bytes);
            self.done.push(result);
            self.current.store(at + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The failure of a batch whose time is over, by the statement that was under way.
pub(in crate::postgres) fn late(batch: &Batch<'_>, failure: &Failure) -> Failure {
    let at = batch.current.load(Ordering::Relaxed);
    if failure.code() == Code::Timeout && at < batch.statements.len() {
        numbered(at, failure)
    } else {
        failure::prefixed("", failure)
    }
}
