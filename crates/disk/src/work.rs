//! A job on its way to a thread that has a connection, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::readers::Hold;
use crate::session::Session;
use crate::watch::{Fate, Terms, Trust};

/// A job whose types are forgotten.
pub(crate) trait Work: Send {
    /// Whether somebody still waits for it.
    fn wanted(&self) -> bool;

    /// Whether it has a deadline, and so would rather be refused than wait.
    fn hurried(&self) -> bool;

    /// Whether it can run once more after what it did was undone.
    fn again(&self) -> bool;

    /// Runs the job, unless its time is over or its caller has gone. `Err` asks for its changes to be undone.
    fn run(&mut self, session: &Session<'_>) -> Result<(), Undo>;

    /// Gives the caller the job's own outcome, unless that was good and what it stood in failed.
    fn answer(self: Box<Self>, whole: Result<(), Error>);
}

/// Why a job is to be undone.
#[derive(Debug)]
pub(crate) enum Undo {
    /// It failed.
    Failed,
    /// It was interrupted, or never begun.
    Ended,
    /// It failed by a fault of its code.
    Panicked,
}

/// How a job is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) trust: Trust,
    pub(crate) deadline: Option<Instant>,
    /// Whether it can run once more after what it did was undone.
    pub(crate) again: bool,
}

impl Manner {
    /// For code that knows what it does: it runs once, and to its end.
    pub(crate) const TRUSTED: Manner = Manner { trust: Trust::Own, deadline: None, again: false };

    /// For a stranger's statement.
    pub(crate) fn until(deadline: Instant, trust: Trust) -> Manner {
        Manner { trust, deadline: Some(deadline), again: true }
    }
}

/// The way back to the caller, for a job that has something to say before its end.
pub struct Reply<T, E> {
    sender: Option<oneshot::Sender<Outcome<T, E>>>,
}

/// What a job gave, or how it panicked.
pub(crate) type Outcome<T, E> = thread::Result<Result<T, E>>;

impl<T, E> Reply<T, E> {
    /// Answers the caller now. The job goes on for as long as `wanted` and as it may hold its reader, whatever its
    /// deadline was; what it returns in the end reaches nobody.
    pub fn early(
        &mut self,
        session: &Session<'_>,
        value: T,
        hold: Hold,
        wanted: impl Fn() -> bool + Send + 'static,
    ) {
        let Some(sender) = self.sender.take() else { return };
        session.watch.hand_over(Box::new(wanted), Some(hold));
        // A caller that has gone takes what it would have read along, and then it is not wanted.
        let _ = sender.send(Ok(Ok(value)));
    }
}

/// What a caller keeps of its call.
pub(crate) struct Ticket<T, E> {
    fate: Arc<Fate>,
    deadline: Option<Instant>,
    reply: oneshot::Receiver<Outcome<T, E>>,
    settled: bool,
}

/// Makes the two ends of a call.
pub(crate) fn call<T, E, F>(manner: Manner, job: F) -> (Box<dyn Work>, Ticket<T, E>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnMut(&Session<'_>, &mut Reply<T, E>) -> Result<T, E> + Send + 'static,
{
    let (sender, reply) = oneshot::channel();
    let fate = Fate::new();
    let work =
        Call { manner, job, fate: Arc::clone(&fate), outcome: None, reply: Reply { sender: Some(sender) } };
    (Box::new(work), Ticket { fate, deadline: manner.deadline, reply, settled: false })
}

impl<T, E: From<Error>> Ticket<T, E> {
    pub(crate) fn new(fate: Arc<Fate>, deadline: Instant, reply: oneshot::Receiver<Outcome<T, E>>) -> Self {
        Ticket { fate, deadline: Some(deadline), reply, settled: false }
    }

    /// Lets the job run though nobody waits for its answer.
    pub(crate) fn give_up(mut self) {
        self.settled = true;
    }

    /// Waits for the answer. A panic of the job goes on in its caller. What has not begun by its deadline is
    /// taken back; what has begun then is interrupted by the thread that runs it, which also undoes it.
    pub(crate) async fn answer(mut self) -> Result<T, E> {
        let answer = match self.deadline {
            None => (&mut self.reply).await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), &mut self.reply).await {
                Ok(answer) => answer,
                Err(_) if self.fate.take_back() => return Err(Error::NotBegun.into()),
                Err(_) => {
                    self.fate.interrupt();
                    (&mut self.reply).await
                }
            },
        };
        self.settled = true;
        match answer {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            // The thread has ended, or the transaction that it was for.
            Err(_) => Err(Error::Closed.into()),
        }
    }
}

impl<T, E> Drop for Ticket<T, E> {
    fn drop(&mut self) {
        if !self.settled {
            self.fate.abandon();
        }
    }
}

struct Call<T, E, F> {
    manner: Manner,
    job: F,
    fate: Arc<Fate>,
    outcome: Option<Outcome<T, E>>,
    reply: Reply<T, E>,
}

impl<T, E, F> Work for Call<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: FnMut(&Session<'_>, &mut Reply<T, E>) -> Result<T, E> + Send,
{
    fn wanted(&self) -> bool {
        !self.fate.gone()
    }

    fn hurried(&self) -> bool {
        self.manner.deadline.is_some()
    }

    fn again(&self) -> bool {
        // What has failed by itself was undone already, and its answer stands.
        self.manner.again && matches!(self.outcome, Some(Ok(Ok(_))))
    }

    fn run(&mut self, session: &Session<'_>) -> Result<(), Undo> {
        let late = self.manner.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        // Its caller finds out by itself, at the same time.
        if (late && self.fate.take_back()) || !self.fate.begin() {
            self.outcome = Some(Ok(Err(Error::NotBegun.into())));
            return Err(Undo::Ended);
        }
        let terms = self.manner.deadline.map(|deadline| Terms::Until(deadline, Arc::clone(&self.fate)));
        session.watch.arm(self.manner.trust, terms);
        self.fate.runs_under(Some(session.watch));
        // The connection is sound after a panic: what the job did is undone, and statements end with their scope.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.job)(session, &mut self.reply)));
        self.fate.runs_under(None);
        let interrupted = session.watch.disarm();
        let (outcome, verdict) = match outcome {
            Ok(Ok(value)) => (Ok(Ok(value)), Ok(())),
            Ok(Err(_)) if interrupted => (Ok(Err(Error::Interrupted.into())), Err(Undo::Ended)),
            Ok(Err(error)) => (Ok(Err(error)), Err(Undo::Failed)),
            Err(panic) => (Err(panic), Err(Undo::Panicked)),
        };
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, whole: Result<(), Error>) {
        let Some(sender) = self.reply.sender else { return };
        let reply = match (self.outcome, whole) {
            (Some(Ok(Ok(_))), Err(error)) => Ok(Err(error.into())),
            (Some(outcome), _) => outcome,
            (None, whole) => Ok(Err(whole.err().unwrap_or(Error::Closed).into())),
        };
        // The caller may have gone in the meantime; the work is done all the same.
        let _ = sender.send(reply);
    }
}
