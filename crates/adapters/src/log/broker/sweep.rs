//! Taking out what is kept no longer, in small steps between turns: old messages, the rows of deleted topics, and
//! publishes that nobody sends again.

use disk::{Connection, Error, OptionalExtension, SqlResult, params};

use super::super::clock;
use super::super::progress::Millis;
use super::super::tables;
use super::state::Topic;
use super::{Broker, PAUSE};

/// Between two looks; what is looked at is in memory.
const EVERY: Millis = 1000;

/// Rows of one step: publishers wait no longer than that takes.
const STEP: u32 = 500;

/// How long a publish can be sent again, in milliseconds, and how many are remembered.
const REMEMBERED: i64 = 24 * 3600 * 1000;
const MOST_REMEMBERED: u64 = 200_000;

/// What a step left of a partition.
struct Trimmed {
    earliest: u64,
    bytes: u64,
    oldest: Option<i64>,
}

impl Broker {
    /// Takes one step of each sort; comes back at once while there is more to do.
    pub(super) async fn sweep(&mut self) {
        let now = self.clock.now();
        let more = match self.step().await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "a queue could not take out what is old");
                self.sweeps_at = now + 10 * PAUSE;
                return;
            }
        };
        self.sweeps_at = if more { now } else { now + EVERY };
    }

    async fn step(&mut self) -> Result<bool, Error> {
        let mut more = false;
        if let Some((topic, partition, cut)) = self.overdue() {
            self.trim(topic, partition, cut).await?;
            more = true;
        }
        if let Some(topic) = self.dropped.front().copied() {
            if self.disk.write(move |connection| take_out(connection, topic)).await? {
                self.dropped.pop_front();
            }
            more = true;
        }
        more |= self.forget().await?;
        Ok(more)
    }

    /// A partition whose oldest message must go, with what makes it so.
    fn overdue(&self) -> Option<(u64, u32, Cut)> {
        let today = clock::today();
        self.topics.values().find_map(|topic| {
            let keep = topic.retention.unwrap_or(self.options.retention);
            let before = today.saturating_sub_unsigned(clock::millis(keep));
            let over =
                topic.bytes().saturating_sub(topic.retention_bytes.unwrap_or(self.options.retention_bytes));
            let (partition, oldest) = oldest_of(topic)?;
            (oldest < before || over > 0).then_some((topic.id, partition, Cut { before, over }))
        })
    }

    async fn trim(&mut self, topic_id: u64, partition: u32, cut: Cut) -> Result<(), Error> {
        let trimmed = self.disk.write(move |connection| trim(connection, topic_id, partition, cut)).await?;
        let Some(topic) = self.topics.get_mut(&topic_id) else { return Ok(()) };
        self.recent.trim(topic, partition, trimmed.earliest);
        let own = &mut topic.partitions[partition as usize];
        (own.earliest, own.bytes, own.oldest) = (trimmed.earliest, trimmed.bytes, trimmed.oldest);
        for group in topic.groups.values() {
            if let Some(group) = self.groups.get_mut(group) {
                group.progress[partition as usize].trim(trimmed.earliest);
                // What was held has made room.
                self.dirty.insert(group.id);
            }
        }
        Ok(())
    }

    /// Forgets publishes. True when there may be more.
    async fn forget(&mut self) -> Result<bool, Error> {
        let over = self.publishes.saturating_sub(MOST_REMEMBERED).min(STEP.into());
        let now = self.clock.now();
        if over == 0 && now < self.forgets_at {
            return Ok(false);
        }
        if self.publishes == 0 {
            return Ok(false);
        }
        let before = clock::today() - REMEMBERED;
        let gone = self.disk.write(move |connection| forget(connection, before, over)).await?;
        self.publishes = self.publishes.saturating_sub(gone);
        let more = gone >= STEP.into();
        self.forgets_at = if more { now } else { now + 60 * EVERY };
        Ok(more)
    }
}

/// What goes: what was published before this moment, and so many bytes more.
#[derive(Clone, Copy)]
struct Cut {
    before: i64,
    over: u64,
}

/// The partition with the oldest message.
fn oldest_of(topic: &Topic) -> Option<(u32, i64)> {
    let heads = topic.partitions.iter().enumerate();
    heads.filter_map(|(at, own)| Some((at as u32, own.oldest?))).min_by_key(|(_, oldest)| *oldest)
}

fn trim(connection: &Connection, topic: u64, partition: u32, cut: Cut) -> SqlResult<Trimmed> {
    let (mut earliest, bytes): (u64, u64) = connection
        .prepare_cached("SELECT earliest, bytes FROM partitions WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![topic, partition], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut freed = 0;
    {
        let mut statement = connection.prepare_cached(
            "SELECT offset, timestamp, ifnull(length(key), 0) + length(value) + length(headers) FROM messages
             WHERE topic = ?1 AND partition = ?2 ORDER BY offset LIMIT ?3",
        )?;
        let mut rows = statement.query(params![topic, partition, STEP])?;
        while let Some(row) = rows.next()? {
            let (offset, timestamp, size): (u64, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if timestamp >= cut.before && freed >= cut.over {
                break;
            }
            earliest = offset + 1;
            freed += size;
        }
    }
    connection
        .prepare_cached("DELETE FROM messages WHERE topic = ?1 AND partition = ?2 AND offset < ?3")?
        .execute(params![topic, partition, earliest])?;
    let bytes = bytes.saturating_sub(freed);
    connection
        .prepare_cached(
            "UPDATE partitions SET earliest = ?3, bytes = ?4 WHERE topic = ?1 AND partition = ?2",
        )?
        .execute(params![topic, partition, earliest, bytes])?;
    Ok(Trimmed { earliest, bytes, oldest: tables::timestamp_of(connection, topic, partition, earliest)? })
}

/// Takes out some rows of a deleted topic. True when none is left.
fn take_out(connection: &Connection, topic: u64) -> SqlResult<bool> {
    let head: Option<(u32, u64)> = connection
        .prepare_cached(
            "SELECT partition, offset FROM messages WHERE topic = ?1 ORDER BY partition, offset LIMIT 1",
        )?
        .query_row(params![topic], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((partition, first)) = head {
        connection
            .prepare_cached("DELETE FROM messages WHERE topic = ?1 AND partition = ?2 AND offset < ?3")?
            .execute(params![topic, partition, first + u64::from(STEP)])?;
        return Ok(false);
    }
    let group: Option<u64> = connection
        .prepare_cached("SELECT id FROM groups WHERE topic = ?1 LIMIT 1")?
        .query_row(params![topic], |row| row.get(0))
        .optional()?;
    if let Some(group) = group {
        super::super::writes::delete_group(connection, group)?;
        return Ok(false);
    }
    connection.execute("DELETE FROM partitions WHERE topic = ?1", params![topic])?;
    connection.execute("DELETE FROM dropped WHERE topic = ?1", params![topic])?;
    Ok(true)
}

/// Forgets what was published before this moment, or so many of the oldest. Gives how many.
fn forget(connection: &Connection, before: i64, over: u64) -> SqlResult<u64> {
    let old = connection
        .prepare_cached(
            "DELETE FROM publishes WHERE key IN (SELECT key FROM publishes WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![before, STEP])?;
    let many = connection
        .prepare_cached(
            "DELETE FROM publishes WHERE key IN (SELECT key FROM publishes ORDER BY at LIMIT ?1)",
        )?
        .execute(params![over.saturating_sub(old as u64)])?;
    Ok((old + many) as u64)
}
