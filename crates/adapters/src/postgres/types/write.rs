//! Values as JSON: the server's text of a cell, by the kind of its type.

use super::{Kind, array, bytea, times};
use crate::sql::RowWriter;
use crate::sql::write::{bytes, is_exact, text};

/// A cell is not UTF-8, which JSON cannot hold. It happens where the database's encoding is `SQL_ASCII`, and with
/// `"char"`. Nothing of the cell was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct NotText;

/// Writes a cell.
///
/// # Errors
/// When it is not text. The row cannot be ended then.
pub(in crate::postgres) fn write(
    cell: Option<&[u8]>,
    kind: &Kind,
    rows: &mut RowWriter,
) -> Result<(), NotText> {
    match cell {
        None => rows.null(),
        Some(cell) => {
            let cell = str::from_utf8(cell).map_err(|_| NotText)?;
            value(cell, kind, rows.next());
        }
    }
    Ok(())
}

/// Writes one value. A text that is not what its type promises is told as it is.
pub(super) fn value(cell: &str, kind: &Kind, out: &mut Vec<u8>) {
    match kind {
        Kind::Text | Kind::Numeric => text(cell, out),
        Kind::Bool => match cell {
            "t" => out.extend_from_slice(b"true"),
            "f" => out.extend_from_slice(b"false"),
            _ => text(cell, out),
        },
        // The server's digits are JSON's.
        Kind::Integer if is_safe(cell) => out.extend_from_slice(cell.as_bytes()),
        Kind::Float if is_number(cell) => out.extend_from_slice(cell.as_bytes()),
        Kind::Integer | Kind::Float => text(cell, out),
        Kind::Json => out.extend_from_slice(cell.as_bytes()),
        Kind::Timestamp => text(times::timestamp(cell).as_deref().unwrap_or(cell), out),
        Kind::TimestampTz => text(times::timestamptz(cell).as_deref().unwrap_or(cell), out),
        Kind::Bytes => match bytea::unescaped(cell) {
            Some(binary) => bytes(&binary, out),
            None => text(cell, out),
        },
        Kind::Array(element, delimiter) => {
            let begin = out.len();
            if !array::write(cell, *delimiter, out, |cell, out| value(cell, element, out)) {
                out.truncate(begin);
                text(cell, out);
            }
        }
    }
}

/// Whether it is a whole number that every reader of JSON has exactly.
fn is_safe(text: &str) -> bool {
    text.parse().is_ok_and(is_exact) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Whether it is a finite number: `NaN` and `Infinity` are not.
fn is_number(text: &str) -> bool {
    text.bytes().last().is_some_and(|byte| byte.is_ascii_digit())
}
