//! The jobs that change a queue's file: each a plain function of a connection, run inside the writer's transaction.

use std::sync::Arc;

use disk::{Connection, OptionalExtension, SqlResult, params};

use super::progress_row::Rows;
use super::stored::Stored;
use super::trim::{Trim, Trimmed};

/// What one turn of the broker writes: all of it, or nothing.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<NewMessage>,
    /// Where partitions end now.
    pub(super) ends: Vec<End>,
    /// Rows of progress by group and partition.
    pub(super) progress: Vec<(u64, u32, Rows)>,
    /// What goes for what comes.
    pub(super) trims: Vec<Trim>,
    pub(super) publishes: Vec<PublishRow>,
}

pub(super) struct NewMessage {
    pub(super) topic: u64,
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) stored: Arc<Stored>,
}

pub(super) struct End {
    pub(super) topic: u64,
    pub(super) partition: u32,
    pub(super) next: u64,
    pub(super) bytes: u64,
}

/// A publish that may be sent again.
pub(super) struct PublishRow {
    pub(super) key: Box<str>,
    pub(super) topic: u64,
    pub(super) fingerprint: [u8; 32],
    pub(super) receipts: Vec<u8>,
    pub(super) at: i64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.progress.is_empty() && self.publishes.is_empty()
    }

    /// Gives what is left of the topics that were trimmed.
    pub(super) fn write(&self, connection: &Connection) -> SqlResult<Vec<Trimmed>> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO messages (topic, partition, offset, timestamp, key, value, headers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for NewMessage { topic, partition, offset, stored } in &self.messages {
            let key = stored.key.as_deref();
            insert.execute(params![
                topic,
                partition,
                offset,
                stored.timestamp,
                key,
                &stored.value[..],
                &stored.headers[..]
            ])?;
        }
        let mut end = connection.prepare_cached(
            "UPDATE partitions SET next = ?3, bytes = ?4 WHERE topic = ?1 AND partition = ?2",
        )?;
        for End { topic, partition, next, bytes } in &self.ends {
            end.execute(params![topic, partition, next, bytes])?;
        }
        self.write_progress(connection)?;
        let mut publish = connection.prepare_cached(
            "INSERT OR REPLACE INTO publishes (key, topic, fingerprint, receipts, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for PublishRow { key, topic, fingerprint, receipts, at } in &self.publishes {
            publish.execute(params![&**key, topic, &fingerprint[..], receipts, at])?;
        }
        self.trims.iter().map(|trim| trim.carry_out(connection)).collect()
    }

    fn write_progress(&self, connection: &Connection) -> SqlResult<()> {
        let mut put = connection.prepare_cached(
            "INSERT INTO progress (grp, partition, segment, state) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET state = excluded.state",
        )?;
        let mut take = connection
            .prepare_cached("DELETE FROM progress WHERE grp = ?1 AND partition = ?2 AND segment = ?3")?;
        for (group, partition, rows) in &self.progress {
            for (segment, state) in &rows.write {
                put.execute(params![group, partition, segment, state])?;
            }
            for segment in &rows.gone {
                take.execute(params![group, partition, segment])?;
            }
        }
        Ok(())
    }
}

/// Makes a topic; gives its id.
pub(super) fn create_topic(
    connection: &Connection,
    name: &str,
    partitions: u32,
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
) -> SqlResult<u64> {
    let id = connection
        .prepare_cached(
            "INSERT INTO topics (name, retention_ms, retention_bytes) VALUES (?1, ?2, ?3) RETURNING id",
        )?
        .query_row(params![name, retention_ms, retention_bytes], |row| row.get(0))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO partitions (topic, partition, earliest, next, bytes) VALUES (?1, ?2, 0, 0, 0)",
    )?;
    for partition in 0..partitions {
        insert.execute(params![id, partition])?;
    }
    Ok(id)
}

/// Takes a topic's name away; its rows follow in steps.
pub(super) fn drop_topic(connection: &Connection, id: u64) -> SqlResult<()> {
    connection.execute("DELETE FROM topics WHERE id = ?1", params![id])?;
    connection.execute("INSERT INTO dropped (topic) VALUES (?1)", params![id]).map(drop)
}

/// Makes a group with these places; gives its id.
pub(super) fn create_group(
    connection: &Connection,
    topic: u64,
    name: &str,
    progress: &[(u32, Rows)],
) -> SqlResult<u64> {
    let id = connection
        .prepare_cached("INSERT INTO groups (topic, name) VALUES (?1, ?2) RETURNING id")?
        .query_row(params![topic, name], |row| row.get(0))?;
    put_progress(connection, id, progress)?;
    Ok(id)
}

/// Gives a group these places and no others.
pub(super) fn reset_group(connection: &Connection, id: u64, progress: &[(u32, Rows)]) -> SqlResult<()> {
    connection.execute("DELETE FROM progress WHERE grp = ?1", params![id])?;
    put_progress(connection, id, progress)
}

fn put_progress(connection: &Connection, group: u64, progress: &[(u32, Rows)]) -> SqlResult<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO progress (grp, partition, segment, state) VALUES (?1, ?2, ?3, ?4)")?;
    for (partition, rows) in progress {
        for (segment, state) in &rows.write {
            insert.execute(params![group, partition, segment, state])?;
        }
    }
    Ok(())
}

/// Takes a group out.
pub(super) fn delete_group(connection: &Connection, id: u64) -> SqlResult<()> {
    connection.execute("DELETE FROM progress WHERE grp = ?1", params![id])?;
    connection.execute("DELETE FROM groups WHERE id = ?1", params![id]).map(drop)
}

/// What is remembered of a publish: topic, fingerprint, receipts.
pub(super) type Remembered = (u64, Vec<u8>, Vec<u8>);

/// Looks up a publish.
pub(super) fn publish_of(connection: &Connection, key: &str) -> SqlResult<Option<Remembered>> {
    connection
        .prepare_cached("SELECT topic, fingerprint, receipts FROM publishes WHERE key = ?1")?
        .query_row(params![key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}
