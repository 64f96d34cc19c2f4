//! Percent-encoding, undone: paths and queries carry bytes.

use std::borrow::Cow;
use std::fmt::Write;

/// What a `+` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// Itself, as in a path.
    Plus,
    /// A space, as in the query of a form.
    Space,
}

/// The bytes that stand in `text`; `None` when a percent sign is not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str, plus: Plus) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| *byte == b'%' || (*byte == b'+' && plus == Plus::Space)) {
        return Some(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => (digit(rest.next())? << 4) | digit(rest.next())?,
            b'+' if plus == Plus::Space => b' ',
            other => *other,
        });
    }
    Some(Cow::Owned(decoded))
}

/// The same as text; `None` also when it is not UTF-8.
pub(crate) fn decode_text(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    match decode(text, plus)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            // Writing to a string cannot fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_half_an_escape_does_not() {
        assert_eq!(decode("a%2Fb+c%ff", Plus::Plus).unwrap(), &b"a/b+c\xff"[..]);
        assert_eq!(decode("a+b%2B", Plus::Space).unwrap(), &b"a b+"[..]);
        for broken in ["%", "%1", "%zz", "a%+1"] {
            assert_eq!(decode(broken, Plus::Plus), None, "{broken}");
        }
        assert_eq!(segment("a/b ü-1"), "a%2Fb%20%C3%BC-1");
        assert_eq!(decode_text(&segment("a/b ü%-1+"), Plus::Plus).unwrap(), "a/b ü%-1+");
        assert_eq!(decode_text("%c3%bc", Plus::Plus).unwrap(), "ü");
        assert_eq!(decode_text("%ff", Plus::Plus), None);
    }
}
