//! A connection as `h2` reads and writes it: what was read before comes first, and what is written goes out in as
//! few pieces as it was flushed in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::Conn;

/// Written bytes are held until so many are there, or until they are flushed.
const HELD: usize = 64 * 1024;

/// The bytes under an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Io(pub(super) Conn);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let conn = &mut self.get_mut().0;
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
        let conn = &mut self.get_mut().0;
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
        let conn = &mut self.get_mut().0;
        ready!(conn.poll_flush(cx))?;
        conn.rest();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conn = &mut self.get_mut().0;
        ready!(conn.poll_flush(cx))?;
        conn.socket.poll_shutdown(cx)
    }
}
