//! After an upgrade: bytes both ways, and no buffer while nobody speaks. Where it is asked for, the frames that pass are
//! followed, so that messages have a bound and the gateway can put in a word of its own.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::buffer::SMALL;
use crate::error::{Error, Side};
use crate::line::Line;

use super::pump::PumpError;
use crate::websocket::{self, Frames};

/// Bytes both ways between two lines.
#[derive(Debug, Default)]
pub struct Tunnel {
    up: Way,
    down: Way,
}

/// Bytes one way.
#[derive(Debug, Default)]
struct Way {
    state: State,
    frames: Option<Box<Frames>>,
    /// Whether what stands ready was followed already.
    is_seen: bool,
    /// What stands ready will not pass, and what passed before ended with a frame.
    is_refused: bool,
    /// Bytes that passed.
    moved: u64,
    /// A break is passed on as one, and not as an end.
    is_strict: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Closing,
    Closed,
}

impl Tunnel {
    /// A tunnel of WebSocket frames, of which no message has more than `most` bytes.
    #[must_use]
    pub fn of_frames(most: u64) -> Self {
        let way = || Way { frames: Some(Box::new(Frames::new(most))), ..Way::default() };
        Tunnel { up: way(), down: way() }
    }

    /// A tunnel of bytes of which nothing is known: where one side breaks it that is an error, so that the other never takes
    /// what has come for all that there is.
    #[must_use]
    pub fn of_bytes() -> Self {
        let way = || Way { is_strict: true, ..Way::default() };
        Tunnel { up: way(), down: way() }
    }

    /// Bytes that passed, both ways together.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.up.moved + self.down.moved
    }

    /// What was said, both ways together: parts of messages where frames are followed, else bytes.
    #[must_use]
    pub fn said(&self) -> u64 {
        match (&self.up.frames, &self.down.frames) {
            (Some(up), Some(down)) => up.parts() + down.parts(),
            _ => self.moved(),
        }
    }

    /// Bytes that came from the client.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.up.moved
    }

    /// Asks the client whether it is there, if a frame can be put in now.
    pub fn ping(&self, client: &mut Line, service: &Line) {
        if self.down.lets_in(service) {
            say(client, websocket::ping(false));
        }
    }

    /// Says to both that it is over and why, wherever a frame can be put in and nobody has said so before.
    pub fn close(&self, code: u16, client: &mut Line, service: &mut Line) {
        if self.down.lets_in(service) {
            say(client, websocket::close(code, false));
        }
        if self.up.lets_in(client) {
            say(service, websocket::close(code, true));
        }
    }

    /// Moves what can be moved. Ready when both have said their last.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Line,
        service: &mut Line,
    ) -> Poll<Result<(), (PumpError, bool)>> {
        // The flag says whether the way was the one from the service.
        self.up.poll(cx, client, service).map_err(|e| (e, false))?;
        self.down.poll(cx, service, client).map_err(|e| (e, true))?;
        let is_over = self.up.state == State::Closed && self.down.state == State::Closed;
        if is_over { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Says a few bytes of our own, which wait until they are taken.
fn say(to: &mut Line, frame: Vec<u8>) {
    match to {
        Line::Http1(to) => to.outbox.extend_from_slice(&frame),
        Line::Http2(to) => drop(to.send(frame.into(), false)),
    }
}

/// The bytes that stand ready.
fn here(from: &Line) -> &[u8] {
    match from {
        Line::Http1(from) => from.inbox.filled(),
        Line::Http2(from) => from.frame(),
    }
}

impl Way {
    /// Whether a frame of our own can go this way now.
    fn lets_in(&self, from: &Line) -> bool {
        let Some(frames) = &self.frames else { return false };
        let between = self.is_refused || (frames.between() && here(from).is_empty());
        between && !frames.is_closing() && self.state == State::Open
    }

    /// Moves what can be moved; an error is of the source or of the sink.
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Line, to: &mut Line) -> Result<(), PumpError> {
        let of_source = |error| PumpError { side: Side::Source, error };
        loop {
            match self.state {
                State::Closed => return Ok(()),
                State::Closing => match poll_close(cx, to) {
                    Poll::Ready(()) => self.state = State::Closed,
                    Poll::Pending => return Ok(()),
                },
                State::Open if !here(from).is_empty() || to.has_unsent() => {
                    self.follow(here(from)).map_err(of_source)?;
                    match poll_pass(cx, from, to, here(from).len()) {
                        Poll::Ready(Ok(n)) => self.moved += n as u64,
                        Poll::Ready(Err(error)) => return Err(PumpError { side: Side::Sink, error }),
                        Poll::Pending => return Ok(()),
                    }
                }
                State::Open => {
                    let more = match from {
                        Line::Http1(from) => from.poll_fill(cx, SMALL),
                        Line::Http2(from) => from.poll_frame(cx),
                    };
                    self.is_seen = false;
                    match more {
                        Poll::Ready(Ok(0)) => self.state = State::Closing,
                        Poll::Ready(Err(Error::Io(_) | Error::Closed | Error::Reset(_)))
                            if !self.is_strict =>
                        {
                            self.state = State::Closing;
                        }
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Err(of_source(error)),
                        Poll::Pending => return Ok(()),
                    }
                }
            }
        }
    }

    /// Follows the frames of what came, once.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.frames {
            Some(frames) if !std::mem::replace(&mut self.is_seen, true) => {
                let between = frames.between();
                let seen = frames.see(bytes);
                self.is_refused = seen.is_err() && between;
                seen.map_err(Error::Message)
            }
            _ => Ok(()),
        }
    }
}

/// Passes on what can be taken of the `here` bytes that stand ready, and says how much that was.
fn poll_pass(
    cx: &mut Context<'_>,
    from: &mut Line,
    to: &mut Line,
    here: usize,
) -> Poll<Result<usize, Error>> {
    let n = match (&mut *from, to) {
        (Line::Http1(from), Line::Http1(to)) => ready!(to.poll_send(cx, from.inbox.filled(), &[]))?,
        (Line::Http2(from), Line::Http1(to)) => ready!(to.poll_send(cx, from.frame(), &[]))?,
        (Line::Http1(from), Line::Http2(to)) => {
            let room = ready!(to.poll_room(cx, here))?;
            to.send(Bytes::copy_from_slice(&from.inbox.filled()[..room]), false)?;
            room
        }
        (Line::Http2(from), Line::Http2(to)) => {
            let room = ready!(to.poll_room(cx, here))?;
            to.send(from.take(room), false)?;
            return Poll::Ready(Ok(room));
        }
    };
    match from {
        Line::Http1(from) => from.inbox.consume(n),
        Line::Http2(from) => drop(from.take(n)),
    }
    Poll::Ready(Ok(n))
}

/// Says that nothing more will come this way.
fn poll_close(cx: &mut Context<'_>, to: &mut Line) -> Poll<()> {
    match to {
        Line::Http1(to) => drop(ready!(to.socket.poll_shutdown(cx))),
        Line::Http2(to) => drop(to.end(&[])),
    }
    Poll::Ready(())
}
