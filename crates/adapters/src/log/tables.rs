//! The tables of a queue's file, and what of them is held in memory: read once, when it is opened.

use disk::{Connection, OptionalExtension, SqlError, SqlResult, params};

use super::progress::Progress;
use super::progress_row;

/// What this program reads and writes; kept as SQLite's `user_version`.
const VERSION: i64 = 2;

const TABLES: &str = "
CREATE TABLE file (
    salt INTEGER NOT NULL
) STRICT;
CREATE TABLE topics (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    retention_ms    INTEGER,
    retention_bytes INTEGER
) STRICT;
CREATE TABLE partitions (
    topic     INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    earliest  INTEGER NOT NULL,
    next      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    topic     INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    key       BLOB,
    value     BLOB NOT NULL,
    headers   BLOB NOT NULL,
    PRIMARY KEY (topic, partition, offset)
) STRICT, WITHOUT ROWID;
CREATE TABLE groups (
    id    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    topic INTEGER NOT NULL,
    name  TEXT    NOT NULL,
    UNIQUE (topic, name)
) STRICT;
CREATE TABLE progress (
    grp       INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    segment   INTEGER NOT NULL,
    state     BLOB    NOT NULL,
    PRIMARY KEY (grp, partition, segment)
) STRICT, WITHOUT ROWID;
CREATE TABLE publishes (
    key         TEXT    NOT NULL PRIMARY KEY,
    topic       INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    receipts    BLOB    NOT NULL,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX publishes_by_age ON publishes (at);
CREATE TABLE dropped (
    topic INTEGER NOT NULL PRIMARY KEY
) STRICT;
";

/// Everything but the messages.
pub(super) struct Loaded {
    pub(super) salt: u32,
    pub(super) topics: Vec<TopicRow>,
    pub(super) groups: Vec<GroupRow>,
    /// Topics whose rows are still to be taken out.
    pub(super) dropped: Vec<u64>,
    /// Publishes that are remembered.
    pub(super) publishes: u64,
}

pub(super) struct TopicRow {
    pub(super) id: u64,
    pub(super) name: Box<str>,
    pub(super) retention_ms: Option<u64>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) partitions: Vec<PartitionRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionRow {
    pub(super) earliest: u64,
    pub(super) next: u64,
    pub(super) bytes: u64,
    /// When its oldest message was published, if it has one.
    pub(super) oldest: Option<i64>,
}

pub(super) struct GroupRow {
    pub(super) id: u64,
    pub(super) topic: u64,
    pub(super) name: Box<str>,
    /// By partition; one that is missing has no place yet and begins at the earliest message.
    pub(super) progress: Vec<(u32, Progress)>,
}

/// Makes the tables if there are none, and reads them. `salt` is for a new file.
pub(super) fn open(connection: &Connection, salt: u32) -> SqlResult<Loaded> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        VERSION => {}
        0 if is_empty(connection)? => make(connection, salt)?,
        0 => {
            let message = "the file holds something else than a queue: name another one";
            return Err(SqlError::ToSqlConversionFailure(message.into()));
        }
        other => {
            let remedy = if other > VERSION { "use a newer one" } else { "take it away" };
            let message = format!(
                "the file is of version {other} of the queue, and this program knows {VERSION}: {remedy}"
            );
            return Err(SqlError::ToSqlConversionFailure(message.into()));
        }
    }
    Ok(Loaded {
        salt: connection.query_row("SELECT salt FROM file", [], |row| row.get(0))?,
        topics: topics(connection)?,
        groups: groups(connection)?,
        dropped: connection
            .prepare("SELECT topic FROM dropped")?
            .query_map([], |row| row.get(0))?
            .collect::<SqlResult<_>>()?,
        publishes: connection.query_row("SELECT count(*) FROM publishes", [], |row| row.get(0))?,
    })
}

fn is_empty(connection: &Connection) -> SqlResult<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn make(connection: &Connection, salt: u32) -> SqlResult<()> {
    connection.execute_batch(TABLES)?;
    connection.execute("INSERT INTO file (salt) VALUES (?1)", params![salt])?;
    connection.pragma_update(None, "user_version", VERSION)
}

fn topics(connection: &Connection) -> SqlResult<Vec<TopicRow>> {
    let mut statement = connection.prepare("SELECT id, name, retention_ms, retention_bytes FROM topics")?;
    let rows = statement.query_map([], |row| {
        Ok(TopicRow {
            id: row.get(0)?,
            name: row.get::<_, String>(1)?.into(),
            retention_ms: row.get(2)?,
            retention_bytes: row.get(3)?,
            partitions: Vec::new(),
        })
    })?;
    let mut topics = rows.collect::<SqlResult<Vec<_>>>()?;
    let mut partitions = connection.prepare(
        "SELECT partition, earliest, next, bytes FROM partitions WHERE topic = ?1 ORDER BY partition",
    )?;
    for topic in &mut topics {
        let rows = partitions.query_map(params![topic.id], |row| {
            let (partition, earliest): (u32, u64) = (row.get(0)?, row.get(1)?);
            let oldest = timestamp_of(connection, topic.id, partition, earliest)?;
            Ok(PartitionRow { earliest, next: row.get(2)?, bytes: row.get(3)?, oldest })
        })?;
        topic.partitions = rows.collect::<SqlResult<_>>()?;
    }
    Ok(topics)
}

/// When a message was published.
pub(super) fn timestamp_of(
    connection: &Connection,
    topic: u64,
    partition: u32,
    offset: u64,
) -> SqlResult<Option<i64>> {
    connection
        .prepare_cached("SELECT timestamp FROM messages WHERE topic = ?1 AND partition = ?2 AND offset = ?3")?
        .query_row(params![topic, partition, offset], |row| row.get(0))
        .optional()
}

fn groups(connection: &Connection) -> SqlResult<Vec<GroupRow>> {
    let mut statement = connection
        .prepare("SELECT id, topic, name FROM groups WHERE topic IN (SELECT id FROM topics) ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(GroupRow {
            id: row.get(0)?,
            topic: row.get(1)?,
            name: row.get::<_, String>(2)?.into(),
            progress: Vec::new(),
        })
    })?;
    let mut groups = rows.collect::<SqlResult<Vec<_>>>()?;
    let mut statement = connection
        .prepare("SELECT partition, segment, state FROM progress WHERE grp = ?1 ORDER BY partition")?;
    for group in &mut groups {
        let mut rows = statement.query(params![group.id])?;
        while let Some(row) = rows.next()? {
            let (partition, segment, state): (u32, u64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if group.progress.last().is_none_or(|(own, _)| *own != partition) {
                group.progress.push((partition, Progress::default()));
            }
            let own = group.progress.last_mut().map(|(_, own)| own);
            own.and_then(|own| progress_row::decode(own, segment, &state)).ok_or_else(|| {
                let message = format!("the progress of group `{}` cannot be read", group.name);
                SqlError::ToSqlConversionFailure(message.into())
            })?;
        }
    }
    Ok(groups)
}
