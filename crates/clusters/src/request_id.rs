//! The id of a request: the client's when it is well-formed, else made here. It never touches the heap.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use wire::cores;

const MOST: usize = 64;

/// 1 to 64 characters of `A-Z a-z 0-9 - _ . : / + =`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    length: u8,
    bytes: [u8; MOST],
}

thread_local! {
    static NEXT: Cell<u64> = Cell::new(RandomState::new().hash_one(std::process::id()) & 0xffff_ffff_0000_0000);
}

impl RequestId {
    /// The client's, if it is well-formed.
    #[must_use]
    pub fn take(given: &[u8]) -> Option<Self> {
        let fine =
            |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=');
        if given.is_empty() || given.len() > MOST || !given.iter().all(fine) {
            return None;
        }
        let mut bytes = [0; MOST];
        bytes[..given.len()].copy_from_slice(given);
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        Some(RequestId { length: given.len() as u8, bytes })
    }

    /// A new one: random by thread, then counting, so that no two of a process are alike.
    #[must_use]
    pub fn make() -> Self {
        let n = NEXT.with(|next| {
            let n = next.get();
            next.set(n.wrapping_add(1));
            n
        });
        #[expect(clippy::cast_possible_truncation, reason = "the low byte is wanted")]
        let core = cores::index() as u8;
        let mut bytes = [0; MOST];
        hex(u64::from(core), 2, &mut bytes);
        hex(n, 16, &mut bytes[2..]);
        RequestId { length: 18, bytes }
    }

    /// The client's if it gave a good one, else a new one.
    #[must_use]
    pub fn take_or_make(given: Option<&[u8]>) -> Self {
        given.and_then(Self::take).unwrap_or_else(Self::make)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever put in.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

fn hex(mut n: u64, digits: usize, out: &mut [u8]) {
    for i in (0..digits).rev() {
        out[i] = b"0123456789abcdef"[(n & 15) as usize];
        n >>= 4;
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_id_is_kept_and_a_bad_one_replaced() {
        assert_eq!(RequestId::take_or_make(Some(b"abc-1.2:3")).as_str(), "abc-1.2:3");
        for bad in [&b""[..], b"a b", b"a\r\nX: y", b"\xff", &[b'a'; 65]] {
            assert_eq!(RequestId::take_or_make(Some(bad)).as_str().len(), 18);
        }
        assert_ne!(RequestId::make(), RequestId::make());
    }
}
