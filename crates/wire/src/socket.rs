//! A stream of bytes to a peer, in the clear or by TLS, and how listeners and connections are made.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;

use crate::tls;

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
    /// By TLS, after the handshake.
    Tls(Box<tls::Stream>),
}

impl Socket {
    /// Takes an accepted or connected stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        refine(&stream);
        Socket::Tcp(stream)
    }

    /// Connects, trying each address in turn.
    ///
    /// # Errors
    /// The last address's error.
    pub async fn connect(addresses: &[SocketAddr]) -> io::Result<Self> {
        connect(addresses).await.map(Socket::Tcp)
    }

    /// Reads what is there. `Ok(0)` is the end. A short read tells the runtime to wait, so that the next
    /// call costs no system call. A peer that ends TLS without saying so is an error, of kind `UnexpectedEof`.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(into);
        ready!(AsyncRead::poll_read(Pin::new(self), cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Writes as much as is taken at once. By TLS some of it may wait, encrypted, for the next write or
    /// [`Socket::poll_flush`].
    pub fn poll_write(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => match from {
                [one] => Pin::new(stream).poll_write(cx, one),
                several => Pin::new(stream).poll_write_vectored(cx, several),
            },
            Socket::Tls(stream) => stream.poll_write(cx, from),
        }
    }

    /// Sends what was taken and still waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => stream.poll_flush(cx),
        }
    }

    /// Whether something was taken that still waits.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        match self {
            Socket::Tcp(_) => false,
            Socket::Tls(stream) => stream.has_unsent(),
        }
    }

    /// Ready when a read would not wait, as far as can be said without reading.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Tls(stream) => stream.poll_readable(cx),
        }
    }

    /// Whether the peer has said something or closed, as far as the runtime has heard; no system call in the clear.
    /// What TLS says for itself, such as the tickets of a session, is no news.
    pub fn has_news(&mut self) -> bool {
        match self {
            Socket::Tcp(stream) => is_readable(stream),
            Socket::Tls(stream) => stream.has_news(),
        }
    }

    /// Whether bytes of the peer wait to be read, by the system's own word, whatever the runtime has heard: for the moment
    /// before a connection is closed.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        has_unread(&SockRef::from(self.tcp()))
    }

    /// Who can say the same when somebody else has the socket.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn peek(&self) -> io::Result<Peek> {
        Ok(Peek(self.tcp().as_fd().try_clone_to_owned()?.into()))
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => stream.poll_shutdown(cx),
        }
    }

    /// Makes closing a reset, or a farewell again: by a reset a cut answer can never be taken for a whole one.
    pub fn reset_on_close(&self, reset: bool) {
        let _ = SockRef::from(self.tcp()).set_linger(reset.then_some(Duration::ZERO));
    }

    /// Whether closing is a reset.
    #[must_use]
    pub fn resets_on_close(&self) -> bool {
        resets_on_close(self.tcp())
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// When the socket is no longer connected.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Whether nobody on the way can read along.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self, Socket::Tls(_))
    }

    /// The protocol that both agreed on by ALPN, such as `h2`.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Socket::Tcp(_) => None,
            Socket::Tls(stream) => stream.alpn(),
        }
    }

    /// Who the client has proved to be, by a certificate that was verified.
    #[must_use]
    pub fn identity(&self) -> Option<&tls::Identity> {
        match self {
            Socket::Tcp(_) => None,
            Socket::Tls(stream) => stream.identity(),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Socket::Tcp(stream) => stream,
            Socket::Tls(stream) => stream.tcp(),
        }
    }
}

/// Looks at a socket that somebody else has.
#[derive(Debug)]
pub struct Peek(socket2::Socket);

impl Peek {
    /// As [`Socket::has_unread`].
    #[must_use]
    pub fn has_unread(&self) -> bool {
        has_unread(&self.0)
    }
}

fn has_unread(socket: &socket2::Socket) -> bool {
    // It does not block: the runtime has it.
    socket.peek(&mut [MaybeUninit::uninit()]).is_ok_and(|count| count > 0)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Socket::Tls(stream) => stream.poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, &[IoSlice::new(from)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_shutdown(self.get_mut(), cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Whether the runtime has heard that the socket can be read.
pub(crate) fn is_readable(stream: &TcpStream) -> bool {
    // Asked of many sockets in a row, the runtime would answer "later" when the task's turn is used up.
    let mut asked = pin!(unconstrained(poll_fn(|cx| stream.poll_read_ready(cx))));
    asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Whether closing this socket is a reset.
pub(crate) fn resets_on_close(stream: &TcpStream) -> bool {
    SockRef::from(stream).linger().is_ok_and(|linger| linger.is_some())
}

/// Connects, trying each address in turn.
///
/// # Errors
/// The last address's error.
pub async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                refine(&stream);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes a stream one of the house: nothing waits for more to send, and a peer that vanished is noticed.
pub fn refine(stream: &TcpStream) {
    // Both are refinements: a socket without them still works.
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
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
