//! A transaction that lasts over several calls: its holder has a connection for itself, sends it one job after the
//! other, and lets go of it by ending the transaction, by dropping the handle, or by ceasing to be.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::error::Error;
use crate::readers::Hold;
use crate::session::{Session, TICK, or_closing, unless_closing};
use crate::wait::wait_for;
use crate::watch::{Fate, Trust};
use crate::words::WORDS;
use crate::work::{Manner, Outcome, Ticket, Undo, Work, call};

/// A transaction under way. Dropped without an end, it is rolled back at once, in the middle of a job too.
#[derive(Debug)]
pub struct Turn {
    jobs: mpsc::Sender<Step>,
}

/// What the thread that holds the connection is sent.
enum Step {
    Work(Box<dyn Work>),
    End(End, oneshot::Sender<Result<(), Error>>),
}

#[derive(Clone, Copy)]
enum End {
    Commit,
    Rollback,
}

/// How the transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// As the one that writes.
    Writing,
    /// Looking at one moment, from now on, for so long at most.
    Looking(Duration),
}

/// Somebody who waits for a turn.
pub(crate) struct Seat {
    fate: Arc<Fate>,
    opening: Opening,
    answer: oneshot::Sender<Outcome<Turn, Error>>,
}

/// Makes the two ends of a wait for a turn.
pub(crate) fn seat(opening: Opening, deadline: Instant) -> (Seat, Ticket<Turn, Error>) {
    let (answer, reply) = oneshot::channel();
    let fate = Fate::new();
    let ticket = Ticket::new(Arc::clone(&fate), deadline, reply);
    (Seat { fate, opening, answer }, ticket)
}

impl Turn {
    /// Runs a job in the transaction. One that fails leaves the transaction as SQLite does: what its failed
    /// statement did is undone, and the rest stands. One that is interrupted while it writes ends it.
    ///
    /// # Errors
    /// The job's own; [`Error::Interrupted`] at the deadline; [`Error::Ended`] when the transaction is over.
    pub async fn run<T, E, F>(&mut self, deadline: Instant, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&Session<'_>) -> Result<T, E> + Send + 'static,
    {
        let mut job = job;
        let (work, ticket) = call(Manner::until(deadline, Trust::Turn), move |session, _| job(session));
        self.jobs.send(Step::Work(work)).await.map_err(|_| Error::Ended)?;
        ticket.answer().await
    }

    /// Ends it and keeps what it did; returns when that is on the disk.
    ///
    /// # Errors
    /// When it cannot be kept, and is undone.
    pub async fn commit(self) -> Result<(), Error> {
        self.end(End::Commit).await
    }

    /// Ends it and undoes what it did.
    ///
    /// # Errors
    /// [`Error::Ended`] when it was over before.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end(End::Rollback).await
    }

    async fn end(self, end: End) -> Result<(), Error> {
        let (answer, reply) = oneshot::channel();
        self.jobs.send(Step::End(end, answer)).await.map_err(|_| Error::Ended)?;
        reply.await.unwrap_or(Err(Error::Ended))
    }
}

impl Seat {
    /// Whether somebody still waits for it.
    pub(crate) fn wanted(&self) -> bool {
        !self.fate.gone()
    }

    /// How long it may look, if it only looks.
    pub(crate) fn life(&self) -> Option<Duration> {
        match self.opening {
            Opening::Writing => None,
            Opening::Looking(life) => Some(life),
        }
    }

    /// Tells it why there is no turn.
    pub(crate) fn refuse(self, error: Error) {
        let _ = self.answer.send(Ok(Err(error)));
    }

    /// Gives the connection to the holder and serves it until the transaction has ended. Says whether it was
    /// committed.
    pub(crate) fn serve(self, session: &Session<'_>, hold: Option<Hold>) -> bool {
        let end = self.life().map(|life| Instant::now() + life);
        if !self.fate.begin() {
            return false;
        }
        let begin = match self.opening {
            Opening::Writing => "BEGIN IMMEDIATE",
            // The look fixes the moment, which would else be that of the first statement.
            Opening::Looking(_) => "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1",
        };
        if let Err(error) = session.connection.execute_batch(begin) {
            abandon(session);
            self.refuse(Error::of(error, session.path));
            return false;
        }
        let (jobs, mut steps) = mpsc::channel(1);
        // A holder that has gone takes the turn along: the channel is closed, and the next line hears of it.
        let _ = self.answer.send(Ok(Ok(Turn { jobs })));
        let over = || end.is_some_and(|end| Instant::now() >= end) || hold.as_ref().is_some_and(Hold::over);
        let committed = follow(session, &mut steps, end.is_some().then_some(&over as &dyn Fn() -> bool));
        abandon(session);
        steps.close();
        while let Ok(step) = steps.try_recv() {
            match step {
                Step::Work(work) => work.answer(Err(Error::Ended)),
                Step::End(_, answer) => drop(answer.send(Err(Error::Ended))),
            }
        }
        // What was prepared here was allowed here, and would be found ready by those to whom it is not.
        if session.watch.takes_savepoints() {
            session.connection.flush_prepared_statement_cache();
        }
        committed
    }
}

/// The holder's next step. `None` when it has gone, its time is over, or the database is being closed.
fn next(
    session: &Session<'_>,
    steps: &mut mpsc::Receiver<Step>,
    over: Option<&dyn Fn() -> bool>,
) -> Option<Step> {
    let Some(over) = over else {
        return unless_closing(session.closing, steps.recv()).flatten();
    };
    let mut step = pin!(or_closing(session.closing, steps.recv()));
    while !over() {
        if let Some(step) = wait_for(TICK, step.as_mut()) {
            return step.flatten();
        }
    }
    debug!(path = %session.path.display(), "a transaction that looks has looked for long enough");
    None
}

/// Carries out the holder's steps; returns when there is nothing more to expect of it.
fn follow(session: &Session<'_>, steps: &mut mpsc::Receiver<Step>, over: Option<&dyn Fn() -> bool>) -> bool {
    while let Some(step) = next(session, steps, over) {
        match step {
            Step::Work(mut work) => {
                let undo = work.run(session).err();
                let over = session.connection.is_autocommit();
                let panicked = undo.is_some_and(|undo| matches!(undo, Undo::Panicked));
                if over || panicked {
                    abandon(session);
                    // Closed before the answer, so that whoever has read it finds the transaction over.
                    steps.close();
                }
                work.answer(Ok(()));
            }
            Step::End(End::Rollback, answer) => {
                abandon(session);
                let _ = answer.send(Ok(()));
                return false;
            }
            Step::End(End::Commit, answer) => {
                let done = session.connection.execute_batch("COMMIT");
                let done = done.map_err(|error| Error::of(error, session.path));
                let committed = done.is_ok();
                // A commit that is refused leaves the transaction open.
                abandon(session);
                let _ = answer.send(done);
                return committed;
            }
        }
    }
    false
}

/// Rolls back whatever is open.
pub(crate) fn abandon(session: &Session<'_>) {
    if session.connection.is_autocommit() {
        return;
    }
    let ended =
        session.connection.prepare_cached(&WORDS.rollback).and_then(|mut rollback| rollback.execute([]));
    if let Err(error) = ended {
        warn!(path = %session.path.display(), %error, "a transaction could not be rolled back");
    }
}
