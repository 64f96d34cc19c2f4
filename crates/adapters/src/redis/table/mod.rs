//! The native commands by name: what each is, without asking the server.

mod groups;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;

/// Commands that are alike.
pub(super) struct Group {
    /// In capitals; a command with parts has the second word in it.
    names: &'static [&'static str],
    /// Whether they change nothing, and may be asked of a replica and sent again.
    reads: bool,
    key: Key,
    class: Class,
    waits: Waits,
}

/// What is known of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) reads: bool,
    pub(super) key: Key,
    pub(super) class: Class,
    pub(super) waits: Waits,
}

/// Where its first key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    None,
    At(usize),
    /// Behind the number of keys, which stands here.
    Counted(usize),
    /// Behind the word `STREAMS`.
    Streams,
}

/// Whether it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Unless the service denies it.
    Open,
    /// If the service allows it.
    Closed,
    /// Never, and why.
    Bound(&'static str),
}

/// Whether it waits on the server for something to happen, and which word says how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Never,
    /// The last word, in seconds.
    LastSeconds,
    /// The word here, in seconds.
    Seconds(usize),
    /// The word here, in milliseconds.
    Millis(usize),
    /// The word behind `BLOCK`, in milliseconds; without one it does not wait.
    Block,
}

struct Table {
    rows: HashMap<&'static str, Row>,
    /// First words of commands with parts.
    parted: HashMap<&'static str, ()>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { rows: HashMap::new(), parted: HashMap::new() };
    for group in groups::GROUPS {
        for &name in group.names {
            let Group { reads, key, class, waits, .. } = *group;
            table.rows.insert(name, Row { name, reads, key, class, waits });
            if let Some((first, _)) = name.split_once(' ') {
                table.parted.insert(first, ());
            }
        }
    }
    table
});

/// Longer than the longest name, its second word included.
const LONGEST: usize = 64;

/// The row of a command, if it is known.
pub(super) fn find(words: &[Bytes]) -> Option<&'static Row> {
    let mut room = [0; LONGEST];
    let first = upper(words.first()?, &mut room, 0)?;
    let table = &*TABLE;
    let name = text(&room, first);
    if !table.parted.contains_key(name) {
        return table.rows.get(name);
    }
    let Some(second) = words.get(1) else { return table.rows.get(name) };
    *room.get_mut(first)? = b' ';
    let whole = upper(second, &mut room, first + 1)?;
    table.rows.get(text(&room, whole))
}

/// Whether a service may name it in its lists: a command, the first word of one with parts, or one that only the
/// server knows.
///
/// # Errors
/// Why it makes no sense there.
pub(super) fn nameable(name: &str) -> Result<(), String> {
    let words: Vec<Bytes> = name.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    let shaped = |word: &Bytes| {
        !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(b))
    };
    if words.len() > 2 || name.len() >= LONGEST || !words.iter().all(shaped) {
        return Err(format!("`{name}` is no name of a command, such as `GET` or `CONFIG GET`"));
    }
    match find(&words) {
        Some(Row { class: Class::Bound(why), .. }) => Err(format!("`{name}` is never sent. {why}")),
        _ => Ok(()),
    }
}

fn upper(word: &[u8], room: &mut [u8; LONGEST], from: usize) -> Option<usize> {
    let to = from + word.len();
    let place = room.get_mut(from..to)?;
    place.copy_from_slice(word);
    place.make_ascii_uppercase();
    Some(to)
}

/// Names are ASCII; anything else is no name.
fn text(room: &[u8], to: usize) -> &str {
    room.get(..to).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}
