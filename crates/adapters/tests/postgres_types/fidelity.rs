//! What is promised of values, written down once more: how each is told, and how what was told is given again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use throome_adapters::sql::Argument;

use super::catalog::Type;
use super::samples::is_vector;

/// The largest whole number that every reader of JSON has exactly.
const EXACT: i128 = 1 << 53;

/// Whether a value is told as it should be; `text` is the server's own, none for null.
pub(crate) fn told(kind: &Type, text: Option<&str>, json: &str) -> Result<(), String> {
    match text {
        None if json == "null" => Ok(()),
        None => Err("null is told as something".to_owned()),
        Some(text) => value(&kind.base, kind.arrays, text, json),
    }
}

/// A value that stands so many arrays deep.
fn value(base: &str, arrays: usize, text: &str, json: &str) -> Result<(), String> {
    match arrays.checked_sub(1) {
        None => scalar(base, text, json),
        Some(deeper) => list(base, deeper, text, json),
    }
}

fn scalar(base: &str, text: &str, json: &str) -> Result<(), String> {
    let expect = |expected: &str| {
        if json == expected { Ok(()) } else { Err(format!("`{expected}` is expected")) }
    };
    let as_text = || match serde_json::from_str::<String>(json) {
        Ok(told) if told == text => Ok(()),
        _ => Err("the server's text is expected".to_owned()),
    };
    match base {
        "bool" => expect(if text == "t" { "true" } else { "false" }),
        "int2" | "int4" | "int8" | "oid" | "xid" | "cid" | "xid8" => {
            let value: i128 = text.parse().map_err(|error| format!("{error}"))?;
            if value.abs() <= EXACT { expect(text) } else { expect(&format!("\"{text}\"")) }
        }
        "float4" | "float8" if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            let (told, meant): (f64, f64) =
                (json.parse().map_err(|_| "no number")?, text.parse().map_err(|_| "no number")?);
            if told.to_bits() == meant.to_bits() { Ok(()) } else { Err("another number".to_owned()) }
        }
        // Space around it is no part of a value where it is nested.
        "json" | "jsonb" => expect(text.trim()),
        "bytea" => {
            let base64: String = serde_json::from_str(json).map_err(|error| error.to_string())?;
            let bytes = STANDARD.decode(base64).map_err(|error| error.to_string())?;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if text == format!("\\x{hex}") { Ok(()) } else { Err("other bytes".to_owned()) }
        }
        "timestamp" | "timestamptz" if in_rfc_3339(text) => {
            // `2026-01-31 12:00:00.5+00`, since psql was told to be in UTC.
            expect(&format!("\"{}\"", text.replace(' ', "T").replace("+00", "Z")))
        }
        _ => as_text(),
    }
}

/// Whether RFC 3339 has a form for it.
fn in_rfc_3339(text: &str) -> bool {
    !text.ends_with("BC") && text.find('-') == Some(4)
}

/// Arrays: the same elements in the same order and depth.
fn list(base: &str, deeper: usize, text: &str, json: &str) -> Result<(), String> {
    let delimiter = if base == "box" { ';' } else { ',' };
    let mut left = text.trim_start_matches(|c| c != '{').chars().peekable();
    let whole: &RawValue = serde_json::from_str(json).map_err(|error| error.to_string())?;
    nested(base, deeper, delimiter, &mut left, whole)?;
    if left.next().is_none() { Ok(()) } else { Err("there is more in the text".to_owned()) }
}

type Left<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// Reads the text as the manual describes it, element by element beside the JSON.
fn nested(
    base: &str,
    deeper: usize,
    delimiter: char,
    left: &mut Left<'_>,
    json: &RawValue,
) -> Result<(), String> {
    if left.next() != Some('{') {
        return Err("a list is told where the text has none".to_owned());
    }
    let elements: Vec<&RawValue> = serde_json::from_str(json.get()).map_err(|error| error.to_string())?;
    let mut elements = elements.into_iter();
    loop {
        let mut element = || elements.next().ok_or("an element is missing".to_owned());
        match left.peek() {
            Some('}') => {
                left.next();
                return if elements.next().is_none() { Ok(()) } else { Err("too many elements".to_owned()) };
            }
            Some('{') => nested(base, deeper, delimiter, left, element()?)?,
            Some('"') => {
                left.next();
                let mut text = String::new();
                loop {
                    match left.next().ok_or("the text ends in quotes")? {
                        '"' => break,
                        '\\' => text.push(left.next().ok_or("the text ends in quotes")?),
                        plain => text.push(plain),
                    }
                }
                value(base, deeper, &text, element()?.get())?;
            }
            _ => {
                let mut text = String::new();
                while let Some(plain) = left.next_if(|c| *c != delimiter && *c != '}') {
                    text.push(plain);
                }
                let element = element()?.get();
                match text.as_str() {
                    "NULL" if element == "null" => {}
                    "NULL" => return Err("null is told as something".to_owned()),
                    text => value(base, deeper, text, element)?,
                }
            }
        }
        left.next_if_eq(&delimiter);
    }
}

/// What came out as something to give, as whoever sends JSON has it; none where that is known to be something else:
/// the null of JSON is told as the null of SQL is.
pub(crate) fn argument(kind: &Type, json: &str) -> Option<Argument> {
    let is_json = matches!(kind.base.as_str(), "json" | "jsonb");
    let is_list = kind.arrays > 0;
    if is_json && is_list {
        // Strings in an array of JSON are JSON text, and nulls are those of SQL.
        let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let one_dimension = !elements.iter().any(|element| element.get().starts_with('['));
        let sent = elements.iter().map(|element| match element.get() {
            text if text.starts_with('"') => serde_json::to_string(text).expect("a text is JSON"),
            other => other.to_owned(),
        });
        let sent = sent.collect::<Vec<_>>().join(",");
        return one_dimension.then(|| Argument::Json(format!("[{sent}]").into()));
    }
    if is_json && json.starts_with('"') {
        return Some(Argument::Text(json.into()));
    }
    Some(match json.as_bytes() {
        b"null" if is_json => return None,
        b"null" => Argument::Null,
        b"true" => Argument::Bool(true),
        b"false" => Argument::Bool(false),
        [b'"', ..] => Argument::Text(serde_json::from_str::<String>(json).ok()?.into()),
        [b'[' | b'{', ..] => Argument::Json(json.into()),
        // It would be sent without its sign.
        b"-0" if is_json => return None,
        _ => match json.parse() {
            Ok(whole) => Argument::Integer(whole),
            Err(_) => Argument::Number(json.into()),
        },
    })
}

/// The SQL that says whether what was given is the value: by their texts, since not every type has an equality.
pub(crate) fn same(kind: &Type, given: &str, value: &str) -> String {
    match kind.base.as_str() {
        // Servers before 14 cannot take arrays of these apart. They begin at one here.
        _ if kind.arrays > 0 && is_vector(kind) => {
            format!("format('%L', {given}) = format('%L', {value})")
        }
        // Lists begin at one, and a number has no sign of nought.
        _ if kind.arrays > 0 => format!(
            "format('%s', ARRAY(SELECT unnest({given}))) = format('%s', ARRAY(SELECT unnest({value}))) \
             AND array_ndims({given}) IS NOT DISTINCT FROM array_ndims({value})"
        ),
        "json" => format!("btrim(({given})::text) IS NOT DISTINCT FROM btrim(({value})::text)"),
        "float4" | "float8" => format!("{given} IS NOT DISTINCT FROM {value}"),
        _ => format!("format('%L', {given}) = format('%L', {value})"),
    }
}
