//! Cells of a result as JSON. SQLite gives each value a type of its own, and keeps the column's as it was declared:
//! where that says what a value means, the cell is told by it.

use disk::{Statement, ValueRef};

use super::failure::Stop;
use crate::sql::{RowShape, RowWriter};

/// How the cells of a column are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// By the type that the value has.
    AsItIs,
    /// 0 and 1 as false and true.
    Bool,
    /// Text that is JSON, as what it says.
    Json,
    /// Numbers as text, so that no reader rounds them.
    Decimal,
    /// Times as RFC 3339.
    Time,
}

/// Writes the rows of one result.
pub(super) struct Cells {
    writer: RowWriter,
    tellings: Box<[Telling]>,
    /// What each row takes beside its values, in bytes: names and marks, and numbers of some digits.
    frame: usize,
}

/// What the names of all columns of a result may take, in bytes: they are repeated in each row.
const NAMES: usize = 1 << 20;

/// What the names of a statement's columns take, if that is more than they may.
pub(super) fn overlong_names(statement: &Statement<'_>) -> Option<u64> {
    let size: usize = statement.columns().map(|column| column.name().len()).sum();
    (size > NAMES).then_some(NAMES as u64)
}

impl Cells {
    /// For a statement that stands at its first row, which has the types of expressions.
    pub(super) fn new(statement: &Statement<'_>, first: Option<&disk::Row<'_>>, shape: RowShape) -> Cells {
        let mut tellings = Vec::with_capacity(statement.column_count());
        let mut columns = Vec::with_capacity(statement.column_count());
        for (at, column) in statement.columns().enumerate() {
            let kind = match column.decl_type() {
                Some(declared) => base(declared),
                None => storage(first.and_then(|row| row.get_ref(at).ok())).to_owned(),
            };
            tellings.push(telling(&kind));
            columns.push((column.name().to_owned(), kind));
        }
        let names = match shape {
            RowShape::Objects => columns.iter().map(|(name, _)| name.len() + 3).sum(),
            RowShape::Arrays => 0,
        };
        let frame = names + columns.len() * 8;
        Cells { writer: RowWriter::new(columns, shape), tellings: tellings.into(), frame }
    }

    /// What has been written, and how much.
    pub(super) fn writer(&mut self) -> &mut RowWriter {
        &mut self.writer
    }

    /// What a row takes as JSON, nearly: all that may be long is counted to the byte.
    pub(super) fn size(&self, row: &disk::Row<'_>) -> u64 {
        let cell = |at| match row.get_ref(at) {
            Ok(ValueRef::Text(text)) => escaped(text),
            Ok(ValueRef::Blob(blob)) => blob.len().div_ceil(3) * 4,
            _ => 0,
        };
        ((0..self.tellings.len()).map(cell).sum::<usize>() + self.frame) as u64
    }

    /// Writes a row.
    pub(super) fn write(&mut self, row: &disk::Row<'_>) -> Result<(), Stop> {
        self.writer.begin();
        for (at, telling) in self.tellings.iter().enumerate() {
            let value = row.get_ref(at).map_err(|error| Stop::refused(error.to_string()))?;
            if !write(&mut self.writer, *telling, value) {
                let name = &self.writer.columns()[at].name;
                let message =
                    format!("The column `{name}` has text that is not UTF-8: read it as `CAST(… AS BLOB)`.");
                return Err(Stop::refused(message));
            }
        }
        self.writer.end();
        Ok(())
    }
}

/// What a text takes in JSON, where it is long enough to matter: control characters take up to six bytes each.
fn escaped(text: &[u8]) -> usize {
    const LONG: usize = 1 << 10;
    let more = |byte: &u8| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    let marks = if text.len() < LONG { 0 } else { text.iter().map(more).sum() };
    text.len() + marks
}

/// The declared type without its length: `varchar` of `VARCHAR(80)`.
fn base(declared: &str) -> String {
    let end = declared.find('(').unwrap_or(declared.len());
    declared[..end].trim().to_ascii_lowercase()
}

fn storage(value: Option<ValueRef<'_>>) -> &'static str {
    match value {
        None | Some(ValueRef::Null) => "null",
        Some(ValueRef::Integer(_)) => "integer",
        Some(ValueRef::Real(_)) => "real",
        Some(ValueRef::Text(_)) => "text",
        Some(ValueRef::Blob(_)) => "blob",
    }
}

fn telling(kind: &str) -> Telling {
    match kind {
        "boolean" | "bool" => Telling::Bool,
        "json" | "jsonb" => Telling::Json,
        "numeric" | "decimal" => Telling::Decimal,
        "timestamp"
        | "datetime"
        | "timestamptz"
        | "timestamp with time zone"
        | "timestamp without time zone" => Telling::Time,
        _ => Telling::AsItIs,
    }
}

/// False for text that is not UTF-8, which JSON cannot hold.
fn write(writer: &mut RowWriter, telling: Telling, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Null => writer.null(),
        ValueRef::Integer(value @ (0 | 1)) if telling == Telling::Bool => writer.bool(value == 1),
        ValueRef::Integer(value) if telling == Telling::Decimal => writer.text(&value.to_string()),
        ValueRef::Integer(value) => writer.integer(value),
        ValueRef::Real(value) if telling == Telling::Decimal && value.is_finite() => {
            writer.text(&value.to_string())
        }
        ValueRef::Real(value) => writer.float(value),
        ValueRef::Blob(value) => writer.bytes(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(text) => write_text(writer, telling, text),
            Err(_) => return false,
        },
    }
    true
}

fn write_text(writer: &mut RowWriter, telling: Telling, text: &str) {
    match telling {
        Telling::Json if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => writer.json(text),
        Telling::Time => match rfc3339(text) {
            Some(time) => writer.text(&time),
            None => writer.text(text),
        },
        _ => writer.text(text),
    }
}

/// `2026-01-31 12:00:00.5`, which is UTC by SQLite's own functions, as `2026-01-31T12:00:00.5Z`.
fn rfc3339(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let shaped = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().all(digits)
        && marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark))
        && matches!(bytes.get(10), Some(b' ' | b'T'));
    let rest = text.get(19..)?;
    let fraction = rest.is_empty()
        || rest.strip_prefix('.').is_some_and(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()));
    (shaped && fraction).then(|| format!("{}T{}Z", &text[..10], &text[11..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_sqlite_are_told_as_rfc_3339() {
        for (text, time) in [
            ("2026-01-31 12:00:00", Some("2026-01-31T12:00:00Z")),
            ("2026-01-31T12:00:00.125", Some("2026-01-31T12:00:00.125Z")),
            ("2026-01-31", None),
            ("2026-01-31 12:00", None),
            ("2026-01-31T12:00:00Z", None),
            ("2026-01-31 12:00:00.", None),
            ("2026-01-31 12:00:00+01:00", None),
            ("soon", None),
            ("2026-01-31ä12:00:00", None),
        ] {
            assert_eq!(rfc3339(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn declared_types_lose_their_length() {
        for (declared, kind) in [("VARCHAR(80)", "varchar"), ("NUMERIC (20, 4)", "numeric"), ("Text", "text")]
        {
            assert_eq!(base(declared), kind);
        }
    }
}
