//! The side that services see: taking a response's head.

use std::task::{Context, Poll, ready};

use super::head::{HeadLimits, ResponseHead};
use crate::buffer::LARGE;
use crate::conn::Conn;
use crate::error::Error;

/// Looks for the head of a response, reading as much of its body as comes along.
///
/// # Errors
/// [`Error::Closed`] when the service closed without a word (a connection that was idle too long),
/// [`Error::Truncated`] in the middle of the head, or what is wrong with it.
pub fn poll_head(
    conn: &mut Conn,
    cx: &mut Context<'_>,
    head: &mut ResponseHead,
    limits: HeadLimits,
    to_head: bool,
) -> Poll<Result<(), Error>> {
    loop {
        if !conn.inbox.is_empty()
            && let Some(length) = head.parse(conn.inbox.filled(), limits, to_head)?
        {
            conn.inbox.consume(length);
            return Poll::Ready(Ok(()));
        }
        if conn.inbox.len() == conn.inbox.capacity() && conn.inbox.capacity() > 0 {
            conn.inbox.grow(limits.bytes.max(LARGE));
        }
        // Many a service lets go of an idle TLS connection without a word.
        match ready!(conn.poll_fill(cx, LARGE)) {
            Ok(0) | Err(Error::Truncated) => {
                let error = if conn.inbox.is_empty() { Error::Closed } else { Error::Truncated };
                return Poll::Ready(Err(error));
            }
            filled => filled?,
        };
    }
}
