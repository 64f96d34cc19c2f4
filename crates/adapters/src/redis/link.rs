//! One connection to a server, on which the commands of many callers are under way at once.
//!
//! A task of its own speaks on it. Whether the connection can still be used is known before anything is handed to that,
//! and of what was handed to it, whether anything may have left.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::room::Permit;
use super::space::Space;
use super::talk::{Answers, Asked, Broke, Talk};

/// A caller that left after so long without an answer to anybody has seen a connection that leads nowhere.
const STALLED: Duration = Duration::from_millis(500);
/// Commands that wait in memory for one connection; further callers wait outside.
const QUEUED: usize = 1024;

/// What is told where the task that speaks has no words left.
const GONE: &str = "it was closed";

/// One connection. It closes when the last one lets go of it.
pub(super) struct Link {
    asking: mpsc::Sender<Asked>,
    talking: AbortHandle,
    state: Arc<State>,
    opened: Instant,
    /// When it was used last, in milliseconds after it was opened.
    used: AtomicU64,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    stalled: AtomicBool,
    transacts: AtomicBool,
    answers: AtomicU64,
}

impl Link {
    /// Begins to speak on a stream. Nothing is sent yet.
    pub(super) fn new<S>(stream: S, permit: Permit) -> Link
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (asking, asked) = mpsc::channel(QUEUED);
        let state = Arc::new(State::default());
        let ended = Ended(Arc::clone(&state), permit);
        let talking = tokio::spawn(async move {
            let ended = ended;
            let mut talk = Talk::new(stream, asked);
            let why = (&mut talk).await;
            // Whoever is told, and asks the next thing at once, shall find another connection.
            ended.0.ended.store(true, Relaxed);
            talk.end(why);
        });
        Link {
            asking,
            talking: talking.abort_handle(),
            state,
            opened: Instant::now(),
            used: AtomicU64::new(0),
        }
    }

    /// Whether something may be asked on it.
    pub(super) fn usable(&self) -> bool {
        !self.state.ended.load(Relaxed) && !self.state.stalled.load(Relaxed)
    }

    /// Whether the server is known to take transactions on it.
    pub(super) fn is_known_to_transact(&self) -> bool {
        self.state.transacts.load(Relaxed)
    }

    /// It does.
    pub(super) fn transacts(&self) {
        self.state.transacts.store(true, Relaxed);
    }

    /// How long it has been open.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.opened)
    }

    /// How long nobody has asked anything.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        self.age(now).saturating_sub(Duration::from_millis(self.used.load(Relaxed)))
    }

    /// Asks one thing. A refusal of the server is a value.
    pub(super) async fn ask(&self, command: &Cmd, space: &mut Space) -> Result<Value, Broke> {
        match self.say(command.get_packed_command(), 1, space).await? {
            Answers::One(answer) => Ok(answer),
            Answers::Several(mut answers) => Ok(answers.pop().unwrap_or_default()),
        }
    }

    /// Asks several things one after the other, which leave together; as many answers come back.
    pub(super) async fn ask_all(&self, commands: &Pipeline, space: &mut Space) -> Result<Vec<Value>, Broke> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match self.say(commands.get_packed_pipeline(), commands.len(), space).await? {
            Answers::One(answer) => Ok(vec![answer]),
            Answers::Several(answers) => Ok(answers),
        }
    }

    async fn say(&self, bytes: Vec<u8>, count: usize, space: &mut Space) -> Result<Answers, Broke> {
        let call = self.begin();
        let (tell, told) = oneshot::channel();
        let asked = Asked { bytes, count, space: space.lend(), tell };
        if self.asking.send(asked).await.is_err() {
            return Err(Broke { sent: false, why: GONE.into() });
        }
        let told = told.await.unwrap_or(Err(Broke { sent: true, why: GONE.into() }));
        call.end();
        let told = told?;
        *space = told.space;
        Ok(told.answers)
    }

    fn begin(&self) -> Waiting<'_> {
        let since = Instant::now();
        let used = u64::try_from(self.age(since).as_millis()).unwrap_or(u64::MAX);
        self.used.store(used, Relaxed);
        Waiting { state: &self.state, since, answers: self.state.answers.load(Relaxed) }
    }
}

impl Drop for Link {
    /// Answers to what is still under way are wanted by nobody, and some never come.
    fn drop(&mut self) {
        self.talking.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("usable", &self.usable()).finish_non_exhaustive()
    }
}

/// Lives as long as the socket.
struct Ended(Arc<State>, #[expect(dead_code, reason = "held for as long as the connection is open")] Permit);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Relaxed);
    }
}

/// A call under way. Dropped before its end, it looks whether the connection still leads anywhere: a peer that froze,
/// or a network that was cut, closes nothing.
struct Waiting<'l> {
    state: &'l State,
    since: Instant,
    answers: u64,
}

impl Waiting<'_> {
    fn end(self) {
        self.state.answers.fetch_add(1, Relaxed);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.state.answers.load(Relaxed) == self.answers && self.since.elapsed() >= STALLED {
            self.state.stalled.store(true, Relaxed);
        }
    }
}
