//! The side that clients see: streams as they are opened.

use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::server::{Builder, Connection};
use http::request::Parts;

use super::Budgets;
use super::io::{Io, Shared};
use super::stream::Stream;
use crate::conn::Conn;
use crate::error::Error;

/// A client's connection.
pub struct Server {
    connection: Connection<Io, bytes::Bytes>,
    conn: Shared,
}

/// A request whose head is there.
pub struct Request {
    /// Its head.
    pub head: Parts,
    /// Whether a body follows.
    pub has_body: bool,
    /// What carries the rest of it, and the answer.
    pub stream: Stream,
}

impl Server {
    /// Agrees on HTTP/2 with a client that has begun to speak it. What was read of its preface waits in the inbox.
    ///
    /// # Errors
    /// When the client does not go on as it began.
    pub async fn handshake(conn: Conn, budgets: Budgets) -> Result<Self, Error> {
        let mut builder = Builder::new();
        builder
            .max_header_list_size(budgets.head)
            .max_concurrent_streams(budgets.streams)
            .initial_window_size(budgets.window)
            .initial_connection_window_size(budgets.connection_window)
            .max_send_buffer_size(budgets.unsent)
            .max_concurrent_reset_streams(budgets.resets)
            .max_pending_accept_reset_streams(budgets.resets)
            .max_local_error_reset_streams(Some(budgets.faults))
            .enable_connect_protocol();
        let (io, conn) = Io::new(conn);
        let connection = builder.handshake(io).await?;
        conn.hold();
        Ok(Server { connection, conn })
    }

    /// The next request; also moves everything that is under way on the connection. `None` is its end.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Request, Error>>> {
        let next = self.connection.poll_accept(cx);
        // While requests come, answers wait a little to go together.
        if !matches!(next, Poll::Ready(Some(Ok(_))))
            && let Poll::Ready(Err(error)) = self.conn.poll_flush(cx)
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(match ready!(next) {
            None => None,
            Some(Err(error)) => Some(Err(error.into())),
            Some(Ok((request, respond))) => {
                let (head, body): (Parts, RecvStream) = request.into_parts();
                let has_body = !body.is_end_stream();
                Some(Ok(Request { head, has_body, stream: Stream::asked(body, respond) }))
            }
        })
    }

    /// Whether no stream is under way, what was said on it included.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        !self.connection.has_streams()
    }

    /// Ends the connection at once: its peer asks for too much.
    pub fn end(&mut self) {
        self.connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
    }

    /// Takes no further request; those under way are finished.
    pub fn close(&mut self) {
        self.connection.graceful_shutdown();
    }
}
