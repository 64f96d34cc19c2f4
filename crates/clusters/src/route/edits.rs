//! What a route changes in a head, made ready: which lines go, and which come.

use std::collections::BTreeSet;

use model::route::HeadersSpec;

/// Changes of a head. First what [`drops`](HeaderEdits::drops) says goes, then all [`lines`](HeaderEdits::lines) come.
#[derive(Debug)]
pub struct HeaderEdits {
    /// In lower case and with `-` for `_`, sorted: what is removed, and what is set.
    dropped: Box<[Box<[u8]>]>,
    /// Set before added. Names in lower case, as HTTP/2 has them.
    lines: Box<[Line]>,
    host: Option<Box<[u8]>>,
}

#[derive(Debug)]
struct Line {
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl HeaderEdits {
    pub(super) fn new(spec: &HeadersSpec) -> Self {
        let HeadersSpec { add, set, remove } = spec;
        let folded = |name: &String| -> Box<[u8]> { name.bytes().map(fold).collect() };
        let dropped: BTreeSet<Box<[u8]>> = remove.iter().chain(set.keys()).map(folded).collect();
        let host = set.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let lines = set.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).chain(add);
        let line = |(name, value): (&String, &String)| Line {
            name: name.to_ascii_lowercase().into_bytes().into(),
            value: value.as_bytes().into(),
        };
        HeaderEdits {
            dropped: dropped.into_iter().filter(|name| **name != *b"host").collect(),
            lines: lines.map(line).collect(),
            host: host.map(|(_, value)| value.as_bytes().into()),
        }
    }

    /// Whether a line of this name goes, in any case. `_` counts as `-`: many services take the one for the other, and
    /// what is set here must not be said twice to them.
    #[must_use]
    pub fn drops(&self, name: &[u8]) -> bool {
        self.dropped
            .binary_search_by(|own| own.iter().copied().cmp(name.iter().map(|byte| fold(*byte))))
            .is_ok()
    }

    /// Whether the route has a word on this field, which is in lower case here: another one of ours would be one too many.
    #[must_use]
    pub fn speaks_of(&self, name: &[u8]) -> bool {
        self.drops(name) || self.lines().any(|(own, _)| own == name)
    }

    /// The lines that come, in their order: names in lower case, and values.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (&*line.name, &*line.value))
    }

    /// What the service is told to be its host (`Host`, `:authority`), in place of what the client said.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        self.host.as_deref()
    }
}

/// A letter of a name as names are compared.
fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_or_removed_goes_in_either_spelling() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let spec = HeadersSpec {
            add: [pair("Via", "1.1 gate"), pair("x-user", "too")].into(),
            set: [pair("X-User", "ann"), pair("Host", "inner.example")].into(),
            remove: vec!["X-Debug".to_owned(), "accept_language".to_owned()],
        };
        let edits = HeaderEdits::new(&spec);
        for name in ["x-user", "X_USER", "X-Debug", "x_debug", "Accept-Language", "accept_language"] {
            assert!(edits.drops(name.as_bytes()), "{name}");
        }
        for name in ["x-users", "x-use", "via", "host", "accept", ""] {
            assert!(!edits.drops(name.as_bytes()), "{name}");
        }
        let lines: Vec<(&[u8], &[u8])> = edits.lines().collect();
        assert_eq!(lines, [(&b"x-user"[..], &b"ann"[..]), (b"via", b"1.1 gate"), (b"x-user", b"too")]);
        assert_eq!(edits.host(), Some(&b"inner.example"[..]));
        let nothing = HeaderEdits::new(&HeadersSpec::default());
        assert!(!nothing.drops(b"x-user") && nothing.lines().next().is_none() && nothing.host().is_none());
    }
}
