//! What a publish says: one message, or a list of them.

use std::borrow::Cow;

use adapters::queue::Message;
use base64::Engine;
use bytes::Bytes;
use model::Failure;
use model::field::{Field, Shape, field, word};
use serde::Deserialize;

use super::{Faults, MOST, TOPIC};
use crate::body::Table;
use crate::data::cache::bodies::{BASE64, Encoding};
use crate::data::queue::content::{Content, Headers};

const CONTENT: Field = field(
    "message",
    Shape::AnyOf(&[Shape::Text, Shape::List(&Shape::Integer(0, 255))]),
    "What it says: text, base64 where `encoding` says so, or a list of bytes.",
);
const KEY: Field = field(
    "key",
    Shape::Text,
    "Messages of one key stay in order; text, or base64 where `key_encoding` says so.",
);
const HEADERS: Field = field("headers", Shape::MapOf(&Shape::Text), "Names and texts that travel with it.");
const BASE64_ONLY: Shape = Shape::Choice(&[word("base64")]);
const ENCODING: Field =
    field("encoding", BASE64_ONLY, "How a `message` that is a text is written; left out, as it is.");
const KEY_ENCODING: Field = field("key_encoding", BASE64_ONLY, "How `key` is written; left out, as it is.");

/// One message of several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneBody<'b> {
    #[serde(borrow)]
    message: Content<'b>,
    key: Option<String>,
    headers: Option<Headers>,
    encoding: Option<Encoding>,
    key_encoding: Option<Encoding>,
}

const ONE: &[Field] = &[CONTENT.required(), KEY, HEADERS, ENCODING, KEY_ENCODING];

/// `{topic, message, key?, headers?, encoding?}` or `{topic, messages, encoding?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishBody<'b> {
    #[serde(borrow)]
    topic: Cow<'b, str>,
    #[serde(borrow)]
    message: Option<Content<'b>>,
    key: Option<String>,
    headers: Option<Headers>,
    encoding: Option<Encoding>,
    key_encoding: Option<Encoding>,
    #[serde(borrow)]
    messages: Option<Vec<OneBody<'b>>>,
}

impl Table for PublishBody<'_> {
    const NAME: &'static str = "QueuePublish";
    const FIELDS: &'static [Field] = &[
        TOPIC,
        CONTENT,
        KEY,
        HEADERS,
        ENCODING,
        KEY_ENCODING,
        field(
            "messages",
            Shape::List(&Shape::Fields(ONE)),
            "1 to 10000 messages, in place of `message`. The encodings hold for each that names none.",
        ),
    ];
}

impl<'b> PublishBody<'b> {
    /// The topic, and the messages in order.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(crate) fn messages(self) -> Result<(Cow<'b, str>, Vec<Message>), Failure> {
        let mut faults = Faults::default();
        faults.topic(&self.topic);
        let (encoding, key_encoding) = (self.encoding, self.key_encoding);
        let messages = match (self.message, self.messages) {
            (Some(message), None) => {
                let (key, headers) = (self.key, self.headers);
                vec![faults.message("", OneBody { message, key, headers, encoding, key_encoding })]
            }
            (None, Some(bodies)) => {
                for (path, there) in [("key", self.key.is_some()), ("headers", self.headers.is_some())] {
                    if there {
                        faults.add(path, "belongs to one message; write it in each of `messages`");
                    }
                }
                if bodies.is_empty() || bodies.len() > MOST {
                    faults.add("messages", &format!("must have 1 to {MOST} messages, not {}", bodies.len()));
                    return Err(faults.failure());
                }
                let ready = |(index, body): (usize, OneBody<'_>)| {
                    let encoding = body.encoding.or(encoding);
                    let key_encoding = body.key_encoding.or(key_encoding);
                    faults.message(&format!("messages[{index}]."), OneBody { encoding, key_encoding, ..body })
                };
                bodies.into_iter().enumerate().map(ready).collect()
            }
            (Some(_), Some(_)) => {
                faults.add("messages", "stands beside `message`; write one of them");
                Vec::new()
            }
            (None, None) => {
                faults.add("message", "is required, or `messages`, a list of them");
                Vec::new()
            }
        };
        faults.none_or((self.topic, messages))
    }
}

impl Faults {
    fn message(&mut self, path: &str, body: OneBody<'_>) -> Message {
        let value = match (body.message, body.encoding) {
            (Content::Bytes(bytes), _) => bytes.into(),
            (Content::Text(text), None) => Bytes::from(text.into_owned()),
            (Content::Text(text), Some(Encoding::Base64)) => self.base64(path, "message", &text),
        };
        let key = body.key.map(|key| match body.key_encoding {
            None => Bytes::from(key),
            Some(Encoding::Base64) => self.base64(path, "key", &key),
        });
        Message { key, value, headers: body.headers.unwrap_or_default().0 }
    }

    fn base64(&mut self, path: &str, name: &str, text: &str) -> Bytes {
        BASE64.decode(text).map(Bytes::from).unwrap_or_else(|error| {
            self.add(&format!("{path}{name}"), &format!("is not base64: {error}"));
            Bytes::new()
        })
    }
}
