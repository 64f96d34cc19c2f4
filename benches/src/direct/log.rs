//! Messages through `disk` in this process: the engine under a queue, with none of a queue's own work. The rows are
//! those of one partition: offset, timestamp, key, value, headers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use disk::{Connection, Disk, Row, SqlResult, params};

use super::sqlite::GROW_LOG;
use super::{Job, runtime};
use crate::proc;
use crate::timings::{Tally, Timings};

/// Bytes of each message.
pub const MESSAGE: usize = 256;

/// The text of a message: its number, so that a reader knows which one it has, and letters up to the size.
#[must_use]
pub fn message(number: usize) -> String {
    let mut text = format!("{number:08} ");
    text.extend(std::iter::repeat_n('x', MESSAGE - text.len()));
    text
}

/// Publishes from as many tasks as there are callers, `batch` messages a call; a call ends when its messages are on
/// the disk. Completed calls are counted, not messages.
pub fn publish(job: &Job, batch: usize) -> anyhow::Result<Timings> {
    let disk = open(&job.directory)?;
    let next = Arc::new(AtomicI64::new(first_free(&disk)?));
    let value: Arc<[u8]> = message(0).into_bytes().into();
    let runtime = runtime()?;
    for statement in GROW_LOG {
        runtime.block_on(disk.write(|connection| connection.execute(statement, [])))?;
    }
    let me = [std::process::id()];
    let (cpu, commits, start) = (proc::cpu_time(&me)?, disk.commits(), Instant::now());
    let length = job.length;
    let sum = runtime.block_on(async {
        let callers: Vec<_> = (0..job.callers)
            .map(|_| {
                let (disk, next, value) = (disk.clone(), Arc::clone(&next), Arc::clone(&value));
                tokio::spawn(async move {
                    let mut tally = Tally::default();
                    while start.elapsed() < length {
                        let (next, value) = (Arc::clone(&next), Arc::clone(&value));
                        let begun = Instant::now();
                        match disk.write(move |connection| insert(connection, &next, &value, batch)).await {
                            Ok(()) => tally.done(begun.elapsed(), 0),
                            Err(error) => tally.fail(error.to_string()),
                        }
                    }
                    tally
                })
            })
            .collect();
        let mut sum = Tally::default();
        for caller in callers {
            sum.add(caller.await?);
        }
        anyhow::Ok(sum)
    })?;
    let timings = sum.timings(start);
    let cpu = proc::cpu_time(&me)? - cpu;
    let commits = disk.commits() - commits;
    runtime.block_on(disk.close());
    Ok(Timings { cpu_seconds: Some(cpu.as_secs_f64()), commits: Some(commits), ..timings })
}

fn insert(connection: &Connection, next: &AtomicI64, value: &[u8], batch: usize) -> SqlResult<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO messages (offset, timestamp, key, value, headers) VALUES (?1, ?2, NULL, ?3, x'')",
    )?;
    for _ in 0..batch {
        statement.execute(params![next.fetch_add(1, Ordering::Relaxed), now(), value])?;
    }
    Ok(())
}

/// Reads `count` messages, `batch` at a time, and writes down after each batch how far it has come, as a consumer that
/// acknowledges does. Its one call is the whole of it; completed are messages.
pub fn consume(job: &Job, count: usize, batch: usize) -> anyhow::Result<Timings> {
    let disk = open(&job.directory)?;
    let runtime = runtime()?;
    fill(&disk, &runtime, count)?;
    let me = [std::process::id()];
    let (cpu, start) = (proc::cpu_time(&me)?, Instant::now());
    let mut read = 0;
    runtime.block_on(async {
        while read < count {
            let most = batch.min(count - read);
            let messages = disk.read(move |connection| page(connection, read, most)).await?;
            ensure!(!messages.is_empty(), "the messages end at {read}");
            read += messages.len();
            disk.write(move |connection| {
                let mut statement = connection
                    .prepare_cached("INSERT OR REPLACE INTO progress (grp, next) VALUES (1, ?1)")?;
                statement.execute(params![read])
            })
            .await?;
        }
        anyhow::Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = proc::cpu_time(&me)? - cpu;
    runtime.block_on(disk.close());
    Ok(Timings {
        completed: read as u64,
        seconds,
        cpu_seconds: Some(cpu.as_secs_f64()),
        ..Timings::default()
    })
}

/// A message as it lies on the disk.
#[expect(dead_code, reason = "made so that each cell is copied, as a reader that goes on to use it must")]
struct Stored {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<u8>,
}

fn page(connection: &Connection, from: usize, most: usize) -> SqlResult<Vec<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT offset, timestamp, key, value, headers FROM messages WHERE offset >= ?1 ORDER BY offset LIMIT ?2",
    )?;
    let stored = |row: &Row<'_>| {
        Ok(Stored {
            offset: row.get(0)?,
            timestamp: row.get(1)?,
            key: row.get(2)?,
            value: row.get(3)?,
            headers: row.get(4)?,
        })
    };
    statement.query_map(params![from, most], stored)?.collect()
}

fn open(directory: &Path) -> anyhow::Result<Disk> {
    let (disk, ()) = Disk::open_with(&directory.join("direct.db"), |connection| {
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS messages (offset INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key BLOB, \
             value BLOB NOT NULL, headers BLOB NOT NULL) STRICT; \
             CREATE TABLE IF NOT EXISTS progress (grp INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT",
        )
    })?;
    Ok(disk)
}

fn fill(disk: &Disk, runtime: &tokio::runtime::Runtime, count: usize) -> anyhow::Result<()> {
    let there = usize::try_from(first_free(disk)?)?;
    if there < count {
        let next = AtomicI64::new(i64::try_from(there)?);
        let value = message(0).into_bytes();
        let missing = count - there;
        runtime.block_on(disk.write(move |connection| insert(connection, &next, &value, missing)))?;
    }
    Ok(())
}

fn first_free(disk: &Disk) -> anyhow::Result<i64> {
    let last = disk.read(|connection| {
        connection.query_row("SELECT coalesce(max(offset) + 1, 0) FROM messages", [], |row| row.get(0))
    });
    Ok(runtime()?.block_on(last)?)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_are_published_alone_and_together_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let job = |callers| Job {
            directory: directory.path().to_owned(),
            callers,
            length: Duration::from_millis(200),
        };
        let alone = publish(&job(1), 1).unwrap();
        assert!(
            alone.completed > 1 && alone.errors == 0 && alone.commits == Some(alone.completed),
            "{alone:?}"
        );
        let together = publish(&job(50), 2).unwrap();
        assert!(together.errors == 0 && together.commits < Some(together.completed), "{together:?}");
        let read = consume(&job(1), 1_000, 300).unwrap();
        assert_eq!(read.completed, 1_000, "{read:?}");
    }

    #[test]
    fn a_message_has_its_size_and_its_number() {
        assert_eq!(message(42).len(), MESSAGE);
        assert!(message(42).starts_with("00000042 x"));
    }
}
