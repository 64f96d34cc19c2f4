//! A connection as `h2` reads and writes it: what was read before comes first, and what is written is held until all
//! that could be said at once was said. `h2` flushes after each frame of a body; whoever moves the connection flushes
//! once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::alarm::Alarm;
use crate::buffer;
use crate::conn::Conn;

/// Written bytes are held until so many are there, or until they are flushed.
const HELD: usize = 64 * 1024;

/// How long a peer may take nothing of what is to be sent.
const STUCK: Duration = Duration::from_secs(60);

/// How long, and for how many bytes, a peer is listened to that has been told the last.
const PATIENCE: Duration = Duration::from_secs(2);
const THROWN_AWAY: usize = 1024 * 1024;

/// The bytes under an HTTP/2 connection, as `h2` has them.
#[derive(Debug)]
pub(super) struct Io {
    conn: Shared,
    farewell: Option<Farewell>,
}

/// The same, as whoever moves the connection has them. Both are of one task, so that nobody ever waits for the lock.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    conn: Conn,
    /// Whether what is flushed waits for [`Shared::poll_flush`].
    waits: bool,
    /// Rings when the peer has taken nothing for too long.
    alarm: Alarm,
    /// What it had taken when the alarm was set.
    taken: u64,
}

/// Our side is closed.
#[derive(Debug, Default)]
struct Farewell {
    alarm: Alarm,
    thrown: usize,
}

impl Io {
    /// What is said is sent when it is flushed, until [`Shared::hold`].
    pub(super) fn new(conn: Conn) -> (Self, Shared) {
        let shared =
            Shared(Arc::new(Mutex::new(Held { conn, waits: false, alarm: Alarm::default(), taken: 0 })));
        (Io { conn: shared.clone(), farewell: None }, shared)
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on what is said waits for [`poll_flush`](Shared::poll_flush), or until much of it is there.
    pub(super) fn hold(&self) {
        self.held().waits = true;
    }

    /// Sends what was said.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held().poll_flush(cx)
    }
}

impl Held {
    /// Sends what was said. A peer that takes nothing for long has gone, whatever its machine says.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Held { conn, alarm, taken, .. } = self;
        if conn.has_unsent() && conn.poll_flush(cx)?.is_pending() {
            if alarm.deadline().is_none() || *taken != conn.sent_total() {
                *taken = conn.sent_total();
                alarm.set_after(STUCK);
            }
            return alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        alarm.clear();
        buffer::keep(&mut self.conn.outbox);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let conn = &mut self.conn.held().conn;
        if !conn.inbox.is_empty() {
            let n = conn.inbox.len().min(into.remaining());
            into.put_slice(&conn.inbox.filled()[..n]);
            conn.inbox.consume(n);
            conn.inbox.release();
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut conn.socket).poll_read(cx, into)
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
        let held = &mut *self.conn.held();
        if held.conn.outbox.len() >= HELD {
            ready!(held.poll_flush(cx))?;
        }
        let conn = &mut held.conn;
        if conn.outbox.capacity() == 0 {
            conn.outbox = buffer::spare();
        }
        from.iter().for_each(|part| conn.outbox.extend_from_slice(part));
        Poll::Ready(Ok(from.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.conn.held();
        if held.waits && held.conn.outbox.len() < HELD { Poll::Ready(Ok(())) } else { held.poll_flush(cx) }
    }

    /// Closes our side, and listens a little: a peer that is still saying something, were it only that it has taken our
    /// last answer, would otherwise be reset, and might lose that answer (RFC 9112 9.6).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Io { conn, farewell } = self.get_mut();
        let held = &mut *conn.held();
        if farewell.is_none() {
            ready!(held.poll_flush(cx))?;
            ready!(held.conn.socket.poll_shutdown(cx))?;
        }
        let Farewell { alarm, thrown } = farewell.get_or_insert_with(|| {
            let mut farewell = Farewell::default();
            farewell.alarm.set_after(PATIENCE);
            farewell
        });
        let mut part = [0; 4096];
        while *thrown < THROWN_AWAY {
            match held.conn.socket.poll_read(cx, &mut part) {
                Poll::Ready(Ok(n)) if n > 0 => *thrown += n,
                Poll::Ready(_) => break,
                Poll::Pending => return alarm.poll(cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
