//! The bytes of a TLS connection after its handshake: rustls between a TCP stream and whoever reads and writes.
//!
//! What came from the network stands in a buffer that a core lends, and only while it is being read: a
//! connection that waits holds none.

use std::io::{self, BufRead, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::identity::Identity;
use crate::buffer::{Buffer, LARGE, SMALL};
use crate::socket;

/// A TLS connection.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    session: Connection,
    /// Read from the network and not yet given to the session, which takes little at a time.
    raw: Buffer,
    /// The network's end, said or not.
    ended: bool,
    /// What ended it in disorder. The first to ask is told why, all others that it is so.
    failed: Option<io::ErrorKind>,
    /// Nothing more is written.
    shut: bool,
    identity: Option<Box<Identity>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, session: Connection, identity: Option<Identity>) -> Self {
        let raw = Buffer::default();
        let identity = identity.map(Box::new);
        Stream { tcp, session, raw, ended: false, failed: None, shut: false, identity }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Fills `into` as far as there is something; nothing is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // An answer of the session itself, or the rest of a write. Should it fail, what is read tells.
        let _ = self.poll_flush(cx);
        let before = into.filled().len();
        let ended = loop {
            if into.remaining() == 0 {
                break Ok(());
            }
            let mut reader = self.session.reader();
            match reader.fill_buf() {
                Ok([]) => break Ok(()),
                Ok(chunk) => {
                    let n = chunk.len().min(into.remaining());
                    into.put_slice(&chunk[..n]);
                    reader.consume(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.poll_more(cx, into.remaining()) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => break Err(error),
                        Poll::Pending if into.filled().len() == before => return Poll::Pending,
                        Poll::Pending => break Ok(()),
                    }
                }
                // The network ended, and the session was not said to.
                Err(error) => break Err(error),
            }
        };
        match ended {
            // What came before the break is read first; the break shows again.
            Err(error) if into.filled().len() == before => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }

    /// Gives the session a little more of what came, or sees what comes.
    fn poll_more(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<()>> {
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        if self.raw.is_empty() && !self.ended {
            let size = if wanted > SMALL { LARGE } else { SMALL };
            let room = self.raw.room(size);
            // No more than what is asked for: the rest would hold the buffer.
            let most = room.len().min(wanted.max(SMALL));
            let mut read = ReadBuf::new(&mut room[..most]);
            let came = Pin::new(&mut self.tcp).poll_read(cx, &mut read);
            let n = read.filled().len();
            self.raw.advance(n);
            if n == 0 {
                self.raw.release();
            }
            ready!(came).map_err(|error| self.fail(error))?;
            self.ended = n == 0;
        }
        Poll::Ready(self.digest())
    }

    /// Gives the session a little of what came.
    fn digest(&mut self) -> io::Result<()> {
        let taken = self.session.read_tls(&mut self.raw.filled()).map_err(|error| self.fail(error))?;
        // After the peer's last word the session takes nothing more, and nothing more counts.
        let taken = if taken == 0 { self.raw.len() } else { taken };
        self.raw.consume(taken);
        if self.raw.is_empty() {
            self.raw.release();
        }
        self.session.process_new_packets().map(drop).map_err(|error| {
            let error = self.fail(io::Error::new(io::ErrorKind::InvalidData, error));
            // The peer is told what is wrong, if it can be told at once.
            self.say_at_once();
            error
        })
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.failed = Some(error.kind());
        error
    }

    /// Takes what the session has room for, and sends it as far as the network takes it.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What waits goes first, so that never more than the session's own measure of it waits.
        ready!(self.poll_flush(cx))?;
        let taken = self.session.writer().write_vectored(from)?;
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Sink { tcp: &mut self.tcp, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }

    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.poll_flush(cx);
        if self.has_more() { Poll::Ready(Ok(())) } else { self.tcp.poll_read_ready(cx) }
    }

    /// Whether a read would say something without the network.
    fn has_more(&mut self) -> bool {
        !self.raw.is_empty() || self.ended || self.failed.is_some() || self.has_plaintext()
    }

    /// Whether the session has something for us, or the peer's last word.
    fn has_plaintext(&mut self) -> bool {
        // Nothing new was given to the session: it only counts what it has.
        let state = self.session.process_new_packets();
        state.map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    /// Whether the peer has said something to us, or has left. What it says to the session is taken in.
    pub(crate) fn has_news(&mut self) -> bool {
        loop {
            if self.has_more() {
                return true;
            }
            if !socket::is_readable(&self.tcp) {
                return false;
            }
            match self.tcp.try_read(self.raw.room(SMALL)) {
                Ok(n) => {
                    self.raw.advance(n);
                    self.ended = n == 0;
                    while !self.raw.is_empty() {
                        if self.digest().is_err() || self.has_plaintext() {
                            return true;
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.raw.release(),
                Err(_) => return true,
            }
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            self.shut = true;
            self.session.send_close_notify();
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Sends what the session has to say as far as the network takes it now.
    fn say_at_once(&mut self) {
        while self.session.wants_write() {
            if !matches!(self.session.write_tls(&mut AtOnce(&self.tcp)), Ok(1..)) {
                return;
            }
        }
    }
}

impl Drop for Stream {
    /// A connection that is let go of in good order says so, since its peer could not tell it from one that was
    /// cut. One whose closing is a reset was cut.
    fn drop(&mut self) {
        if !self.shut && !self.ended && self.failed.is_none() && !socket::resets_on_close(&self.tcp) {
            self.session.send_close_notify();
            self.say_at_once();
        }
    }
}

/// The network as the session writes to it.
struct Sink<'s, 'c, 'w> {
    tcp: &'s mut TcpStream,
    cx: &'c mut Context<'w>,
}

impl Sink<'_, '_, '_> {
    fn now(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
        match poll {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Sink<'_, '_, '_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Self::now(Pin::new(&mut *self.tcp).poll_write(self.cx, from))
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::now(Pin::new(&mut *self.tcp).poll_write_vectored(self.cx, from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same for whoever cannot wait.
struct AtOnce<'s>(&'s TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.try_write(from)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
