//! One connection to a server, on which the commands of many callers are under way at once.
//!
//! The client library queues what several callers ask and writes it together. Whether the connection can still be
//! used is known before anything is handed to it, so that a caller knows whether anything may have left.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::room::Permit;

/// A caller that left after so long without an answer to anybody has seen a connection that leads nowhere.
const STALLED: Duration = Duration::from_millis(500);
/// Commands that wait in memory for one connection; further callers wait outside.
const QUEUED: usize = 1024;

/// One connection. It closes when the last one lets go of it.
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    state: Arc<State>,
    opened: Instant,
    /// When it was used last, in milliseconds after it was opened.
    used: AtomicU64,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    stalled: AtomicBool,
    answers: AtomicU64,
}

impl Link {
    /// Begins to speak on a stream. Nothing is sent yet.
    pub(super) async fn new<S>(stream: S, permit: Permit) -> Result<Link, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // What a connection begins with, and how long anything may take, is ours to say.
        let bare = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUED);
        let (connection, drive) = MultiplexedConnection::new_with_config(&bare, stream, config).await?;
        let state = Arc::new(State::default());
        let ended = Ended(Arc::clone(&state), permit);
        let driver = tokio::spawn(async move {
            let _ended = ended;
            drive.await;
        });
        Ok(Link {
            connection,
            driver: driver.abort_handle(),
            state,
            opened: Instant::now(),
            used: AtomicU64::new(0),
        })
    }

    /// Whether something may be asked on it.
    pub(super) fn usable(&self) -> bool {
        !self.state.ended.load(Relaxed) && !self.state.stalled.load(Relaxed)
    }

    /// How long it has been open.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.opened)
    }

    /// How long nobody has asked anything.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        self.age(now).saturating_sub(Duration::from_millis(self.used.load(Relaxed)))
    }

    /// Asks one thing. A refusal of the server is a value; an error means that the command may have left.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let call = self.begin();
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(command).await;
        call.end();
        answer
    }

    /// Asks several things one after the other, which leave together; as many answers come back.
    pub(super) async fn ask_all(&self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let call = self.begin();
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        call.end();
        answers
    }

    fn begin(&self) -> Waiting<'_> {
        let since = Instant::now();
        let used = u64::try_from(self.age(since).as_millis()).unwrap_or(u64::MAX);
        self.used.store(used, Relaxed);
        Waiting { state: &self.state, since, answers: self.state.answers.load(Relaxed) }
    }
}

impl Drop for Link {
    /// The library would wait for answers to what is still under way, and so for ever where none come.
    fn drop(&mut self) {
        self.driver.abort();
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
