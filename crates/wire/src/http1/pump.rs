//! Moves a body from one line to another: one read and one write for what comes at once.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::framing::BodyWriter;
use crate::body::{Body, Next};
use crate::buffer::LARGE;
use crate::conn::Conn;
use crate::error::{Error, Side};
use crate::http2::Stream;
use crate::line::Line;

/// Copying so few bytes costs less than telling the kernel of two places, and they go with what follows.
const SMALL_PIECE: usize = 2 * 1024;

/// A body under way.
#[derive(Debug)]
pub struct Pump {
    /// Where it comes from.
    pub body: Body,
    writer: BodyWriter,
    /// Of the piece that is announced, what has not been sent.
    piece: usize,
    /// The same, taken from where it stood, for a sink that keeps what it is given.
    taken: Bytes,
    state: State,
    /// Bytes sent so far.
    pub moved: u64,
    /// How often the sink would not take more.
    pub sink_waits: u32,
    /// Whom it waits for now.
    pub waits_for: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Moving,
    Flushing,
    Done,
}

/// Which side ended it, and how.
#[derive(Debug)]
pub struct PumpError {
    /// Whose doing.
    pub side: Side,
    /// What.
    pub error: Error,
}

impl Pump {
    /// A pump for this body, framed so.
    #[must_use]
    pub fn new(body: Body, writer: BodyWriter) -> Self {
        Pump {
            body,
            writer,
            piece: 0,
            taken: Bytes::new(),
            state: State::Moving,
            moved: 0,
            sink_waits: 0,
            waits_for: Side::Source,
        }
    }

    /// A pump with nothing to move: over before it begins.
    #[must_use]
    pub fn over() -> Self {
        Pump { state: State::Done, ..Pump::new(Body::Empty, BodyWriter::Plain) }
    }

    /// Makes ready for another sink. What was announced to the one before, and of which nothing was sent, is
    /// announced again.
    pub fn restart(&mut self) {
        debug_assert!(self.moved == 0, "bytes that were moved cannot be moved again");
        self.piece = 0;
        if self.state != State::Moving && !matches!(self.body, Body::Empty) {
            // The end was said to the sink before, and has to be said again.
            self.state = State::Moving;
        }
    }

    /// Whether all is sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Moves what can be moved. Ready when the body is over and sent. What stands in the sink's outbox goes
    /// first, with the first bytes of the body.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Line,
        to: &mut Line,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Flushing => {
                    ready!(self.poll_flush(cx, to))?;
                    self.state = State::Done;
                }
                State::Moving if self.piece > 0 => ready!(self.poll_send(cx, from, to))?,
                State::Moving => match self.body.poll_next(cx, from, LARGE) {
                    Poll::Ready(Ok(Next::Data(n))) => self.announce(n, from, to),
                    Poll::Ready(Ok(Next::End)) => {
                        let trailers = self.body.trailers(from);
                        match to {
                            Line::Http1(to) => self.writer.end(trailers, &mut to.outbox),
                            Line::Http2(to) => to.end(trailers).map_err(sink)?,
                        }
                        self.state = State::Flushing;
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(PumpError { side: Side::Source, error }));
                    }
                    Poll::Pending => {
                        self.waits_for = Side::Source;
                        // Nothing to add for now: what still waits is sent alone.
                        if to.has_unsent()
                            && let Poll::Ready(Err(error)) = self.poll_flush(cx, to)
                        {
                            return Poll::Ready(Err(error));
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// A piece stands ready: it is copied behind what is said already, or sent from where it stands.
    fn announce(&mut self, n: usize, from: &mut Line, to: &mut Line) {
        self.piece = n;
        let Line::Http1(to) = to else { return };
        self.writer.before(n, &mut to.outbox);
        if n <= SMALL_PIECE && to.outbox.len() <= SMALL_PIECE {
            to.outbox.extend_from_slice(self.body.ready(from, n));
            to.outbox.extend_from_slice(self.writer.after());
            self.body.consume(from, n);
            self.moved += n as u64;
            self.piece = 0;
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut Line) -> Poll<Result<(), PumpError>> {
        let flushed = to.poll_flush(cx);
        if flushed.is_pending() {
            self.sink_waits += 1;
            self.waits_for = Side::Sink;
        }
        flushed.map_err(sink)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Line,
        to: &mut Line,
    ) -> Poll<Result<(), PumpError>> {
        let sent = match to {
            Line::Http1(to) => self.poll_write(cx, from, to),
            Line::Http2(to) => self.poll_frame(cx, from, to),
        };
        if sent.is_pending() {
            self.sink_waits += 1;
            self.waits_for = Side::Sink;
        }
        sent.map_err(sink)
    }

    /// Sends as much of the piece as the peer's windows have room for.
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Line,
        to: &mut Stream,
    ) -> Poll<Result<(), Error>> {
        let room = ready!(to.poll_room(cx, self.piece))?;
        if self.taken.is_empty() {
            self.taken = self.body.take(from, self.piece);
        }
        let data = self.taken.split_to(room);
        self.moved += room as u64;
        self.piece -= room;
        to.send(data, self.piece == 0 && self.body.is_over(from))?;
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Line,
        to: &mut Conn,
    ) -> Poll<Result<(), Error>> {
        let data = self.body.ready(from, self.piece);
        let after = self.writer.after();
        let sent = ready!(to.poll_send(cx, data, after))?;
        let of_data = sent.min(self.piece);
        self.body.consume(from, of_data);
        self.moved += of_data as u64;
        self.piece -= of_data;
        if self.piece == 0 {
            to.outbox.extend_from_slice(&after[sent - of_data..]);
        }
        Poll::Ready(Ok(()))
    }
}

fn sink(error: Error) -> PumpError {
    PumpError { side: Side::Sink, error }
}
