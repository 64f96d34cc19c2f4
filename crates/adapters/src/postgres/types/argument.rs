//! Arguments of a statement, as the text that the server reads for the type that it reports.
//!
//! - True, false and numbers are given for any type whose text form they are: 5 for `int4`, `numeric`, `text`. A number
//!   with a fraction is none for a whole one, and true is no number.
//! - Text is the server's own text form of any type. For `json` and `jsonb` that is JSON text, so the string `a` is sent
//!   as `"\"a\""`: a text that were JSON only at times would be stored as something else at times. For `bytea` it is
//!   base64, as bytes are told, or the server's `\x0aff`.
//! - A list is an array, list in list for each dimension, or JSON. In an array of JSON what stands in the list is JSON, so
//!   that such an array has one dimension, as has one whose elements are arrays by the name of a domain.
//! - An object is JSON, or bytes where it is `{"value": "…", "encoding": "base64"}`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Delimiter, Kind, Known, bytea};
use crate::sql::Argument;

/// What stands for one value, wherever it was written. Numbers are as they were written.
pub(super) enum Said<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// A list, as JSON text.
    List(&'a str),
    /// An object, as JSON text.
    Object(&'a str),
}

/// The argument as text, none for null.
///
/// # Errors
/// What is wrong with it, as a phrase that goes on from its name.
pub(in crate::postgres) fn argument(argument: &Argument, known: &Known) -> Result<Option<Vec<u8>>, String> {
    let text = match Said::of(argument) {
        Said::Null => return Ok(None),
        Said::List(list) if let Kind::Array(element, delimiter) = &known.kind => {
            let mut text = String::with_capacity(list.len() + 2);
            let place = Place { element, delimiter: *delimiter, name: &known.name };
            place.list(list, &mut text)?;
            Cow::Owned(text)
        }
        said => scalar(said, &known.kind, &known.name)?,
    };
    Ok(Some(text.into_owned().into_bytes()))
}

impl<'a> Said<'a> {
    pub(super) fn of(argument: &'a Argument) -> Said<'a> {
        match argument {
            Argument::Null => Said::Null,
            Argument::Bool(value) => Said::Bool(*value),
            Argument::Integer(value) => Said::Number(value.to_string().into()),
            Argument::Number(text) => Said::Number((&**text).into()),
            Argument::Text(text) => Said::Text((&**text).into()),
            Argument::Bytes(bytes) => Said::Bytes(bytes),
            Argument::Json(json) if json.trim_start().starts_with('[') => Said::List(json),
            Argument::Json(json) => Said::Object(json),
        }
    }

    /// What stands in a list.
    pub(super) fn within(raw: &'a RawValue) -> Result<Said<'a>, String> {
        let text = raw.get();
        Ok(match text.as_bytes() {
            b"null" => Said::Null,
            b"true" => Said::Bool(true),
            b"false" => Said::Bool(false),
            [b'"', ..] => {
                let text: String = serde_json::from_str(text)
                    .map_err(|_| "has an escape that stands for no character".to_owned())?;
                Said::Text(text.into())
            }
            [b'[', ..] => Said::List(text),
            [b'{', ..] => Said::Object(text),
            _ => Said::Number(text.into()),
        })
    }

    /// What it is, for a sentence.
    fn is(&self) -> Cow<'static, str> {
        match self {
            Said::Null => "null".into(),
            Said::Bool(value) => value.to_string().into(),
            Said::Number(_) => "a number".into(),
            Said::Text(_) => "text".into(),
            Said::Bytes(_) => "bytes".into(),
            Said::List(_) => "a list".into(),
            Said::Object(_) => "an object".into(),
        }
    }
}

/// One value that is no array and not null.
fn scalar<'a>(said: Said<'a>, kind: &Kind, name: &str) -> Result<Cow<'a, str>, String> {
    let (is, number) = (said.is(), matches!(kind, Kind::Integer | Kind::Float | Kind::Numeric));
    match (said, kind) {
        (Said::Text(text), Kind::Bytes) => match bytea::sent(&text) {
            Some(bytes) => Ok(bytea::escaped(&bytes).into()),
            None => {
                Err(format!("is text, and `{name}` wants bytes: send them as base64, or as `\\x` and hex"))
            }
        },
        (Said::Text(text), _) => Ok(text),
        (Said::Bytes(bytes), Kind::Bytes) => Ok(bytea::escaped(bytes).into()),
        (Said::Object(json), Kind::Bytes) if let Some(bytes) = encoded(json) => {
            Ok(bytea::escaped(&bytes).into())
        }
        (Said::List(json) | Said::Object(json), Kind::Json) => Ok(json.into()),
        (Said::Bool(value), Kind::Bool | Kind::Text | Kind::Json | Kind::Timestamp | Kind::TimestampTz) => {
            Ok(value.to_string().into())
        }
        (Said::Number(text), Kind::Integer) => {
            whole(text).ok_or_else(|| format!("is no whole number, and `{name}` wants one"))
        }
        (Said::Number(text), kind) if !matches!(kind, Kind::Bytes | Kind::Array(..)) => Ok(text),
        (Said::Bool(_), _) if number => Err(format!("is {is}, and `{name}` wants a number: send 1 or 0")),
        (Said::Bytes(_), Kind::Json) => Err(format!(
            "is bytes, and `{name}` wants JSON: send an object that looks like bytes as its text"
        )),
        (Said::List(_) | Said::Object(_), kind) if !matches!(kind, Kind::Bytes | Kind::Array(..)) => {
            Err(format!(
                "is {is}, and `{name}` wants a single value: send its text form, or cast the placeholder"
            ))
        }
        (_, Kind::Array(..)) => Err(format!("is {is}, and `{name}` wants a list")),
        _ => Err(format!("is {is}, and `{name}` does not take that")),
    }
}

/// A number as one without a fraction and an exponent, where it is one.
fn whole(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    /// No type of the server is as wide.
    const MOST: usize = 20;
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Some(text);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (&*text, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = [whole, fraction].concat();
    // Where the point is to stand among the digits, or behind them.
    let point = usize::try_from(i64::try_from(whole.len()).ok()?.checked_add(exponent)?).unwrap_or(0);
    let (kept, rest) = digits.split_at(point.min(digits.len()));
    let zeros = "0".repeat(point.saturating_sub(digits.len()).min(MOST + 1));
    let value = [kept, &zeros].concat();
    let value = value.trim_start_matches('0');
    let is_whole = rest.bytes().all(|byte| byte == b'0') && value.len() <= MOST;
    is_whole.then(|| format!("{sign}{}", if value.is_empty() { "0" } else { value }).into())
}

/// The bytes of `{"value": "…", "encoding": "base64"}`.
fn encoded(json: &str) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Encoded<'j> {
        #[serde(borrow)]
        value: Cow<'j, str>,
        encoding: Cow<'j, str>,
    }
    let said: Encoded<'_> = serde_json::from_str(json).ok()?;
    if said.encoding == "base64" { bytea::sent(&said.value) } else { None }
}

/// An array that is being written.
struct Place<'k> {
    element: &'k Arc<Kind>,
    delimiter: Delimiter,
    /// The array's type.
    name: &'k str,
}

impl Place<'_> {
    /// A list as the server's `{…}`. JSON nests no deeper than its reader lets it.
    fn list(&self, json: &str, out: &mut String) -> Result<(), String> {
        out.push('{');
        for (at, raw) in elements(json)?.into_iter().enumerate() {
            if at > 0 {
                out.push(char::from(self.delimiter.0));
            }
            match (Said::within(raw)?, &**self.element) {
                (Said::Null, _) => out.push_str("NULL"),
                // Where elements are lists themselves it is one of them, in all other arrays a dimension.
                (Said::List(inner), Kind::Array(element, delimiter)) => {
                    let mut text = String::with_capacity(inner.len() + 2);
                    Place { element, delimiter: *delimiter, name: self.inner() }.list(inner, &mut text)?;
                    quote(&text, out);
                }
                (Said::List(inner), kind) if *kind != Kind::Json => self.list(inner, out)?,
                (said, kind) => {
                    let text = scalar(said, kind, self.inner())
                        .map_err(|fault| format!("has an element, number {}, that {fault}", at + 1))?;
                    quote(&text, out);
                }
            }
        }
        out.push('}');
        Ok(())
    }

    /// The type of its elements.
    fn inner(&self) -> &str {
        self.name.strip_suffix("[]").unwrap_or(self.name)
    }
}

/// What stands in a list.
pub(super) fn elements(json: &str) -> Result<Vec<&RawValue>, String> {
    serde_json::from_str(json).map_err(|error| format!("is no list that can be read: {error}"))
}

/// An element in quotes: whatever it holds, it is one element, and never null.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.as_bytes().last() {
            Some(b'"' | b'\\') => {
                let (plain, mark) = part.split_at(part.len() - 1);
                out.push_str(plain);
                out.push('\\');
                out.push_str(mark);
            }
            _ => out.push_str(part),
        }
    }
    out.push('"');
}
