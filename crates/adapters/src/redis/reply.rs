//! Answers of the client library in the shapes that callers take.

use bytes::Bytes;
use redis::{ServerError, Value, VerbatimFormat};

use super::failure::words;
use crate::key_value::Reply;

/// An answer as the second version of the protocol has it; a refusal stands where it was told.
pub(super) fn reply(value: Value) -> Result<Reply, ServerError> {
    match value {
        Value::ServerError(refusal) => Err(refusal),
        other => Ok(within(other)),
    }
}

fn within(value: Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Okay => Reply::Ok,
        Value::Int(number) => Reply::Integer(number),
        Value::BulkString(bytes) => Reply::Bytes(bytes.into()),
        Value::SimpleString(text) => Reply::Simple(text.into()),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => list(items),
        Value::Map(pairs) => {
            Reply::List(pairs.into_iter().flat_map(|(key, value)| [within(key), within(value)]).collect())
        }
        Value::Attribute { data, .. } => within(*data),
        Value::Double(number) => Reply::Bytes(number.to_string().into()),
        Value::Boolean(truth) => Reply::Integer(i64::from(truth)),
        Value::VerbatimString { format: VerbatimFormat::Text | VerbatimFormat::Markdown, text }
        | Value::VerbatimString { text, .. } => Reply::Bytes(text.into()),
        Value::BigNumber(digits) => Reply::Bytes(digits.into()),
        Value::ServerError(refusal) => Reply::Error(words(&refusal).into()),
        // The library may learn further shapes; none of them is of the second version.
        _ => Reply::Nil,
    }
}

fn list(items: Vec<Value>) -> Reply {
    Reply::List(items.into_iter().map(within).collect())
}

/// A whole number.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Boolean(truth) => Some(i64::from(*truth)),
        _ => None,
    }
}

/// Bytes of any kind.
pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        Value::VerbatimString { text, .. } => Some(text.into()),
        _ => None,
    }
}

/// A text, lossless or not at all.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}
