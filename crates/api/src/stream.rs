//! Bodies that come frame by frame, on their way out of the control door.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use wire::body::Frames;

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
