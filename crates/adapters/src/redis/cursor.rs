//! Where a scan goes on, as text.
//!
//! A server gives as many keys as it likes in one step, and a page has at most as many as were asked for. A page that
//! ends within a step says where the step began, where it ended, and what was shown of it, by the order of the keys'
//! hashes: the step is asked for again. When it ends elsewhere then, the tables have changed meanwhile, and it is
//! shown from its beginning.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use super::slots::SLOTS;

/// Where a scan goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The node of a cluster, by the first slot it has.
    pub(super) slot: u16,
    /// What the server is asked to go on from.
    pub(super) at: u64,
    /// What was shown of the step that begins there.
    pub(super) shown: Option<Shown>,
}

/// The part of a step that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Where the step ended.
    pub(super) end: u64,
    /// The keys whose hashes are up to this one.
    pub(super) upto: u64,
}

impl Cursor {
    /// Reads what [`Cursor::text`] wrote.
    pub(super) fn read(text: &[u8]) -> Option<Cursor> {
        let text = std::str::from_utf8(text).ok()?;
        let (slot, rest) = match text.split_once('@') {
            Some((slot, rest)) => (u16::try_from(number(slot)?).ok().filter(|slot| *slot < SLOTS)?, rest),
            None => (0, text),
        };
        let mut parts = rest.split('-');
        let at = number(parts.next()?)?;
        let shown = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(end), Some(upto), None) => Some(Shown { end: number(end)?, upto: number(upto)? }),
            _ => return None,
        };
        Some(Cursor { slot, at, shown })
    }

    /// As text, of digits and a few signs.
    pub(super) fn text(self) -> Bytes {
        let slot = if self.slot == 0 { String::new() } else { format!("{}@", self.slot) };
        match self.shown {
            None => format!("{slot}{}", self.at),
            Some(Shown { end, upto }) => format!("{slot}{}-{end}-{upto}", self.at),
        }
        .into()
    }

    /// The place of a step as one number, which is what clients of native commands take a cursor for: the slot stands
    /// in its lowest bits. `None` for what is too large to be said so.
    pub(super) fn number(self) -> Option<u64> {
        let at = self.at.checked_mul(u64::from(SLOTS))?;
        Some(at + u64::from(self.slot))
    }

    /// Reads what [`Cursor::number`] wrote.
    pub(super) fn of_number(number: u64) -> Self {
        let slot = u16::try_from(number % u64::from(SLOTS)).unwrap_or(0);
        Cursor { slot, at: number / u64::from(SLOTS), shown: None }
    }

    /// What a page shows of a step that gave these keys and ended there, and where the scan goes on at this node;
    /// `None` when it has ended.
    pub(super) fn page(self, keys: Vec<Bytes>, end: u64, limit: usize) -> (Vec<Bytes>, Option<Cursor>) {
        let begun = self.shown.filter(|shown| shown.end == end);
        let next = (end != 0).then_some(Cursor { at: end, shown: None, ..self });
        if begun.is_none() && keys.len() <= limit {
            return (keys, next);
        }
        let mut keys: Vec<_> = keys.into_iter().map(|key| (hash(&key), key)).collect();
        keys.sort_unstable();
        if let Some(shown) = begun {
            keys.retain(|(hash, _)| *hash > shown.upto);
        }
        // Keys of one hash are not told apart by a cursor, and so stay together.
        let mut cut = limit.min(keys.len());
        while cut < keys.len() && cut > 0 && keys[cut].0 == keys[cut - 1].0 {
            cut += 1;
        }
        let more = cut < keys.len();
        keys.truncate(cut);
        let upto = keys.last().map_or(0, |(hash, _)| *hash);
        let next = if more { Some(Cursor { shown: Some(Shown { end, upto }), ..self }) } else { next };
        (keys.into_iter().map(|(_, key)| key).collect(), next)
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The same in every process of this program.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<Bytes> {
        range.map(|n| Bytes::from(format!("key:{n}"))).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for cursor in [
            Cursor::default(),
            Cursor { at: u64::MAX, ..Cursor::default() },
            Cursor { slot: 16_383, at: 7, shown: Some(Shown { end: 0, upto: u64::MAX }) },
        ] {
            assert_eq!(Cursor::read(&cursor.text()), Some(cursor));
        }
        for bad in
            ["", "x", "-1", "1-2", "1-2-3-4", "16384@1", "@1", "1@", "0x10", "+1", "99999999999999999999"]
        {
            assert_eq!(Cursor::read(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Cursor::read(b"\xff"), None);
    }

    #[test]
    fn the_place_of_a_step_is_one_number() {
        for (slot, at) in [(0, 0), (0, 1), (16_383, 0), (5461, (1 << 50) - 1)] {
            let cursor = Cursor { slot, at, shown: None };
            let number = cursor.number().unwrap();
            assert_eq!((Cursor::of_number(number), number == 0), (cursor, slot == 0 && at == 0));
        }
        assert_eq!(Cursor { at: 1 << 50, ..Cursor::default() }.number(), None);
    }

    #[test]
    fn a_step_that_is_too_large_is_shown_in_pages() {
        let mut seen = BTreeSet::new();
        let mut cursor = Cursor { at: 3, ..Cursor::default() };
        for _ in 0..4 {
            let (page, next) = cursor.page(keys(0..10), 9, 3);
            assert!(page.len() <= 3);
            seen.extend(page);
            cursor = next.unwrap();
        }
        assert_eq!(seen.len(), 10);
        assert_eq!(cursor, Cursor { at: 9, ..Cursor::default() });
        assert_eq!(Cursor::default().page(keys(0..3), 0, 3).1, None);
    }

    #[test]
    fn tables_that_changed_are_shown_again() {
        let (_, next) = Cursor::default().page(keys(0..10), 9, 9);
        let next = next.unwrap();
        assert!(next.shown.is_some());
        let (page, _) = next.page(keys(0..30), 5, 100);
        assert_eq!(page.len(), 30, "the step ends elsewhere: nothing of it is taken for shown");
    }

    #[test]
    fn what_was_deleted_meanwhile_hides_nothing() {
        let (first, next) = Cursor::default().page(keys(0..10), 9, 5);
        let left: Vec<_> = keys(0..10).into_iter().filter(|key| !first[..3].contains(key)).collect();
        let (second, _) = next.unwrap().page(left, 9, 5);
        assert_eq!(first.into_iter().chain(second).collect::<BTreeSet<_>>().len(), 10);
    }
}
