//! What a request may say: names of topics and groups, sizes of messages, shapes of topics.

use model::{Code, Failure};

pub(super) use crate::queue::names::{group, invalid, topic};
use crate::queue::{Message, TopicSpec};

/// Partitions of one topic.
pub(super) const MOST_PARTITIONS: u32 = 1000;

/// Partitions of all topics: each is remembered in memory, also when nobody reads it.
pub(super) const MOST_PARTITIONS_IN_ALL: usize = 200_000;

/// Groups of all topics, counted once for each partition that they remember a place in.
pub(super) const MOST_PLACES: usize = 1_000_000;

/// The longest key, in bytes.
const MAX_KEY: usize = 64 << 10;

/// Headers of one message, and their names and values together, in bytes.
const MOST_HEADERS: usize = 100;
const MAX_HEADERS: usize = 64 << 10;

/// Checks what is asked of a new topic.
pub(super) fn spec(spec: &TopicSpec) -> Result<(), Failure> {
    topic(&spec.name)?;
    if spec.partitions == 0 || spec.partitions > MOST_PARTITIONS {
        return Err(invalid(format!(
            "A topic has 1 to {MOST_PARTITIONS} partitions, not {}.",
            spec.partitions
        )));
    }
    if spec.replication_factor != 1 {
        return Err(invalid(format!("This service keeps one copy, not {}.", spec.replication_factor)));
    }
    Ok(())
}

/// Checks one message.
pub(super) fn message(message: &Message, max_message: u64) -> Result<(), Failure> {
    let key = message.key.as_ref().map_or(0, bytes::Bytes::len);
    if key > MAX_KEY {
        return Err(too_large(format!("The key has {key} bytes; at most {MAX_KEY} are taken.")));
    }
    if message.headers.len() > MOST_HEADERS {
        let count = message.headers.len();
        return Err(too_large(format!("The message has {count} headers; at most {MOST_HEADERS} are taken.")));
    }
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers > MAX_HEADERS {
        return Err(too_large(format!("The headers have {headers} bytes; at most {MAX_HEADERS} are taken.")));
    }
    let size = (key + headers + message.value.len()) as u64;
    if size > max_message {
        return Err(too_large(format!("The message has {size} bytes; at most {max_message} are taken."))
            .with_hint("Raise `max_message` of the service."));
    }
    Ok(())
}

fn too_large(detail: String) -> Failure {
    Failure::client(Code::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn messages_have_limits() {
        let of = |key: usize, value: usize, headers: Vec<(Box<str>, Bytes)>| Message {
            key: Some(vec![0; key].into()),
            value: vec![0; value].into(),
            headers,
        };
        let header = |size: usize| ("n".into(), Bytes::from(vec![0; size]));
        assert!(message(&of(10, 86, vec![header(3)]), 100).is_ok());
        assert!(message(&of(MAX_KEY, 0, vec![]), 1 << 20).is_ok());
        for bad in [
            of(10, 87, vec![header(3)]),
            of(MAX_KEY + 1, 0, vec![]),
            of(0, 0, vec![header(0); MOST_HEADERS + 1]),
            of(0, 0, vec![header(MAX_HEADERS)]),
        ] {
            let most = if bad.value.is_empty() { 1 << 20 } else { 100 };
            assert_eq!(message(&bad, most).unwrap_err().code(), Code::TooLarge);
        }
    }

    #[test]
    fn topics_have_limits() {
        let of = |partitions, replication_factor| TopicSpec {
            name: "t".into(),
            partitions,
            replication_factor,
            retention: None,
            retention_bytes: None,
        };
        assert!(spec(&of(1, 1)).is_ok() && spec(&of(MOST_PARTITIONS, 1)).is_ok());
        assert!(
            spec(&of(0, 1)).is_err()
                && spec(&of(MOST_PARTITIONS + 1, 1)).is_err()
                && spec(&of(1, 3)).is_err()
        );
    }
}
