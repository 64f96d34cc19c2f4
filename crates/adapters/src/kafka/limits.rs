//! What a request may say: sizes of messages, shapes of topics.

use bytes::Bytes;
use model::{Code, Failure};

pub(super) use crate::queue::names::{group, invalid, topic};
use crate::queue::{Message, TopicSpec};

/// What a message takes beside its key, value and headers, in a batch of its own.
pub(super) const FRAMING: u64 = 1 << 10;

/// What the names of Kafka's own topics begin with.
pub(super) const INTERNAL: &str = "__";

/// Headers of one message.
const MOST_HEADERS: usize = 100;

/// Checks the name of a topic that is to be changed.
pub(super) fn writable(name: &str) -> Result<(), Failure> {
    topic(name)?;
    if name.starts_with(INTERNAL) {
        let detail = format!("`{name}` is Kafka's own: names that begin with `{INTERNAL}` are only read.");
        return Err(Failure::client(Code::PermissionDenied, detail));
    }
    Ok(())
}

/// Checks what is asked of a new topic; the broker knows how many copies it can keep.
pub(super) fn spec(spec: &TopicSpec) -> Result<(), Failure> {
    writable(&spec.name)?;
    if spec.partitions == 0 || spec.partitions > 10_000 {
        return Err(invalid(format!("A topic has 1 to 10000 partitions, not {}.", spec.partitions)));
    }
    if spec.replication_factor == 0 {
        return Err(invalid("A topic has at least one copy."));
    }
    Ok(())
}

/// Checks one message.
pub(super) fn message(message: &Message, max_message: u64) -> Result<(), Failure> {
    let count = message.headers.len();
    if count > MOST_HEADERS {
        let detail = format!("The message has {count} headers; at most {MOST_HEADERS} are taken.");
        return Err(Failure::client(Code::TooLarge, detail));
    }
    if message.headers.iter().any(|(name, _)| name.contains('\0')) {
        return Err(invalid("The name of a header has no zero in it."));
    }
    let size = size(message);
    if size > max_message {
        let detail = format!("The message has {size} bytes; at most {max_message} are taken.");
        return Err(Failure::client(Code::TooLarge, detail).with_hint("Raise `max_message` of the service."));
    }
    Ok(())
}

fn size(message: &Message) -> u64 {
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.key.as_ref().map_or(0, Bytes::len) + headers + message.value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_limits() {
        let of = |value: usize, headers: Vec<(Box<str>, Bytes)>| Message {
            key: Some("k".into()),
            value: vec![0; value].into(),
            headers,
        };
        let header = |name: &str| (name.into(), Bytes::from_static(b"v"));
        assert!(message(&of(97, vec![header("n")]), 100).is_ok());
        assert_eq!(message(&of(98, vec![header("n")]), 100).unwrap_err().code(), Code::TooLarge);
        assert_eq!(message(&of(0, vec![header("n"); 101]), 1000).unwrap_err().code(), Code::TooLarge);
        assert_eq!(message(&of(0, vec![header("a\0b")]), 1000).unwrap_err().code(), Code::InvalidRequest);
    }
}
