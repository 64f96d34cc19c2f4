//! The threads that read, each on a connection that cannot write. There are more of them while more are needed:
//! a result that goes to a slow client keeps its reader until it has been read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tracing::warn;

use crate::error::Error;
use crate::open::{self, Opened};
use crate::session::{Closing, Place, Session};
use crate::threads::Threads;
use crate::turn::{self, Seat};
use crate::watch::{Terms, Trust};
use crate::work::Work;

/// Readers at most: enough that a crowd of slow clients leaves some, and few enough for the descriptors.
pub(crate) const MOST_READERS: usize = 64;

/// Readers that stay when there is nothing to read, at most; no more than there are cores.
const KEPT: usize = 4;

/// How long a reader that is not kept waits for something to read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Jobs with a deadline that may wait; more are refused at once.
const QUEUE: usize = 1024;

/// What came of a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glance<T> {
    /// The job has run.
    Seen(T),
    /// It took longer than a glance may, and nothing came of it.
    TooLong,
    /// No connection was idle, and nothing was run.
    NoneFree,
}

/// What a reader can be given.
pub(crate) enum Task {
    /// Do this.
    Work(Box<dyn Work>),
    /// Serve this holder of a transaction that only looks.
    Turn(Seat),
}

pub(crate) struct Readers {
    shared: Arc<Shared>,
    kept: usize,
}

struct Shared {
    path: Arc<Path>,
    closing: Closing,
    threads: Threads,
    pool: Mutex<Pool>,
    changed: Condvar,
}

#[derive(Default)]
struct Pool {
    tasks: VecDeque<Task>,
    /// Connections that nobody uses.
    idle: Vec<Opened>,
    /// Threads that wait for a task.
    waiting: usize,
    running: usize,
    closed: bool,
}

impl Task {
    fn wanted(&self) -> bool {
        match self {
            Task::Work(work) => work.wanted(),
            Task::Turn(seat) => seat.wanted(),
        }
    }

    fn hurried(&self) -> bool {
        match self {
            Task::Work(work) => work.hurried(),
            Task::Turn(_) => true,
        }
    }

    fn refuse(self, error: Error) {
        match self {
            Task::Work(work) => work.answer(Err(error)),
            Task::Turn(seat) => seat.refuse(error),
        }
    }
}

impl Readers {
    /// Opens the first reader, so that what stands in its way is known at once.
    pub(crate) fn start(path: &Arc<Path>, closing: Closing) -> Result<Readers, Error> {
        let idle = vec![open::reader(path)?];
        let shared = Arc::new(Shared {
            path: Arc::clone(path),
            closing,
            threads: Threads::default(),
            pool: Mutex::new(Pool { idle, ..Pool::default() }),
            changed: Condvar::new(),
        });
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Readers { shared, kept: cores.min(KEPT) })
    }

    /// Gives it to the next reader that is free, which is a new one if need be.
    pub(crate) fn send(&self, task: Task) -> Result<(), Error> {
        let mut pool = self.shared.lock();
        if pool.closed {
            return Err(Error::Closed);
        }
        if pool.tasks.len() >= QUEUE && task.hurried() {
            pool.tasks.retain(Task::wanted);
            if pool.tasks.len() >= QUEUE {
                return Err(Error::NotBegun);
            }
        }
        pool.tasks.push_back(task);
        if pool.tasks.len() <= pool.waiting {
            drop(pool);
            self.shared.changed.notify_one();
            return Ok(());
        }
        if pool.running == MOST_READERS {
            return Ok(());
        }
        let (shared, kept) = (Arc::clone(&self.shared), self.kept);
        let started = self.shared.threads.start("disk-reader", move || shared.serve(kept));
        match started {
            Ok(()) => pool.running += 1,
            // Those that run will come to it.
            Err(error) if pool.running > 0 => {
                warn!(path = %self.shared.path.display(), %error, "no more readers")
            }
            Err(error) => {
                pool.tasks.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Runs a job on the calling thread, on a connection that is idle.
    pub(crate) fn glance<T>(&self, job: impl FnOnce(&Session<'_>) -> T) -> Glance<T> {
        let Some(opened) = self.shared.lock().idle.pop() else { return Glance::NoneFree };
        let session = self.shared.session(&opened);
        session.watch.arm(Trust::Job, Some(Terms::Glance));
        let seen = job(&session);
        let was_ended = session.watch.disarm();
        self.shared.put_back(opened);
        if was_ended { Glance::TooLong } else { Glance::Seen(seen) }
    }

    pub(crate) async fn close(&self) {
        self.shared.close();
        self.shared.threads.ended().await;
    }

    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.shared.lock().running
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut pool = self.lock();
        pool.closed = true;
        // Threads that run take what they find here before they end; without one there is nobody to do it.
        pool.idle.clear();
        drop(pool);
        self.changed.notify_all();
    }

    /// The life of one reader.
    fn serve(&self, kept: usize) {
        while let Some((task, connection)) = self.next(kept) {
            let opened = match connection.map_or_else(|| open::reader(&self.path), Ok) {
                Ok(opened) => opened,
                Err(error) => {
                    task.refuse(error);
                    continue;
                }
            };
            let session = self.session(&opened);
            match task {
                Task::Work(work) => look(&session, work),
                Task::Turn(seat) => drop(seat.serve(&session)),
            }
            self.put_back(opened);
        }
    }

    fn session<'a>(&'a self, opened: &'a Opened) -> Session<'a> {
        Session {
            connection: &opened.connection,
            watch: &opened.watch,
            path: &self.path,
            closing: &self.closing,
            place: Place::Reader,
        }
    }

    /// The next task with a connection for it, if one is open; `None` when this reader is to end.
    fn next(&self, kept: usize) -> Option<(Task, Option<Opened>)> {
        let mut pool = self.lock();
        loop {
            if let Some(task) = pool.tasks.pop_front() {
                if task.wanted() {
                    let connection = pool.idle.pop();
                    return Some((task, connection));
                }
                continue;
            }
            if pool.closed {
                pool.running -= 1;
                return None;
            }
            pool.waiting += 1;
            let waited = self.changed.wait_timeout(pool, PATIENCE);
            let (guard, time) = waited.unwrap_or_else(PoisonError::into_inner);
            pool = guard;
            pool.waiting -= 1;
            if time.timed_out() && pool.tasks.is_empty() && pool.running > kept {
                pool.running -= 1;
                let surplus = pool.idle.len().saturating_sub(pool.running.max(1));
                let at = pool.idle.len() - surplus;
                let surplus = pool.idle.split_off(at);
                drop(pool);
                drop(surplus);
                return None;
            }
        }
    }

    fn put_back(&self, opened: Opened) {
        let mut pool = self.lock();
        if !pool.closed {
            pool.idle.push(opened);
        }
    }
}

/// Runs a job inside a transaction, so that its statements all see the same moment.
fn look(session: &Session<'_>, mut work: Box<dyn Work>) {
    if let Err(error) = session.connection.execute_batch("BEGIN") {
        return work.answer(Err(Error::of(error, session.path)));
    }
    // What went wrong is in its answer, and there is nothing to undo.
    let _ = work.run(session);
    turn::abandon(session);
    work.answer(Ok(()));
}

/// Runs a job on the writing connection as if it were a reader's.
pub(crate) fn only_looking<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.pragma_update(None, "query_only", true)?;
    let _guard = Writable(connection);
    job(connection)
}

/// Makes its connection writable again when it goes, also by a panic.
struct Writable<'a>(&'a Connection);

impl Drop for Writable<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.pragma_update(None, "query_only", false) {
            warn!(%error, "the connection in memory stays read-only");
        }
    }
}
