//! What a consumer is told, as it is written: events of a server-sent stream, or lines of JSON.

use std::fmt::Display;

use adapters::queue::Delivery;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/event-stream`, as WHATWG has it.
    Events,
    /// `application/x-ndjson`: one object on each line.
    Lines,
}

impl Format {
    /// Its media type.
    pub(super) fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Events => "text/event-stream",
            Format::Lines => "application/x-ndjson",
        })
    }

    /// What says that the stream lives, and nothing else.
    pub(super) fn heartbeat(self) -> &'static [u8] {
        match self {
            Format::Events => b": \n\n",
            Format::Lines => b"\n",
        }
    }

    /// An event that is no message.
    pub(super) fn event(self, name: &str, mut data: Value) -> Bytes {
        match self {
            Format::Events => format!("event: {name}\ndata: {data}\n\n").into(),
            Format::Lines => {
                if let Value::Object(fields) = &mut data {
                    fields.shift_insert(0, "event".to_owned(), json!(name));
                }
                format!("{data}\n").into()
            }
        }
    }

    /// Writes a message behind what is there.
    pub(super) fn message(self, topic: &str, delivery: &Delivery, out: &mut Vec<u8>) {
        let lines = self == Format::Lines;
        if !lines {
            out.extend_from_slice(b"event: message\nid: ");
            out.extend_from_slice(delivery.resume.as_bytes());
            out.extend_from_slice(b"\ndata: ");
        }
        let begun = out.len();
        if let Err(error) = serde_json::to_writer(&mut *out, &Message { topic, delivery, lines }) {
            // Nothing in it can fail; should it, half an object would be worse than none.
            tracing::error!(%error, "a message cannot be written as JSON");
            out.truncate(begun);
            out.extend_from_slice(b"{}");
        }
        out.extend_from_slice(if lines { b"\n" } else { b"\n\n" });
    }
}

/// Room that a message takes at most, when its text needs no escapes.
pub(super) fn room(delivery: &Delivery) -> usize {
    let headers: usize = delivery.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let tokens = delivery.ack.len() + delivery.resume.len();
    256 + tokens + headers + delivery.key.as_ref().map_or(0, Bytes::len) + delivery.value.len()
}

struct Message<'d> {
    topic: &'d str,
    delivery: &'d Delivery,
    /// A line says its event and how to resume behind it; in a stream of events these have their own fields.
    lines: bool,
}

impl Serialize for Message<'_> {
    /// By hand, so that nothing is copied but into the frame.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Delivery { partition, offset, key, value, headers, timestamp, delivery, ack, resume } =
            self.delivery;
        let mut map = serializer.serialize_map(None)?;
        if self.lines {
            map.serialize_entry("event", "message")?;
            map.serialize_entry("resume", resume)?;
        }
        map.serialize_entry("topic", self.topic)?;
        map.serialize_entry("partition", partition)?;
        map.serialize_entry("offset", offset)?;
        let key = key.as_deref().map(Words::of);
        map.serialize_entry("key", &key)?;
        if let Some(Words::Bytes(_)) = key {
            map.serialize_entry("key_encoding", "base64")?;
        }
        let value = Words::of(value);
        map.serialize_entry("value", &value)?;
        if let Words::Bytes(_) = value {
            map.serialize_entry("encoding", "base64")?;
        }
        let plain = headers.iter().all(|(_, value)| std::str::from_utf8(value).is_ok());
        map.serialize_entry("headers", &Headers { headers, plain })?;
        if !plain {
            map.serialize_entry("headers_encoding", "base64")?;
        }
        map.serialize_entry("timestamp", &Shown(moment(*timestamp)))?;
        map.serialize_entry("delivery", delivery)?;
        map.serialize_entry("ack", ack)?;
        map.end()
    }
}

/// Bytes as text where they are text, else as base64.
enum Words<'b> {
    Text(&'b str),
    Bytes(&'b [u8]),
}

impl<'b> Words<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Words::Bytes(bytes), Words::Text)
    }
}

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Words::Text(text) => serializer.serialize_str(text),
            Words::Bytes(bytes) => serializer.collect_str(&Base64Display::new(bytes, &STANDARD)),
        }
    }
}

/// Where one value is no text, all are base64: a reader needs one rule for all.
struct Headers<'h> {
    headers: &'h [(Box<str>, Bytes)],
    plain: bool,
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |value| if self.plain { Words::of(value) } else { Words::Bytes(value) };
        serializer.collect_map(self.headers.iter().map(|(name, value)| (name, of(value))))
    }
}

struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Engines give moments only; a damaged one shows as the first of them all.
fn moment(millis: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            partition: 2,
            offset: 7,
            key: None,
            value: Bytes::from("two\nlines"),
            headers: vec![("a".into(), Bytes::from("1"))],
            timestamp: 1_700_000_000_123,
            delivery: 1,
            ack: "A-1".into(),
            resume: "R-1".into(),
        }
    }

    fn written(format: Format, delivery: &Delivery) -> String {
        let mut out = Vec::new();
        format.message("orders", delivery, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_is_one_event_or_one_line() {
        let data = r#""topic":"orders","partition":2,"offset":7,"key":null,"value":"two\nlines","headers":{"a":"1"},"timestamp":"2023-11-14T22:13:20.123Z","delivery":1,"ack":"A-1"}"#;
        assert_eq!(
            written(Format::Events, &delivery()),
            format!("event: message\nid: R-1\ndata: {{{data}\n\n")
        );
        assert_eq!(
            written(Format::Lines, &delivery()),
            format!("{{\"event\":\"message\",\"resume\":\"R-1\",{data}\n")
        );
    }

    #[test]
    fn what_is_no_text_is_base64_and_says_so() {
        let headers = vec![("a".into(), Bytes::from("1")), ("b".into(), Bytes::from_static(b"\xff"))];
        let bytes = Bytes::from_static(b"\xff\x00");
        let odd = Delivery { key: Some(bytes.clone()), value: bytes, headers, ..delivery() };
        let line: Value = serde_json::from_str(&written(Format::Lines, &odd)).unwrap();
        for (name, expected) in [
            ("key", json!("/wA=")),
            ("key_encoding", json!("base64")),
            ("value", json!("/wA=")),
            ("encoding", json!("base64")),
            ("headers", json!({ "a": "MQ==", "b": "/w==" })),
            ("headers_encoding", json!("base64")),
        ] {
            assert_eq!(line[name], expected, "{name}");
        }
        let plain: Value = serde_json::from_str(&written(Format::Lines, &delivery())).unwrap();
        for absent in ["key_encoding", "encoding", "headers_encoding"] {
            assert!(plain.get(absent).is_none(), "{absent}");
        }
        let keyed = Delivery { key: Some(Bytes::from("k")), ..delivery() };
        assert!(written(Format::Lines, &keyed).contains(r#""key":"k","value""#));
    }

    #[test]
    fn other_events_say_their_name() {
        let data = json!({ "consumer": "c", "assignment": [0] });
        assert_eq!(
            Format::Events.event("hello", data.clone()),
            "event: hello\ndata: {\"consumer\":\"c\",\"assignment\":[0]}\n\n"
        );
        assert_eq!(
            Format::Lines.event("hello", data),
            "{\"event\":\"hello\",\"consumer\":\"c\",\"assignment\":[0]}\n"
        );
    }

    #[test]
    fn there_is_room_for_a_message() {
        for format in [Format::Events, Format::Lines] {
            assert!(written(format, &delivery()).len() <= room(&delivery()));
        }
    }
}
