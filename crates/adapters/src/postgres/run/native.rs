//! Results in the server's own terms: types by number, values as the text that it writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use model::Failure;

use super::super::conn::{Answer, Conn, Prepared, Tag, Trouble};
use super::super::failure;
use super::super::types::{self, Catalog};
use super::batch::{Batch, Form, run};
use super::{Terms, counted, fitting, is_stale, recover, seen_through, undo};
use crate::sql::{NativeField, NativeResult, Statement, TransactionOptions};

/// The answers to one statement as they are.
pub(in crate::postgres) struct Native {
    prepared: Arc<Prepared>,
    terms: Terms,
}

impl Form for Native {
    type Result = NativeResult;

    fn arguments(statement: &Statement, prepared: &Prepared) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        counted(statement, prepared)?;
        fitting(statement.args.iter().map(types::verbatim).collect())
    }

    fn new(prepared: Arc<Prepared>, terms: Terms) -> Self {
        Native { prepared, terms }
    }

    async fn read(self, conn: &mut Conn) -> Result<(NativeResult, u64), Trouble> {
        let (mut rows, mut bytes, mut fits) = (Vec::new(), 0, true);
        let width = self.prepared.columns.as_ref().map_or(0, |columns| columns.len());
        let tag = loop {
            match conn.answer().await? {
                Answer::Row(row) => {
                    bytes += conn.size(row) as u64;
                    fits &= bytes <= self.terms.room;
                    if fits {
                        rows.push(cells(conn.take(row), width)?);
                    }
                }
                Answer::Oversized => fits = false,
                Answer::More => fits = false,
                Answer::Done(tag) => break tag,
            }
            if !fits && self.terms.looks() {
                // Nobody needs what is still to come.
                break Tag::default();
            }
        };
        if !fits {
            return Err(Trouble::Ours(failure::too_much(self.terms.limits.max_collected)));
        }
        let field = |column: &super::super::conn::Column| NativeField {
            name: column.name.clone(),
            type_id: column.type_id,
            table_id: column.table_id,
            column_id: column.column_id,
            type_size: column.type_size,
            type_modifier: column.type_modifier,
        };
        let fields = self.prepared.columns.iter().flatten().map(field).collect();
        Ok((NativeResult { fields, rows, command: tag.word().into(), row_count: tag.count }, bytes))
    }
}

/// The cells of a row, which share its memory.
fn cells(row: Bytes, width: usize) -> io::Result<Box<[Option<Bytes>]>> {
    let mut cells = Vec::with_capacity(width);
    for cell in super::super::conn::cells_of(&row) {
        cells.push(cell?.map(|cell| row.slice_ref(cell)));
    }
    Ok(cells.into())
}

/// Runs one statement by itself, or several in one transaction.
///
/// # Errors
/// What one of them failed with.
pub(in crate::postgres) async fn native(
    conn: &mut Conn,
    batch: &Batch<'_>,
    catalog: &Catalog,
) -> Result<Vec<NativeResult>, Failure> {
    let plain = batch.options == TransactionOptions::default() && !batch.limits.read_only;
    match (batch.statements, batch.looks) {
        ([statement], [look]) if plain => {
            // By itself it has no number.
            batch.current.store(batch.statements.len(), Ordering::Relaxed);
            let terms =
                Terms { rows: true, room: batch.limits.max_collected, ..Terms::execute(batch.limits, *look) };
            alone(conn, statement, terms, catalog).await.map(|result| vec![result])
        }
        _ => run::<Native>(conn, batch, catalog).await,
    }
}

async fn alone(
    conn: &mut Conn,
    statement: &Statement,
    terms: Terms,
    catalog: &Catalog,
) -> Result<NativeResult, Failure> {
    if terms.look.changes_session {
        conn.mark_changed();
    }
    let mut trouble = match attempt(conn, statement, terms, catalog).await {
        Ok(result) => return Ok(result),
        Err(trouble) => recover(conn, trouble).await,
    };
    if is_stale(&trouble) {
        conn.forget(&statement.query);
        trouble = match attempt(conn, statement, terms, catalog).await {
            Ok(result) => return Ok(result),
            Err(trouble) => recover(conn, trouble).await,
        };
    }
    let trouble = seen_through(conn, &terms, trouble).await;
    let circumstances = terms.circumstances(conn);
    undo(conn).await;
    Err(failure::of(trouble, circumstances))
}

async fn attempt(
    conn: &mut Conn,
    statement: &Statement,
    terms: Terms,
    catalog: &Catalog,
) -> Result<NativeResult, Trouble> {
    let prepared = conn.prepare(&statement.query, catalog).await?;
    let args = match Native::arguments(statement, &prepared) {
        Ok(args) => args,
        Err(failure) => {
            conn.rest().await?;
            return Err(Trouble::Ours(failure));
        }
    };
    conn.ask(&prepared, &args, 0)?;
    conn.sync();
    let (result, _) = Native::new(prepared, terms).read(conn).await?;
    conn.rest().await?;
    Ok(result)
}
