//! Streams without an end of their own, which end when the gateway closes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::watch;
use wire::Body;
use wire::body::Frames;

/// The body, ended when `closing` says so. What is whole stays as it is.
pub(crate) fn until(body: Body, mut closing: watch::Receiver<bool>) -> Body {
    let Body::Frames(frames, first) = body else { return body };
    // An error means that nobody is left to say it, which is the same.
    let closed = Box::pin(async move {
        let _ = closing.wait_for(|closing| *closing).await;
    });
    Body::Frames(Box::pin(Until { frames, closed }), first)
}

struct Until {
    frames: Pin<Box<dyn Frames>>,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Frames for Until {
    /// What is there goes out first; an end by closing is a good one, since a stream may be taken up again.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, wire::Error>>> {
        if let Poll::Ready(frame) = self.frames.as_mut().poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.closed.as_mut().poll(cx).map(|()| None)
    }
}
