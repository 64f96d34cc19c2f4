//! Numbers as a short text that clients send back: opaque to them, and checked when it comes. No secret: the salted
//! checksum tells the texts of one place from all others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::murmur2::murmur2;
use super::varint;

/// No text is longer.
const LONGEST: usize = 96;

/// A text that names these numbers.
pub(crate) fn seal(numbers: &[u64], salt: u32) -> Box<str> {
    let mut bytes = Vec::with_capacity(32);
    for number in numbers {
        varint::put(&mut bytes, *number);
    }
    let check = murmur2(&bytes, salt);
    bytes.extend_from_slice(&check.to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// The numbers of [`seal`]; `None` when it is another text, or was sealed with another salt.
pub(crate) fn open<const N: usize>(text: &str, salt: u32) -> Option<[u64; N]> {
    if text.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (mut rest, check) = bytes.split_last_chunk::<4>()?;
    if murmur2(rest, salt) != u32::from_le_bytes(*check) {
        return None;
    }
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = varint::take(&mut rest)?;
    }
    rest.is_empty().then_some(numbers)
}
