//! What commands give, and how it is written: as text, or as base64.

use adapters::key_value::Value;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use model::{Code, Failure};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::command::refusal;
use crate::data::cache::bodies::base64;
use crate::respond::json;

/// Bytes of keys and values in one answer.
const MOST_BYTES: usize = 64 << 20;

/// What a command gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// It was done.
    Ok,
    /// A word of the protocol.
    Word(&'static str),
    Nil,
    Integer(i64),
    Bytes(Bytes),
    List(Vec<Reply>),
}

impl Reply {
    /// A value, if there is one.
    pub(super) fn found(value: Option<Value>) -> Reply {
        value.map_or(Reply::Nil, |value| Reply::Bytes(value.bytes))
    }

    pub(super) fn count(count: usize) -> Reply {
        Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn yes(yes: bool) -> Reply {
        Reply::Integer(i64::from(yes))
    }

    fn size(&self) -> usize {
        match self {
            Reply::Bytes(bytes) => bytes.len(),
            Reply::List(list) => list.iter().map(Reply::size).sum(),
            Reply::Ok | Reply::Word(_) | Reply::Nil | Reply::Integer(_) => 0,
        }
    }

    fn is_text(&self) -> bool {
        match self {
            Reply::Bytes(bytes) => std::str::from_utf8(bytes).is_ok(),
            Reply::List(list) => list.iter().all(Reply::is_text),
            Reply::Ok | Reply::Word(_) | Reply::Nil | Reply::Integer(_) => true,
        }
    }
}

/// What is left of an answer's size.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Budget(MOST_BYTES)
    }
}

impl Budget {
    /// Lets a reply through that still has room.
    pub(super) fn take(&mut self, reply: Reply) -> Result<Reply, Failure> {
        let Some(left) = self.0.checked_sub(reply.size()) else {
            let detail = format!(
                "ERR the command was carried out, and what it gives is more than fits in an answer of {MOST_BYTES} bytes"
            );
            return Err(refusal(detail));
        };
        self.0 = left;
        Ok(reply)
    }
}

/// How replies are to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    base64: bool,
}

impl Form {
    /// What the headers ask for.
    ///
    /// # Errors
    /// `invalid_request` for what is not known here.
    pub(super) fn asked(headers: &HeaderMap) -> Result<Self, Failure> {
        let known = |name: &str, known: &str| match headers.get(name) {
            None => Ok(false),
            Some(value) if value.as_bytes().eq_ignore_ascii_case(known.as_bytes()) => Ok(true),
            Some(_) => {
                Err(Failure::client(Code::InvalidRequest, format!("`{name}` is `{known}` or left out here.")))
            }
        };
        known("upstash-response-format", "json")?;
        Ok(Form { base64: known("upstash-encoding", "base64")? })
    }

    /// An answer of one reply.
    pub(super) fn one(self, reply: &Reply) -> Response<Bytes> {
        json(StatusCode::OK, &Written { item: Ok(reply), form: self })
    }

    /// An answer of many.
    pub(super) fn list(self, items: &[Result<Reply, Failure>]) -> Response<Bytes> {
        let items: Vec<_> = items.iter().map(|item| Written { item: item.as_ref(), form: self }).collect();
        json(StatusCode::OK, &items)
    }
}

struct Written<'r> {
    item: Result<&'r Reply, &'r Failure>,
    form: Form,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.item {
            Ok(reply) => {
                let as_text = !self.form.base64 && reply.is_text();
                map.serialize_entry("result", &Encoded { reply, base64: !as_text })?;
                if !self.form.base64 && !as_text {
                    map.serialize_entry("encoding", "base64")?;
                }
            }
            // Clients look at its first word.
            Err(failure) if failure.native().is_some() || failure.detail().starts_with("ERR ") => {
                map.serialize_entry("error", failure.detail())?;
            }
            Err(failure) => map.serialize_entry("error", &format!("ERR {}", failure.detail()))?,
        }
        map.end()
    }
}

struct Encoded<'r> {
    reply: &'r Reply,
    base64: bool,
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.reply {
            Reply::Ok => serializer.serialize_str("OK"),
            Reply::Nil => serializer.serialize_none(),
            Reply::Integer(number) => serializer.serialize_i64(*number),
            Reply::Word(word) if self.base64 => serializer.serialize_str(&base64(word.as_bytes())),
            Reply::Word(word) => serializer.serialize_str(word),
            Reply::Bytes(bytes) if self.base64 => serializer.serialize_str(&base64(bytes)),
            // Looked at before.
            Reply::Bytes(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            Reply::List(list) => {
                serializer.collect_seq(list.iter().map(|reply| Encoded { reply, base64: self.base64 }))
            }
        }
    }
}

/// What a command gives, as the OpenAPI document has it.
#[derive(ToSchema)]
#[schema(as = CommandResult)]
#[expect(dead_code, reason = "replies are written as they come; this says their shape")]
pub(crate) struct OneResult {
    /// A text, a whole number, null, or a list of such.
    result: serde_json::Value,
    /// `base64` where the texts of the result are, though nobody asked.
    encoding: Option<String>,
}

/// What one command of several gives.
#[derive(ToSchema)]
#[schema(as = CommandItem)]
#[expect(dead_code, reason = "replies are written as they come; this says their shape")]
pub(crate) struct ManyItem {
    /// A text, a whole number, null, or a list of such.
    result: Option<serde_json::Value>,
    /// Why it failed, beginning with a word that says of which kind: `ERR`.
    error: Option<String>,
    /// `base64` where the texts of the result are, though nobody asked.
    encoding: Option<String>,
}
