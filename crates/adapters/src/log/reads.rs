//! Reading messages back: runs of offsets, in the order in which they are wanted, up to so many bytes.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use disk::{Connection, SqlResult, params};

use super::stored::Stored;

/// What was found.
pub(super) struct Found {
    pub(super) messages: Vec<(u64, Arc<Stored>)>,
    /// Everything was looked for; else what was asked behind the last of these was not.
    pub(super) whole: bool,
}

impl Found {
    /// What was looked for and is not there, of what was asked.
    pub(super) fn missing(&self, asked: &[u64]) -> Vec<u64> {
        let found: HashSet<u64> = self.messages.iter().map(|(offset, _)| *offset).collect();
        let last = self.messages.last().and_then(|(last, _)| asked.iter().position(|own| own == last));
        let looked = if self.whole { asked.len() } else { last.map_or(0, |at| at + 1) };
        asked[..looked].iter().copied().filter(|offset| !found.contains(offset)).collect()
    }
}

/// Offsets as runs, in the same order.
pub(super) fn runs(offsets: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for offset in offsets {
        match runs.last_mut() {
            Some(run) if run.end == *offset => run.end += 1,
            _ => runs.push(*offset..*offset + 1),
        }
    }
    runs
}

/// The messages of these runs, in order, until they have so many bytes: at least one, if there is one.
pub(super) fn messages(
    connection: &Connection,
    topic: u64,
    partition: u32,
    runs: &[Range<u64>],
    most_bytes: u64,
) -> SqlResult<Found> {
    let mut statement = connection.prepare_cached(
        "SELECT offset, timestamp, key, value, headers FROM messages
         WHERE topic = ?1 AND partition = ?2 AND offset >= ?3 AND offset < ?4 ORDER BY offset",
    )?;
    let mut found = Found { messages: Vec::new(), whole: true };
    let mut bytes = 0;
    for run in runs {
        let mut rows = statement.query(params![topic, partition, run.start, run.end])?;
        while let Some(row) = rows.next()? {
            let (offset, stored) = (row.get(0)?, stored(row)?);
            bytes += stored.size();
            found.messages.push((offset, Arc::new(stored)));
            if bytes >= most_bytes {
                found.whole = false;
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn stored(row: &disk::Row<'_>) -> SqlResult<Stored> {
    let blob = |bytes: Vec<u8>| Bytes::from(bytes);
    Ok(Stored {
        timestamp: row.get(1)?,
        key: row.get::<_, Option<Vec<u8>>>(2)?.map(blob),
        value: blob(row.get(3)?),
        headers: blob(row.get(4)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_runs() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10]), [1..4, 7..8, 9..11]);
        assert_eq!(runs(&[9, 1, 2]), [9..10, 1..3]);
        assert!(runs(&[]).is_empty());
    }

    #[test]
    fn what_was_not_looked_for_is_not_missing() {
        let stored =
            || Arc::new(Stored { timestamp: 0, key: None, value: Bytes::new(), headers: Bytes::new() });
        let found = |offsets: &[u64], whole| {
            let messages = offsets.iter().map(|offset| (*offset, stored())).collect();
            Found { messages, whole }.missing(&[9, 1, 2, 3])
        };
        assert_eq!(found(&[9, 2], true), [1, 3]);
        assert_eq!(found(&[9, 2], false), [1]);
        assert_eq!(found(&[], true), [9, 1, 2, 3]);
        assert!(found(&[], false).is_empty());
    }
}
