//! The threads that read: each with a connection that cannot write, all fed from one queue.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use tokio::sync::mpsc;
use tracing::warn;

use crate::error::Error;
use crate::open;
use crate::threads::Threads;
use crate::work::{Message, Work, ask};

/// Jobs that may wait; who comes later waits to be let in.
const QUEUE: usize = 1024;

/// More readers than this gain nothing: most of what they read is in memory.
const MOST_READERS: usize = 4;

pub(crate) struct Readers {
    jobs: mpsc::Sender<Message>,
    threads: Threads,
}

/// Whoever holds the lock waits for the next job; the others wait for the lock.
type Queue = Arc<Mutex<mpsc::Receiver<Message>>>;

impl Readers {
    pub(crate) fn start(path: &Arc<Path>) -> Result<Readers, Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let queue: Queue = Arc::new(Mutex::new(waiting));
        let threads = Threads::default();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(MOST_READERS) {
            let connection = open::reader(path)?;
            let (queue, path) = (Arc::clone(&queue), Arc::clone(path));
            threads.start("disk-reader", move || serve(&connection, &queue, &path))?;
        }
        Ok(Readers { jobs, threads })
    }

    pub(crate) async fn call<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        ask(&self.jobs, job).await
    }

    pub(crate) async fn close(&self) {
        // It fails when the threads have ended already, which is all that is asked.
        let _ = self.jobs.send(Message::Close).await;
        self.threads.ended().await;
    }
}

fn serve(connection: &Connection, queue: &Queue, path: &Path) {
    while let Some(work) = next(queue) {
        if work.wanted() {
            look(connection, work, path);
        }
    }
}

/// None when the queue is closed and empty. It is closed under the same lock that the word came by: let
/// go in between, another thread could take the lock and wait behind it for ever.
fn next(queue: &Queue) -> Option<Box<dyn Work>> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match queue.blocking_recv()? {
            Message::Work(work) => return Some(work),
            Message::Close => queue.close(),
        }
    }
}

/// Runs a job inside a transaction, so that its statements all see the same moment.
fn look(connection: &Connection, mut work: Box<dyn Work>, path: &Path) {
    if let Err(error) = connection.execute_batch("BEGIN") {
        return work.answer(Err(Error::of(error, path)));
    }
    // What went wrong is in its answer, and there is nothing to undo.
    let _ = work.run(connection, path);
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("COMMIT")
    {
        warn!(path = %path.display(), %error, "a reader could not leave its transaction");
    }
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
