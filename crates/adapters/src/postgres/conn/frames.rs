//! Messages of the protocol on their way: what is to be sent gathers in one buffer, what has come is looked at where
//! it lies. Sending and reading go on at the same time, so that neither side ever waits for the other to read.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};

use super::stream::Stream;

/// The head of a message: its letter and its length.
const HEAD: usize = 5;

/// A buffer that grew beyond this is let go of when its connection rests.
const ROOMY: usize = 256 << 10;

/// A message whose body is not kept: it was larger than what is taken.
pub(super) const OVERSIZED: u8 = 0;

/// One message in the buffer of what has come. It is there until the next one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Which message it is.
    pub(super) tag: u8,
    size: usize,
}

/// Both directions of a connection.
pub(super) struct Frames {
    stream: Stream,
    inbox: BytesMut,
    /// Bytes of the inbox that were looked at, and go before the next look.
    seen: usize,
    /// Bytes that are thrown away as they come: what is left of a message that is too large.
    skip: usize,
    outbox: BytesMut,
    /// Something was written that encryption holds back still: the socket was full, or the task's turn used up.
    unflushed: bool,
    /// The largest message that is taken.
    most: usize,
}

impl Frames {
    pub(super) fn new(stream: Stream, most: usize) -> Self {
        let (inbox, outbox) = (BytesMut::new(), BytesMut::new());
        Frames { stream, inbox, seen: 0, skip: 0, outbox, unflushed: false, most }
    }

    /// Where messages are written to; they leave while the next one is waited for.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        &mut self.outbox
    }

    /// What a frame holds.
    pub(super) fn body(&self, frame: Frame) -> &[u8] {
        &self.inbox[HEAD.min(frame.size)..frame.size]
    }

    /// The whole of it, to be kept.
    pub(super) fn take(&mut self, frame: Frame) -> Bytes {
        self.seen = 0;
        let mut whole = self.inbox.split_to(frame.size).freeze();
        whole.advance(HEAD.min(frame.size));
        whole
    }

    /// The next message, if it is here already.
    ///
    /// # Errors
    /// When what is here is no message.
    pub(super) fn ready(&mut self) -> io::Result<Option<Frame>> {
        self.inbox.advance(self.seen);
        self.seen = 0;
        if self.skip > 0 {
            let here = self.skip.min(self.inbox.len());
            self.inbox.advance(here);
            self.skip -= here;
        }
        let Some(head) = self.inbox.first_chunk::<HEAD>() else { return Ok(None) };
        let tag = head[0];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length < 4 || tag == OVERSIZED {
            return Err(broken("it does not speak the protocol of PostgreSQL"));
        }
        let size = length + 1;
        if size > self.most {
            let here = size.min(self.inbox.len());
            self.inbox.advance(here);
            self.skip = size - here;
            return Ok(Some(Frame { tag: OVERSIZED, size: 0 }));
        }
        if self.inbox.len() < size {
            self.inbox.reserve(size - self.inbox.len());
            return Ok(None);
        }
        self.seen = size;
        Ok(Some(Frame { tag, size }))
    }

    /// The next message. Dropped while it waits, nothing is lost.
    ///
    /// # Errors
    /// When the connection is broken or at its end.
    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(frame);
            }
            poll_fn(|cx| self.poll_more(cx)).await?;
        }
    }

    /// Reads what has come without waiting for more.
    ///
    /// # Errors
    /// When the connection is broken or at its end.
    pub(super) fn glance(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(more) = self.poll_more(&mut cx) {
            more?;
        }
        Ok(())
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_still(&self) -> bool {
        self.inbox.len() == self.seen && self.skip == 0 && self.outbox.is_empty()
    }

    /// Keeps no more room than an ordinary connection needs.
    pub(super) fn rest(&mut self) {
        self.inbox.advance(self.seen);
        self.seen = 0;
        for buffer in [&mut self.inbox, &mut self.outbox] {
            if buffer.is_empty() && buffer.capacity() > ROOMY {
                *buffer = BytesMut::new();
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_send(cx).is_err() {
            // Whoever closed the connection may have said why, and that is still to be read. If not, reading fails.
            self.outbox.clear();
        }
        match self.stream.poll_read(cx, &mut self.inbox) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => Poll::Ready(Err(broken("it closed the connection"))),
            Poll::Ready(read) => Poll::Ready(read.map(drop)),
        }
    }

    /// Sends as much as there is room for.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.poll_write(cx, &self.outbox) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(broken("it closed the connection")),
                Poll::Ready(written) => {
                    self.outbox.advance(written?);
                    self.unflushed = true;
                }
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = self.stream.poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        Ok(())
    }
}

/// What a server does that it should not.
pub(super) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
