//! A stream of bytes to a peer, and how listeners and connections are made.
//!
//! TLS enters here: one more variant, and nothing above notices.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// A peer that vanished without a word is noticed after about a minute.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// A stream of bytes to a peer.
#[derive(Debug)]
pub enum Socket {
    /// In the clear.
    Tcp(TcpStream),
}

impl Socket {
    /// Takes an accepted or connected stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        // Both are refinements: a socket without them still works.
        let _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        Socket::Tcp(stream)
    }

    /// Connects, trying each address in turn.
    ///
    /// # Errors
    /// The last address's error.
    pub async fn connect(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(Socket::new(stream)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Reads what is there. `Ok(0)` is the end. A short read tells the runtime to wait, so that the next
    /// call costs no system call.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Socket::Tcp(stream) = self;
        let mut read = ReadBuf::new(into);
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Writes as much as is taken at once.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Socket::Tcp(stream) = self;
        match from {
            [one] => Pin::new(stream).poll_write(cx, one),
            several => Pin::new(stream).poll_write_vectored(cx, several),
        }
    }

    /// Ready when a read would not wait.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket::Tcp(stream) = self;
        stream.poll_read_ready(cx)
    }

    /// Whether the peer has said something or closed, as far as the runtime has heard; no system call.
    pub fn has_news(&mut self) -> bool {
        // Asked of many sockets in a row, the runtime would answer "later" when the task's turn is used up.
        let mut asked = pin!(unconstrained(poll_fn(|cx| self.poll_readable(cx))));
        asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket::Tcp(stream) = self;
        Pin::new(stream).poll_shutdown(cx)
    }

    /// Makes closing a reset, or a farewell again: by a reset a cut answer can never be taken for a whole one.
    pub fn reset_on_close(&self, reset: bool) {
        let Socket::Tcp(stream) = self;
        let _ = SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO));
    }

    /// Whether closing is a reset.
    #[must_use]
    pub fn resets_on_close(&self) -> bool {
        let Socket::Tcp(stream) = self;
        SockRef::from(stream).linger().is_ok_and(|linger| linger.is_some())
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// When the socket is no longer connected.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        let Socket::Tcp(stream) = self;
        stream.peer_addr()
    }
}

/// Opens a listening socket that several cores may share (`SO_REUSEPORT`): each gets its own queue.
///
/// # Errors
/// When the address is taken or not ours. A first probe without sharing finds another process there.
pub fn listen(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
