//! Connections to one endpoint: each core keeps its own idle ones, the last used on top; over HTTP/2, those that carry
//! its streams.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Address;
use tokio::time::Instant;
use wire::cores::PerCore;
use wire::{Conn, Line, Socket};

use super::streams::Streams;

/// An idle connection is let go of after this long: most services keep theirs for 60 s or more.
const IDLE: Duration = Duration::from_secs(55);
/// Idle connections that one core keeps to one endpoint.
const KEPT: usize = 256;
/// How long an address that a name resolved to is used before the name is asked for again.
const RESOLVED: Duration = Duration::from_secs(5);

/// Connections to one endpoint.
#[derive(Debug)]
pub struct Pool {
    address: Address,
    literal: Option<SocketAddr>,
    resolved: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
    idle: PerCore<Mutex<Vec<Idle>>>,
    /// Where the service speaks HTTP/2.
    streams: Option<Streams>,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in the clear, known beforehand.
    H2c,
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
    #[must_use]
    pub fn new(address: Address, protocol: Protocol) -> Self {
        let literal = address.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, address.port));
        let streams = (protocol == Protocol::H2c).then(Streams::new);
        Pool { address, literal, resolved: Mutex::new(None), idle: PerCore::new(Mutex::default), streams }
    }

    /// Where the endpoint is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
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

    /// Makes a connection, or opens a stream on one that is there.
    ///
    /// # Errors
    /// [`Unreached`], with the last address's error.
    pub async fn line(&self) -> Result<Line, Unreached> {
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

    async fn connect(&self) -> io::Result<Conn> {
        let socket = match self.literal {
            Some(address) => Socket::connect(&[address]).await?,
            None => Socket::connect(&self.resolve().await?).await?,
        };
        Ok(Conn::new(socket))
    }

    /// Opens no further stream on the connection of one that was not answered in time: it may be dead. What is under
    /// way on it goes on.
    pub fn doubt(&self, line: &Line) {
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

    async fn resolve(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some((when, addresses)) = &*lock(&self.resolved)
            && when.elapsed() < RESOLVED
        {
            return Ok(Arc::clone(addresses));
        }
        let asked = tokio::net::lookup_host((&*self.address.host, self.address.port)).await;
        let mut addresses: Vec<SocketAddr> = match asked {
            Ok(addresses) => addresses.collect(),
            // A name server that hiccups takes nobody down whose address was known a moment ago.
            Err(error) => {
                return lock(&self.resolved).as_ref().map(|(_, known)| Arc::clone(known)).ok_or(error);
            }
        };
        // Most services of a laptop listen on IPv4 only; asking it first saves a refused connection.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let addresses: Arc<[SocketAddr]> = addresses.into();
        *lock(&self.resolved) = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
