//! A result on its way to standard output, in the shape that was asked for; its size and whether it was cut
//! go to standard error.

use sdk::{RowStream, SqlColumn};
use serde_json::{Map, Value};

use super::csv;
use super::draw::{Table, expanded};
use crate::fault::Fault;
use crate::session::Session;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Table,
    /// A row over several lines.
    Expanded,
    Json,
    Csv,
}

/// A table's columns are as wide as these first rows need; a result of any length takes no more memory.
const LOOKED_AT: usize = 1000;
/// Rows are written in pieces of about this many bytes.
const PIECE: usize = 64 * 1024;

/// Writes a result as it comes.
pub(super) async fn print(
    session: &mut Session<'_>,
    rows: &mut RowStream,
    shape: Shape,
) -> Result<(), Fault> {
    let columns = rows.columns().to_vec();
    let count = match shape {
        Shape::Table => table(session, rows, &columns).await?,
        Shape::Expanded => {
            let color = session.color();
            let draw = |number, row: &Map<String, Value>| expanded(number, &columns, row, color);
            each(session, rows, draw).await?
        }
        Shape::Csv => {
            if !session.global.no_headers {
                let head = csv::head(columns.iter().map(|column| column.name.as_str()));
                session.terminal.data(head.as_bytes())?;
            }
            let line = |_, row: &Map<String, Value>| {
                csv::row(columns.iter().map(|column| row.get(&column.name).unwrap_or(&Value::Null)))
            };
            each(session, rows, line).await?
        }
        Shape::Json => json(session, rows, &columns).await?,
    };
    session.terminal.flush()?;
    if matches!(shape, Shape::Table | Shape::Expanded) {
        match (columns.is_empty(), count) {
            (true, 0) => session.say("done"),
            (_, 1) => session.say("(1 row)"),
            (_, count) => session.say(&format!("({count} rows)")),
        }
    }
    if rows.truncated() {
        session.say("the result was cut: there are more rows than the limit; --max-rows and the service's `max_rows` set it");
    }
    Ok(())
}

async fn table(session: &mut Session<'_>, rows: &mut RowStream, columns: &[SqlColumn]) -> Result<u64, Fault> {
    let mut first = Vec::new();
    while first.len() < LOOKED_AT {
        match rows.next().await? {
            Some(row) => first.push(row),
            None => break,
        }
    }
    let table = Table::new(columns, &first, session.color());
    let mut drawn = String::new();
    if !session.global.no_headers && !columns.is_empty() {
        drawn.push_str(&table.head());
    }
    drawn.extend(first.iter().map(|row| table.row(row)));
    session.terminal.data(drawn.as_bytes())?;
    let more = each(session, rows, |_, row| table.row(row)).await?;
    Ok(first.len() as u64 + more)
}

/// Writes each row that is left; how many there were.
async fn each(
    session: &mut Session<'_>,
    rows: &mut RowStream,
    mut draw: impl FnMut(u64, &Map<String, Value>) -> String,
) -> Result<u64, Fault> {
    let (mut count, mut piece) = (0, String::new());
    let ended = loop {
        match rows.next().await {
            Ok(Some(row)) => {
                count += 1;
                piece.push_str(&draw(count, &row));
            }
            Ok(None) => break Ok(count),
            Err(error) => break Err(error.into()),
        }
        if piece.len() > PIECE {
            session.terminal.data(piece.as_bytes())?;
            piece.clear();
        }
    };
    session.terminal.data(piece.as_bytes())?;
    ended
}

/// As the API writes it, a row on a line.
async fn json(session: &mut Session<'_>, rows: &mut RowStream, columns: &[SqlColumn]) -> Result<u64, Fault> {
    let columns: Vec<Value> = columns
        .iter()
        .map(|column| serde_json::json!({ "name": column.name, "type": column.kind }))
        .collect();
    let head = format!("{{\n  \"columns\": {},\n  \"rows\": [", Value::Array(columns));
    session.terminal.data(head.as_bytes())?;
    let line = |number, row: &Map<String, Value>| {
        let row = serde_json::to_string(row).expect("a row has text for names");
        format!("{}\n    {row}", if number == 1 { "" } else { "," })
    };
    let count = each(session, rows, line).await?;
    let truncated = if rows.truncated() { ",\n  \"truncated\": true" } else { "" };
    let end = if count == 0 { "]" } else { "\n  ]" };
    session.terminal.data(format!("{end},\n  \"row_count\": {count}{truncated}\n}}\n").as_bytes())?;
    Ok(count)
}
