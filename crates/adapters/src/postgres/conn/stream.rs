//! The socket under a connection: plain or TLS. It moves bytes and knows nothing of messages.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::tls::Greeted;

/// How much is read at once at least.
const READ: usize = 16 << 10;

/// A socket to the server.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<Greeted<TcpStream>>),
}

impl Stream {
    /// Reads what there is behind what is in `into` already; 0 is the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        into.reserve(READ);
        match self {
            Stream::Plain(stream) => poll_read_buf(Pin::new(stream), cx, into),
            Stream::Tls(stream) => poll_read_buf(Pin::new(stream.as_mut()), cx, into),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, from),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, from),
        }
    }

    /// Sends what TLS still holds.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Sends all of it.
    pub(super) async fn write_all(&mut self, from: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(from).await,
            Stream::Tls(stream) => {
                stream.write_all(from).await?;
                stream.flush().await
            }
        }
    }

    /// Waits until the server closes it, in whatever way.
    pub(super) async fn read_to_end(&mut self) {
        let mut sink = BytesMut::new();
        while let Ok(1..) = poll_fn(|cx| self.poll_read(cx, &mut sink)).await {
            sink.clear();
        }
    }
}

/// Reads into room that nobody has written to yet.
fn poll_read_buf(
    mut stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // The future holds nothing between two polls: what it has read is in the buffer when it is ready.
    pin!(stream.read_buf(into)).poll(cx)
}
