//! SQLite through rusqlite in this process, with the settings that the gateway's engine has, statements prepared once,
//! values bound and read by their types.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params};

use super::{Job, on_threads};
use crate::timings::Timings;

/// Rows of the table that is read.
pub const ROWS: usize = 10_000;

/// The statements, for the gateway as well: both sides do the same.
pub const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, \
     balance REAL NOT NULL, note TEXT)",
    "CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, person INTEGER NOT NULL, place TEXT NOT NULL)",
];
pub const FILL: &str = "INSERT OR IGNORE INTO people \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
     SELECT i, 'Person ' || i, 'person' || i || '@example.org', i * 1.25, 'knows ' || (i * 7919 % 10000) FROM n";
pub const SELECT_ONE: &str = "SELECT id, name, email, balance, note FROM people WHERE id = $1";
pub const SELECT_ALL: &str = "SELECT id, name, email, balance, note FROM people";
/// Makes the write-ahead log as long as it gets, so that nobody is measured while it grows for the first time: a commit
/// into a file that grows takes the disk ten times as long.
pub const GROW_LOG: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS scratch (bytes BLOB)",
    "INSERT INTO scratch VALUES (zeroblob(8388608))",
    "DELETE FROM scratch",
];
pub const INSERT_ONE: &str = "INSERT INTO visits (person, place) VALUES ($1, $2)";
/// What is inserted beside the number of the person.
pub const PLACE: &str = "the harbour, by the old lighthouse";

/// The number of the person for a call: every one is met, in a scattered order.
#[must_use]
pub fn person(call: usize) -> usize {
    call * 7_919 % ROWS + 1
}

/// One row by its primary key, each caller on a connection of its own.
pub fn select(job: &Job) -> anyhow::Result<Timings> {
    prepare(&job.directory)?;
    on_threads(
        job,
        |_| open(&job.directory),
        |connection, at| {
            let mut statement = connection.prepare_cached(SELECT_ONE)?;
            let row = statement.query_row(params![person(at)], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, f64>(3)?,
                    row.get::<_, Option<String>>(4)?,
                ))
            })?;
            ensure!(row.0 == i64::try_from(person(at))?, "another row came back");
            Ok(row.1.len() + row.2.len())
        },
    )
}

/// One row, committed by itself; callers share the one connection that writes.
pub fn insert(job: &Job) -> anyhow::Result<Timings> {
    prepare(&job.directory)?;
    let writer = open(&job.directory)?;
    for statement in GROW_LOG {
        writer.execute(statement, [])?;
    }
    let writer = Mutex::new(writer);
    on_threads(
        job,
        |_| Ok(()),
        |(), at| {
            let connection = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = connection.prepare_cached(INSERT_ONE)?.execute(params![person(at), PLACE])?;
            ensure!(changed == 1, "{changed} rows were inserted");
            Ok(0)
        },
    )
}

/// All rows, each cell read into a value of its own, as an application that goes on to use them would.
pub fn rows(job: &Job) -> anyhow::Result<Timings> {
    prepare(&job.directory)?;
    on_threads(
        job,
        |_| open(&job.directory),
        |connection, _| {
            let mut statement = connection.prepare_cached(SELECT_ALL)?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            let mut kept: Vec<Vec<rusqlite::types::Value>> = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let mut cells = Vec::with_capacity(columns);
                for column in 0..columns {
                    let cell = row.get_ref(column)?;
                    bytes += match cell {
                        ValueRef::Null => 0,
                        ValueRef::Integer(_) | ValueRef::Real(_) => 8,
                        ValueRef::Text(text) | ValueRef::Blob(text) => text.len(),
                    };
                    cells.push(cell.try_into()?);
                }
                kept.push(cells);
            }
            ensure!(kept.len() == ROWS, "{} rows came back", kept.len());
            Ok(bytes)
        },
    )
}

/// The tables, filled once.
fn prepare(directory: &Path) -> anyhow::Result<()> {
    let connection = open(directory)?;
    for table in TABLES {
        connection.execute(table, [])?;
    }
    let there: usize = connection.query_row("SELECT count(*) FROM people", [], |row| row.get(0))?;
    if there < ROWS {
        connection.execute(FILL, [])?;
    }
    Ok(())
}

fn open(directory: &Path) -> anyhow::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(directory.join("direct.db"), flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_does_what_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let job =
            Job { directory: directory.path().to_owned(), callers: 2, length: Duration::from_millis(150) };
        for run in [select, insert, rows] {
            let timings = run(&job).unwrap();
            assert!(timings.completed > 1 && timings.errors == 0, "{timings:?}");
            assert!(timings.p50_us > 0.0 && timings.cpu_seconds.is_some(), "{timings:?}");
        }
        let connection = open(directory.path()).unwrap();
        let inserted: u64 =
            connection.query_row("SELECT count(*) FROM visits", [], |row| row.get(0)).unwrap();
        assert!(inserted > 1);
    }
}
