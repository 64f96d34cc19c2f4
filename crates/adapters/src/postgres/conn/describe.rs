//! Prepares a statement and learns what it takes and gives, asking about types that nobody has met yet.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use postgres_protocol::message::frontend;

use super::super::types::{Catalog, Known};
use super::frames::broken;
use super::statements::{Column, Prepared};
use super::{Answer, Conn, Trouble, bind};

/// Rows of types that are learned at once, at most: a statement has no more columns and parameters than that.
const TYPES: usize = 1 << 16;

/// A column as the server describes it.
struct Described {
    name: Box<str>,
    table_id: u32,
    column_id: i16,
    type_id: u32,
    type_size: i16,
    type_modifier: i32,
}

impl Conn {
    /// A statement that this connection has prepared already.
    pub(in crate::postgres) fn known(&mut self, query: &str) -> Option<Arc<Prepared>> {
        self.statements.find(query)
    }

    /// Prepares a statement, unless it is. What was asked before must have been answered.
    ///
    /// # Errors
    /// When the server refuses it. What was begun must then be brought to [rest](Conn::rest).
    pub(in crate::postgres) async fn prepare(
        &mut self,
        query: &Arc<str>,
        catalog: &Catalog,
    ) -> Result<Arc<Prepared>, Trouble> {
        if let Some(prepared) = self.known(query) {
            return Ok(prepared);
        }
        let leftover = self.statements.leftover();
        let name = self.statements.name(query);
        self.unsynced = true;
        let out = self.frames.out();
        for name in &leftover {
            frontend::close(b'S', name, out)?;
        }
        frontend::parse(&name, query, [], out)?;
        frontend::describe(b'S', &name, out)?;
        self.flush();
        let (parameters, described) = self.description().await?;
        let strange = |oid: &u32| catalog.find(*oid).is_none();
        let columns = described.iter().flatten().map(|column| column.type_id);
        let mut strangers: Vec<u32> = parameters.iter().copied().chain(columns).filter(strange).collect();
        if !strangers.is_empty() {
            strangers.sort_unstable();
            strangers.dedup();
            self.learn(&strangers, catalog).await?;
            if name.is_empty() {
                // The question about types has taken its place.
                frontend::parse("", query, [], self.frames.out())?;
            }
        }
        let known = |oid| catalog.find(oid).unwrap_or_else(Known::nameless);
        let column = |column: Described| {
            let Known { name: type_name, kind } = known(column.type_id);
            let Described { name, table_id, column_id, type_id, type_size, type_modifier } = column;
            Column { name, type_name, kind, type_id, table_id, column_id, type_size, type_modifier }
        };
        let prepared = Arc::new(Prepared {
            name,
            parameters: parameters.into_iter().map(known).collect(),
            columns: described.map(|columns| columns.into_iter().map(column).collect()),
        });
        self.statements.keep(query, &prepared);
        Ok(prepared)
    }

    /// Gives up a prepared statement.
    pub(in crate::postgres) fn forget(&mut self, query: &str) {
        self.statements.forget(query);
    }

    /// Reads what a statement takes and gives.
    async fn description(&mut self) -> Result<(Vec<u32>, Option<Vec<Described>>), Trouble> {
        let mut parameters = Vec::new();
        loop {
            let frame = self.next().await?;
            let body = self.frames.body(frame);
            match frame.tag {
                b't' => parameters = numbers(body).ok_or_else(short)?,
                b'T' => return Ok((parameters, Some(columns(body).ok_or_else(short)?))),
                b'n' => return Ok((parameters, None)),
                b'E' => return Err(self.refusal(frame)),
                b'C' => self.commands = self.commands.saturating_sub(1),
                b'1' | b'2' | b'3' => {}
                _ => return Err(self.broke(broken("it described what nobody asked about"))),
            }
        }
    }

    /// Asks about types by number.
    async fn learn(&mut self, oids: &[u32], catalog: &Catalog) -> Result<(), Trouble> {
        let asking = Catalog::asking(oids).into_bytes();
        let out = self.frames.out();
        frontend::parse("", Catalog::LOOKUP, [], out)?;
        bind("", &[Some(asking)], out)?;
        frontend::execute("", 0, out)?;
        self.flush();
        let mut rows: Vec<Vec<Option<Bytes>>> = Vec::new();
        loop {
            match self.answer().await? {
                Answer::Row(row) if rows.len() < TYPES => {
                    let cells: io::Result<_> =
                        self.cells(row).map(|cell| Ok(cell?.map(Bytes::copy_from_slice))).collect();
                    rows.push(cells?);
                }
                Answer::Done(_) => break,
                Answer::Row(_) | Answer::Oversized | Answer::More => {}
            }
        }
        catalog.learn(rows);
        Ok(())
    }
}

fn short() -> io::Error {
    broken("what it says of a statement ends too soon")
}

/// `ParameterDescription`: a count of 16 bits, and type numbers.
fn numbers(body: &[u8]) -> Option<Vec<u32>> {
    let (_, rest) = body.split_first_chunk::<2>()?;
    let (numbers, rest) = rest.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| u32::from_be_bytes(*number)).collect())
}

/// `RowDescription`: a count of 16 bits, and columns.
fn columns(body: &[u8]) -> Option<Vec<Described>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)).min(2048));
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let name = String::from_utf8_lossy(&rest[..end]).into();
        let (fields, behind) = rest[end + 1..].split_first_chunk::<18>()?;
        let [t0, t1, t2, t3, c0, c1, o0, o1, o2, o3, s0, s1, m0, m1, m2, m3, _, _] = *fields;
        columns.push(Described {
            name,
            table_id: u32::from_be_bytes([t0, t1, t2, t3]),
            column_id: i16::from_be_bytes([c0, c1]),
            type_id: u32::from_be_bytes([o0, o1, o2, o3]),
            type_size: i16::from_be_bytes([s0, s1]),
            type_modifier: i32::from_be_bytes([m0, m1, m2, m3]),
        });
        rest = behind;
    }
    Some(columns)
}
