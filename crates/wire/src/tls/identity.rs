//! Who a client is by its certificate, in the words that services are told.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};

use super::der::{Certificate, Name, OBJECT_ID, Reader, SEQUENCE, SET};

/// What a verified certificate says of its owner. Each part is printable ASCII, whatever stands in the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its subject, as RFC 4514 writes it: `CN=shop,O=Example`.
    pub subject: String,
    /// The SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// Its other names: `DNS:shop.example,URI:spiffe://example/shop`.
    pub names: String,
}

/// More than this is no name, and no header field either.
const MOST: usize = 8 * 1024;

impl Identity {
    /// Reads a certificate. `None` when it cannot be said in so many words.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let read = Certificate::read(certificate)?;
        let mut names = String::new();
        for name in read.names() {
            if !names.is_empty() {
                names.push(',');
            }
            say_name(&mut names, name)?;
        }
        let subject = distinguished_name(read.subject)?;
        let mut fingerprint = String::with_capacity(64);
        for byte in digest(&SHA256, certificate).as_ref() {
            // Writing into a string cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        (subject.len() + names.len() <= MOST).then_some(Identity { subject, fingerprint, names })
    }

    /// The header fields that tell it. What there is none of is left out, but for the subject.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [
            ("X-Client-Cert-Subject", self.subject.as_str()),
            ("X-Client-Cert-Fingerprint", self.fingerprint.as_str()),
        ];
        let names = (!self.names.is_empty()).then_some(("X-Client-Cert-San", self.names.as_str()));
        always.into_iter().chain(names)
    }
}

fn say_name(out: &mut String, name: Name<'_>) -> Option<()> {
    let (kind, text) = match name {
        Name::Dns(text) => ("DNS:", text),
        Name::Email(text) => ("EMAIL:", text),
        Name::Uri(text) => ("URI:", text),
        Name::Ip(address) => {
            let _ = match *address {
                [a, b, c, d] => write!(out, "IP:{}", Ipv4Addr::new(a, b, c, d)),
                _ => write!(out, "IP:{}", Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
            };
            return Some(());
        }
    };
    out.push_str(kind);
    escape(out, text, b",\\");
    Some(())
}

/// A name as RFC 4514 writes it: the last part first.
pub(super) fn distinguished_name(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Reader(name);
    while let Some(set) = sets.expect(SET) {
        let mut attributes = Reader(set);
        let mut part = String::new();
        while let Some(attribute) = attributes.expect(SEQUENCE) {
            if !part.is_empty() {
                part.push('+');
            }
            say_attribute(&mut part, attribute)?;
        }
        parts.push(part);
    }
    parts.reverse();
    sets.0.is_empty().then(|| parts.join(","))
}

/// The attributes that have a name of their own.
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "emailAddress"),
];

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

fn say_attribute(out: &mut String, attribute: &[u8]) -> Option<()> {
    let mut reader = Reader(attribute);
    let kind = reader.expect(OBJECT_ID)?;
    let (tag, text, whole) = reader.element()?;
    let known = ATTRIBUTES.iter().find(|(id, _)| *id == kind);
    match known {
        Some((_, name)) => out.push_str(name),
        None => say_object_id(out, kind)?,
    }
    out.push('=');
    if known.is_some() && matches!(tag, UTF8 | PRINTABLE | IA5) {
        escape(out, text, b",+\"\\<>;");
    } else {
        // What has no name, or is in letters of another age, is said byte for byte.
        out.push('#');
        for byte in whole {
            let _ = write!(out, "{byte:02x}");
        }
    }
    Some(())
}

fn say_object_id(out: &mut String, id: &[u8]) -> Option<()> {
    let (mut arc, mut first) = (0_u64, true);
    for &byte in id {
        arc = arc.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let _ = if first {
            let top = (arc / 40).min(2);
            write!(out, "{top}.{}", arc - top * 40)
        } else {
            write!(out, ".{arc}")
        };
        (arc, first) = (0, false);
    }
    (!first).then_some(())
}

/// Text in which nothing can be taken for anything else: what is special stands behind a `\`, what is not
/// printable ASCII is a `\` and two hexadecimal digits.
fn escape(out: &mut String, text: &[u8], special: &[u8]) {
    for (at, &byte) in text.iter().enumerate() {
        let at_an_end = (at == 0 && matches!(byte, b' ' | b'#')) || (at + 1 == text.len() && byte == b' ');
        if !(b' '..0x7f).contains(&byte) {
            let _ = write!(out, "\\{byte:02X}");
            continue;
        }
        if at_an_end || special.contains(&byte) {
            out.push('\\');
        }
        out.push(char::from(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
        let mut all = vec![tag, u8::try_from(contents.len()).unwrap()];
        all.extend_from_slice(contents);
        all
    }

    fn attribute(id: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[element(OBJECT_ID, id), element(tag, text)].concat())
    }

    #[test]
    fn names_are_written_the_last_part_first() {
        let name = [
            element(SET, &attribute(&[0x55, 0x04, 0x06], PRINTABLE, b"DE")),
            element(SET, &attribute(&[0x55, 0x04, 0x0a], UTF8, "Gerät, Söhne".as_bytes())),
            element(
                SET,
                &[
                    attribute(&[0x55, 0x04, 0x03], UTF8, b" a=b\r\nX: y\0 "),
                    attribute(&[0x2a, 0x03, 0x88, 0x37], UTF8, b"x"),
                ]
                .concat(),
            ),
        ]
        .concat();
        assert_eq!(
            distinguished_name(&name).unwrap(),
            "CN=\\ a=b\\0D\\0AX: y\\00\\ +1.2.3.1079=#0c0178,O=Ger\\C3\\A4t\\, S\\C3\\B6hne,C=DE"
        );
        assert_eq!(distinguished_name(b"").unwrap(), "");
        assert_eq!(distinguished_name(&name[..name.len() - 1]), None, "cut short");
    }

    #[test]
    fn other_names_cannot_be_taken_for_two() {
        let mut said = String::new();
        for name in [Name::Dns(b"a,DNS:b\0.example"), Name::Ip(&[127, 0, 0, 1]), Name::Uri(b"spiffe://x/y")] {
            said.push(' ');
            say_name(&mut said, name).unwrap();
        }
        assert_eq!(said, " DNS:a\\,DNS:b\\00.example IP:127.0.0.1 URI:spiffe://x/y");
        assert!(say_name(&mut said, Name::Ip(&[1, 2, 3])).is_none());
    }
}
