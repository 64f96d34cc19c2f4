//! The embedded engine: one SQLite file, one writer that commits its callers as a group, and readers beside it.
//!
//! It knows files, threads and transactions; what stands in the tables is its callers' business. Nobody
//! else in the gateway opens SQLite, so the few types that a job needs are named here.

mod backup;
mod codes;
mod error;
mod functions;
mod guard;
mod log;
mod open;
mod plain;
mod readers;
mod session;
mod threads;
mod turn;
mod wait;
mod watch;
mod words;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch as signal;
use tracing::error;

pub use rusqlite::limits::Limit;
pub use rusqlite::types::{FromSql, ToSql, ToSqlOutput, ValueRef};
pub use rusqlite::{
    CachedStatement, Connection, Error as SqlError, OptionalExtension, Result as SqlResult, Row, Statement,
    params,
};

use crate::log::Log;
use crate::watch::Trust;
pub use codes::Constraint;
pub use error::Error;
use open::Checked;
pub use readers::{Glance, Hold};
use readers::{Readers, Task};
use session::Closing;
pub use session::Session;
pub use turn::Turn;
use turn::{Opening, seat};
pub use work::Reply;
use work::{Manner, Ticket, Work, call};
use writer::{Message, Writer};

/// An open database. Clones are handles of the same one; it closes with the last of them.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    /// None in memory, where the writer's connection is the only one there is.
    readers: Option<Readers>,
    closing: signal::Sender<bool>,
    damage: Arc<OnceLock<Error>>,
}

/// Files up to this size, in bytes, are checked before anything else is done with them.
const CHECKED_AT_ONCE: u64 = 1 << 30;

impl Disk {
    /// Opens or makes the file, readable by its owner alone, and checks that it is whole. Blocks for as long as
    /// the check takes: about a second. A file of more than a gigabyte is checked while it is in use, and
    /// [`Disk::damage`] says what was found.
    pub fn open(path: &Path) -> Result<Disk, Error> {
        Self::open_with(path, |_| Ok(())).map(|(disk, ())| disk)
    }

    /// As [`Disk::open`], with a first job that no other can come before: the place for migrations.
    /// It is one transaction, undone when it fails, and runs on the calling thread.
    pub fn open_with<T, F>(path: &Path, first: F) -> Result<(Disk, T), Error>
    where
        F: FnOnce(&Connection) -> SqlResult<T>,
    {
        Self::open_within(path, CHECKED_AT_ONCE, log::LOG_MOST, first)
    }

    fn open_within<T, F>(path: &Path, at_once: u64, log_most: u64, first: F) -> Result<(Disk, T), Error>
    where
        F: FnOnce(&Connection) -> SqlResult<T>,
    {
        let (opened, checked) = open::writer(path, at_once)?;
        let value = writer::alone(&opened.connection, first).map_err(|error| Error::of(error, path))?;
        let path: Arc<Path> = path.into();
        let (closing, closed) = signal::channel(false);
        let readers = Readers::start(&path, closed.clone())?;
        let damage = Arc::default();
        if checked == Checked::Later {
            check_later(&readers, closed.clone(), Arc::clone(&damage))?;
        }
        let log = Log::new(&path, log_most, readers.shared());
        let writer = Writer::start(opened, path, closed, Some(log))?;
        Ok((Disk { inner: Arc::new(Inner { writer, readers: Some(readers), closing, damage }) }, value))
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
        let opened = open::memory()?;
        let value = writer::alone(&opened.connection, first).map_err(|error| Error::of(error, &path))?;
        let (closing, closed) = signal::channel(false);
        let writer = Writer::start(opened, path, closed, None)?;
        Ok((
            Disk { inner: Arc::new(Inner { writer, readers: None, closing, damage: Arc::default() }) },
            value,
        ))
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
        let (work, ticket) = trusted(job);
        self.inner.writer.send(Message::Work(work)).await?;
        ticket.answer().await
    }

    /// Runs a job that only looks, on a thread for readers. It sees one moment of the database, with
    /// everything in it that was acknowledged before; writers are not held up by it.
    pub async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
    {
        let ticket = match &self.inner.readers {
            Some(readers) => {
                let (work, ticket) = trusted(job);
                readers.send(Task::Work(work))?;
                ticket
            }
            None => {
                let (work, ticket) =
                    trusted(move |connection: &Connection| readers::only_looking(connection, job));
                self.inner.writer.send(Message::Work(work)).await?;
                ticket
            }
        };
        ticket.answer().await
    }

    /// As [`Disk::write`], for statements of strangers, who may be slow, careless or hostile.
    ///
    /// The job cannot end the transaction that it shares, nor break it for others; it may run more than once
    /// before its answer is given, and what an earlier run did is undone. It ends when its caller drops the
    /// future, also in the middle of a statement.
    ///
    /// # Errors
    /// The job's own, with its changes undone; [`Error::NotBegun`] when its turn did not come before the
    /// deadline, [`Error::Interrupted`] when it was not done by then.
    pub async fn write_until<T, E, F>(&self, deadline: Instant, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Session<'_>) -> Result<T, E> + Send + 'static,
    {
        let mut job = job;
        let (work, ticket) = call(Manner::until(deadline, Trust::Job), move |session, _| job(session));
        self.hand_in(deadline, Message::Work(work)).await?;
        ticket.answer().await
    }

    /// As [`Disk::read`], for statements of strangers: see [`Disk::write_until`]. The job may answer before its
    /// end and go on to send the rest of a long result. In memory, where there is one connection for all, it must
    /// see to it by itself that its statements only look.
    ///
    /// # Errors
    /// As those of [`Disk::write_until`].
    pub async fn read_until<T, E, F>(&self, deadline: Instant, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Session<'_>, &mut Reply<T, E>) -> Result<T, E> + Send + 'static,
    {
        let (work, ticket) = call(Manner::until(deadline, Trust::Job), job);
        match &self.inner.readers {
            Some(readers) => readers.send(Task::Work(work))?,
            None => self.hand_in(deadline, Message::Work(work)).await?,
        }
        ticket.answer().await
    }

    /// As [`Disk::read_until`], on the calling thread, without the way to another thread and back: for one statement
    /// that was prepared before, and whose every step is known to be short, as [`Session::is_plain`] says. It is ended
    /// after some hundred microseconds, but between its steps: one that meets a page that is not in memory waits for
    /// the disk. Nothing can be prepared in it. In memory no connection is ever idle.
    pub fn glance<T>(&self, job: impl FnOnce(&Session<'_>) -> T) -> Glance<T> {
        self.inner.readers.as_ref().map_or(Glance::NoneFree, |readers| readers.glance(job))
    }

    /// Begins a transaction that writes. Everyone else who writes waits until it has ended.
    ///
    /// # Errors
    /// [`Error::NotBegun`] when its turn did not come before the deadline.
    pub async fn begin(&self, deadline: Instant) -> Result<Turn, Error> {
        let (seat, ticket) = seat(Opening::Writing, deadline);
        self.hand_in(deadline, Message::Turn(seat)).await?;
        ticket.answer().await
    }

    /// Begins a transaction that looks at one moment, on a reader of its own, for as long as `life` at most: then it
    /// is rolled back. In memory it takes the writer's turn, and its jobs must see to it that they only look.
    ///
    /// # Errors
    /// [`Error::NotBegun`] when its turn did not come before the deadline.
    pub async fn begin_looking(&self, deadline: Instant, life: Duration) -> Result<Turn, Error> {
        let (seat, ticket) = seat(Opening::Looking(life), deadline);
        match &self.inner.readers {
            Some(readers) => readers.send(Task::Turn(seat))?,
            None => self.hand_in(deadline, Message::Turn(seat)).await?,
        }
        ticket.answer().await
    }

    /// Looks at the file, which no crowd of callers can keep it from: its connection is its own. A database in memory
    /// is there.
    ///
    /// # Errors
    /// What is wrong with the file; [`Error::Interrupted`] when it does not answer by the deadline.
    pub async fn probe(&self, deadline: Instant) -> Result<(), Error> {
        match (&self.inner.readers, self.damage()) {
            (_, Some(damage)) => Err(damage),
            (Some(readers), None) => readers.probe(deadline).await,
            (None, None) if *self.inner.closing.borrow() => Err(Error::Closed),
            (None, None) => Ok(()),
        }
    }

    async fn hand_in(&self, deadline: Instant, message: Message) -> Result<(), Error> {
        let sent = tokio::time::timeout_at(deadline.into(), self.inner.writer.send(message)).await;
        sent.unwrap_or(Err(Error::NotBegun))
    }

    /// Copies one moment of the database to this file, in place of what is there, while others read and write. A
    /// caller that drops the future ends it; a copy that is not complete never stands under the name.
    ///
    /// # Errors
    /// When the copy cannot be written, is not complete at the deadline, or the database is closed meanwhile.
    pub async fn backup(&self, to: &Path, deadline: Instant) -> Result<(), Error> {
        let to: PathBuf = to.into();
        // It ends by the deadline of its one job.
        let life = deadline.saturating_duration_since(Instant::now()) + Duration::from_secs(60);
        let mut turn = self.begin_looking(deadline, life).await?;
        turn.run(deadline, move |session| backup::copy(session, &to)).await
    }

    /// Transactions committed since it was opened: fewer than the writes when callers were grouped.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits()
    }

    /// What the check of a large file found, once it has; `None` while nothing is known to be wrong.
    #[must_use]
    pub fn damage(&self) -> Option<Error> {
        self.inner.damage.get().cloned()
    }

    /// Lets what is already waiting run, folds the log into the file and closes it for all handles;
    /// returns when the file is free. Transactions under way are rolled back, results that are being sent are
    /// cut. Calls after it get [`Error::Closed`]. Without it nothing acknowledged is lost either: the log beside
    /// the file holds it.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        if let Some(readers) = &self.inner.readers {
            readers.close().await;
        }
        self.inner.writer.close().await;
    }
}

/// Checks the file on a reader, until it is closed.
fn check_later(readers: &Readers, closed: Closing, damage: Arc<OnceLock<Error>>) -> Result<(), Error> {
    let (work, ticket) = call(Manner::TRUSTED, move |session: &Session<'_>, _: &mut Reply<(), Error>| {
        let closed = closed.clone();
        session.watch.hand_over(Box::new(move || !*closed.borrow() && closed.has_changed().is_ok()), None);
        let checked = open::quick_check(session, session.path);
        if let Err(error @ (Error::Corrupt { .. } | Error::NotADatabase { .. })) = &checked {
            error!(path = %session.path.display(), %error, "the database is damaged");
            let _ = damage.set(error.clone());
        }
        checked
    });
    readers.send(Task::Work(work))?;
    ticket.give_up();
    Ok(())
}

/// A job of code that knows what it does.
fn trusted<T, F>(job: F) -> (Box<dyn Work>, Ticket<T, Error>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
{
    let mut job = Some(job);
    call(Manner::TRUSTED, move |session: &Session<'_>, _: &mut Reply<T, Error>| match job.take() {
        Some(job) => job(session).map_err(|error| session.explain(error)),
        None => Err(Error::Closed),
    })
}

#[cfg(test)]
mod tests;
