//! The one thread that writes: takes what waits, runs each job in a savepoint, commits once, answers all. Between
//! two groups it is lent to whoever has a transaction of its own.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ErrorCode, Statement, ffi};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::error::Error;
use crate::log::Log;
use crate::open::Opened;
use crate::session::{Closing, Place, Session};
use crate::threads::Threads;
use crate::turn::{self, Seat};
use crate::wait::wait;
use crate::watch::Watch;
use crate::words::WORDS;
use crate::work::Work;

/// Jobs that may wait; who comes later waits to be let in.
const QUEUE: usize = 1024;

/// Jobs of one transaction at most. By then the cost of the sync is shared out, and a larger group
/// would only keep its first caller waiting.
const LARGEST_GROUP: usize = 256;

/// What the thread is sent.
pub(crate) enum Message {
    /// Do this, with others.
    Work(Box<dyn Work>),
    /// Serve this holder of a transaction.
    Turn(Seat),
    /// Take nothing new, finish what waits, and end.
    Close,
}

pub(crate) struct Writer {
    jobs: mpsc::Sender<Message>,
    threads: Threads,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(crate) fn start(
        opened: Opened,
        path: Arc<Path>,
        closing: Closing,
        log: Option<Log>,
    ) -> Result<Writer, Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let threads = Threads::default();
        let commits = Arc::new(AtomicU64::new(0));
        let Opened { connection, watch } = opened;
        let desk = Desk { connection, watch, path, closing, commits: Arc::clone(&commits), log };
        threads.start("disk-writer", move || desk.serve(waiting))?;
        Ok(Writer { jobs, threads, commits })
    }

    /// Hands it in; waits while too much is waiting already.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Error> {
        self.jobs.send(message).await.map_err(|_| Error::Closed)
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
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = job(connection).and_then(|value| connection.execute_batch("COMMIT").map(|()| value));
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

/// The writer as its own thread sees it.
struct Desk {
    connection: Connection,
    watch: Arc<Watch>,
    path: Arc<Path>,
    closing: Closing,
    commits: Arc<AtomicU64>,
    /// None in memory.
    log: Option<Log>,
}

impl Desk {
    fn serve(self, mut waiting: mpsc::Receiver<Message>) {
        match Frame::new(&self) {
            Ok(mut frame) => frame.serve(&mut waiting),
            Err(error) => warn!(path = %self.path.display(), %error, "the writer cannot begin"),
        }
        self.fold();
    }

    fn session(&self) -> Session<'_> {
        Session {
            connection: &self.connection,
            watch: &self.watch,
            path: &self.path,
            closing: &self.closing,
            place: Place::Writer,
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
}

/// The statements that frame every job. They are kept here and not in the connection's own cache, where a
/// stranger who sends the same words would find them ready and pass the guard.
struct Frame<'a> {
    desk: &'a Desk,
    begin: Statement<'a>,
    commit: Statement<'a>,
    savepoint: Statement<'a>,
    undo: Statement<'a>,
    release: Statement<'a>,
}

/// How a transaction ended.
enum End {
    Committed,
    /// It never began, or what it did cannot be kept: that is the answer to all in it.
    Failed(Error),
    /// It was lost by the job that ran last; for the others it never was.
    LostBy(Error),
    /// It cannot be kept, and it is not known for whose sake.
    LostBySomebody(Error),
}

impl<'a> Frame<'a> {
    fn new(desk: &'a Desk) -> rusqlite::Result<Frame<'a>> {
        let prepare = |sql| desk.connection.prepare(sql);
        Ok(Frame {
            desk,
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            savepoint: prepare(&WORDS.savepoint)?,
            undo: prepare(&WORDS.undo)?,
            release: prepare(&WORDS.release)?,
        })
    }

    fn serve(&mut self, waiting: &mut mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(LARGEST_GROUP);
        while wait(waiting.recv_many(&mut messages, LARGEST_GROUP)) > 0 {
            let mut group = VecDeque::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Work(work) if work.wanted() => group.push_back(work),
                    Message::Work(_) => {}
                    Message::Turn(seat) => {
                        self.carry_out(std::mem::take(&mut group));
                        self.lend(seat);
                    }
                    Message::Close => waiting.close(),
                }
            }
            self.carry_out(group);
        }
    }

    fn lend(&self, seat: Seat) {
        if seat.serve(&self.desk.session(), None) {
            self.desk.committed();
        }
    }

    /// One transaction, or several when one is lost on the way: those who are not to blame get another.
    fn carry_out(&mut self, mut group: VecDeque<Box<dyn Work>>) {
        let mut most = LARGEST_GROUP;
        while !group.is_empty() {
            let mut done = Vec::with_capacity(group.len().min(most));
            let end = self.transaction(&mut group, &mut done, most);
            let last = done.len().saturating_sub(1);
            let (error, blame) = match end {
                End::Committed => {
                    self.desk.committed();
                    done.into_iter().for_each(|work| work.answer(Ok(())));
                    continue;
                }
                End::Failed(error) => (error, None),
                End::LostBy(error) => (error, Some(last)),
                End::LostBySomebody(error) if last == 0 => (error, Some(last)),
                End::LostBySomebody(error) => {
                    // From here on each in a transaction of its own, which says who it is.
                    most = 1;
                    (error, Some(usize::MAX))
                }
            };
            let (path, jobs) = (self.desk.path.display(), done.len());
            match blame {
                None => warn!(%path, jobs, %error, "a group of writes failed"),
                // One caller's doing, who is told; the others run again.
                Some(_) => debug!(%path, jobs, %error, "a group of writes was undone"),
            }
            turn::abandon(&self.desk.session());
            let mut again = VecDeque::new();
            for (at, work) in done.into_iter().enumerate() {
                match blame {
                    Some(culprit) if at != culprit && work.again() => again.push_back(work),
                    _ => work.answer(Err(error.clone())),
                }
            }
            again.append(&mut group);
            group = again;
        }
    }

    /// Moves jobs from `group` to `done` as they run. Their changes are kept if it ends as committed.
    fn transaction(
        &mut self,
        group: &mut VecDeque<Box<dyn Work>>,
        done: &mut Vec<Box<dyn Work>>,
        most: usize,
    ) -> End {
        if let Err(error) = self.desk.execute(&mut self.begin) {
            done.extend(group.drain(..));
            return End::Failed(error);
        }
        while done.len() < most
            && let Some(mut work) = group.pop_front()
        {
            let kept = self.in_savepoint(work.as_mut());
            done.push(work);
            if let Err(error) = kept {
                return End::LostBy(error);
            }
        }
        match self.commit.execute([]) {
            Ok(_) => End::Committed,
            Err(error) => {
                let late = is_late_constraint(&error);
                let error = Error::of(error, &self.desk.path);
                if late { End::LostBySomebody(error) } else { End::Failed(error) }
            }
        }
    }

    /// Runs one job so that its failure is its own. `Err` means that the transaction around it is lost: SQLite
    /// rolls all of it back when a statement that writes is interrupted or finds the disk full.
    fn in_savepoint(&mut self, work: &mut dyn Work) -> Result<(), Error> {
        let desk = self.desk;
        desk.execute(&mut self.savepoint)?;
        let ran = work.run(&desk.session());
        if desk.connection.is_autocommit() {
            return Err(desk.watch.reason().unwrap_or(Error::Ended));
        }
        if ran.is_err() {
            desk.execute(&mut self.undo)?;
        }
        desk.execute(&mut self.release)
    }
}

impl Desk {
    fn committed(&self) {
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(log) = &self.log {
            log.look(commits, &self.connection);
        }
    }

    fn execute(&self, statement: &mut Statement<'_>) -> Result<(), Error> {
        statement.execute([]).map(drop).map_err(|error| Error::of(error, &self.path))
    }
}

/// A foreign key that is checked when the transaction is committed, and not before.
fn is_late_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::ConstraintViolation
            && error.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY
    })
}
