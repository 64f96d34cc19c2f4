//! Values and arguments for clients that speak in the server's own terms: its text, unless they ask for JSON.
//!
//! What is told as JSON here is what those clients know from elsewhere, and less than what we tell: true and false,
//! numbers of at most 32 bits or with a fraction, JSON, and arrays of these. All else is the server's text, so that
//! `int8` is text, `bytea` is `\x0aff` and times have a space in them.

use super::argument::{Said, elements, quote};
use super::write::value;
use super::{Catalog, Kind, bytea};
use crate::sql::Argument;

/// The types of numbers that are told as numbers: `int2` and `int4`.
const NUMBERS: [u32; 2] = [21, 23];

/// The arrays of those.
const ARRAYS: [u32; 2] = [1005, 1007];

/// The argument as text, none for null. Nothing is converted, whatever the type; a list is an array, list in list for
/// each dimension. One that cannot be read stays as it is, which the server refuses.
pub(in crate::postgres) fn verbatim(argument: &Argument) -> Option<Vec<u8>> {
    let text = match Said::of(argument) {
        Said::Null => return None,
        Said::List(json) => {
            let mut text = String::with_capacity(json.len() + 2);
            match array(json, &mut text) {
                Ok(()) => text,
                Err(_) => json.to_owned(),
            }
        }
        said => scalar(said),
    };
    Some(text.into_bytes())
}

/// Writes a value as one JSON value. A type that the catalogue has not learned is told as text.
pub(in crate::postgres) fn tell(catalog: &Catalog, oid: u32, cell: &str, out: &mut Vec<u8>) {
    let kind = catalog.find(oid).map_or(Kind::Text, |known| known.kind);
    match &kind {
        Kind::Array(element, delimiter) => {
            let element = plainer(element, ARRAYS.contains(&oid));
            value(cell, &Kind::Array(element.into(), *delimiter), out);
        }
        kind => value(cell, &plainer(kind, NUMBERS.contains(&oid)), out),
    }
}

/// The kind as those clients know it.
fn plainer(kind: &Kind, is_number: bool) -> Kind {
    match kind {
        Kind::Bool | Kind::Float | Kind::Json => kind.clone(),
        Kind::Integer if is_number => Kind::Integer,
        _ => Kind::Text,
    }
}

fn scalar(said: Said<'_>) -> String {
    match said {
        Said::Null => String::new(),
        Said::Bool(value) => value.to_string(),
        Said::Number(text) | Said::Text(text) => text.into_owned(),
        Said::List(json) | Said::Object(json) => json.to_owned(),
        Said::Bytes(bytes) => bytea::escaped(bytes),
    }
}

fn array(json: &str, out: &mut String) -> Result<(), String> {
    out.push('{');
    for (at, raw) in elements(json)?.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match Said::within(raw)? {
            Said::Null => out.push_str("NULL"),
            Said::List(inner) => array(inner, out)?,
            said => quote(&scalar(said), out),
        }
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_the_servers_own_text() {
        for (argument, expected) in [
            (Argument::Null, None),
            (Argument::Bool(true), Some("true")),
            (Argument::Integer(-5), Some("-5")),
            (Argument::Number("1.5".into()), Some("1.5")),
            (Argument::Text("abcd".into()), Some("abcd")),
            (Argument::Bytes(vec![0, 255].into()), Some(r"\x00ff")),
            (Argument::Json(r#"{"a": 1.10}"#.into()), Some(r#"{"a": 1.10}"#)),
            (
                Argument::Json(r#"[1, null, "a\"\\", [true, "NULL"], {"b": "c"}]"#.into()),
                Some(r#"{"1",NULL,"a\"\\",{"true","NULL"},"{\"b\": \"c\"}"}"#),
            ),
        ] {
            let text = verbatim(&argument).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(text.as_deref(), expected);
        }
        let broken = r#"["\ud800"]"#;
        assert_eq!(verbatim(&Argument::Json(broken.into())), Some(broken.into()));
    }

    #[test]
    fn little_is_told_as_json() {
        for (oid, cell, json) in [
            (16, "t", "true"),
            (23, "-1", "-1"),
            (20, "1", r#""1""#),
            (26, "1", r#""1""#),
            (701, "1e+300", "1e+300"),
            (701, "NaN", r#""NaN""#),
            (1700, "1.10", r#""1.10""#),
            (114, r#"{"a": 1.10}"#, r#"{"a": 1.10}"#),
            (17, r"\x00ff", r#""\\x00ff""#),
            (1184, "2026-01-31 12:00:00+00", r#""2026-01-31 12:00:00+00""#),
            (1007, "{1,NULL}", "[1,null]"),
            (1016, "{1}", r#"["1"]"#),
            (1000, "{{t},{f}}", "[[true],[false]]"),
            (1020, "{(1,1),(0,0);(2,2),(1,1)}", r#"["(1,1),(0,0)","(2,2),(1,1)"]"#),
            (99_999, "{1}", r#""{1}""#),
        ] {
            let mut out = Vec::new();
            tell(&Catalog::default(), oid, cell, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json, "{oid} {cell}");
        }
    }
}
