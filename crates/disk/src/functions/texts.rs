//! Finding, replacing and trimming as SQLite means it, in time by the length of the text.

use std::collections::HashSet;

use memchr::memmem;

/// Where `needle` begins, counted in bytes from 1; 0 when it is not there.
pub(super) fn find_bytes(hay: &[u8], needle: &[u8]) -> usize {
    memmem::find(hay, needle).map_or(0, |at| at + 1)
}

/// Where `needle` begins, counted in characters from 1; 0 when it is not there. It begins where a character does.
pub(super) fn find_text(hay: &[u8], needle: &[u8]) -> usize {
    let at = match needle.first() {
        // In what is not UTF-8: the beginning is the one place that need not be the beginning of a character.
        Some(first) if continues(*first) => hay.starts_with(needle).then_some(0),
        _ => memmem::find(hay, needle),
    };
    at.map_or(0, |at| {
        hay[..at].iter().skip(1).filter(|byte| !continues(**byte)).count() + 1 + usize::from(at > 0)
    })
}

fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// `hay` with each `old` replaced, from the left; `None` when that is longer than it may be.
pub(super) fn replace(hay: &[u8], old: &[u8], new: &[u8], longest: usize) -> Option<Vec<u8>> {
    let finder = memmem::Finder::new(old);
    let count = finder.find_iter(hay).count();
    let size = (hay.len() - count * old.len()).checked_add(count.checked_mul(new.len())?)?;
    if size > longest {
        return None;
    }
    let mut done = Vec::with_capacity(size);
    let mut from = 0;
    for at in finder.find_iter(hay) {
        done.extend_from_slice(&hay[from..at]);
        done.extend_from_slice(new);
        from = at + old.len();
    }
    done.extend_from_slice(&hay[from..]);
    Some(done)
}

/// Which ends are trimmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    left: bool,
    right: bool,
}

impl Ends {
    pub(super) const BOTH: Ends = Ends { left: true, right: true };
    pub(super) const LEFT: Ends = Ends { left: true, right: false };
    pub(super) const RIGHT: Ends = Ends { left: false, right: true };
}

/// The text without the characters of `set` at its ends.
pub(super) fn trim<'a>(text: &'a [u8], set: &[u8], ends: Ends) -> &'a [u8] {
    let set = Set::of(set);
    // Of what is UTF-8 there are no longer ones; of what is not, they are passed over.
    let lengths = || 1..=4_usize;
    let first = |rest: &[u8], length: usize| rest.get(..length).is_some_and(|part| set.has(part));
    let last =
        |rest: &[u8], length: usize| rest.len().checked_sub(length).is_some_and(|at| set.has(&rest[at..]));
    let mut rest = text;
    while ends.left
        && let Some(length) = lengths().find(|length| first(rest, *length))
    {
        rest = &rest[length..];
    }
    while ends.right
        && let Some(length) = lengths().find(|length| last(rest, *length))
    {
        rest = &rest[..rest.len() - length];
    }
    rest
}

/// Characters, each found at once.
struct Set<'a> {
    short: [bool; 256],
    long: HashSet<&'a [u8]>,
}

impl<'a> Set<'a> {
    fn of(text: &'a [u8]) -> Self {
        let mut set = Set { short: [false; 256], long: HashSet::new() };
        for one in characters(text) {
            match one {
                [byte] => set.short[usize::from(*byte)] = true,
                more => drop(set.long.insert(more)),
            }
        }
        set
    }

    fn has(&self, one: &[u8]) -> bool {
        match one {
            [byte] => self.short[usize::from(*byte)],
            more => !self.long.is_empty() && self.long.contains(more),
        }
    }
}

/// The characters of a text, whole or not.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let more =
            if first < 0xc0 { 0 } else { rest[1..].iter().take_while(|byte| continues(**byte)).count() };
        let (one, others) = rest.split_at(1 + more);
        rest = others;
        Some(one)
    })
}
