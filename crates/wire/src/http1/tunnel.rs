//! After an upgrade: bytes both ways, and no buffer while nobody speaks.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::buffer::SMALL;
use crate::error::{Error, Side};
use crate::line::Line;

use super::pump::PumpError;

/// Bytes both ways between two lines.
#[derive(Debug, Default)]
pub struct Tunnel {
    up: Way,
    down: Way,
    /// Bytes moved, both ways together.
    pub moved: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[default]
    Open,
    Closing,
    Closed,
}

impl Tunnel {
    /// Moves what can be moved. Ready when both have said their last.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Line,
        service: &mut Line,
    ) -> Poll<Result<(), (PumpError, bool)>> {
        // The flag says whether the way was the one from the service.
        self.up = poll_way(cx, self.up, client, service, &mut self.moved).map_err(|e| (e, false))?;
        self.down = poll_way(cx, self.down, service, client, &mut self.moved).map_err(|e| (e, true))?;
        if self.up == Way::Closed && self.down == Way::Closed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

fn poll_way(
    cx: &mut Context<'_>,
    mut way: Way,
    from: &mut Line,
    to: &mut Line,
    moved: &mut u64,
) -> Result<Way, PumpError> {
    loop {
        match way {
            Way::Closed => return Ok(way),
            Way::Closing => match poll_close(cx, to) {
                Poll::Ready(()) => way = Way::Closed,
                Poll::Pending => return Ok(way),
            },
            Way::Open => {
                let here = match from {
                    Line::Http1(from) => from.inbox.len(),
                    Line::Http2(from) => from.frame().len(),
                };
                if here > 0 || to.has_unsent() {
                    match poll_pass(cx, from, to, here) {
                        Poll::Ready(Ok(n)) => *moved += n as u64,
                        Poll::Ready(Err(error)) => return Err(PumpError { side: Side::Sink, error }),
                        Poll::Pending => return Ok(way),
                    }
                    continue;
                }
                let more = match from {
                    Line::Http1(from) => from.poll_fill(cx, SMALL),
                    Line::Http2(from) => from.poll_frame(cx),
                };
                match more {
                    Poll::Ready(Ok(0)) => way = Way::Closing,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(Error::Io(_) | Error::Closed | Error::Reset(_))) => way = Way::Closing,
                    Poll::Ready(Err(error)) => return Err(PumpError { side: Side::Source, error }),
                    Poll::Pending => return Ok(way),
                }
            }
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
