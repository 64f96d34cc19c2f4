//! A body: where its bytes come from. One type for what is relayed, over either protocol, and for answers made here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::error::Error;
use crate::http1::framing::{BodyReader, Piece};
use crate::line::Line;

/// What brings frames of its own: a streamed data answer.
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
    /// From a stream of HTTP/2, which is lent at each poll; so many bytes may come.
    Stream(u64),
    /// From elsewhere, frame by frame; the frame under way is kept here.
    Frames(Pin<Box<dyn Frames>>, Bytes),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Body::Empty => "Empty",
            Body::Full(_) => "Full",
            Body::Wire(_) => "Wire",
            Body::Stream(_) => "Stream",
            Body::Frames(..) => "Frames",
        })
    }
}

/// A body is read on the line that it came on.
const NOT_HERE: Error = Error::Malformed("a body that stands on another line");

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
            Body::Stream(_) | Body::Frames(..) => false,
        }
    }

    /// Looks for more bytes, reading from `from` when they stand on a connection.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Line,
        size: usize,
    ) -> Poll<Result<Next, Error>> {
        match (self, from) {
            (Body::Empty, _) => Poll::Ready(Ok(Next::End)),
            (Body::Full(bytes), _) if bytes.is_empty() => Poll::Ready(Ok(Next::End)),
            (Body::Full(bytes), _) => Poll::Ready(Ok(Next::Data(bytes.len()))),
            (Body::Frames(frames, current), _) => loop {
                if !current.is_empty() {
                    return Poll::Ready(Ok(Next::Data(current.len())));
                }
                match ready!(frames.as_mut().poll_frame(cx)) {
                    Some(frame) => *current = frame?,
                    None => return Poll::Ready(Ok(Next::End)),
                }
            },
            (Body::Wire(reader), Line::Http1(from)) => loop {
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
            (Body::Stream(limit), Line::Http2(stream)) => Poll::Ready(match ready!(stream.poll_frame(cx))? {
                0 => Ok(Next::End),
                n if stream.taken() + n as u64 > *limit => Err(Error::BodyTooLarge),
                n => Ok(Next::Data(n)),
            }),
            (Body::Wire(_), Line::Http2(_)) | (Body::Stream(_), Line::Http1(_)) => Poll::Ready(Err(NOT_HERE)),
        }
    }

    /// The bytes that stand ready, at most `n`.
    #[must_use]
    pub fn ready<'a>(&'a self, from: &'a Line, n: usize) -> &'a [u8] {
        match (self, from) {
            (Body::Full(bytes) | Body::Frames(_, bytes), _) => &bytes[..n],
            (Body::Wire(_), Line::Http1(from)) => &from.inbox.filled()[..n],
            (Body::Stream(_), Line::Http2(stream)) => &stream.frame()[..n],
            _ => &[],
        }
    }

    /// Marks `n` of the bytes that stand ready as used.
    pub fn consume(&mut self, from: &mut Line, n: usize) {
        match (self, from) {
            (Body::Full(bytes) | Body::Frames(_, bytes), _) => drop(bytes.split_to(n)),
            (Body::Wire(reader), Line::Http1(from)) => {
                from.inbox.consume(n);
                reader.consumed(n);
            }
            (Body::Stream(_), Line::Http2(stream)) => drop(stream.take(n)),
            _ => {}
        }
    }

    /// Takes `n` of the bytes that stand ready: shared where they are kept in a frame, else
    /// copied or taken with the buffer they stand in.
    pub fn take(&mut self, from: &mut Line, n: usize) -> Bytes {
        match (&mut *self, &mut *from) {
            (Body::Full(bytes) | Body::Frames(_, bytes), _) => bytes.split_to(n),
            (Body::Stream(_), Line::Http2(stream)) => stream.take(n),
            (Body::Wire(reader), Line::Http1(from)) => {
                reader.consumed(n);
                from.inbox.take(n)
            }
            _ => Bytes::new(),
        }
    }

    /// Whether nothing follows what was used, trailers included, as far as is known without waiting.
    #[must_use]
    pub fn is_over(&self, from: &Line) -> bool {
        match (self, from) {
            (Body::Wire(reader), _) => reader.is_done() && reader.trailers().is_empty(),
            (Body::Stream(_), Line::Http2(stream)) => stream.is_read() && stream.trailers().is_empty(),
            _ => self.is_empty(),
        }
    }

    /// The trailers that came, each with its line end, once the body is over.
    #[must_use]
    pub fn trailers<'a>(&'a self, from: &'a Line) -> &'a [u8] {
        match (self, from) {
            (Body::Wire(reader), _) => reader.trailers(),
            (Body::Stream(_), Line::Http2(stream)) => stream.trailers(),
            _ => &[],
        }
    }
}
