//! One statement by itself: asked in one go where the connection knows it, with one more turn where it does not.

use std::sync::Arc;

use model::Failure;

use super::super::conn::{Conn, Tag, Trouble};
use super::super::failure;
use super::super::types::Catalog;
use super::read::{Filled, Reader};
use super::{Terms, arguments, is_outdated, is_stale, recover, seen_through, undo};
use crate::sql::{Chunk, HELD_BACK, Rest, Rows, Statement};

/// What a statement has given so far.
pub(in crate::postgres) enum Progress {
    /// All of it.
    Done(Done),
    /// Its beginning; what follows is still to be read.
    Begun(Chunk, Reader),
}

/// What a statement gave.
pub(in crate::postgres) struct Done {
    pub(in crate::postgres) rows: Rows,
    pub(in crate::postgres) affected: u64,
}

/// Runs a statement until it is done, or until so much of it was read that the rest is streamed.
///
/// # Errors
/// What it failed with. The connection is at rest then, unless it is to be cleaned.
pub(in crate::postgres) async fn start(
    conn: &mut Conn,
    statement: &Statement,
    terms: Terms,
    catalog: &Catalog,
) -> Result<Progress, Failure> {
    if terms.look.changes_session {
        conn.mark_changed();
    }
    let mut trouble = match attempt(conn, statement, terms, catalog).await {
        Ok(progress) => return Ok(progress),
        Err(trouble) => recover(conn, trouble).await,
    };
    // Nothing of it was done, so it may be asked once more; in a transaction of several it has undone all of them.
    if is_stale(&trouble) {
        conn.forget(&statement.query);
        if !terms.within {
            undo(conn).await;
            trouble = match attempt(conn, statement, terms, catalog).await {
                Ok(progress) => return Ok(progress),
                Err(trouble) => recover(conn, trouble).await,
            };
        }
    }
    let trouble = seen_through(conn, &terms, trouble).await;
    let circumstances = terms.circumstances(conn);
    if !terms.within {
        undo(conn).await;
        return Err(failure::of(trouble, circumstances));
    }
    if matches!(trouble, Trouble::Ours(_)) {
        // The transaction goes on; if it cannot, the next call finds that.
        let _ = conn.rest().await;
    }
    let outdated = is_outdated(&trouble);
    let failure = failure::of(trouble, circumstances);
    Err(if outdated { failure::outdated(&failure) } else { failure })
}

async fn attempt(
    conn: &mut Conn,
    statement: &Statement,
    terms: Terms,
    catalog: &Catalog,
) -> Result<Progress, Trouble> {
    let guarded = terms.only_looks && !terms.within;
    if guarded {
        conn.command("BEGIN READ ONLY")?;
    }
    let prepared = conn.prepare(&statement.query, catalog).await?;
    let args = match arguments(statement, &prepared) {
        Ok(args) => args,
        Err(failure) => {
            conn.rest().await?;
            return Err(Trouble::Ours(failure));
        }
    };
    conn.ask(&prepared, &args, terms.asked_rows())?;
    if guarded {
        conn.closing("COMMIT")?;
    }
    conn.sync();
    let mut reader = Reader::new(prepared, terms);
    let most = if terms.within { usize::MAX } else { HELD_BACK };
    loop {
        match reader.fill(conn, most).await? {
            Filled::Piece => return Ok(Progress::Begun(reader.writer.take(), reader)),
            // It is not at rest, and is cleaned by ending what runs.
            Filled::Cut => return Ok(Progress::Done(done(reader, Tag::default()))),
            Filled::Page => {
                conn.rest().await?;
                conn.go_on(terms.asked_rows())?;
                conn.sync();
            }
            Filled::End(tag) => {
                // What is checked at the end of a transaction may fail yet.
                conn.rest().await?;
                return Ok(Progress::Done(done(reader, tag)));
            }
        }
    }
}

fn done(mut reader: Reader, tag: Tag) -> Done {
    let truncated = reader.truncated();
    let columns = Arc::clone(reader.writer.columns());
    Done {
        affected: tag.affected(reader.has_rows()),
        rows: Rows { columns, first: reader.writer.take(), rest: Rest::End { truncated } },
    }
}
