//! Bodies that come frame by frame, on their way out of the control door.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};
use wire::body::Frames;

/// How long nothing is said at most: proxies on the way and clients take silence for death, some after 15 s.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often it is asked whether the client still may: a token that is revoked ends its streams in this time.
pub(crate) const RECHECK: Duration = Duration::from_secs(10);

/// What is said piece by piece, each made when the connection has room for it.
pub(crate) trait Pieces: Sized + Send + 'static {
    /// The next piece, when there is one to say, and what goes on behind it; none at the end.
    fn next(self) -> impl Future<Output = Option<(Bytes, Self)>> + Send;
}

/// It as a body.
pub(crate) fn in_pieces(pieces: impl Pieces) -> Body {
    Body::new(Told(Box::pin(pieces.next())))
}

/// From now on, and not at once.
pub(crate) fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}

/// The next piece and what comes behind it, once it is there.
type NextPiece<P> = Pin<Box<dyn Future<Output = Option<(Bytes, P)>> + Send>>;

struct Told<P>(NextPiece<P>);

impl<P: Pieces> HttpBody for Told<P> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = ready!(self.0.as_mut().poll(cx));
        Poll::Ready(next.map(|(piece, rest)| {
            self.0 = Box::pin(rest.next());
            Ok(Frame::data(piece))
        }))
    }
}

/// A body of ours as one that axum sends. A stream keeps its place among streams until it ends.
pub(crate) fn carried(body: wire::Body, place: Option<OwnedSemaphorePermit>) -> Body {
    match body {
        wire::Body::Full(bytes) => Body::from(bytes),
        wire::Body::Frames(frames, first) => Body::new(Carried { frames, first, _place: place }),
        // What is relayed never comes here, and nothing is nothing.
        wire::Body::Empty | wire::Body::Wire(_) | wire::Body::Stream(_) => Body::empty(),
    }
}

struct Carried {
    frames: Pin<Box<dyn Frames>>,
    first: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Carried {
    type Data = Bytes;
    type Error = wire::Error;

    /// An error ends the connection: a cut answer never looks whole.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wire::Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        self.frames.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map(Frame::data)))
    }
}
