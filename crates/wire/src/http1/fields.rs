//! Header fields as received: where each line stands in the head, and which of them mean something to us.

use std::cell::RefCell;

use crate::error::Error;

/// A stretch of the head's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct At {
    /// First byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl At {
    /// Where `part` stands in the bytes that begin at `base`. What is empty may point anywhere, so it stands
    /// at the front.
    pub(super) fn of(base: usize, part: &[u8]) -> At {
        if part.is_empty() {
            return At::default();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a head is capped far below 4 GiB")]
        let start = (part.as_ptr() as usize - base) as u32;
        #[expect(clippy::cast_possible_truncation, reason = "a head is capped far below 4 GiB")]
        let end = start + part.len() as u32;
        At { start, end }
    }

    /// The bytes themselves.
    #[must_use]
    pub fn of_bytes(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// Fields that the gateway reads, replaces or takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Known {
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    Upgrade,
    Te,
    KeepAlive,
    ProxyConnection,
    /// `Forwarded`, `X-Forwarded-*` and `X-Real-IP` in either spelling (`_` for `-`).
    Forwarded,
    XForwardedFor,
    RequestId,
    /// `X-Client-Cert-*`: ours to say, never the client's.
    ClientCert,
    Authorization,
    /// `Content_Length`, `Transfer_Encoding`: services that fold `_` into `-` would take them for framing.
    FramingAlias,
    ContentType,
    Date,
}

/// A set of [`Known`] fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// The set of these.
    #[must_use]
    pub const fn of(fields: &[Known]) -> Mask {
        let mut bits = 0;
        let mut i = 0;
        while i < fields.len() {
            bits |= 1 << fields[i] as u32;
            i += 1;
        }
        Mask(bits)
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, field: Known) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    /// This set and that one.
    #[must_use]
    pub const fn and(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }
}

/// What concerns one connection only, and never passes (RFC 9110 7.6.1). Framing is said anew.
pub const HOP_BY_HOP: Mask = Mask::of(&[
    Known::Connection,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
    Known::FramingAlias,
]);

/// Names that one `Connection` field may list: each is looked for among all fields.
const MOST_NAMED: usize = 32;

/// Where a field's line stands.
#[derive(Debug, Clone, Copy)]
pub struct FieldAt {
    /// Its name.
    pub name: At,
    /// Its value, without the white space around it.
    pub value: At,
    /// One past its line end.
    pub line_end: u32,
    /// What it means to us.
    pub known: Known,
    /// Named by `Connection`: goes no further.
    pub named: bool,
}

thread_local! {
    /// What idle connections gave back, for the next one that is asked something.
    static SHELF: RefCell<Vec<Fields>> = const { RefCell::new(Vec::new()) };
}

/// Heads that a core keeps when they come back.
const KEPT: usize = 64;
/// A head larger than this is not worth keeping.
const WORTH: usize = 8 * 1024;

/// All fields of a head, over the head's bytes.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: Vec<FieldAt>,
}

impl Fields {
    /// Begins anew with the bytes of a head, in memory that was used before.
    pub(crate) fn begin(&mut self, head: &[u8]) {
        if self.bytes.capacity() == 0 {
            // The shelf is gone when its thread ends; then memory is simply taken.
            let kept = SHELF.try_with(|shelf| shelf.borrow_mut().pop());
            *self = kept.ok().flatten().unwrap_or_default();
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        self.lines.clear();
    }

    /// Gives the memory back: whoever is idle holds none.
    pub(super) fn rest(&mut self) {
        let used = std::mem::take(self);
        if (1..=WORTH).contains(&used.bytes.capacity()) {
            let _ = SHELF.try_with(|shelf| {
                let mut shelf = shelf.borrow_mut();
                if shelf.len() < KEPT {
                    shelf.push(used);
                }
            });
        }
    }

    /// Name and value of each, in the order received.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Known)> {
        self.lines
            .iter()
            .map(|field| (field.name.of_bytes(&self.bytes), field.value.of_bytes(&self.bytes), field.known))
    }

    /// The first value of that name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(own, _, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value, _)| value)
    }

    /// Every value of a known field.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |field| field.known == known)
            .map(|field| field.value.of_bytes(&self.bytes))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Writes the lines as received, but for those in `without` and those that `Connection` named.
    /// Lines that stay together are copied together.
    pub fn write(&self, without: Mask, out: &mut Vec<u8>) {
        self.write_but(without, |_| false, out);
    }

    /// The same, also without the names of which `drops` says so.
    pub fn write_but(&self, without: Mask, drops: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) {
        let mut run: Option<(u32, u32)> = None;
        for field in &self.lines {
            if field.named || without.has(field.known) || drops(field.name.of_bytes(&self.bytes)) {
                if let Some((start, end)) = run.take() {
                    out.extend_from_slice(&self.bytes[start as usize..end as usize]);
                }
            } else {
                let start = run.map_or(field.name.start, |(start, _)| start);
                run = Some((start, field.line_end));
            }
        }
        if let Some((start, end)) = run {
            out.extend_from_slice(&self.bytes[start as usize..end as usize]);
        }
    }

    /// Marks the fields that `Connection` names, which is the rare case.
    pub(super) fn mark_named(&mut self, connection: At) -> Result<(), Error> {
        let Fields { bytes, lines } = self;
        for (count, token) in tokens(connection.of_bytes(bytes)).enumerate() {
            if count == MOST_NAMED {
                return Err(Error::Malformed("Connection names too many fields"));
            }
            if !token.iter().copied().all(is_token) {
                return Err(Error::Malformed("Connection names what cannot be a field"));
            }
            for field in lines.iter_mut() {
                if !field.name.of_bytes(bytes).eq_ignore_ascii_case(token) {
                    continue;
                }
                match field.known {
                    // Naming these would let a client take out what its framing or routing rests on.
                    Known::Host | Known::ContentLength | Known::TransferEncoding => {
                        return Err(Error::Malformed("Connection names a field that it may not name"));
                    }
                    _ => field.named = true,
                }
            }
        }
        Ok(())
    }
}

/// What names are made of (RFC 9110 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a comma list, trimmed, empty ones left out.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Which field this name is. By length first, so that most names cost one comparison or none.
#[must_use]
pub fn know(name: &[u8]) -> Known {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match name.len() {
        2 if is("te") => Known::Te,
        4 if is("host") => Known::Host,
        4 if is("date") => Known::Date,
        6 if is("expect") => Known::Expect,
        7 if is("upgrade") => Known::Upgrade,
        9 if is("forwarded") => Known::Forwarded,
        10 if is("connection") => Known::Connection,
        10 if is("keep-alive") => Known::KeepAlive,
        12 if is("content-type") => Known::ContentType,
        13 if is("authorization") => Known::Authorization,
        14 if is("content-length") => Known::ContentLength,
        14 if is("content_length") => Known::FramingAlias,
        16 if is("proxy-connection") => Known::ProxyConnection,
        17 if is("transfer-encoding") => Known::TransferEncoding,
        17 if is("transfer_encoding") => Known::FramingAlias,
        15 if is("x-forwarded-for") => Known::XForwardedFor,
        8.. if matches!(name[0], b'x' | b'X') => know_extension(name),
        _ => Known::Other,
    }
}

/// Identity that only a gateway may say, in either spelling: `-` and `_` are one to many a service.
fn know_extension(name: &[u8]) -> Known {
    let begins = |prefix: &[u8]| {
        name.len() >= prefix.len()
            && name.iter().zip(prefix).all(|(&a, &b)| a.to_ascii_lowercase() == b || (b == b'-' && a == b'_'))
    };
    if name.len() == 12 && begins(b"x-request-id") {
        Known::RequestId
    } else if begins(b"x-forwarded-") || (name.len() == 9 && begins(b"x-real-ip")) {
        Known::Forwarded
    } else if begins(b"x-client-cert-") {
        Known::ClientCert
    } else {
        Known::Other
    }
}
