//! A PostgreSQL that keeps the tables, in a schema of their own. It may come late, go, and come back: what is asked
//! meanwhile fails and says so, and the next that asks connects anew.

mod link;
mod tls;
pub(crate) mod url;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use link::{Link, Trouble};
use url::Place;

use super::{Done, Fault, Session};
use crate::Error;

/// How long somebody waits until one of the connections is free.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// At once.
    pub max: usize,
    /// That stay open while nobody needs them.
    pub idle: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Pool { max: 10, idle: 2 }
    }
}

/// The connections to one database.
pub(crate) struct Postgres {
    shared: Arc<Shared>,
    threads: Threads,
}

struct Shared {
    place: Place,
    pool: Pool,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    closed: AtomicBool,
}

/// Threads of their own, so that a connection does not depend on who asked first. They end with the last handle, also
/// on a thread that must not wait.
struct Threads(Option<Runtime>);

#[derive(Clone, Copy)]
enum Manner {
    Looking,
    Changing,
    /// Nobody else changes anything meanwhile.
    Alone,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("place", &self.shared.place).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Makes ready to connect. Asks nobody.
    pub(crate) fn new(place: Place, pool: Pool) -> Result<Postgres, Error> {
        let threads = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(pool.max.max(1) + 1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|source| Error::Threads { source })?;
        let free = Arc::new(Semaphore::new(pool.max.max(1)));
        let shared = Shared { place, pool, free, idle: Mutex::default(), closed: AtomicBool::new(false) };
        Ok(Postgres { shared: Arc::new(shared), threads: Threads(Some(threads)) })
    }

    /// What is connected to, without what opens it.
    pub(crate) fn place(&self) -> &Place {
        &self.shared.place
    }

    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.run(Manner::Looking, job).await
    }

    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.run(Manner::Changing, job).await
    }

    /// A write beside which no other runs, of whatever gateway.
    pub(crate) async fn write_alone<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.run(Manner::Alone, job).await
    }

    /// Lets go of the connections. Whoever asks later fails.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Relaxed);
        self.shared.idle().clear();
    }

    async fn run<T, F>(&self, manner: Manner, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        let Threads(Some(threads)) = &self.threads else { return Err(disk::Error::Closed.into()) };
        let shared = Arc::clone(&self.shared);
        // Carried through also when its caller leaves: a transaction is never left open.
        let work = threads.spawn(async move {
            let permit = shared.permit().await?;
            let link = shared.begin(manner).await?;
            let own = Arc::clone(&shared);
            let done = tokio::task::spawn_blocking(move || own.carry_out(link, permit, job));
            done.await.unwrap_or_else(|_| Err(shared.error(Trouble::Broken("a job has panicked".to_owned()))))
        });
        work.await.unwrap_or_else(|_| Err(disk::Error::Closed.into()))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

impl Shared {
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(disk::Error::Closed.into()),
            Err(_) => Err(Error::Crowded { place: self.place.to_string() }),
        }
    }

    /// A connection in a transaction: one that is idle, or else a new one. That an idle one has broken shows here,
    /// before anything is asked.
    async fn begin(&self, manner: Manner) -> Result<Link, Error> {
        if self.closed.load(Relaxed) {
            return Err(disk::Error::Closed.into());
        }
        loop {
            let idle = self.idle().pop();
            let is_new = idle.is_none();
            let link = match idle {
                Some(link) => link,
                None => Link::open(&self.place).await.map_err(|trouble| self.error(trouble))?,
            };
            match link.begin(manner.words()).await {
                Ok(()) => return Ok(link),
                // Where one does not answer in time, another would not either.
                Err(trouble) if is_new || matches!(trouble, Trouble::Late(_)) => {
                    return Err(self.error(trouble));
                }
                Err(_) => {}
            }
        }
    }

    /// Runs a job to the end of its transaction, on a thread that may wait.
    fn carry_out<T>(
        &self,
        link: Link,
        permit: OwnedSemaphorePermit,
        job: impl FnOnce(&Session<'_>) -> Done<T>,
    ) -> Result<T, Error> {
        let done = job(&Session::Postgres(&link)).map_err(|fault| match fault {
            Fault::Postgres(trouble) => trouble,
            Fault::Disk(error) => Trouble::Broken(error.to_string()),
        });
        let done = match done {
            Ok(value) => match link.batch("COMMIT") {
                Ok(()) => Ok(value),
                // The word may have been lost, or the answer to it.
                Err(Trouble::Away(why) | Trouble::Late(why)) => {
                    Err(Error::Doubtful { place: self.place.to_string(), why })
                }
                Err(trouble) => Err(self.error(trouble)),
            },
            Err(trouble) => {
                // Should it fail, the connection goes, and the transaction with it.
                let _ = link.batch("ROLLBACK");
                Err(self.error(trouble))
            }
        };
        let mut idle = self.idle();
        if link.is_well() && idle.len() < self.pool.idle && !self.closed.load(Relaxed) {
            idle.push(link);
        }
        drop(idle);
        drop(permit);
        done
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, trouble: Trouble) -> Error {
        let place = self.place.to_string();
        match trouble {
            Trouble::Away(why) | Trouble::Late(why) => Error::Away { place, why },
            Trouble::Refused { code, message } => Error::Refused { place, code, message },
            Trouble::Broken(message) => Error::Refused { place, code: String::new(), message },
        }
    }
}

impl Manner {
    /// The tables stand in a schema of their own, so that they meet no others of the same name. It is said in each
    /// transaction, since something between may give each another connection.
    fn words(self) -> &'static str {
        match self {
            Manner::Looking => "BEGIN READ ONLY; SET LOCAL search_path TO throome",
            Manner::Changing => "BEGIN; SET LOCAL search_path TO throome",
            Manner::Alone => {
                "BEGIN; SET LOCAL search_path TO throome; SELECT pg_advisory_xact_lock(8388060511)"
            }
        }
    }
}
