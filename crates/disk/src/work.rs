//! A job on its way to a thread that has a connection, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// What a thread is sent.
pub(crate) enum Message {
    /// Do this.
    Work(Box<dyn Work>),
    /// Take nothing new, finish what waits, and end.
    Close,
}

/// A job whose types are forgotten.
pub(crate) trait Work: Send {
    /// Whether somebody still waits for it.
    fn wanted(&self) -> bool;

    /// Runs the job. `Err` asks for its changes to be undone, with the reason unless it panicked.
    fn run(&mut self, connection: &Connection, path: &Path) -> Result<(), Option<Error>>;

    /// Gives the caller the job's own outcome, unless that was good and what it stood in failed.
    fn answer(self: Box<Self>, whole: Result<(), Error>);
}

/// Sends a job and waits for its answer. A panic of the job goes on in its caller.
pub(crate) async fn ask<T, F>(jobs: &mpsc::Sender<Message>, job: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
{
    let (answer, reply) = oneshot::channel();
    let call = Call { state: State::Waiting(job), answer };
    jobs.send(Message::Work(Box::new(call))).await.map_err(|_| Error::Closed)?;
    match reply.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(Error::Closed),
    }
}

struct Call<T, F> {
    state: State<T, F>,
    answer: oneshot::Sender<thread::Result<Result<T, Error>>>,
}

enum State<T, F> {
    Waiting(F),
    Running,
    Done(thread::Result<Result<T, Error>>),
}

impl<T, F> Work for Call<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(&mut self, connection: &Connection, path: &Path) -> Result<(), Option<Error>> {
        let State::Waiting(job) = std::mem::replace(&mut self.state, State::Running) else {
            return Ok(());
        };
        // The connection is sound after a panic: what the job did is undone, and statements end with their scope.
        let outcome = catch_unwind(AssertUnwindSafe(|| job(connection)));
        let outcome = outcome.map(|result| result.map_err(|error| Error::of(error, path)));
        let verdict = match &outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Some(error.clone())),
            Err(_) => Err(None),
        };
        self.state = State::Done(outcome);
        verdict
    }

    fn answer(self: Box<Self>, whole: Result<(), Error>) {
        let reply = match (self.state, whole) {
            (State::Done(Ok(Ok(_))), Err(error)) => Ok(Err(error)),
            (State::Done(outcome), _) => outcome,
            (State::Waiting(_) | State::Running, whole) => Ok(Err(whole.err().unwrap_or(Error::Closed))),
        };
        // The caller may have gone in the meantime; the work is done all the same.
        let _ = self.answer.send(reply);
    }
}
