//! A connection as `h2` reads and writes it: what was read before comes first, and what is written goes out in as
//! few pieces as it was flushed in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Alarm;
use crate::conn::Conn;

/// Written bytes are held until so many are there, or until they are flushed.
const HELD: usize = 64 * 1024;

/// How long, and for how many bytes, a peer is listened to that has been told the last.
const PATIENCE: Duration = Duration::from_secs(2);
const THROWN_AWAY: usize = 1024 * 1024;

/// The bytes under an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Io {
    conn: Conn,
    farewell: Option<Farewell>,
}

/// Our side is closed.
#[derive(Debug, Default)]
struct Farewell {
    alarm: Alarm,
    thrown: usize,
}

impl Io {
    pub(super) fn new(conn: Conn) -> Self {
        Io { conn, farewell: None }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let conn = &mut self.get_mut().conn;
        if !conn.inbox.is_empty() {
            let n = conn.inbox.len().min(into.remaining());
            into.put_slice(&conn.inbox.filled()[..n]);
            conn.inbox.consume(n);
            conn.inbox.release();
            return Poll::Ready(Ok(()));
        }
        let n = ready!(conn.socket.poll_read(cx, into.initialize_unfilled()))?;
        into.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let conn = &mut self.get_mut().conn;
        if conn.outbox.len() >= HELD {
            ready!(conn.poll_flush(cx))?;
        }
        from.iter().for_each(|part| conn.outbox.extend_from_slice(part));
        Poll::Ready(Ok(from.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conn = &mut self.get_mut().conn;
        ready!(conn.poll_flush(cx))?;
        conn.rest();
        Poll::Ready(Ok(()))
    }

    /// Closes our side, and listens a little: a peer that is still saying something, were it only that it has taken our
    /// last answer, would otherwise be reset, and might lose that answer (RFC 9112 9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { conn, farewell } = self.get_mut();
        if farewell.is_none() {
            ready!(conn.poll_flush(cx))?;
            ready!(conn.socket.poll_shutdown(cx))?;
        }
        let Farewell { alarm, thrown } = farewell.get_or_insert_with(|| {
            let mut farewell = Farewell::default();
            farewell.alarm.set_after(PATIENCE);
            farewell
        });
        let mut part = [0; 4096];
        while *thrown < THROWN_AWAY {
            match conn.socket.poll_read(cx, &mut part) {
                Poll::Ready(Ok(n)) if n > 0 => *thrown += n,
                Poll::Ready(_) => break,
                Poll::Pending => return alarm.poll(cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
