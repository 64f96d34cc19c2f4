//! The rows of one statement on their way into JSON, up to a limit.

use std::io;
use std::sync::Arc;

use model::Failure;

use super::super::conn::{Answer, Conn, Prepared, Row, Tag, Trouble};
use super::super::failure;
use super::super::types::{self, NotText};
use super::Terms;
use crate::sql::RowWriter;

/// Reads the answers to one statement.
pub(in crate::postgres) struct Reader {
    prepared: Arc<Prepared>,
    pub(super) writer: RowWriter,
    pub(super) terms: Terms,
    rows: u64,
    /// Bytes of JSON that were written.
    pub(super) bytes: u64,
    truncated: bool,
}

/// How far reading got.
pub(in crate::postgres) enum Filled {
    /// There is more to come, and enough is written to go on its way.
    Piece,
    /// The server waits to be asked for more.
    Page,
    /// Nobody needs what is still to come: the statement can be ended.
    Cut,
    /// All is read.
    End(Tag),
}

impl Reader {
    pub(super) fn new(prepared: Arc<Prepared>, terms: Terms) -> Self {
        let columns = prepared.columns.iter().flatten().filter(|_| terms.rows);
        let columns = columns.map(|column| (column.name.to_string(), column.type_name.to_string()));
        let writer = RowWriter::new(columns, terms.shape);
        Reader { prepared, writer, terms, rows: 0, bytes: 0, truncated: false }
    }

    /// Whether it is of the sort that has rows, though there may be none.
    pub(super) fn has_rows(&self) -> bool {
        self.prepared.columns.is_some()
    }

    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }

    /// Reads until so many bytes are written, or to the end. Dropped while it waits, nothing is lost.
    pub(super) async fn fill(&mut self, conn: &mut Conn, bytes: usize) -> Result<Filled, Trouble> {
        loop {
            match conn.answer().await? {
                Answer::Row(_) | Answer::Oversized if !self.terms.rows || self.truncated => {}
                Answer::Row(row) => {
                    self.take(conn, row)?;
                    if self.truncated && self.may_end() {
                        return Ok(Filled::Cut);
                    }
                    if self.writer.len() >= bytes {
                        return Ok(Filled::Piece);
                    }
                }
                Answer::Oversized => {
                    return Err(Trouble::Ours(failure::oversized(self.terms.limits.max_value)));
                }
                Answer::More if self.terms.paged && !self.truncated => return Ok(Filled::Page),
                Answer::More => {
                    self.truncated = true;
                    return Ok(Filled::End(Tag::default()));
                }
                Answer::Done(tag) => return Ok(Filled::End(tag)),
            }
        }
    }

    /// Whether the statement can be ended before its end: its effect is not wanted, and the server does not stop by
    /// itself. What writes is read to its end, since it would be undone.
    fn may_end(&self) -> bool {
        self.terms.looks() && !self.terms.within && self.terms.asked_rows() == 0
    }

    fn take(&mut self, conn: &Conn, row: Row) -> Result<(), Trouble> {
        if self.rows >= self.terms.max_rows {
            self.truncated = true;
            return Ok(());
        }
        let size = conn.size(row) as u64;
        if self.bytes + size > self.terms.room {
            let limits = &self.terms.limits;
            let whole = if self.terms.within { limits.max_collected } else { limits.max_result };
            if size > whole {
                return Err(Trouble::Ours(failure::too_much(whole)));
            }
            self.truncated = true;
            return Ok(());
        }
        let before = self.writer.len();
        let written = self.write(conn, row);
        if written.is_err() {
            // Half a row is of no use to anybody.
            self.writer.cut_back(before);
        }
        self.rows += 1;
        self.bytes += (self.writer.len() - before) as u64;
        written
    }

    fn write(&mut self, conn: &Conn, row: Row) -> Result<(), Trouble> {
        let columns = self.prepared.columns.as_deref().unwrap_or_default();
        let mut cells = conn.cells(row);
        self.writer.begin();
        for column in columns {
            let cell = cells.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))??;
            types::write(cell, &column.kind, &mut self.writer)
                .map_err(|NotText| Trouble::Ours(failure::no_text(&column.name)))?;
        }
        self.writer.end();
        Ok(())
    }

    /// The failure of it, in this connection's circumstances.
    pub(super) fn failed(&self, trouble: Trouble, conn: &Conn) -> Failure {
        failure::of(trouble, self.terms.circumstances(conn))
    }
}
