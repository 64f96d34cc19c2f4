//! Taking out what is kept no longer, in small steps between turns: old messages, the rows of deleted topics, and
//! publishes that nobody sends again.

use std::collections::{HashMap, HashSet};

use disk::{Connection, Error, OptionalExtension, SqlResult, params};

use super::super::clock;
use super::super::progress::Millis;
use super::super::trim::{Left, Trim, Trimmed};
use super::stage::Staged;
use super::state::Topic;
use super::{Broker, PAUSE};

/// Between two looks; what is looked at is in memory.
const EVERY: Millis = 1000;

/// Rows of one step: publishers wait no longer than that takes.
const STEP: u32 = 500;

/// How long a publish can be sent again, in milliseconds, and how many are remembered.
const REMEMBERED: i64 = 24 * 3600 * 1000;
const MOST_REMEMBERED: u64 = 200_000;

/// Rows that go in a turn for the sake of what it adds: more than anybody adds, unless what is old is much smaller.
const MOST_ROWS: u64 = 20_000;

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
        let now = self.clock.now();
        if now >= self.looks_at {
            self.look();
            self.looks_at = now + EVERY;
        }
        if let Some(topic) = self.overdue.pop_front() {
            self.sweep_topic(topic).await?;
            more = !self.overdue.is_empty();
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

    /// Finds the topics that hold more than they should.
    fn look(&mut self) {
        let waiting: HashSet<u64> = self.overdue.iter().copied().collect();
        let found = self.topics.values().filter(|own| !waiting.contains(&own.id));
        let found: Vec<u64> =
            found.filter(|own| self.trim_for_age_and_size(own).is_some()).map(|own| own.id).collect();
        self.overdue.extend(found);
    }

    /// One step for one topic; it comes behind the others when it needs more.
    async fn sweep_topic(&mut self, id: u64) -> Result<(), Error> {
        let Some(trim) = self.topics.get(&id).and_then(|topic| self.trim_for_age_and_size(topic)) else {
            return Ok(());
        };
        let trimmed = self.disk.write(move |connection| trim.carry_out(connection)).await?;
        self.trimmed(trimmed);
        if self.topics.get(&id).is_some_and(|topic| self.trim_for_age_and_size(topic).is_some()) {
            self.overdue.push_back(id);
        }
        Ok(())
    }

    fn trim_for_age_and_size(&self, topic: &Topic) -> Option<Trim> {
        let keep = clock::millis(topic.retention.unwrap_or(self.options.retention));
        let (before, over) = (clock::today().saturating_sub_unsigned(keep), self.over(topic));
        let old = topic.partitions.iter().filter_map(|own| own.oldest).any(|oldest| oldest < before);
        let trim = || Trim { before, step: STEP.into(), ..trim(topic, over, 0, 0) };
        (old || over > 0).then(trim)
    }

    /// What topics lose for what this turn adds to them.
    pub(super) fn trims_for(&self, staged: &Staged) -> Vec<Trim> {
        let mut added: HashMap<u64, (u64, u64)> = HashMap::new();
        for ((topic, partition), before) in &staged.partitions {
            let own = &self.topics[topic].partitions[*partition as usize];
            let (rows, bytes) = added.entry(*topic).or_default();
            (*rows, *bytes) = (*rows + own.next - before.next, *bytes + own.bytes - before.bytes);
        }
        let over = |(topic, added): (u64, (u64, u64))| {
            let topic = &self.topics[&topic];
            let over = self.over(topic);
            (over > 0).then(|| trim(topic, over, added.0, added.1))
        };
        added.into_iter().filter_map(over).collect()
    }

    /// Bytes that a topic holds beyond its bound.
    fn over(&self, topic: &Topic) -> u64 {
        topic.bytes().saturating_sub(topic.retention_bytes.unwrap_or(self.options.retention_bytes))
    }

    /// Takes in what a trim has left.
    pub(super) fn trimmed(&mut self, trimmed: Trimmed) {
        let Some(topic) = self.topics.get_mut(&trimmed.topic) else { return };
        topic.behind = trimmed.short;
        for Left { partition, earliest, bytes, oldest } in trimmed.partitions {
            self.recent.trim(topic, partition, earliest);
            let own = &mut topic.partitions[partition as usize];
            (own.earliest, own.bytes, own.oldest) = (earliest, bytes, oldest);
            for group in topic.groups.values() {
                // What was held has made room.
                if let Some(group) = self.groups.get_mut(group)
                    && group.progress[partition as usize].trim(earliest)
                {
                    self.dirty.insert(group.id);
                }
            }
        }
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

fn trim(topic: &Topic, over: u64, rows: u64, bytes: u64) -> Trim {
    let heads = topic.partitions.iter().enumerate();
    Trim {
        topic: topic.id,
        heads: heads.filter_map(|(at, own)| Some((own.oldest?, at as u32))).collect(),
        before: i64::MIN,
        over,
        added: bytes.min(over),
        step: u64::from(STEP).min(rows),
        most: MOST_ROWS + 4 * rows,
    }
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
