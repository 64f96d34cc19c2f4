//! The threads that read, each on a connection that cannot write. There are more of them while more are needed:
//! a result that goes to a slow client keeps its reader until it has been read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::warn;

use crate::error::Error;
use crate::open::{self, Opened};
use crate::session::{Closing, Place, Session};
use crate::threads::Threads;
use crate::turn::{self, Seat};
use crate::watch::{Terms, Trust};
use crate::words::WORDS;
use crate::work::Work;

/// Readers at most: enough that a crowd of slow clients leaves some, and few enough for the descriptors.
pub(crate) const MOST_READERS: usize = 64;

/// Of these, readers that streams and transactions can hold at most: the rest are for what ends by itself.
pub(crate) const MOST_HELD: usize = 48;

/// What a glance takes at most; it is looked at between a few instructions, which are short in what may be a glance.
const GLANCE: Duration = Duration::from_micros(300);

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

/// The readers as their threads see them.
pub(crate) struct Shared {
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
    /// Those who hold a reader for longer than a statement, the oldest first.
    held: Vec<(Instant, Arc<AtomicBool>)>,
    /// The connection of the probe, unless a probe has it.
    probe: Option<Opened>,
    probing: bool,
    /// Threads that wait for a task.
    waiting: usize,
    running: usize,
    closed: bool,
}

/// The right to hold a reader; gone, another may hold it.
pub struct Hold {
    shared: Arc<Shared>,
    end: Instant,
    cut: Arc<AtomicBool>,
}

impl Hold {
    pub(crate) fn take(shared: &Arc<Shared>, life: Duration) -> Option<Hold> {
        shared.lock().hold(shared, life)
    }

    /// Whether it must be given back.
    pub(crate) fn over(&self) -> bool {
        self.cut.load(Ordering::Relaxed) || Instant::now() >= self.end
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.lock().held.retain(|(_, cut)| !Arc::ptr_eq(cut, &self.cut));
        // Whoever waits to hold one may be at the end of the line.
        self.shared.changed.notify_all();
    }
}

impl Pool {
    fn hold(&mut self, shared: &Arc<Shared>, life: Duration) -> Option<Hold> {
        if self.held.len() >= MOST_HELD {
            return None;
        }
        let (now, cut) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        self.held.push((now, Arc::clone(&cut)));
        Some(Hold { shared: Arc::clone(shared), end: now + life, cut })
    }

    /// The next task whose turn it is: one that would hold its reader waits until it may.
    fn take(&mut self, shared: &Arc<Shared>) -> Option<(Task, Option<Hold>)> {
        loop {
            let all_held = self.held.len() >= MOST_HELD;
            let at =
                self.tasks.iter().position(|task| !all_held || task.life().is_none() || !task.wanted())?;
            let task = self.tasks.remove(at).filter(Task::wanted);
            if let Some(task) = task {
                let hold = task.life().and_then(|life| self.hold(shared, life));
                return Some((task, hold));
            }
        }
    }
}

impl Task {
    fn wanted(&self) -> bool {
        match self {
            Task::Work(work) => work.wanted(),
            Task::Turn(seat) => seat.wanted(),
        }
    }

    /// How long it holds its reader at most, if it holds it for longer than a statement.
    fn life(&self) -> Option<Duration> {
        match self {
            Task::Work(_) => None,
            Task::Turn(seat) => seat.life(),
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
        // Not all that are in the line can be begun, so more tasks than waiting threads say nothing of them.
        if pool.waiting > 0 {
            self.shared.changed.notify_one();
        }
        if pool.tasks.len() <= pool.waiting {
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
        // This thread does not wait for another process either.
        let patience = |time| opened.connection.busy_timeout(time).is_ok();
        if !patience(Duration::ZERO) {
            return Glance::NoneFree;
        }
        let session = self.shared.session(&opened);
        session.watch.arm(Trust::Glance, Some(Terms::Glance(Instant::now() + GLANCE)));
        let seen = job(&session);
        let was_ended = session.watch.disarm();
        if patience(open::BUSY_TIMEOUT) {
            self.shared.put_back(opened);
        }
        if was_ended { Glance::TooLong } else { Glance::Seen(seen) }
    }

    /// Looks at the file on a connection of its own, which no crowd of readers can take.
    pub(crate) async fn probe(&self, deadline: Instant) -> Result<(), Error> {
        let shared = &self.shared;
        let opened = loop {
            {
                let mut pool = shared.lock();
                if pool.closed {
                    return Err(Error::Closed);
                }
                if !std::mem::replace(&mut pool.probing, true) {
                    break pool.probe.take();
                }
            }
            // Another is at it; if that one hangs in the file, so would this.
            if Instant::now() >= deadline {
                return Err(Error::Interrupted);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let (answer, answered) = oneshot::channel();
        let own = Arc::clone(shared);
        let started = shared.threads.start("disk-probe", move || {
            let looked = own.look(opened);
            let mut pool = own.lock();
            pool.probing = false;
            let looked = looked.map(|opened| {
                if !pool.closed {
                    pool.probe = Some(opened);
                }
            });
            drop(pool);
            let _ = answer.send(looked);
        });
        if let Err(error) = started {
            shared.lock().probing = false;
            return Err(error);
        }
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Closed)),
            Err(_) => Err(Error::Interrupted),
        }
    }

    /// For the one that keeps the log small.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(crate) async fn close(&self) {
        self.shared.close();
        self.shared.threads.ended().await;
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.shared.lock().held.len()
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
        pool.probe = None;
        drop(pool);
        self.changed.notify_all();
    }

    /// Asks the one who has held a reader for longest to give it back; says for how long that was. One at a time.
    pub(crate) fn cut_oldest(&self) -> Option<Duration> {
        let pool = self.lock();
        let (since, cut) = pool.held.first()?;
        (!cut.swap(true, Ordering::Relaxed)).then(|| since.elapsed())
    }

    fn look(&self, opened: Option<Opened>) -> Result<Opened, Error> {
        let opened = opened.map_or_else(|| open::reader(&self.path), Ok)?;
        let looked = opened.connection.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1");
        let looked = looked.and_then(|mut statement| statement.exists([]));
        looked.map(|_| opened).map_err(|error| Error::of(error, &self.path))
    }

    /// The life of one reader.
    fn serve(self: &Arc<Self>, kept: usize) {
        while let Some((task, hold, connection)) = self.next(kept) {
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
                Task::Turn(seat) => drop(seat.serve(&session, hold)),
            }
            self.put_back(opened);
        }
    }

    fn session<'a>(self: &'a Arc<Self>, opened: &'a Opened) -> Session<'a> {
        Session {
            connection: &opened.connection,
            watch: &opened.watch,
            path: &self.path,
            closing: &self.closing,
            place: Place::Reader(self),
        }
    }

    /// The next task with a connection for it, if one is open; `None` when this reader is to end.
    fn next(self: &Arc<Self>, kept: usize) -> Option<(Task, Option<Hold>, Option<Opened>)> {
        let mut pool = self.lock();
        loop {
            if let Some((task, hold)) = pool.take(self) {
                let connection = pool.idle.pop();
                return Some((task, hold, connection));
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
        // One that still stands in a transaction would show its next user an old moment.
        if !opened.connection.is_autocommit() {
            return;
        }
        let mut pool = self.lock();
        if !pool.closed {
            pool.idle.push(opened);
        }
    }
}

/// Runs a job inside a transaction, so that its statements all see the same moment.
fn look(session: &Session<'_>, mut work: Box<dyn Work>) {
    let begun = session.connection.prepare_cached(&WORDS.begin).and_then(|mut begin| begin.execute([]));
    if let Err(error) = begun {
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
