//! The embedded engine: one SQLite file, one writer that commits its callers as a group, and readers beside it.
//!
//! It knows files, threads and transactions; what stands in the tables is its callers' business. Nobody
//! else in the gateway opens SQLite, so the few types that a job needs are named here.

mod error;
mod open;
mod readers;
mod threads;
mod work;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use rusqlite::{Connection, Error as SqlError, OptionalExtension, Result as SqlResult, Row, params};

pub use error::Error;
use readers::Readers;
use writer::Writer;

/// An open database. Clones are handles of the same one; it closes with the last of them.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    /// None in memory, where the writer's connection is the only one there is.
    readers: Option<Readers>,
}

impl Disk {
    /// Opens or makes the file, readable by its owner alone, and checks that it is whole. Blocks for
    /// as long as the check takes: about a second for each gigabyte.
    pub fn open(path: &Path) -> Result<Disk, Error> {
        Self::open_with(path, |_| Ok(())).map(|(disk, ())| disk)
    }

    /// As [`Disk::open`], with a first job that no other can come before: the place for migrations.
    /// It is one transaction, undone when it fails, and runs on the calling thread.
    pub fn open_with<T, F>(path: &Path, first: F) -> Result<(Disk, T), Error>
    where
        F: FnOnce(&Connection) -> SqlResult<T>,
    {
        let connection = open::writer(path)?;
        let value = writer::alone(&connection, first).map_err(|error| Error::of(error, path))?;
        let path: Arc<Path> = path.into();
        let readers = Some(Readers::start(&path)?);
        let writer = Writer::start(connection, path)?;
        Ok((Disk { inner: Arc::new(Inner { writer, readers }) }, value))
    }

    /// A database that ends with its last handle.
    pub fn in_memory() -> Result<Disk, Error> {
        Self::in_memory_with(|_| Ok(())).map(|(disk, ())| disk)
    }

    /// As [`Disk::in_memory`], with a first job as in [`Disk::open_with`].
    pub fn in_memory_with<T, F>(first: F) -> Result<(Disk, T), Error>
    where
        F: FnOnce(&Connection) -> SqlResult<T>,
    {
        let path: Arc<Path> = Path::new(":memory:").into();
        let connection = open::memory()?;
        let value = writer::alone(&connection, first).map_err(|error| Error::of(error, &path))?;
        let writer = Writer::start(connection, path)?;
        Ok((Disk { inner: Arc::new(Inner { writer, readers: None }) }, value))
    }

    /// Runs a job that may change things, and answers when its changes are on the disk.
    ///
    /// Jobs that wait at the same time share one transaction, each in a savepoint of its own: one that
    /// fails, or panics, undoes what it did and nothing else. A job must not begin, commit or roll back
    /// the transaction it stands in, and must not leave a deferred constraint open: the group would fail
    /// with it. A caller that goes away before its turn takes its job along.
    pub async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
    {
        self.inner.writer.call(job).await
    }

    /// Runs a job that only looks, on a thread for readers. It sees one moment of the database, with
    /// everything in it that was acknowledged before; writers are not held up by it.
    pub async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
    {
        match &self.inner.readers {
            Some(readers) => readers.call(job).await,
            None => self.inner.writer.call(move |connection| readers::only_looking(connection, job)).await,
        }
    }

    /// Transactions committed since it was opened: fewer than the writes when callers were grouped.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits()
    }

    /// Lets what is already waiting run, folds the log into the file and closes it for all handles;
    /// returns when the file is free. Calls after it get [`Error::Closed`]. Without it nothing
    /// acknowledged is lost either: the log beside the file holds it.
    pub async fn close(&self) {
        if let Some(readers) = &self.inner.readers {
            readers.close().await;
        }
        self.inner.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
