//! What a command with its arguments is: where its key stands, and how long it may wait.

use std::time::Duration;

use bytes::Bytes;

use super::table::{Key, Row, Waits};
use crate::key_value::Sort;

/// A command that waits for something to happen waits at most so long, also where it says for ever.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A command that only the server knows.
const OTHER: &str = "OTHER";

/// What a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) sort: Sort,
    /// The word that is replaced by [`LONGEST_WAIT`], and how many milliseconds its unit has.
    pub(super) cap: Option<(usize, u64)>,
}

impl Sorted {
    /// Whether it is one of ours: of others nobody but the server knows where their keys stand.
    pub(super) fn is_known(&self) -> bool {
        self.sort.name != OTHER
    }
}

/// Of one that is in the table, or of one that only the server knows: that is taken for a write with its key in front.
pub(super) fn sort(row: Option<&Row>, words: &[Bytes]) -> Sorted {
    let Some(row) = row else {
        let key = (words.len() > 1).then_some(1);
        let sort = Sort { name: OTHER, reads: false, walks: false, key, waits: Duration::ZERO };
        return Sorted { sort, cap: None };
    };
    let (waits, cap) = match wait(row.waits, words) {
        None => (Duration::ZERO, None),
        Some(Wait { at, unit, time }) => match time {
            Time::Of(time) if time <= LONGEST_WAIT => (time, None),
            Time::Of(_) | Time::ForEver => (LONGEST_WAIT, Some((at, unit))),
            Time::Unread => (LONGEST_WAIT, None),
        },
    };
    let key = key(row.key, words).filter(|key| *key < words.len());
    // Two servers with the same keys have them in different places.
    let walks = matches!(row.name, "HSCAN" | "SCAN" | "SSCAN" | "ZSCAN");
    Sorted { sort: Sort { name: row.name, reads: row.reads, walks, key, waits }, cap }
}

/// A word that says how long.
struct Wait {
    at: usize,
    unit: u64,
    time: Time,
}

enum Time {
    Of(Duration),
    ForEver,
    /// The server may read it otherwise than we do: some take hexadecimal numbers.
    Unread,
}

/// Nothing where it does not wait, or says a time that the server refuses at once.
fn wait(waits: Waits, words: &[Bytes]) -> Option<Wait> {
    let (at, unit) = match waits {
        Waits::Never => return None,
        Waits::LastSeconds => (words.len().checked_sub(1).filter(|at| *at > 0)?, 1000),
        Waits::Seconds(at) => (at, 1000),
        Waits::Millis(at) => (at, 1),
        Waits::Block => (stream_words(words).block?, 1),
    };
    let said = std::str::from_utf8(words.get(at)?).ok().and_then(|word| word.parse::<f64>().ok());
    let time = match said {
        None => Time::Unread,
        Some(said) if said.is_nan() || said < 0.0 => return None,
        Some(0.0) => Time::ForEver,
        // What is longer than a duration can be is as good as for ever.
        Some(said) => {
            Duration::try_from_secs_f64(said * unit as f64 / 1000.0).map_or(Time::ForEver, Time::Of)
        }
    };
    Some(Wait { at, unit, time })
}

fn key(key: Key, words: &[Bytes]) -> Option<usize> {
    match key {
        Key::None => None,
        Key::At(at) => Some(at),
        Key::Counted(at) => {
            let count: u32 = std::str::from_utf8(words.get(at)?).ok()?.parse().ok()?;
            (count > 0).then_some(at + 1)
        }
        Key::Streams => stream_words(words).streams.map(|at| at + 1),
    }
}

/// What stands where in a command that reads streams: which word is `STREAMS`, and which says how long it waits.
#[derive(Default)]
struct StreamWords {
    streams: Option<usize>,
    block: Option<usize>,
}

/// Walks over its options, since a group and its consumer may be called like any of them.
fn stream_words(words: &[Bytes]) -> StreamWords {
    let mut found = StreamWords::default();
    let mut at = 1;
    while let Some(word) = words.get(at) {
        at += match word.to_ascii_uppercase().as_slice() {
            b"STREAMS" => {
                found.streams = Some(at);
                break;
            }
            b"BLOCK" => {
                found.block = Some(at + 1);
                2
            }
            b"GROUP" => 3,
            b"COUNT" => 2,
            _ => 1,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::table::find;
    use super::*;

    fn sorted(line: &str) -> Sorted {
        let words: Vec<_> = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        sort(find(&words), &words)
    }

    #[test]
    fn the_first_key_is_found_wherever_it_stands() {
        for (line, key) in [
            ("GET k", Some(1)),
            ("GET", None),
            ("PING", None),
            ("XINFO STREAM k", Some(2)),
            ("EVAL script 1 k arg", Some(3)),
            ("EVAL script 0 arg", None),
            ("EVAL script nonsense", None),
            ("ZUNION 2 a b", Some(2)),
            ("BLMPOP 1 2 a b LEFT", Some(3)),
            ("XREAD COUNT 2 STREAMS s 0", Some(4)),
            ("XREADGROUP GROUP streams block BLOCK 5 STREAMS s >", Some(7)),
            ("BITOP AND dest a", Some(2)),
        ] {
            assert_eq!(sorted(line).sort.key, key, "{line}");
        }
        assert_eq!(sorted("FT.SEARCH index q").sort.key, Some(1));
        assert!(!sorted("FT.SEARCH index q").sort.reads);
    }

    #[test]
    fn waiting_is_as_long_as_it_says_and_never_for_ever() {
        let longest = LONGEST_WAIT.as_millis() as u64;
        for (line, millis, cap) in [
            ("BLPOP a b 1.5", 1500, None),
            ("BLPOP a 0", longest, Some((2, 1000))),
            ("BLPOP a 1e300", longest, Some((2, 1000))),
            ("BRPOP a 301", longest, Some((2, 1000))),
            ("BLPOP a soon", longest, None),
            ("BLPOP a 0x0", longest, None),
            ("BLPOP", 0, None),
            ("BLPOP 0", longest, Some((1, 1000))),
            ("BLPOP a -1", 0, None),
            ("BLMPOP 2 1 a LEFT", 2000, None),
            ("XREAD BLOCK 250 STREAMS s $", 250, None),
            ("XREAD BLOCK 0 STREAMS s $", longest, Some((2, 1))),
            ("XREAD STREAMS block 0", 0, None),
            ("XREADGROUP GROUP block BLOCK BLOCK 0 STREAMS s >", longest, Some((5, 1))),
            ("XREADGROUP COUNT 2 NOACK BLOCK 250 GROUP streams block STREAMS s >", 250, None),
            ("XREADGROUP GROUP block 0 STREAMS s >", 0, None),
            ("WAIT 1 100", 100, None),
            ("LPOP a", 0, None),
        ] {
            let sorted = sorted(line);
            assert_eq!((sorted.sort.waits.as_millis() as u64, sorted.cap), (millis, cap), "{line}");
        }
    }
}
