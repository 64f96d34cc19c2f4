//! What carries one exchange with a peer: an HTTP/1 connection, or one stream of an HTTP/2 connection.
//!
//! Whoever moves a body or waits for a peer does so on a line, and need not know which of the two it is.

use std::task::{Context, Poll, ready};

use crate::conn::Conn;
use crate::error::Error;
use crate::http2::Stream;

/// What carries one exchange.
#[derive(Debug)]
pub enum Line {
    /// The whole connection, for as long as the exchange takes.
    Http1(Conn),
    /// One stream among others.
    Http2(Stream),
}

impl Line {
    /// The connection, where it is one of HTTP/1.
    pub fn http1(&mut self) -> Option<&mut Conn> {
        match self {
            Line::Http1(conn) => Some(conn),
            Line::Http2(_) => None,
        }
    }

    /// The stream, where it is one of HTTP/2.
    pub fn http2(&mut self) -> Option<&mut Stream> {
        match self {
            Line::Http1(_) => None,
            Line::Http2(stream) => Some(stream),
        }
    }

    /// Whether something said has not been sent. What is said on a stream is its connection's to send.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        match self {
            Line::Http1(conn) => conn.has_unsent(),
            Line::Http2(_) => false,
        }
    }

    /// Sends what was said.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Line::Http1(conn) = self {
            ready!(conn.poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Looks whether the peer has broken the exchange while nothing is expected of it.
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        match self {
            Line::Http1(conn) => conn.poll_broken(cx),
            Line::Http2(stream) => stream.poll_broken(cx),
        }
    }

    /// Whether the peer has closed its side of the connection. The end of a stream's request is no such word.
    #[must_use]
    pub fn said_its_last(&self) -> bool {
        match self {
            Line::Http1(conn) => conn.said_its_last(),
            Line::Http2(_) => false,
        }
    }

    /// A mark: what is said from now on has left in no part while [`stands_at`](Line::stands_at) says so.
    #[must_use]
    pub fn mark(&self) -> u64 {
        match self {
            Line::Http1(conn) => conn.sent_total(),
            Line::Http2(_) => 0,
        }
    }

    /// Whether nothing has left since the mark. What was said on a stream may have left at once.
    #[must_use]
    pub fn stands_at(&self, mark: u64) -> bool {
        match self {
            Line::Http1(conn) => conn.sent_total() == mark,
            Line::Http2(stream) => !stream.was_opened(),
        }
    }
}

impl From<Conn> for Line {
    fn from(conn: Conn) -> Self {
        Line::Http1(conn)
    }
}
