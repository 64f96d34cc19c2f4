//! What a job gets to work with: the connection, words for what goes wrong on it, and a way to send pieces of a
//! long result that waits for the reader but for nothing else.

use std::future::poll_fn;
use std::ops::Deref;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::limits::Limit;
use tokio::sync::{mpsc, watch};

use crate::error::Error;
use crate::plain;
use crate::readers::{Hold, Shared};
use crate::wait::{wait, wait_for};
use crate::watch::Watch;
use crate::words::WORDS;

/// How long a result that is being sent waits for its receiver. The log beside the file cannot be folded into it
/// beyond what somebody still looks at, and grows meanwhile.
const STALLED: Duration = Duration::from_secs(60);

/// How soon one who waits finds out that it was cut off.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// A connection lent to a job.
pub struct Session<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) watch: &'a Arc<Watch>,
    pub(crate) path: &'a Path,
    pub(crate) closing: &'a Closing,
    pub(crate) place: Place<'a>,
}

/// Where a job runs.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// On the connection that writes, which others wait for.
    Writer,
    /// On a connection that only reads, of these.
    Reader(&'a Arc<Shared>),
}

/// Says when the database is being closed.
pub(crate) type Closing = watch::Receiver<bool>;

impl Deref for Session<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Session<'_> {
    /// What an error of this connection means: a fault of the file, a refusal, or one of the statement.
    #[must_use]
    pub fn explain(&self, error: rusqlite::Error) -> Error {
        let error = match self.watch.refusal() {
            Some(why) => Error::Refused { why },
            None => Error::of(error, self.path),
        };
        self.watch.blame(&error);
        error
    }

    /// Whether somebody still waits for the job, and its time is not over. SQLite asks this by itself while a
    /// statement runs; a job that is long without one asks it now and then.
    #[must_use]
    pub fn wanted(&self) -> bool {
        !self.watch.over_now() && !*self.closing.borrow()
    }

    /// Whether a result may be sent piece by piece. Not where others wait for this connection: a slow reader of
    /// the result would hold them up.
    #[must_use]
    pub fn may_stream(&self) -> bool {
        matches!(self.place, Place::Reader(_))
    }

    /// The right to keep this reader for a result that its client takes as slowly as it likes, for so long at most.
    /// Only a part of the readers can be held, so that others always find one: `None` when that part is taken.
    #[must_use]
    pub fn hold(&self, life: Duration) -> Option<Hold> {
        match self.place {
            Place::Reader(shared) => Hold::take(shared, life),
            Place::Writer => None,
        }
    }

    /// Whether a statement was prepared in this job, which a cached one is not, unless the schema has changed.
    #[must_use]
    pub fn has_prepared(&self) -> bool {
        self.watch.has_prepared()
    }

    /// Whether a statement only seeks rows and reads them, so that each of its steps is short whatever its arguments
    /// are. True for as long as nothing is prepared anew.
    #[must_use]
    pub fn is_plain(&self, sql: &str) -> bool {
        plain::is_plain(self.connection, sql)
    }

    /// Bounds values, rows and texts on this connection, in bytes.
    pub fn set_longest(&self, bytes: u64) -> Result<(), Error> {
        let most = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.watch.longest.store(usize::try_from(most).unwrap_or(0), Ordering::Relaxed);
        let set = self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, most);
        set.map(drop).map_err(|error| self.explain(error))
    }

    /// Runs a part of a job whose changes are undone when it fails, also where the transaction goes on after that.
    pub fn undoing<T, E: From<Error>>(&self, part: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let own = |words: &str| {
            let run = || self.connection.prepare_cached(words)?.execute([]);
            self.watch.as_own(run).map(drop).map_err(|error| self.explain(error))
        };
        own(&WORDS.savepoint)?;
        let done = part();
        // SQLite may have undone all of the transaction.
        if self.connection.is_autocommit() {
            return done;
        }
        if done.is_err() {
            own(&WORDS.undo)?;
        }
        own(&WORDS.release)?;
        done
    }

    /// Sends a piece as soon as there is room. False when nobody receives any more, the database is closed, or the
    /// receiver has taken nothing for a minute: what it is shown is kept from being cleared away.
    pub fn send<P>(&self, to: &mpsc::Sender<P>, piece: P) -> bool {
        let piece = match to.try_send(piece) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(piece)) => piece,
        };
        let end = Instant::now() + STALLED;
        let mut sent = pin!(or_closing(self.closing, to.send(piece)));
        while Instant::now() < end && !self.watch.over_now() {
            if let Some(sent) = wait_for(TICK, sent.as_mut()) {
                return sent.is_some_and(|sent| sent.is_ok());
            }
        }
        false
    }
}

/// Waits for this, or until the database is being closed: then `None`.
pub(crate) fn unless_closing<F: Future>(closing: &Closing, future: F) -> Option<F::Output> {
    wait(or_closing(closing, future))
}

pub(crate) async fn or_closing<F: Future>(closing: &Closing, future: F) -> Option<F::Output> {
    let mut closing = closing.clone();
    let closed = async move {
        // An error says that the database has gone altogether.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let (mut future, mut closed) = (pin!(future), pin!(closed));
    poll_fn(move |context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        closed.as_mut().poll(context).map(|()| None)
    })
    .await
}
