//! HTTP/2 connections to one endpoint: each core keeps its own, and opens streams on them.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync;
use tokio::time::Instant;
use wire::cores::PerCore;
use wire::http2::{Budgets, Client, Stream};
use wire::{Conn, Line};

/// A connection without streams is let go of after this long.
const IDLE: Duration = Duration::from_secs(55);

/// HTTP/2 connections to one endpoint.
#[derive(Debug)]
pub(super) struct Streams(PerCore<Core>);

/// Those of one core.
#[derive(Debug, Default)]
struct Core {
    kept: Mutex<Vec<Kept>>,
    /// Held by whoever makes a connection: the others wait for what it will carry.
    making: sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    client: Client,
    used: Instant,
}

impl Streams {
    pub(super) fn new() -> Self {
        Streams(PerCore::new(Core::default))
    }

    /// A stream on a connection that has room for one, or on a new connection. Dropped at any point, it leaves nothing.
    pub(super) async fn open<F>(&self, connect: impl Fn() -> F) -> io::Result<Line>
    where
        F: Future<Output = io::Result<Conn>>,
    {
        let core = self.0.here();
        loop {
            if let Some(client) = core.with_room() {
                match opened(client).await {
                    Some(line) => return Ok(line),
                    None => continue,
                }
            }
            let _turn = core.making.lock().await;
            if core.with_room().is_some() {
                continue;
            }
            let (client, driver) =
                Client::handshake(connect().await?, Budgets::default()).await.map_err(io::Error::other)?;
            tokio::spawn(driver);
            core.kept().push(Kept { client, used: Instant::now() });
        }
    }

    /// Lets go of connections of this core that have ended, or that nobody has used for long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.0.here().kept().retain(|kept| {
            let is_old = kept.client.is_idle() && now.duration_since(kept.used) > IDLE;
            !kept.client.is_over() && !is_old
        });
    }
}

/// A stream on this connection, as soon as it takes another; nothing when it has ended.
async fn opened(mut client: Client) -> Option<Line> {
    match poll_fn(|cx| client.poll_ready(cx)).await {
        Ok(()) => Some(Line::Http2(Stream::opening(client.opening()))),
        Err(_) => {
            client.retire();
            None
        }
    }
}

impl Core {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_room(&self) -> Option<Client> {
        let mut kept = self.kept();
        kept.retain(|kept| !kept.client.is_over());
        let found = kept.iter_mut().find(|kept| kept.client.has_room())?;
        found.used = Instant::now();
        Some(found.client.clone())
    }
}
