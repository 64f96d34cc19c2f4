//! Results as Neon's client reads them.

use std::collections::HashSet;

use adapters::sql::{NativeField, NativeResult, NativeSql};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use model::{Code, Failure};
use serde_json::json;
use utoipa::ToSchema;

use crate::respond;

/// What names may take in the rows of an answer, in bytes.
const NAMES: usize = 64 << 20;

/// How values are told.
pub(super) enum Values<'n> {
    /// As the server's text.
    Text,
    /// As JSON, by whom the result is from.
    Json(&'n dyn NativeSql),
}

/// How rows are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Objects,
    Lists,
}

impl Rows {
    pub(super) fn of(as_lists: bool) -> Rows {
        if as_lists { Rows::Lists } else { Rows::Objects }
    }
}

/// What one statement gave, as JSON.
///
/// # Errors
/// `query_failed` for a value that is not UTF-8, which JSON cannot hold.
pub(super) fn result(result: &NativeResult, rows: Rows, values: &Values<'_>) -> Result<Vec<u8>, Failure> {
    let fields: Vec<_> = result.fields.iter().map(field).collect();
    // `CREATE` of `CREATE TABLE`: those clients know the first word.
    let command = result.command.split(' ').next().unwrap_or_default();
    let head = json!({
        "fields": fields,
        "command": command,
        "rowCount": result.row_count,
        "rowAsArray": rows == Rows::Lists,
    });
    let mut out = head.to_string().into_bytes();
    // Rows go into it before its last brace.
    out.pop();
    out.extend_from_slice(b",\"rows\":[");
    let keys = keys(&result.fields, rows);
    for (at, row) in result.rows.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_row(row, &result.fields, &keys, rows, values, &mut out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Refuses results whose names alone would fill the memory: each row of objects repeats them, and the engine's limit
/// counts values.
///
/// # Errors
/// `too_large`.
pub(super) fn check_names(results: &[NativeResult], as_lists: &[bool]) -> Result<(), Failure> {
    let size = |(result, as_lists): (&NativeResult, &bool)| {
        let keys = keys(&result.fields, Rows::of(*as_lists));
        keys.iter().flatten().map(String::len).sum::<usize>().saturating_mul(result.rows.len())
    };
    let size = results.iter().zip(as_lists).map(size).fold(0_usize, usize::saturating_add);
    if size <= NAMES {
        return Ok(());
    }
    let detail = format!(
        "The names of columns, which each row repeats, are {size} bytes; at most {NAMES} are told. All was carried out."
    );
    Err(Failure::client(Code::TooLarge, detail).with_hint("Ask for rows as lists, by `arrayMode`."))
}

fn field(field: &NativeField) -> serde_json::Value {
    json!({
        "name": field.name,
        "dataTypeID": field.type_id,
        "tableID": field.table_id,
        "columnID": field.column_id,
        "dataTypeSize": field.type_size,
        "dataTypeModifier": field.type_modifier,
        "format": "text",
    })
}

/// What stands before each cell. Of columns with one name an object has the last, as those clients know it.
fn keys(fields: &[NativeField], rows: Rows) -> Vec<Option<String>> {
    if rows == Rows::Lists {
        return vec![Some(String::new()); fields.len()];
    }
    let mut later = HashSet::with_capacity(fields.len());
    let mut keys = Vec::with_capacity(fields.len());
    for field in fields.iter().rev() {
        keys.push(later.insert(&*field.name).then(|| format!("{}:", json!(field.name))));
    }
    keys.reverse();
    keys
}

fn write_row(
    row: &[Option<Bytes>],
    fields: &[NativeField],
    keys: &[Option<String>],
    rows: Rows,
    values: &Values<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let (open, close) = if rows == Rows::Lists { (b'[', b']') } else { (b'{', b'}') };
    out.push(open);
    let begin = out.len();
    for ((cell, field), key) in row.iter().zip(fields).zip(keys) {
        let Some(key) = key else { continue };
        if out.len() > begin {
            out.push(b',');
        }
        out.extend_from_slice(key.as_bytes());
        let Some(cell) = cell else {
            out.extend_from_slice(b"null");
            continue;
        };
        let text = str::from_utf8(cell).map_err(|_| not_text(&field.name))?;
        match values {
            // Writing to a vector cannot fail.
            Values::Text => drop(serde_json::to_writer(&mut *out, text)),
            Values::Json(native) => native.tell(field.type_id, text, out),
        }
    }
    out.push(close);
    Ok(())
}

fn not_text(column: &str) -> Failure {
    let detail = format!("The column `{column}` has text that is not UTF-8. The statement was carried out.");
    Failure::client(Code::QueryFailed, detail).with_hint("Read the column as bytes.")
}

/// The answer: the one result, or all of them in a list.
pub(super) fn written(results: &[Vec<u8>], several: bool) -> Response<Bytes> {
    let joined = results.join(&b","[..]);
    let body = if several { [&b"{\"results\":["[..], &joined, b"]}"].concat() } else { joined };
    respond::with(StatusCode::OK, HeaderValue::from_static("application/json"), body)
}

/// What a statement gives, as the OpenAPI document has it.
#[derive(ToSchema)]
#[expect(dead_code, non_snake_case, reason = "results are written as they come; this says their shape")]
pub(crate) struct NeonAnswer {
    /// Its columns: `name`, `dataTypeID` and further numbers of the server's.
    fields: Option<Vec<serde_json::Value>>,
    /// What it was, such as `SELECT`.
    command: Option<String>,
    /// How many rows it gave or changed, where the server says.
    rowCount: Option<u64>,
    /// Whether rows are lists.
    rowAsArray: Option<bool>,
    /// Its rows: objects by column, or lists.
    rows: Option<Vec<serde_json::Value>>,
    /// Of several statements, what each of them gave.
    results: Option<Vec<serde_json::Value>>,
}
