//! Connections to one endpoint: each core keeps its own idle ones, the last used on top; over HTTP/2, those that carry
//! its streams.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Address, Failure, LimitsSpec};
use tokio::time::Instant;
use wire::cores::PerCore;
use wire::seats::{Full, Seat};
use wire::{Conn, Dial, Line, Socket};

use super::secured::Secured;
use super::streams::Streams;
use super::turn::Bounds;
use super::websocket::WebSockets;
use crate::tls::Tls;

/// An idle connection is let go of after this long: most services keep theirs for 60 s or more.
const IDLE: Duration = Duration::from_secs(55);
/// Idle connections that one core keeps to one endpoint.
const KEPT: usize = 256;

/// Connections to one endpoint.
#[derive(Debug)]
pub struct Pool {
    address: Address,
    secured: Option<Secured>,
    dial: Dial,
    idle: PerCore<Mutex<Vec<Idle>>>,
    /// Where the service speaks HTTP/2.
    pub(super) streams: Option<Streams>,
    websockets: WebSockets,
    /// How many connections there may be, where that is said.
    pub(super) bounds: Option<Bounds>,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by TLS.
    H2,
    /// HTTP/2 in the clear, known beforehand.
    H2c,
    /// HTTP/2 or HTTP/1.1, as is agreed on by TLS for each connection.
    Auto,
}

impl Protocol {
    /// What is offered by TLS, the preferred one first.
    fn by_tls(self) -> &'static [&'static str] {
        match self {
            Protocol::Http1 => &["http/1.1"],
            Protocol::H2 | Protocol::H2c => &["h2"],
            Protocol::Auto => &["h2", "http/1.1"],
        }
    }
}

#[derive(Debug)]
struct Idle {
    conn: Conn,
    since: Instant,
}

/// Why no connection could be made. Nothing has left, so any request may be tried elsewhere.
#[derive(Debug)]
pub struct Unreached(pub io::Error);

impl Pool {
    /// A pool of connections to `address`; none is made yet.
    ///
    /// # Errors
    /// `invalid_config`, when the files of `tls` cannot be used.
    pub(crate) fn of(
        address: Address,
        protocol: Protocol,
        tls: Option<Tls>,
        websockets: WebSockets,
    ) -> Result<Self, Failure> {
        let dial = Dial::to(&address.host, address.port);
        let secured = match tls {
            Some(tls) => Some(Secured::new(tls, &address.host, protocol.by_tls())?),
            None => None,
        };
        let streams = (protocol != Protocol::Http1).then(Streams::new);
        let idle = PerCore::new(Mutex::default);
        Ok(Pool { address, secured, dial, idle, streams, websockets, bounds: None })
    }

    /// The same, with so many connections at once as these limits allow.
    pub(crate) fn within(self, limits: Option<&LimitsSpec>) -> Self {
        Pool { bounds: limits.and_then(Bounds::of), ..self }
    }

    /// Where the endpoint is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What the service asks of WebSockets.
    #[must_use]
    pub fn websockets(&self) -> &WebSockets {
        &self.websockets
    }

    /// An idle connection of this core that was used within `fresh`, if the peer has not closed it.
    pub fn reuse(&self, fresh: Duration, now: Instant) -> Option<Conn> {
        let mut idle = lock(self.idle.here());
        while let Some(mut top) = idle.pop() {
            if now.duration_since(top.since) > fresh.min(IDLE) {
                // What lies below is older still, but perhaps fresh enough for somebody else.
                if now.duration_since(top.since) <= IDLE {
                    idle.push(top);
                }
                return None;
            }
            // A word from an idle peer is its farewell, or an answer that nobody asked for.
            if !top.conn.socket.has_news() {
                return Some(top.conn);
            }
        }
        None
    }

    /// Makes a connection, or opens a stream on one that is there. Where connections are limited, it waits for its turn.
    ///
    /// # Errors
    /// [`Unreached`], with the last address's error, or with what is wrong about the handshake.
    pub async fn line(&self) -> Result<Line, Unreached> {
        while let Some(limited) = self.limited() {
            let turn = limited.turn().await.map_err(|Full| Unreached(io::ErrorKind::QuotaExceeded.into()))?;
            if let Some((line, _)) = limited.taken(turn).await? {
                return Ok(line);
            }
        }
        let line = match &self.streams {
            None => self.connect().await.map(Line::Http1),
            Some(streams) => streams.open(|| self.connect()).await,
        };
        line.map_err(Unreached)
    }

    /// Makes a connection on which nothing but one exchange is carried.
    ///
    /// # Errors
    /// [`Unreached`], with the last address's error.
    pub(crate) async fn line_alone(&self) -> Result<Line, Unreached> {
        let line = match &self.streams {
            None => self.connect().await.map(Line::Http1),
            Some(_) => Streams::new().open(|| self.connect()).await,
        };
        line.map_err(Unreached)
    }

    pub(super) async fn connect(&self) -> io::Result<Conn> {
        let stream = self.dial.connect().await?;
        let socket = match &self.secured {
            None => Socket::Tcp(stream),
            Some(secured) => secured.greet(stream).await?,
        };
        Ok(Conn::new(socket))
    }

    /// Opens no further stream on the connection of one that was not answered in time: it may be dead. What is under
    /// way on it goes on.
    pub fn doubt(line: &Line) {
        if let Line::Http2(stream) = line {
            stream.retire_connection();
        }
    }

    /// Keeps a connection on which a whole answer was read and nothing else stands.
    pub fn give_back(&self, mut conn: Conn, now: Instant) {
        if !conn.inbox.is_empty() || conn.has_unsent() {
            return;
        }
        conn.rest();
        let mut idle = lock(self.idle.here());
        if idle.len() < KEPT {
            idle.push(Idle { conn, since: now });
        }
        drop(idle);
        if let Some(bounds) = &self.bounds {
            self.serve_waiting(bounds);
        }
    }

    /// Somebody may wait for the connection that was given back. Only then: whoever queues up looks at what is idle
    /// afterwards, so that of the two of them at least one sees the other.
    fn serve_waiting(&self, bounds: &Bounds) {
        while bounds.seats.is_waited_for() {
            let Some(Idle { mut conn, since }) = lock(self.idle.here()).pop() else { return };
            if conn.socket.has_news() {
                continue;
            }
            if let Some(conn) = bounds.seats.hand_over(conn) {
                lock(self.idle.here()).push(Idle { conn, since });
            }
        }
    }

    /// Closes the connection that has been idle for longest, of whichever core, and has its place.
    pub(super) fn close_idle(&self) -> Option<Seat> {
        let ages =
            self.idle.iter().enumerate().filter_map(|(core, idle)| Some((lock(idle).first()?.since, core)));
        let (_, core) = ages.min()?;
        let mut idle = lock(self.idle.iter().nth(core)?);
        let mut conn = (!idle.is_empty()).then(|| idle.remove(0).conn)?;
        drop(idle);
        let seat = conn.seat.take();
        drop(conn);
        seat
    }

    /// Lets go of connections of this core that are too old or closed by the peer.
    pub fn sweep(&self) {
        let now = Instant::now();
        lock(self.idle.here())
            .retain_mut(|idle| now.duration_since(idle.since) <= IDLE && !idle.conn.socket.has_news());
        if let Some(streams) = &self.streams {
            streams.sweep();
        }
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
