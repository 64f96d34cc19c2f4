//! What stands in a line or a text, as a value.

use redis::{ServerError, Value, VerbatimFormat};

use super::{GARBLED, Garbled};

/// Whatever bytes stand there: a script may say any.
pub(super) fn simple(line: &[u8]) -> Value {
    match std::str::from_utf8(line) {
        Ok("OK") => Value::Okay,
        Ok(text) => Value::SimpleString(text.to_owned()),
        Err(_) => Value::BulkString(line.to_vec()),
    }
}

pub(super) fn refused(words: &[u8]) -> Result<Value, Garbled> {
    refusal(&String::from_utf8_lossy(words)).map(Value::ServerError).ok_or(GARBLED)
}

/// What these words of a server are; only the library makes one of them.
pub(in crate::redis) fn refusal(words: &str) -> Option<ServerError> {
    let line = format!("-{}\r\n", words.replace(['\r', '\n'], " "));
    match redis::parse_redis_value(line.as_bytes()) {
        Ok(Value::ServerError(refusal)) => Some(refusal),
        _ => None,
    }
}

/// A text with the name of its form before it.
pub(super) fn verbatim(bytes: &[u8]) -> Result<Value, Garbled> {
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or(GARBLED)?;
    let format = match &bytes[..colon] {
        b"txt" => VerbatimFormat::Text,
        b"mkd" => VerbatimFormat::Markdown,
        other => VerbatimFormat::Unknown(String::from_utf8_lossy(other).into_owned()),
    };
    Ok(Value::VerbatimString { format, text: String::from_utf8_lossy(&bytes[colon + 1..]).into_owned() })
}

/// How long something is; `None` is nothing at all.
pub(super) fn length(line: &[u8]) -> Result<Option<usize>, Garbled> {
    match number(line)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| GARBLED),
    }
}

pub(super) fn number(line: &[u8]) -> Result<i64, Garbled> {
    ascii(line)?.parse().map_err(|_| GARBLED)
}

pub(super) fn ascii(line: &[u8]) -> Result<&str, Garbled> {
    std::str::from_utf8(line).map_err(|_| GARBLED)
}
