//! The one thread that writes: takes what waits, runs each job in a savepoint, commits once, answers all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::mpsc;
use tracing::warn;

use crate::error::Error;
use crate::threads::Threads;
use crate::work::{Message, Work, ask};

/// Jobs that may wait; who comes later waits to be let in.
const QUEUE: usize = 1024;

/// Jobs of one transaction at most. By then the cost of the sync is shared out, and a larger group
/// would only keep its first caller waiting.
const LARGEST_GROUP: usize = 256;

pub(crate) struct Writer {
    jobs: mpsc::Sender<Message>,
    threads: Threads,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, path: Arc<Path>) -> Result<Writer, Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let threads = Threads::default();
        let commits = Arc::new(AtomicU64::new(0));
        let desk = Desk { connection, path, commits: Arc::clone(&commits) };
        threads.start("disk-writer", move || desk.serve(waiting))?;
        Ok(Writer { jobs, threads, commits })
    }

    pub(crate) async fn call<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        ask(&self.jobs, job).await
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Jobs that wait for the thread to take them.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    pub(crate) async fn close(&self) {
        // It fails when the thread has ended already, which is all that is asked.
        let _ = self.jobs.send(Message::Close).await;
        self.threads.ended().await;
    }
}

/// Runs one job in a transaction of its own, before there is a thread to send it to.
pub(crate) fn alone<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    statement(connection, "BEGIN IMMEDIATE")?;
    let done = job(connection).and_then(|value| statement(connection, "COMMIT").map(|()| value));
    if done.is_err() && !connection.is_autocommit() {
        statement(connection, "ROLLBACK")?;
    }
    done
}

/// The writer as its own thread sees it.
struct Desk {
    connection: Connection,
    path: Arc<Path>,
    commits: Arc<AtomicU64>,
}

impl Desk {
    fn serve(self, mut waiting: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(LARGEST_GROUP);
        while waiting.blocking_recv_many(&mut messages, LARGEST_GROUP) > 0 {
            let mut group = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Work(work) if work.wanted() => group.push(work),
                    Message::Work(_) => {}
                    Message::Close => waiting.close(),
                }
            }
            self.carry_out(group);
        }
        self.fold();
    }

    /// One transaction, or several when SQLite gives one up on the way: the jobs behind that one get another.
    fn carry_out(&self, group: Vec<Box<dyn Work>>) {
        let mut rest = group.into_iter();
        while rest.len() > 0 {
            let mut done = Vec::with_capacity(rest.len());
            let whole = self.transaction(&mut rest, &mut done);
            if let Err(error) = &whole {
                warn!(path = %self.path.display(), jobs = done.len(), %error, "a group of writes failed");
                self.abandon();
            }
            for work in done {
                work.answer(whole.clone());
            }
        }
    }

    /// Moves jobs from `rest` to `done` as they run. Their changes are kept if this is `Ok`.
    fn transaction(
        &self,
        rest: &mut impl Iterator<Item = Box<dyn Work>>,
        done: &mut Vec<Box<dyn Work>>,
    ) -> Result<(), Error> {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            done.extend(rest);
            return Err(error);
        }
        for work in rest {
            done.push(work);
            if let Some(work) = done.last_mut() {
                self.in_savepoint(work.as_mut())?;
            }
        }
        self.execute("COMMIT")?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Runs one job so that its failure is its own. `Err` means that the transaction around it is lost: on
    /// a full or failing disk SQLite may roll all of it back by itself.
    fn in_savepoint(&self, work: &mut dyn Work) -> Result<(), Error> {
        self.execute("SAVEPOINT job")?;
        match work.run(&self.connection, &self.path) {
            Ok(()) => self.execute("RELEASE job"),
            Err(reason) => {
                let undone = self.execute("ROLLBACK TO job").and_then(|()| self.execute("RELEASE job"));
                undone.map_err(|error| reason.unwrap_or(error))
            }
        }
    }

    fn abandon(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.execute("ROLLBACK") {
            warn!(path = %self.path.display(), %error, "a failed transaction could not be rolled back");
        }
    }

    /// Leaves one file behind where it can; where it cannot, the log is read at the next start.
    fn fold(self) {
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let closed = self.connection.close().map_err(|(_, error)| error);
        if let Err(error) = folded.and(closed) {
            warn!(path = %self.path.display(), %error, "the log stays beside the database until it is opened again");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        statement(&self.connection, sql).map_err(|error| Error::of(error, &self.path))
    }
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
