//! `bytea`: bytes from the server's two text forms, and from what clients send.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Takes base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that the server wrote as `\x0aff`, or as `\012\377`.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => hex(digits.as_bytes()),
        None => octal(text.as_bytes()),
    }
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn octal(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        text = rest;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        if let [b'\\', rest @ ..] = text {
            bytes.push(b'\\');
            text = rest;
        } else if let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] = text {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            text = rest;
        } else {
            return None;
        }
    }
    Some(bytes)
}

/// The bytes that a client means by a text: base64, as they are told, or the server's `\x` form. No text is both.
pub(super) fn sent(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => hex(digits.as_bytes()),
        None => BASE64.decode(text).ok(),
    }
}

/// Bytes as the server reads them.
pub(super) fn escaped(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_server_are_read() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&escaped(&all)), Some(all));
        for (text, bytes) in [
            ("\\x", Some(&b""[..])),
            ("\\x00FF", Some(b"\0\xff")),
            ("", Some(b"")),
            (r"a\\b\000\377", Some(b"a\\b\0\xff")),
            ("\\x0", None),
            ("\\x0g", None),
            ("\\", None),
            (r"\400", None),
            (r"\0", None),
        ] {
            assert_eq!(unescaped(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn clients_send_base64_or_hex() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("AP8=", Some(b"\0\xff")),
            ("AP8", Some(b"\0\xff")),
            (r"\x00ff", Some(b"\0\xff")),
            ("no base64", None),
            (r"\xf", None),
            (r"a\\", None),
        ] {
            assert_eq!(sent(text).as_deref(), bytes, "{text}");
        }
    }
}
