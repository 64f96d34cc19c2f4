//! A body: where its bytes come from. One type for relayed HTTP/1, for answers made here, and for frames
//! that another protocol brings.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::conn::Conn;
use crate::error::Error;
use crate::http1::framing::{BodyReader, Piece};

/// What brings frames of its own: HTTP/2, a streamed data answer.
pub trait Frames: Send {
    /// The next bytes; `None` at the end.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>>;
}

/// Where a body's bytes come from.
pub enum Body {
    /// Nowhere: there are none.
    Empty,
    /// From memory.
    Full(Bytes),
    /// From an HTTP/1 connection, which is lent at each poll.
    Wire(BodyReader),
    /// From elsewhere, frame by frame; the frame under way is kept here.
    Frames(Pin<Box<dyn Frames>>, Bytes),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Body::Empty => "Empty",
            Body::Full(_) => "Full",
            Body::Wire(_) => "Wire",
            Body::Frames(..) => "Frames",
        })
    }
}

/// What [`Body::poll_next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// So many bytes stand ready at [`Body::ready`].
    Data(usize),
    /// The end; trailers, if any, are with the reader.
    End,
}

impl Body {
    /// Whether it is over before it begins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Wire(reader) => reader.is_done(),
            Body::Frames(..) => false,
        }
    }

    /// Looks for more bytes, reading from `from` when they stand on a connection.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        size: usize,
    ) -> Poll<Result<Next, Error>> {
        match self {
            Body::Empty => Poll::Ready(Ok(Next::End)),
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(Ok(Next::End)),
            Body::Full(bytes) => Poll::Ready(Ok(Next::Data(bytes.len()))),
            Body::Frames(frames, current) => loop {
                if !current.is_empty() {
                    return Poll::Ready(Ok(Next::Data(current.len())));
                }
                match ready!(frames.as_mut().poll_frame(cx)) {
                    Some(frame) => *current = frame?,
                    None => return Poll::Ready(Ok(Next::End)),
                }
            },
            Body::Wire(reader) => loop {
                match reader.next(&mut from.inbox)? {
                    Piece::Data(n) => return Poll::Ready(Ok(Next::Data(n))),
                    Piece::End => return Poll::Ready(Ok(Next::End)),
                    Piece::More => {
                        let n = ready!(from.poll_fill(cx, size))?;
                        if n == 0 && !reader.ends_with_the_connection() {
                            return Poll::Ready(Err(Error::Truncated));
                        }
                    }
                }
            },
        }
    }

    /// The bytes that stand ready, at most `n`.
    #[must_use]
    pub fn ready<'a>(&'a self, from: &'a Conn, n: usize) -> &'a [u8] {
        match self {
            Body::Empty => &[],
            Body::Full(bytes) | Body::Frames(_, bytes) => &bytes[..n],
            Body::Wire(_) => &from.inbox.filled()[..n],
        }
    }

    /// Marks `n` of the bytes that stand ready as used.
    pub fn consume(&mut self, from: &mut Conn, n: usize) {
        match self {
            Body::Empty => {}
            Body::Full(bytes) | Body::Frames(_, bytes) => drop(bytes.split_to(n)),
            Body::Wire(reader) => {
                from.inbox.consume(n);
                reader.consumed(n);
            }
        }
    }
}
