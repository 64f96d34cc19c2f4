//! A message between us and librdkafka.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use crate::queue::Message;

/// What a consumer was sent, kept while it may have to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) timestamp: i64,
    pub(super) message: Message,
}

impl Content {
    /// A copy: the original holds the whole batch that it came in.
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Content {
        Content {
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            message: Message {
                key: message.key().map(Bytes::copy_from_slice),
                // A message without a value is one whose value is empty, to those who cannot tell the two.
                value: message.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
                headers: headers(message),
            },
        }
    }

    /// What it takes in memory, roughly.
    pub(super) fn size(&self) -> u64 {
        let headers: usize =
            self.message.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        (self.message.key.as_ref().map_or(0, Bytes::len) + self.message.value.len() + headers + 200) as u64
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<(Box<str>, Bytes)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let one = |at: usize| {
        // Kafka lets a name be any bytes, and the client's wrapper panics at one that is not UTF-8.
        let read = AssertUnwindSafe(|| {
            let header = headers.try_get(at)?;
            Some((header.key.into(), header.value.map(Bytes::copy_from_slice).unwrap_or_default()))
        });
        catch_unwind(read).ok().flatten()
    };
    (0..headers.count()).filter_map(one).collect()
}

/// Headers as librdkafka takes them; names have been checked.
pub(super) fn native(message: &Message) -> Option<OwnedHeaders> {
    if message.headers.is_empty() {
        return None;
    }
    let begin = OwnedHeaders::new_with_capacity(message.headers.len());
    Some(
        message
            .headers
            .iter()
            .fold(begin, |all, (name, value)| all.insert(Header { key: name, value: Some(&value[..]) })),
    )
}
