//! Taking the oldest messages of a topic out of the file: by age, and by how much there is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use disk::{Connection, SqlResult, params};

use super::tables;

/// Rows that go at least before another partition with older ones has its turn: each turn costs as much as some rows.
const RUN: u64 = 64;

/// Messages that must go from a topic.
pub(super) struct Trim {
    pub(super) topic: u64,
    /// Partitions that have messages, by the time of the oldest.
    pub(super) heads: Vec<(i64, u32)>,
    /// Everything that was published before goes.
    pub(super) before: i64,
    /// And so many bytes more.
    pub(super) over: u64,
    /// Of these bytes, those that have just been added and must go at once.
    pub(super) added: u64,
    /// Rows that are taken out at most, and for the sake of what was added.
    pub(super) step: u64,
    pub(super) most: u64,
}

/// What a trim has left.
#[derive(Default)]
pub(super) struct Trimmed {
    pub(super) topic: u64,
    pub(super) partitions: Vec<Left>,
    /// Less went than was added: there were too many rows.
    pub(super) short: bool,
}

/// What is left of a partition.
pub(super) struct Left {
    pub(super) partition: u32,
    pub(super) earliest: u64,
    pub(super) bytes: u64,
    pub(super) oldest: Option<i64>,
}

impl Trim {
    /// Takes out what must go, the oldest first over all partitions.
    pub(super) fn carry_out(&self, connection: &Connection) -> SqlResult<Trimmed> {
        let mut heads: BinaryHeap<_> = self.heads.iter().copied().map(Reverse).collect();
        let mut left = BTreeMap::new();
        let (mut taken, mut freed) = (0, 0);
        while let Some(Reverse((oldest, partition))) = heads.pop() {
            let most = if freed < self.added { self.most } else { self.step }.saturating_sub(taken);
            if most == 0 || (oldest >= self.before && freed >= self.over) {
                break;
            }
            let until = heads.peek().map_or(i64::MAX, |Reverse((next, _))| *next);
            let run = self.run(connection, partition, freed, until, most)?;
            (taken, freed) = (taken + run.rows, freed + run.bytes);
            let own = self.cut(connection, partition, &run)?;
            heads.extend(own.oldest.map(|oldest| Reverse((oldest, partition))));
            left.insert(partition, own);
        }
        let short = freed < self.added.min(self.over) && taken >= self.most;
        Ok(Trimmed { topic: self.topic, partitions: left.into_values().collect(), short })
    }

    /// Counts what goes from the front of a partition, up to messages that are younger than `until`.
    fn run(
        &self,
        connection: &Connection,
        partition: u32,
        freed: u64,
        until: i64,
        most: u64,
    ) -> SqlResult<Run> {
        let mut statement = connection.prepare_cached(
            "SELECT offset, timestamp, ifnull(length(key), 0) + length(value) + length(headers) FROM messages
             WHERE topic = ?1 AND partition = ?2 ORDER BY offset LIMIT ?3",
        )?;
        let mut rows = statement.query(params![self.topic, partition, most])?;
        let mut run = Run::default();
        while let Some(row) = rows.next()? {
            let (offset, timestamp, size): (u64, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let stays = timestamp >= self.before && freed + run.bytes >= self.over;
            let step_is_done = freed + run.bytes >= self.added && run.rows >= self.step;
            if stays || step_is_done || (timestamp > until && run.rows >= RUN) {
                break;
            }
            run = Run { rows: run.rows + 1, bytes: run.bytes + size, earliest: Some(offset + 1) };
        }
        Ok(run)
    }

    fn cut(&self, connection: &Connection, partition: u32, run: &Run) -> SqlResult<Left> {
        if let Some(earliest) = run.earliest {
            connection
                .prepare_cached("DELETE FROM messages WHERE topic = ?1 AND partition = ?2 AND offset < ?3")?
                .execute(params![self.topic, partition, earliest])?;
        }
        let (earliest, bytes) = connection
            .prepare_cached(
                "UPDATE partitions SET earliest = ifnull(?3, earliest), bytes = max(bytes - ?4, 0)
                 WHERE topic = ?1 AND partition = ?2 RETURNING earliest, bytes",
            )?
            .query_row(params![self.topic, partition, run.earliest, run.bytes], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let oldest = tables::timestamp_of(connection, self.topic, partition, earliest)?;
        Ok(Left { partition, earliest, bytes, oldest })
    }
}

/// Messages at the front of a partition.
#[derive(Default)]
struct Run {
    rows: u64,
    bytes: u64,
    /// Where the partition begins without them.
    earliest: Option<u64>,
}
