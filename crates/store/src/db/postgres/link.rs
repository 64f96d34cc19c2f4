//! One connection: statements that are prepared once, each within a time, and what can go wrong, told apart.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::tls::Connector;
use super::url::Place;
use crate::db::Cell;

/// To connect, and for a statement: the longest is a page of the history with a rare filter.
const PATIENCE: Duration = Duration::from_secs(10);

/// Statements that are kept prepared. There are some dozens; filters make more of them.
const PREPARED: usize = 200;

/// Statements that are on their way at once.
const AT_ONCE: usize = 200;

/// A connection.
pub(crate) struct Link {
    client: Client,
    handle: Handle,
    prepared: Mutex<HashMap<String, Statement>>,
    /// Something did not end in time: what comes next over it may be an answer to that.
    late: AtomicBool,
}

/// What can go wrong.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody is there, or nobody who is ready.
    Away(String),
    /// It did not answer in time.
    Late(String),
    /// It has understood and refused.
    Refused { code: String, message: String },
    /// Something else.
    Broken(String),
}

impl Link {
    /// Connects, on the threads of the store.
    pub(super) async fn open(place: &Place) -> Result<Link, Trouble> {
        let connector = Connector::of(place)?;
        let client = within(async {
            // It is large, and the futures of all who ask would be.
            let (client, connection) = Box::pin(place.config.connect(connector)).await?;
            // It ends with its client.
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the store has ended");
                }
            });
            Ok(client)
        });
        let client = client.await?;
        Ok(Link {
            client,
            handle: Handle::current(),
            prepared: Mutex::default(),
            late: AtomicBool::new(false),
        })
    }

    pub(super) async fn begin(&self, words: &str) -> Result<(), Trouble> {
        within(self.client.batch_execute(words)).await
    }

    pub(super) fn is_well(&self) -> bool {
        !self.client.is_closed() && !self.late.load(Relaxed)
    }

    pub(crate) fn execute(&self, sql: &str, cells: &[Cell<'_>]) -> Result<u64, Trouble> {
        let statement = self.prepare(sql)?;
        self.wait(self.client.execute(&statement, &bound(cells)))
    }

    pub(crate) fn query(&self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Row>, Trouble> {
        let statement = self.prepare(sql)?;
        self.wait(self.client.query(&statement, &bound(cells)))
    }

    /// All of them are on their way before the first is answered.
    pub(crate) fn execute_all(&self, sql: &str, rows: &[Vec<Cell<'_>>]) -> Result<u64, Trouble> {
        let statement = self.prepare(sql)?;
        let mut changed = 0;
        for some in rows.chunks(AT_ONCE) {
            let one = |cells| {
                let (client, statement) = (&self.client, &statement);
                Box::pin(async move { client.execute(statement, &bound(cells)).await })
            };
            changed += self.wait(all(some.iter().map(|cells| one(cells.as_slice())).collect()))?;
        }
        Ok(changed)
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<(), Trouble> {
        self.wait(self.client.batch_execute(sql))
    }

    fn prepare(&self, sql: &str) -> Result<Statement, Trouble> {
        if let Some(known) = self.prepared().get(sql) {
            return Ok(known.clone());
        }
        // The only `?` in our SQL are placeholders.
        let statement = self.wait(self.client.prepare(&sql.replace('?', "$")))?;
        let mut prepared = self.prepared();
        if prepared.len() >= PREPARED {
            prepared.clear();
        }
        prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn prepared(&self) -> MutexGuard<'_, HashMap<String, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Trouble> {
        let done = self.handle.block_on(within(work));
        if matches!(done, Err(Trouble::Late(_))) {
            self.late.store(true, Relaxed);
        }
        done
    }
}

async fn within<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| Trouble::of(&error)),
        Err(_) => Err(Trouble::Late(format!("it has not answered within {} s", PATIENCE.as_secs()))),
    }
}

/// Waits for all of them, side by side; the sum of what they come to, or the first fault.
async fn all<F>(mut work: Vec<Pin<Box<F>>>) -> Result<u64, tokio_postgres::Error>
where
    F: Future<Output = Result<u64, tokio_postgres::Error>>,
{
    let mut sum = 0;
    poll_fn(move |cx| {
        let mut fault = None;
        work.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(count)) => {
                sum += count;
                false
            }
            Poll::Ready(Err(error)) => {
                fault.get_or_insert(error);
                false
            }
        });
        match fault {
            Some(error) => Poll::Ready(Err(error)),
            None if work.is_empty() => Poll::Ready(Ok(sum)),
            None => Poll::Pending,
        }
    })
    .await
}

fn bound<'c>(cells: &'c [Cell<'c>]) -> Vec<&'c (dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

impl Trouble {
    pub(crate) fn of(error: &tokio_postgres::Error) -> Trouble {
        let Some(told) = error.as_db_error() else {
            let why = in_words(error);
            // What is neither said by the server nor a fault of the way to it is of our own making.
            let is_of_the_way = error.is_closed() || has_io(error);
            return if is_of_the_way { Trouble::Away(why) } else { Trouble::Broken(why) };
        };
        let why = told.message().to_owned();
        let passing = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        if passing.contains(told.code()) || told.code().code().starts_with("08") {
            return Trouble::Away(why);
        }
        Trouble::Refused { code: told.code().code().to_owned(), message: why }
    }
}

/// What it says, with what lies beneath: `error connecting to server: Connection refused`.
fn in_words(error: &tokio_postgres::Error) -> String {
    let mut words = error.to_string();
    let mut beneath = std::error::Error::source(error);
    while let Some(error) = beneath {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        beneath = error.source();
    }
    words
}

fn has_io(error: &tokio_postgres::Error) -> bool {
    let mut beneath = std::error::Error::source(error);
    while let Some(error) = beneath {
        if error.is::<std::io::Error>() {
            return true;
        }
        beneath = error.source();
    }
    false
}
