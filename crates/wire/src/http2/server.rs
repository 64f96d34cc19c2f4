//! The side that clients see: streams as they are opened.

use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::server::{Builder, Connection};
use http::request::Parts;

use super::Budgets;
use super::io::Io;
use super::stream::Stream;
use crate::conn::Conn;
use crate::error::Error;

/// A client's connection.
pub struct Server(Connection<Io, bytes::Bytes>);

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
        Ok(Server(builder.handshake(Io::new(conn)).await?))
    }

    /// The next request; also moves everything that is under way on the connection. `None` is its end.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Request, Error>>> {
        Poll::Ready(match ready!(self.0.poll_accept(cx)) {
            None => None,
            Some(Err(error)) => Some(Err(error.into())),
            Some(Ok((request, respond))) => {
                let (head, body): (Parts, RecvStream) = request.into_parts();
                let has_body = !body.is_end_stream();
                Some(Ok(Request { head, has_body, stream: Stream::asked(body, respond) }))
            }
        })
    }

    /// Ends the connection at once: its peer asks for too much.
    pub fn end(&mut self) {
        self.0.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
    }

    /// Takes no further request; those under way are finished.
    pub fn close(&mut self) {
        self.0.graceful_shutdown();
    }

    /// Moves what is under way until the connection is over.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_closed(cx).map_err(Into::into)
    }
}
