//! Runs one statement on a connection: prepares it once, binds, and reads its rows into pieces. Whether it writes is
//! SQLite's word, after it was prepared, and not a guess by its text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use disk::{CachedStatement, Reply, Session};
use model::{Code, Failure};
use tokio::sync::mpsc;

use super::bind;
use super::cells::{self, Cells};
use super::failure::{self, Stop};
use super::text;
use crate::sql::limits::Limits;
use crate::sql::{Chunk, Column, HELD_BACK, Piece, QueryOptions, Rest, RowShape, Rows, Statement};

/// How much of a result travels at once, in bytes.
const PIECE: usize = 64 << 10;

/// Pieces on their way to a client that is slower than the engine.
const PIECES: usize = 4;

/// The longest statement that stays prepared, in bytes: each connection keeps some dozens of them.
const KEPT: usize = 16 << 10;

/// What a statement is for, and what it may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    /// The lesser of the service's and the client's.
    pub(super) max_rows: u64,
    pub(super) shape: RowShape,
    /// It must not change anything: why.
    pub(super) only_looks: Option<&'static str>,
    /// Whether rows are wanted, or only their effect.
    pub(super) rows: bool,
    /// Bytes of rows that may still be held whole: results of a batch share them.
    pub(super) room: u64,
}

/// What a statement gave.
pub(super) struct Done {
    pub(super) rows: Rows,
    /// Whether it is of the sort that has rows, though there may be none.
    pub(super) has_rows: bool,
    pub(super) affected: u64,
    /// Bytes of rows in JSON.
    pub(super) bytes: u64,
    /// What all of it took; the longest time there is for a result that was handed over before its end.
    pub(super) took: Duration,
    /// What is known of a statement that has just been prepared: nothing of how quick it is.
    pub(super) is_new: bool,
}

const READ_ONLY_SERVICE: &str = "The service is read-only, and the statement writes.";
const READ_ONLY_QUERY: &str = "The query was said to be read-only, and its statement writes.";
pub(super) const READ_ONLY_TRANSACTION: &str = "The transaction is read-only, and the statement writes.";

impl Terms {
    /// For rows as these options ask for them.
    pub(super) fn query(limits: Limits, options: &QueryOptions) -> Terms {
        let max_rows = options.max_rows.unwrap_or(limits.max_rows).min(limits.max_rows);
        let terms = Terms { max_rows, shape: options.shape, ..Terms::execute(limits) };
        let terms = if options.read_only { terms.only_looking(READ_ONLY_QUERY) } else { terms };
        Terms { rows: true, ..terms }
    }

    /// For the effect.
    pub(super) fn execute(limits: Limits) -> Terms {
        let only_looks = limits.read_only.then_some(READ_ONLY_SERVICE);
        Terms {
            limits,
            max_rows: limits.max_rows,
            shape: RowShape::Objects,
            only_looks,
            rows: false,
            room: limits.max_collected,
        }
    }

    /// It must not write, for this reason.
    pub(super) fn only_looking(self, why: &'static str) -> Terms {
        Terms { only_looks: self.only_looks.or(Some(why)), ..self }
    }
}

/// Refuses what no connection needs to see.
pub(super) fn check(statement: &Statement, limits: &Limits) -> Result<(), Failure> {
    let (size, most) = (statement.query.len() as u64, limits.max_statement);
    if size > most {
        let detail = format!("The statement has {size} bytes; at most {most} are taken.");
        return Err(
            Failure::client(Code::TooLarge, detail).with_hint("Raise `max_statement` of the service.")
        );
    }
    if statement.query.contains('\0') {
        return Err(Failure::client(Code::QueryFailed, "The statement holds a NUL character."));
    }
    if text::is_empty(&statement.query) {
        return Err(Failure::client(
            Code::QueryFailed,
            "There is no statement: the text is empty or a comment.",
        ));
    }
    bind::check_sizes(&statement.args, limits.max_value)
}

/// Runs it. Given a reply, a long result is handed over while it is read; else it is collected.
pub(super) fn run(
    session: &Session<'_>,
    statement: &Statement,
    terms: &Terms,
    reply: Option<&mut Reply<Done, Stop>>,
) -> Result<Done, Stop> {
    // A bound of the connection, which services with other bounds may share.
    session.set_longest(terms.limits.max_value)?;
    let begun = Instant::now();
    let mut prepared = prepare(session, &statement.query)?;
    let done = run_prepared(session, &mut prepared, statement, terms, reply);
    if statement.query.len() > KEPT {
        prepared.discard();
    }
    done.map(|done| Done { took: begun.elapsed(), is_new: session.has_prepared(), ..done })
}

fn run_prepared(
    session: &Session<'_>,
    prepared: &mut CachedStatement<'_>,
    statement: &Statement,
    terms: &Terms,
    reply: Option<&mut Reply<Done, Stop>>,
) -> Result<Done, Stop> {
    let writes = !prepared.readonly();
    if writes {
        if let Some(why) = terms.only_looks {
            return Err(Stop::refused(why));
        }
        if session.may_stream() {
            return Err(Stop::Writes);
        }
    }
    bind::bind(session, prepared, &statement.args)?;
    if writes && prepared.column_count() > 0 {
        // Its rows are read when its work is done; if they cannot be told, neither may stand.
        return session.undoing(|| read_all(session, prepared, terms, reply));
    }
    read_all(session, prepared, terms, reply)
}

fn read_all(
    session: &Session<'_>,
    prepared: &mut CachedStatement<'_>,
    terms: &Terms,
    reply: Option<&mut Reply<Done, Stop>>,
) -> Result<Done, Stop> {
    let before = session.total_changes();
    let mut reading = Reading { session, terms, reply, pieces: Pieces::default() };
    let (columns, truncated) = match reading.read(prepared) {
        Ok(read) => read,
        Err(stop) => return Err(reading.pieces.fail(session, stop)),
    };
    let has_rows = !columns.is_empty();
    // The count of the connection is that of its last statement which changed rows, so of an earlier one perhaps.
    let affected = if session.total_changes() == before { 0 } else { session.changes() };
    let bytes = reading.pieces.bytes;
    Ok(Done {
        rows: reading.pieces.end(session, columns, truncated),
        has_rows,
        affected,
        bytes,
        took: Duration::MAX,
        is_new: false,
    })
}

fn prepare<'s>(session: &'s Session<'_>, sql: &str) -> Result<CachedStatement<'s>, Stop> {
    let several = || {
        Stop::Failed(
            Failure::client(Code::QueryFailed, "The text holds several statements; one is taken.")
                .with_hint("Send a list of them to `db/batch`, which runs all or none."),
        )
    };
    match session.prepare_cached(sql) {
        Ok(prepared) => Ok(prepared),
        Err(disk::SqlError::MultipleStatement) => Err(several()),
        Err(_) if text::has_several(sql) => Err(several()),
        Err(error) => Err(session.explain(error).into()),
    }
    .map_err(|stop| match stop {
        Stop::Failed(failure) if text::first_word(sql).eq_ignore_ascii_case("VACUUM") => {
            Stop::Failed(failure.with_hint("The file is kept in shape without it."))
        }
        stop => stop,
    })
}

/// The rows of one statement on their way into pieces.
struct Reading<'a, 's> {
    session: &'a Session<'s>,
    terms: &'a Terms,
    reply: Option<&'a mut Reply<Done, Stop>>,
    pieces: Pieces,
}

/// What was read and not yet given away.
#[derive(Default)]
struct Pieces {
    kept: Vec<Chunk>,
    bytes: u64,
    /// Where pieces go once the first ones have been given away.
    to: Option<mpsc::Sender<Result<Piece, Failure>>>,
}

impl Reading<'_, '_> {
    /// Reads to the end, or to a limit; says whether that cut the result.
    fn read(&mut self, prepared: &mut CachedStatement<'_>) -> Result<(Arc<[Column]>, bool), Stop> {
        let explain = |error| Stop::from(self.session.explain(error));
        let count = prepared.column_count();
        let mut rows = prepared.raw_query();
        let mut told: Option<Cells> = None;
        let (mut read, mut truncated) = (0, false);
        while let Some(row) = rows.next().map_err(explain)? {
            if !self.terms.rows || count == 0 {
                continue;
            }
            let (most, shape) = (self.terms.max_rows, self.terms.shape);
            // A look at one row more than is wanted tells a whole result from a cut one.
            if read == most {
                truncated = true;
                break;
            }
            let cells = match &mut told {
                Some(cells) => cells,
                none => {
                    if let Some(most) = cells::overlong_names(row.as_ref()) {
                        return Err(too_wide(most));
                    }
                    none.insert(Cells::new(row.as_ref(), Some(row), shape))
                }
            };
            let size = cells.size(row);
            // Said before it takes any room.
            if size > self.whole() {
                return Err(too_wide(self.whole()));
            }
            if self.pieces.bytes + size >= self.room() {
                truncated = true;
                break;
            }
            let before = cells.writer().len();
            cells.write(row)?;
            read += 1;
            self.pieces.bytes += (cells.writer().len() - before) as u64;
            if cells.writer().len() >= PIECE {
                let chunk = cells.writer().take();
                let columns = Arc::clone(cells.writer().columns());
                if !self.pieces.keep(self.session, self.terms, &mut self.reply, &columns, chunk)? {
                    return Ok((columns, true));
                }
            }
        }
        drop(rows);
        let mut cells = match told {
            Some(cells) => cells,
            None if count == 0 => return Ok((Arc::default(), false)),
            None => Cells::new(prepared, None, self.terms.shape),
        };
        let (columns, last) = (Arc::clone(cells.writer().columns()), cells.writer().take());
        if last.rows > 0 {
            self.pieces.keep(self.session, self.terms, &mut self.reply, &columns, last)?;
        }
        Ok((columns, truncated))
    }
}

impl Reading<'_, '_> {
    /// What a result may have in bytes, whether or not others take their part of it.
    fn whole(&self) -> u64 {
        let limits = &self.terms.limits;
        if self.streams() { limits.max_result } else { limits.max_result.min(limits.max_collected) }
    }

    /// What this one may have.
    fn room(&self) -> u64 {
        if self.streams() { self.whole() } else { self.whole().min(self.terms.room) }
    }

    fn streams(&self) -> bool {
        self.pieces.to.is_some() || (self.reply.is_some() && self.session.may_stream())
    }
}

fn too_wide(most: u64) -> Stop {
    let detail = format!("A row of the result is larger than {most} bytes.");
    let hint = "Ask for fewer columns, or raise `max_result` or `max_collected` of the service.";
    Stop::Failed(Failure::client(Code::TooLarge, detail).with_hint(hint))
}

/// All that may be held by clients who take their time is held.
fn crowded() -> Stop {
    let detail = "Too many results are being read at the moment, so that a long one cannot be begun.";
    Stop::Failed(Failure::gateway(Code::Busy, detail).with_retry_after(failure::SOON))
}

impl Pieces {
    /// Keeps a piece, or sends it to whoever reads already. False when nobody does any more.
    fn keep(
        &mut self,
        session: &Session<'_>,
        terms: &Terms,
        reply: &mut Option<&mut Reply<Done, Stop>>,
        columns: &Arc<[Column]>,
        chunk: Chunk,
    ) -> Result<bool, Stop> {
        if let Some(to) = &self.to {
            return Ok(session.send(to, Ok(Piece::Rows(chunk))));
        }
        self.kept.push(chunk);
        if (self.bytes as usize) < HELD_BACK || !session.may_stream() {
            return Ok(true);
        }
        let Some(reply) = reply.as_deref_mut() else { return Ok(true) };
        let hold = session.hold(terms.limits.max_result_time).ok_or_else(crowded)?;
        let (to, rest) = mpsc::channel(PIECES);
        let reader = to.clone();
        let rows =
            Rows { columns: Arc::clone(columns), first: joined(&mut self.kept), rest: Rest::Stream(rest) };
        reply.early(
            session,
            Done { rows, has_rows: true, affected: 0, bytes: self.bytes, took: Duration::MAX, is_new: false },
            hold,
            move || !reader.is_closed(),
        );
        self.to = Some(to);
        Ok(true)
    }

    /// The result, unless its beginning was given away: then its end is sent after it.
    fn end(mut self, session: &Session<'_>, columns: Arc<[Column]>, truncated: bool) -> Rows {
        if let Some(to) = &self.to {
            session.send(to, Ok(Piece::End { truncated }));
            return Rows { columns, first: Chunk::default(), rest: Rest::End { truncated } };
        }
        let total = self.bytes as usize;
        if total <= HELD_BACK {
            return Rows { columns, first: joined(&mut self.kept), rest: Rest::End { truncated } };
        }
        let held_back = HELD_BACK / PIECE;
        let later = self.kept.split_off(held_back.min(self.kept.len()));
        let (to, rest) = mpsc::channel(later.len() + 1);
        for piece in later.into_iter().map(Piece::Rows).chain([Piece::End { truncated }]) {
            // It has room for all of them.
            let _ = to.try_send(Ok(piece));
        }
        Rows { columns, first: joined(&mut self.kept), rest: Rest::Stream(rest) }
    }

    /// The failure, told to whoever reads already.
    fn fail(self, session: &Session<'_>, stop: Stop) -> Stop {
        if let (Some(to), Stop::Failed(failure)) = (&self.to, &stop) {
            session.send(to, Err(failure::prefixed("", failure)));
        }
        stop
    }
}

/// All rows in one piece.
fn joined(chunks: &mut Vec<Chunk>) -> Chunk {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut all =
        Chunk { json: Vec::with_capacity(chunks.iter().map(|chunk| chunk.json.len() + 1).sum()), rows: 0 };
    chunks.drain(..).for_each(|chunk| all.append(chunk));
    all
}
