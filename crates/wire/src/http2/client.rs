//! The side that services see: a connection that carries many requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http::uri::Scheme;
use http::{Request, Uri};
use tokio::time::Instant;

use super::Budgets;
use super::io::{self, Io};
use crate::conn::Conn;
use crate::error::Error;
use crate::seats::{Seat, Seats};

/// A connection to a service. Clones share it; it is closed when all of them and their streams are gone.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

/// What all who use a connection know of it.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Streams that are open or about to be.
    open: AtomicUsize,
    /// By TLS, which requests name as their scheme.
    is_secure: bool,
    /// The service has answered something, and with its first frame it has said what it offers.
    is_heard: AtomicBool,
    /// Who waits for room, where connections are counted.
    seats: Option<Arc<Seats>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Moves what is under way on a connection: to be spawned where its streams live.
pub struct Driver {
    connection: Connection<Io, Bytes>,
    conn: io::Shared,
    shared: Arc<Shared>,
}

impl Client {
    /// Agrees on HTTP/2 with a service.
    ///
    /// # Errors
    /// When the service cannot be told that HTTP/2 is spoken.
    pub async fn handshake(conn: Conn, budgets: Budgets) -> Result<(Self, Driver), Error> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .max_header_list_size(budgets.head)
            .initial_window_size(budgets.window)
            .initial_connection_window_size(budgets.connection_window)
            .max_send_buffer_size(budgets.unsent)
            .max_concurrent_reset_streams(budgets.resets)
            .max_local_error_reset_streams(Some(budgets.faults));
        let is_secure = conn.socket.is_secure();
        let seats = conn.seat.as_ref().map(Seat::seats).cloned();
        let shared = Arc::new(Shared { is_secure, seats, ..Shared::default() });
        let (io, conn) = Io::new(conn);
        let (sender, connection) = builder.handshake(io).await?;
        conn.hold();
        Ok((Client { sender, shared: Arc::clone(&shared) }, Driver { connection, conn, shared }))
    }

    /// Whether it can carry another stream now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_over() && self.shared.open.load(Relaxed) < self.sender.current_max_send_streams()
    }

    /// Whether no stream is open on it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.open.load(Relaxed) == 0
    }

    /// Whether it has ended or is about to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Relaxed)
    }

    /// Carries no further stream; those under way go on.
    pub fn retire(&self) {
        self.shared.is_over.store(true, Relaxed);
    }

    /// Waits until another stream may be opened.
    ///
    /// # Errors
    /// When the connection is over: nothing has left.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.sender.poll_ready(cx).map_err(Into::into)
    }

    /// A stream that is about to be opened.
    #[must_use]
    pub fn opening(self) -> Opening {
        self.shared.open.fetch_add(1, Relaxed);
        Opening { place: Place(Arc::clone(&self.shared)), client: self }
    }
}

/// A stream that is about to be opened on a connection.
pub struct Opening {
    client: Client,
    place: Place,
}

/// How long, and in which steps, a service is waited for that has just been connected to, to say what it offers.
const FIRST_FRAME: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);

/// A stream's place on its connection, while it is there.
pub(super) struct Place(Arc<Shared>);

impl Opening {
    /// Whether the service takes WebSockets (RFC 8441 3), which may be said to nobody else. It says so in its first frame,
    /// for which a new connection waits here.
    pub(super) async fn offers_websocket(&self) -> bool {
        let end = Instant::now() + FIRST_FRAME;
        loop {
            if self.client.sender.is_extended_connect_protocol_enabled() {
                return true;
            }
            if self.client.is_over() || self.place.0.is_heard.load(Relaxed) || Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Opens it. The place is to be kept while anything is said or read on it.
    pub(super) fn send(
        mut self,
        mut request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>, Place), Error> {
        if self.place.0.is_secure {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(Scheme::HTTPS);
            *request.uri_mut() =
                Uri::from_parts(parts).map_err(|_| Error::Malformed("a target that is none"))?;
        }
        let (answer, send) = self.client.sender.send_request(request, ends)?;
        Ok((answer, send, self.place))
    }
}

impl Place {
    /// The service has answered.
    pub(super) fn hear(&self) {
        self.0.is_heard.store(true, Relaxed);
    }

    /// Opens no further stream on the connection.
    pub(super) fn retire_connection(&self) {
        self.0.is_over.store(true, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        if let Some(seats) = &self.0.seats {
            seats.stir();
        }
    }
}

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = match Pin::new(&mut self.connection).poll(cx) {
            Poll::Ready(ended) => ended.map_err(Into::into),
            Poll::Pending => match self.conn.poll_flush(cx) {
                Poll::Ready(Err(error)) => Err(error.into()),
                Poll::Ready(Ok(())) | Poll::Pending => return Poll::Pending,
            },
        };
        self.shared.is_over.store(true, Relaxed);
        Poll::Ready(ended)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
    }
}
