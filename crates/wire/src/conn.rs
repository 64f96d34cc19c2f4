//! A connection: a socket, what was read and not yet used, what was said and not yet sent.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::buffer::{Buffer, SMALL};
use crate::error::Error;
use crate::seats::Seat;
use crate::socket::Socket;

/// A connection to a client or to a service.
#[derive(Debug)]
pub struct Conn {
    /// The stream underneath.
    pub socket: Socket,
    /// Read and not yet used.
    pub inbox: Buffer,
    ended: bool,
    /// Said and not yet sent.
    pub outbox: Vec<u8>,
    sent: usize,
    total: u64,
    /// Its place among those that may be open at once, where they are counted. The last field: the socket is closed
    /// before the place is another's.
    pub seat: Option<Seat>,
}

impl Conn {
    /// A connection over this socket.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Conn {
            socket,
            inbox: Buffer::default(),
            ended: false,
            outbox: Vec::new(),
            sent: 0,
            total: 0,
            seat: None,
        }
    }

    /// Reads more into the inbox, into a buffer of `size` that is lent only once there is something to
    /// read. `Ok(0)` is the peer's end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<Result<usize, Error>> {
        if self.inbox.capacity() == 0 {
            ready!(self.socket.poll_readable(cx))?;
        }
        let room = self.inbox.room(size);
        if room.is_empty() {
            return Poll::Ready(Err(Error::HeadTooLarge));
        }
        match self.socket.poll_read(cx, room) {
            Poll::Ready(Ok(n)) => {
                self.inbox.advance(n);
                Poll::Ready(Ok(n))
            }
            // The end of a TLS stream that was not said is a cut, whoever made it.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Err(Error::Truncated))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.inbox.release();
                Poll::Pending
            }
        }
    }

    /// Looks whether the peer has broken the connection while nothing is expected of it. What it says meanwhile waits
    /// in the inbox; its end is noted, and no break.
    pub fn poll_broken(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        if self.ended || !self.inbox.is_empty() {
            return None;
        }
        match self.poll_fill(cx, SMALL) {
            Poll::Ready(Ok(0)) => self.ended = true,
            Poll::Ready(Err(error)) => return Some(error),
            Poll::Ready(Ok(_)) | Poll::Pending => {}
        }
        None
    }

    /// Whether the peer has said that it will say nothing more.
    #[must_use]
    pub fn said_its_last(&self) -> bool {
        self.ended
    }

    /// Whether something said has not been sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.outbox.len() || self.socket.has_unsent()
    }

    /// Bytes sent since the connection was made. What was said after a mark has left in no part while it stands.
    #[must_use]
    pub fn sent_total(&self) -> u64 {
        self.total
    }

    /// Sends the outbox, then `data`, then `after`; says how much of `data` and `after` together is sent.
    /// Ready once something of them went, or all there is.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8], after: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let said = &self.outbox[self.sent..];
            let wrote = match (said.is_empty(), data.is_empty()) {
                (true, true) => {
                    ready!(self.socket.poll_flush(cx))?;
                    return Poll::Ready(Ok(0));
                }
                (false, true) => ready!(self.socket.poll_write(cx, &[IoSlice::new(said)]))?,
                (true, false) if after.is_empty() => {
                    ready!(self.socket.poll_write(cx, &[IoSlice::new(data)]))?
                }
                _ => {
                    let slices = [IoSlice::new(said), IoSlice::new(data), IoSlice::new(after)];
                    ready!(self.socket.poll_write(cx, &slices))?
                }
            };
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.total += wrote as u64;
            let of_said = wrote.min(said.len());
            self.sent += of_said;
            if self.sent == self.outbox.len() {
                self.outbox.clear();
                self.sent = 0;
                if wrote > of_said || (data.is_empty() && !self.socket.has_unsent()) {
                    return Poll::Ready(Ok(wrote - of_said));
                }
            }
        }
    }

    /// Sends the outbox.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[], &[]))?;
        Poll::Ready(Ok(()))
    }

    /// Lets go of what was said and has not been sent.
    pub fn forget_unsent(&mut self) {
        self.outbox = Vec::new();
        self.sent = 0;
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.inbox.release();
        if !self.has_unsent() && self.outbox.capacity() > 4096 {
            self.outbox = Vec::new();
        }
    }
}
