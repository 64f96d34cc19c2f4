//! A message as it is kept: shared by everyone who reads it, its headers packed.

use bytes::Bytes;

use crate::queue::Message;
use crate::queue::varint;

/// A kept message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// When it was published, in milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
    /// Packed: see [`pack`].
    pub(super) headers: Bytes,
}

impl Stored {
    /// A copy, since the bytes of a message may be a small part of a large buffer that would stay with them.
    pub(super) fn copy_of(message: &Message, timestamp: i64) -> Stored {
        Stored {
            timestamp,
            key: message.key.as_ref().map(|key| Bytes::copy_from_slice(key)),
            value: Bytes::copy_from_slice(&message.value),
            headers: pack(message.headers.iter().map(|(name, value)| (&**name, &**value))),
        }
    }

    /// What counts for `retention_bytes`.
    pub(super) fn size(&self) -> u64 {
        (self.key.as_ref().map_or(0, Bytes::len) + self.value.len() + self.headers.len()) as u64
    }

    /// The same message with headers behind its own.
    pub(super) fn with_headers<'a>(&self, more: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Stored {
        let headers = [&self.headers[..], &pack(more)[..]].concat().into();
        Stored { headers, ..self.clone() }
    }
}

/// Names and values one after the other, each behind its length.
fn pack<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    let mut out = Vec::new();
    for (name, value) in headers {
        varint::put_bytes(&mut out, name.as_bytes());
        varint::put_bytes(&mut out, value);
    }
    out.into()
}

/// The headers of [`pack`]. Shares its bytes.
pub(super) fn unpack(packed: &Bytes) -> Vec<(Box<str>, Bytes)> {
    let mut rest = &packed[..];
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (varint::take_bytes(&mut rest), varint::take_bytes(&mut rest)) {
        headers.push((String::from_utf8_lossy(name).into(), packed.slice_ref(value)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_packed_and_unpacked() {
        let headers: Vec<(Box<str>, Bytes)> = vec![
            ("a".into(), Bytes::from_static(b"1")),
            ("empty".into(), Bytes::new()),
            ("a".into(), vec![0xff; 300].into()),
        ];
        let message = Message { key: None, value: "v".into(), headers: headers.clone() };
        let stored = Stored::copy_of(&message, 5);
        assert_eq!(unpack(&stored.headers), headers);
        assert_eq!(unpack(&Bytes::new()), []);
        let more = stored.with_headers([("dead", &b"x"[..])]);
        assert_eq!(unpack(&more.headers).len(), 4);
        assert_eq!(stored.size(), 1 + stored.headers.len() as u64);
    }
}
