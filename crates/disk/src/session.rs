//! What a job gets to work with: the connection, words for what goes wrong on it, and a way to send pieces of a
//! long result that waits for the reader but for nothing else.

use std::future::poll_fn;
use std::ops::Deref;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use crate::error::Error;
use crate::wait::{wait, wait_for};
use crate::watch::Watch;

/// How long a result that is being sent waits for its receiver. The log beside the file cannot be folded into it
/// beyond what somebody still looks at, and grows meanwhile.
const STALLED: Duration = Duration::from_secs(60);

/// A connection lent to a job.
pub struct Session<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) watch: &'a Arc<Watch>,
    pub(crate) path: &'a Path,
    pub(crate) closing: &'a Closing,
    pub(crate) place: Place,
}

/// Where a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the connection that writes, which others wait for.
    Writer,
    /// On a connection that only reads.
    Reader,
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
        self.place == Place::Reader
    }

    /// Sends a piece as soon as there is room. False when nobody receives any more, the database is closed, or the
    /// receiver has taken nothing for a minute: what it is shown is kept from being cleared away.
    pub fn send<P>(&self, to: &mpsc::Sender<P>, piece: P) -> bool {
        match to.try_send(piece) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(piece)) => {
                let sent = wait_for(STALLED, or_closing(self.closing, to.send(piece)));
                sent.flatten().is_some_and(|sent| sent.is_ok())
            }
        }
    }
}

/// Waits for this, or until the database is being closed: then `None`.
pub(crate) fn unless_closing<F: Future>(closing: &Closing, future: F) -> Option<F::Output> {
    wait(or_closing(closing, future))
}

async fn or_closing<F: Future>(closing: &Closing, future: F) -> Option<F::Output> {
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
