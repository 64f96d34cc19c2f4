//! What commands give, and how it is written: as text, or as base64.

use adapters::key_value::{Reply, Value};
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

fn size(reply: &Reply) -> usize {
    match reply {
        Reply::Bytes(bytes) | Reply::Simple(bytes) => bytes.len(),
        Reply::Error(text) => text.len(),
        Reply::List(list) => list.iter().map(size).sum(),
        Reply::Ok | Reply::Word(_) | Reply::Nil | Reply::Integer(_) => 0,
    }
}

fn is_text(reply: &Reply) -> bool {
    match reply {
        Reply::Bytes(bytes) | Reply::Simple(bytes) => std::str::from_utf8(bytes).is_ok(),
        Reply::List(list) => list.iter().all(is_text),
        Reply::Ok | Reply::Word(_) | Reply::Nil | Reply::Integer(_) | Reply::Error(_) => true,
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
        let Some(left) = self.0.checked_sub(size(&reply)) else {
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
            Ok(Reply::Error(text)) => map.serialize_entry("error", text)?,
            Ok(reply) => {
                let as_text = !self.form.base64 && is_text(reply);
                map.serialize_entry("result", &Encoded { reply, base64: !as_text, inner: false })?;
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
    /// It stands in a list, where clients take `OK` for base64 like any other text.
    inner: bool,
}

impl Encoded<'_> {
    fn text<S: Serializer>(&self, bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if self.base64 {
            return serializer.serialize_str(&base64(bytes));
        }
        // Looked at before.
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.reply {
            Reply::Ok if self.inner => self.text(b"OK", serializer),
            Reply::Ok => serializer.serialize_str("OK"),
            Reply::Nil => serializer.serialize_none(),
            Reply::Integer(number) => serializer.serialize_i64(*number),
            Reply::Word(word) => self.text(word.as_bytes(), serializer),
            Reply::Bytes(bytes) | Reply::Simple(bytes) => self.text(bytes, serializer),
            Reply::Error(text) => self.text(text.as_bytes(), serializer),
            Reply::List(list) => serializer.collect_seq(list.iter().map(|reply| Encoded {
                reply,
                base64: self.base64,
                inner: true,
            })),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn written(item: Reply, base64: bool) -> Json {
        let response = Form { base64 }.list(&[Ok(item)]);
        serde_json::from_slice::<Json>(response.body()).unwrap()[0].take()
    }

    #[test]
    fn replies_are_written_as_clients_read_them() {
        let text = |text: &'static str| Reply::Bytes(Bytes::from_static(text.as_bytes()));
        let simple = Reply::Simple(Bytes::from_static(b"string"));
        for (reply, plain, in_base64) in [
            (Reply::Ok, json!({ "result": "OK" }), json!({ "result": "OK" })),
            (Reply::Nil, json!({ "result": null }), json!({ "result": null })),
            (Reply::Integer(7), json!({ "result": 7 }), json!({ "result": 7 })),
            (Reply::Word("PONG"), json!({ "result": "PONG" }), json!({ "result": "UE9ORw==" })),
            (simple, json!({ "result": "string" }), json!({ "result": "c3RyaW5n" })),
            // Only an `OK` that stands alone is taken for itself.
            (
                Reply::List(vec![Reply::Ok, text("a"), Reply::List(vec![Reply::Nil, Reply::Ok])]),
                json!({ "result": ["OK", "a", [null, "OK"]] }),
                json!({ "result": ["T0s=", "YQ==", [null, "T0s="]] }),
            ),
            // A command that failed among others, and a failure that a script gives as a value.
            (Reply::Error("ERR no".into()), json!({ "error": "ERR no" }), json!({ "error": "ERR no" })),
            (
                Reply::List(vec![Reply::Error("ERR no".into())]),
                json!({ "result": ["ERR no"] }),
                json!({ "result": ["RVJSIG5v"] }),
            ),
        ] {
            assert_eq!(written(reply.clone(), false), plain);
            assert_eq!(written(reply, true), in_base64);
        }
        let bytes = Reply::List(vec![
            Reply::Bytes(Bytes::from_static(b"\xff")),
            Reply::Simple(Bytes::from_static(b"a")),
        ]);
        assert_eq!(written(bytes, false), json!({ "result": ["/w==", "YQ=="], "encoding": "base64" }));
    }

    #[test]
    fn an_answer_has_room_for_so_much() {
        let half = || Reply::List(vec![Reply::Simple(Bytes::from(vec![0; MOST_BYTES / 2]))]);
        let mut budget = Budget::default();
        assert!(budget.take(half()).is_ok() && budget.take(half()).is_ok());
        assert!(budget.take(Reply::Integer(1)).is_ok());
        assert_eq!(budget.take(Reply::Error("x".into())).unwrap_err().code(), Code::CommandFailed);
    }
}
