//! Opens connections: the file made for its owner alone, checked, and set to lose nothing it acknowledged.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};

use crate::error::Error;
use crate::functions;
use crate::watch::Watch;

/// How long to wait for another process, such as a backup, before a call is told `Busy`.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The log is cut back to this after a burst, in bytes.
const LOG_KEPT: i64 = 64 << 20;

/// Prepared statements kept on each connection; the default of 16 is soon used up by several tables.
const STATEMENTS_KEPT: usize = 64;

/// What SQLite may take for all connections of the process together, in bytes: caches, sorters, and the values of
/// statements that run. A row of many large columns could take tens of gigabytes, and the process would be killed.
const MEMORY: i64 = 1 << 30;

/// Bounds for statements, where SQLite's own are meant for programs that trust what they run.
const BOUNDS: [(Limit, i32); 10] = [
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    // A pattern is compared at each place of a text, in one step that nothing can end.
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 250),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    (Limit::SQLITE_LIMIT_VDBE_OP, 5_000_000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// A connection with what watches over it.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) watch: Arc<Watch>,
}

/// How much of a file was checked when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// All of it.
    Whole,
    /// That it is a database; the rest takes too long to wait for.
    Later,
}

/// The writing connection of a file, checked whole if it has no more than `at_once` bytes. Must come before any
/// [`reader`], since it makes the file.
pub(crate) fn writer(path: &Path, at_once: u64) -> Result<(Opened, Checked), Error> {
    make(path).map_err(|error| Error::ReadOnly { path: path.to_path_buf(), detail: error.to_string() })?;
    let of = |error| Error::of(error, path);
    let connection = connect(path).map_err(of)?;
    let checked = check(&connection, path, at_once)?;
    log_ahead(&connection).map_err(of)?;
    Ok((configure(connection).map_err(of)?, checked))
}

/// A connection that cannot change the file.
pub(crate) fn reader(path: &Path) -> Result<Opened, Error> {
    let open = || {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        configure(connection)
    };
    open().map_err(|error| Error::of(error, path))
}

/// The one connection of a database in memory.
pub(crate) fn memory() -> Result<Opened, Error> {
    let open = || configure(Connection::open_in_memory()?);
    open().map_err(|error| Error::of(error, Path::new(":memory:")))
}

/// Makes an empty file (which is an empty database) if there is none. An existing file is left to SQLite:
/// opening and closing it here would drop the locks that this process may hold on it.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // Without this the name itself may be lost with the power, and the database with it.
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection stays on one thread, so SQLite's own mutexes have nothing to guard.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn check(connection: &Connection, path: &Path, at_once: u64) -> Result<Checked, Error> {
    let of = |error| Error::of(error, path);
    // The first read, and so the moment when a file that is something else is found out.
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size, \
                (SELECT count(*) FROM sqlite_schema)";
    let size: u64 = connection.query_row(size, [], |row| row.get(0)).map_err(of)?;
    let checked = if size > at_once { Checked::Later } else { Checked::Whole };
    if checked == Checked::Whole {
        quick_check(connection, path)?;
    }
    // SQLite opens a file that it may not write for reading alone, and says nothing.
    if connection.is_readonly("main").map_err(of)? {
        let detail = "the file may only be read".to_owned();
        return Err(Error::ReadOnly { path: path.to_path_buf(), detail });
    }
    Ok(checked)
}

/// Reads every page, and says what contradicts itself.
pub(crate) fn quick_check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(|error| Error::of(error, path))? {
        ok if ok == "ok" => Ok(()),
        fault => Err(Error::Corrupt { path: path.to_path_buf(), detail: fault.replace('\n', " ") }),
    }
}

fn log_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return connection.pragma_update(None, "journal_size_limit", LOG_KEPT);
    }
    let message = format!("its file system takes no write-ahead log, the journal stayed `{mode}`");
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(message)))
}

fn configure(mut connection: Connection) -> rusqlite::Result<Opened> {
    // FULL: the log reaches the disk before a commit is acknowledged, so a power cut takes nothing back.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A damaged or hostile file is found out sooner, and its schema cannot call functions.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // No statement can write where SQLite keeps its own: schema, shadow tables, journal.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A text in double quotes names a column; SQLite would take a misspelt one for a value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.query_row(&format!("PRAGMA hard_heap_limit = {MEMORY}"), [], |_| Ok(()))?;
    for (limit, most) in BOUNDS {
        connection.set_limit(limit, most)?;
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    let watch = Watch::over(&mut connection)?;
    functions::replace_slow(&connection, &watch.longest)?;
    Ok(Opened { connection, watch })
}
