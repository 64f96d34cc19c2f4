//! The side that clients see: taking a request's head, and throwing away what nobody will read.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::head::{HeadLimits, RequestHead};
use crate::alarm::Alarm;
use crate::body::{Body, Next};
use crate::buffer::SMALL;
use crate::conn::Conn;
use crate::error::Error;
use crate::line::Line;

/// Waits for the first byte of the next request, holding no buffer.
///
/// # Errors
/// [`Error::Closed`] when the client has gone, [`Error::TimedOut`] when it said nothing for `idle`.
pub async fn await_request(conn: &mut Conn, alarm: &mut Alarm, idle: Duration) -> Result<(), Error> {
    await_request_until(conn, alarm, idle, |_| false).await
}

/// As [`await_request`], until `leaves` says that the connection is to be closed. What has come by then is a request still:
/// whoever just sends one must not find the connection gone.
///
/// # Errors
/// [`Error::Closed`] when the client has gone or `leaves` says so, [`Error::TimedOut`] when it said nothing for `idle`.
pub async fn await_request_until(
    conn: &mut Conn,
    alarm: &mut Alarm,
    idle: Duration,
    mut leaves: impl FnMut(&mut Context<'_>) -> bool,
) -> Result<(), Error> {
    if !conn.inbox.is_empty() {
        return Ok(());
    }
    alarm.set_after(idle);
    alarm
        .guard(|cx| match poll_first(conn, cx) {
            Poll::Pending if leaves(cx) && !conn.socket.has_unread() => Poll::Ready(Err(Error::Closed)),
            polled => polled,
        })
        .await
}

fn poll_first(conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    match ready!(conn.poll_fill(cx, SMALL)) {
        Ok(0) => Poll::Ready(Err(Error::Closed)),
        Ok(_) => Poll::Ready(Ok(())),
        Err(error) => Poll::Ready(Err(error)),
    }
}

/// Takes the head of a request, whose first bytes are there.
///
/// # Errors
/// What is wrong with it, or [`Error::TimedOut`] when it is not whole after `limit`.
pub async fn read_head(
    conn: &mut Conn,
    head: &mut RequestHead,
    limits: HeadLimits,
    alarm: &mut Alarm,
    limit: Duration,
) -> Result<(), Error> {
    let mut seen = 0;
    loop {
        // A head that comes in many small pieces is judged again only when a line may have ended, which is
        // also when what is wrong with it shows: the number of its lines bounds how often.
        if seen == 0 || conn.inbox.filled()[seen..].iter().any(|&b| b.is_ascii_control() && b != b'\t') {
            if let Some(length) = head.parse(conn.inbox.filled(), limits)? {
                conn.inbox.consume(length);
                return Ok(());
            }
            if seen == 0 {
                alarm.set_after(limit);
            }
        }
        seen = conn.inbox.len();
        if seen >= limits.bytes {
            return Err(Error::HeadTooLarge);
        }
        if seen == conn.inbox.capacity() {
            conn.inbox.grow(limits.bytes.max(SMALL));
        }
        let n = alarm.guard(|cx| conn.poll_fill(cx, SMALL)).await?;
        if n == 0 {
            return Err(Error::Truncated);
        }
    }
}

/// Reads a body to its end and throws it away, up to `most` bytes, so that the next request can be read.
/// Says whether the end was reached.
pub async fn drain(line: &mut Line, body: &mut Body, most: u64, alarm: &mut Alarm, limit: Duration) -> bool {
    let mut left = most;
    alarm.set_after(limit);
    let drained = alarm.guard(|cx| {
        loop {
            match ready!(body.poll_next(cx, line, SMALL))? {
                Next::End => return Poll::Ready(Ok(true)),
                Next::Data(n) if n as u64 > left => return Poll::Ready(Ok(false)),
                Next::Data(n) => {
                    left -= n as u64;
                    body.consume(line, n);
                }
            }
        }
    });
    drained.await.unwrap_or(false)
}

/// Sends what is said, closes our side, and listens a little, so that the peer reads our last words before
/// it learns that nobody reads its own (RFC 9112 9.6).
pub async fn linger(conn: &mut Conn, alarm: &mut Alarm, limit: Duration) {
    alarm.set_after(limit);
    let mut thrown = 0;
    let farewell = alarm.guard(|cx| {
        ready!(conn.poll_flush(cx))?;
        ready!(conn.socket.poll_shutdown(cx))?;
        loop {
            let n = conn.inbox.len();
            conn.inbox.consume(n);
            // Closed with bytes unread, a connection is reset, which takes our last words from a peer that has not read them
            // yet. One that sends without end is not read on, and has the rest of the time to look.
            if thrown >= LINGER_BYTES {
                return Poll::Pending;
            }
            match ready!(conn.poll_fill(cx, SMALL)) {
                Ok(n) if n > 0 => thrown += n,
                _ => return Poll::Ready(Ok(())),
            }
        }
    });
    // Whatever happens here, the connection is over.
    let _ = farewell.await;
}

/// How much of what a client still sends while it is being turned away is read.
const LINGER_BYTES: usize = 1024 * 1024;
