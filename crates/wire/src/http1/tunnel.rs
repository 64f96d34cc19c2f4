//! After an upgrade: bytes both ways, and no buffer while nobody speaks.

use std::task::{Context, Poll};

use crate::buffer::SMALL;
use crate::conn::Conn;
use crate::error::{Error, Side};

use super::pump::PumpError;

/// Bytes both ways between two connections.
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
        client: &mut Conn,
        service: &mut Conn,
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
    from: &mut Conn,
    to: &mut Conn,
    moved: &mut u64,
) -> Result<Way, PumpError> {
    let sink = |error: std::io::Error| PumpError { side: Side::Sink, error: error.into() };
    loop {
        match way {
            Way::Closed => return Ok(way),
            Way::Closing => match to.socket.poll_shutdown(cx) {
                Poll::Ready(_) => way = Way::Closed,
                Poll::Pending => return Ok(way),
            },
            Way::Open => {
                if to.has_unsent() || !from.inbox.is_empty() {
                    match to.poll_send(cx, from.inbox.filled(), &[]) {
                        Poll::Ready(Ok(n)) => {
                            from.inbox.consume(n);
                            *moved += n as u64;
                        }
                        Poll::Ready(Err(error)) => return Err(sink(error)),
                        Poll::Pending => return Ok(way),
                    }
                    continue;
                }
                match from.poll_fill(cx, SMALL) {
                    Poll::Ready(Ok(0)) => way = Way::Closing,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(Error::Io(_) | Error::Closed)) => way = Way::Closing,
                    Poll::Ready(Err(error)) => return Err(PumpError { side: Side::Source, error }),
                    Poll::Pending => return Ok(way),
                }
            }
        }
    }
}
