//! Arguments of a statement, read from the text that they are in the body: nothing is rounded on the way.

use std::borrow::Cow;

use adapters::sql::Argument;
use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::data::cache::bodies::BASE64;

/// `{"value": "…", "encoding": "base64"}`: bytes. Any other object is JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded<'b> {
    #[serde(borrow)]
    value: Cow<'b, str>,
    #[serde(rename = "encoding")]
    _encoding: Encoding,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Base64,
}

/// One argument.
///
/// # Errors
/// What is wrong with it, as a phrase that goes on from its name.
pub(super) fn argument(raw: &RawValue) -> Result<Argument, String> {
    let text = raw.get();
    match text.as_bytes() {
        b"null" => Ok(Argument::Null),
        b"true" => Ok(Argument::Bool(true)),
        b"false" => Ok(Argument::Bool(false)),
        [b'"', inner @ ..] if !inner.contains(&b'\\') => Ok(Argument::Text(text[1..text.len() - 1].into())),
        [b'"', ..] => match serde_json::from_str::<String>(text) {
            Ok(text) => Ok(Argument::Text(text.into())),
            Err(_) => Err("has an escape that stands for no character".to_owned()),
        },
        [b'{', ..] => object(text),
        [b'[', ..] => Ok(Argument::Json(text.into())),
        _ => number(text),
    }
}

fn object(text: &str) -> Result<Argument, String> {
    // Few objects are bytes, and most of the others need no second look.
    if text.contains("base64")
        && let Ok(Encoded { value, .. }) = serde_json::from_str(text)
    {
        return match BASE64.decode(&*value) {
            Ok(bytes) => Ok(Argument::Bytes(bytes.into())),
            Err(error) => Err(format!("says it is base64 and is not: {error}")),
        };
    }
    Ok(Argument::Json(text.into()))
}

/// Any engine can tell how large it is; how many of its digits count is the engine's to say.
fn number(text: &str) -> Result<Argument, String> {
    if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Argument::Number(text.into())),
            _ => Err("is a number beyond 64 bits; send it as text".to_owned()),
        };
    }
    match text.parse() {
        Ok(whole) => Ok(Argument::Integer(whole)),
        Err(_) => Err("is a whole number beyond 64 bits; send it as text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Argument, String> {
        argument(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn arguments_are_what_they_are_written_as() {
        let text = |text: &str| Argument::Text(text.into());
        let json = |text: &str| Argument::Json(text.into());
        let number = |text: &str| Argument::Number(text.into());
        for (written, expected) in [
            ("null", Argument::Null),
            ("true", Argument::Bool(true)),
            ("false", Argument::Bool(false)),
            ("0", Argument::Integer(0)),
            ("-0", Argument::Integer(0)),
            ("9223372036854775807", Argument::Integer(i64::MAX)),
            ("-9223372036854775808", Argument::Integer(i64::MIN)),
            ("1.0", number("1.0")),
            ("1.10", number("1.10")),
            ("-1.5e3", number("-1.5e3")),
            ("123456789.123456789012345", number("123456789.123456789012345")),
            ("\"\"", text("")),
            ("\"null\"", text("null")),
            ("\"ü '1'\"", text("ü '1'")),
            ("\"a\\n\\\"b\\\" \\u00fc \\ud83d\\ude00\"", text("a\n\"b\" ü 😀")),
            ("[]", json("[]")),
            ("[1, 12345678901234567890123]", json("[1, 12345678901234567890123]")),
            ("{\"b\": 1, \"a\": 1.10}", json("{\"b\": 1, \"a\": 1.10}")),
            ("{\"value\": \"AP8=\", \"encoding\": \"base64\"}", Argument::Bytes(vec![0, 255].into())),
            ("{\"encoding\": \"base64\", \"value\": \"AP8\"}", Argument::Bytes(vec![0, 255].into())),
            ("{\"value\": \"\", \"encoding\": \"base64\"}", Argument::Bytes(Vec::new().into())),
            // What only looks alike is JSON.
            ("{\"value\": \"AP8=\"}", json("{\"value\": \"AP8=\"}")),
            ("{\"value\": 1, \"encoding\": \"base64\"}", json("{\"value\": 1, \"encoding\": \"base64\"}")),
            ("{\"value\": \"x\", \"encoding\": \"hex\"}", json("{\"value\": \"x\", \"encoding\": \"hex\"}")),
            (
                "{\"value\": \"AP8=\", \"encoding\": \"base64\", \"a\": 1}",
                json("{\"value\": \"AP8=\", \"encoding\": \"base64\", \"a\": 1}"),
            ),
        ] {
            assert_eq!(read(written), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_said_exactly_is_refused() {
        for (written, expected) in [
            ("9223372036854775808", "send it as text"),
            ("-9223372036854775809", "send it as text"),
            ("12345678901234567890123", "send it as text"),
            ("1e400", "send it as text"),
            ("\"\\ud800\"", "no character"),
            ("{\"value\": \"?\", \"encoding\": \"base64\"}", "base64"),
        ] {
            let fault = read(written).unwrap_err();
            assert!(fault.contains(expected), "{written}: {fault}");
        }
    }
}
