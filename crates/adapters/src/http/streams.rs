//! HTTP/2 connections to one endpoint: each core keeps its own, and opens streams on them.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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
pub(super) struct Streams {
    cores: PerCore<Core>,
    /// The service agreed on HTTP/1.1 when it was last asked.
    is_http1: AtomicBool,
}

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
        Streams { cores: PerCore::new(Core::default), is_http1: AtomicBool::new(false) }
    }

    /// A stream on a connection that has room for one, or on a new connection. Dropped at any point, it leaves nothing.
    pub(super) async fn open<F>(&self, connect: impl Fn() -> F) -> io::Result<Line>
    where
        F: Future<Output = io::Result<Conn>>,
    {
        let core = self.cores.here();
        while self.is_http1.load(Relaxed) {
            let conn = connect().await?;
            if !agreed_on_http2(&conn) {
                return Ok(Line::Http1(conn));
            }
            self.is_http1.store(false, Relaxed);
            core.keep(conn).await?;
        }
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
            let conn = connect().await?;
            if !agreed_on_http2(&conn) {
                self.is_http1.store(true, Relaxed);
                return Ok(Line::Http1(conn));
            }
            core.keep(conn).await?;
        }
    }

    /// Whether the service agreed on HTTP/1.1 when it was last asked, so that its connections are not shared.
    pub(super) fn is_http1(&self) -> bool {
        self.is_http1.load(Relaxed)
    }

    /// A stream on a connection of this core, if one has room.
    pub(super) fn share_here(&self) -> Option<Line> {
        self.cores.here().share()
    }

    /// A stream on any connection that has room, of this core if there is one. On another's, that core moves what is said
    /// and the one that asks uses it: dearer than an own one, and cheaper than to wait.
    pub(super) fn share(&self) -> Option<Line> {
        self.share_here().or_else(|| self.cores.iter().find_map(Core::share))
    }

    /// A stream on a new connection, or the connection itself, as was agreed; `None` when it has no room already.
    pub(super) async fn begin_on(&self, conn: Conn) -> io::Result<Option<Line>> {
        let is_http1 = !agreed_on_http2(&conn);
        self.is_http1.store(is_http1, Relaxed);
        if is_http1 {
            return Ok(Some(Line::Http1(conn)));
        }
        let core = self.cores.here();
        core.keep(conn).await?;
        Ok(core.share())
    }

    /// Lets go of connections of this core that have ended, or that nobody has used for long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.cores.here().kept().retain(|kept| {
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

/// In the clear it is known beforehand.
fn agreed_on_http2(conn: &Conn) -> bool {
    !conn.socket.is_secure() || conn.socket.alpn() == Some(b"h2")
}

impl Core {
    /// Opens streams on this connection from now on.
    async fn keep(&self, conn: Conn) -> io::Result<()> {
        let (client, driver) = Client::handshake(conn, Budgets::default()).await.map_err(io::Error::other)?;
        tokio::spawn(driver);
        self.kept().push(Kept { client, used: Instant::now() });
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream on one that has room, without waiting.
    fn share(&self) -> Option<Line> {
        while let Some(mut client) = self.with_room() {
            match client.poll_ready(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(())) => return Some(Line::Http2(Stream::opening(client.opening()))),
                Poll::Ready(Err(_)) => client.retire(),
                Poll::Pending => return None,
            }
        }
        None
    }

    fn with_room(&self) -> Option<Client> {
        let mut kept = self.kept();
        kept.retain(|kept| !kept.client.is_over());
        let found = kept.iter_mut().find(|kept| kept.client.has_room())?;
        found.used = Instant::now();
        Some(found.client.clone())
    }
}
