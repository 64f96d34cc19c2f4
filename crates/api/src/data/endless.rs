//! Streams without an end of their own: they end when the gateway closes, and are cut when the token that opened
//! them is worth nothing any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use store::{Store, TokenVerdict};
use tokio::sync::watch;
use wire::Body;
use wire::body::Frames;

use crate::guard::{Caller, bearer};

/// How often it is asked whether the client still may.
const RECHECK: Duration = Duration::from_secs(5);

/// What ends a stream from outside.
pub(super) struct Ends {
    pub(super) closing: watch::Receiver<bool>,
    /// The token that opened it, if one did.
    pub(super) token: Option<(Store, String)>,
}

impl Ends {
    /// For a request of this caller.
    pub(super) fn of(
        closing: watch::Receiver<bool>,
        store: &Store,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Self {
        let token = caller.token().and_then(|_| bearer(headers));
        Ends { closing, token: token.map(|token| (store.clone(), token.to_owned())) }
    }

    /// Ready when the stream is to end; whether in good order.
    async fn come(mut self) -> bool {
        let closed = async {
            // An error means that nobody is left to say it, which is the same.
            let _ = self.closing.wait_for(|closing| *closing).await;
        };
        let Some((store, token)) = &self.token else {
            closed.await;
            return true;
        };
        let revoked = async {
            loop {
                tokio::time::sleep(RECHECK).await;
                if !matches!(store.check_token(token), TokenVerdict::Valid { .. }) {
                    return;
                }
            }
        };
        tokio::select! { () = closed => true, () = revoked => false }
    }
}

/// The body, until one of its ends comes. What is whole stays as it is.
pub(super) fn until(body: Body, ends: Ends) -> Body {
    let Body::Frames(frames, first) = body else { return body };
    Body::Frames(Box::pin(Until { frames, ends: Some(Box::pin(ends.come())) }), first)
}

struct Until {
    frames: Pin<Box<dyn Frames>>,
    /// Gone when the gateway closes.
    ends: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
}

impl Frames for Until {
    /// An end by closing is a good one, since a stream may be taken up again: what is there goes out first. A token
    /// that was revoked cuts, also a stream that always has something to say.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, wire::Error>>> {
        match self.ends.as_mut().map(|ends| ends.as_mut().poll(cx)) {
            Some(Poll::Ready(false)) => return Poll::Ready(Some(Err(wire::Error::Closed))),
            Some(Poll::Ready(true)) => self.ends = None,
            Some(Poll::Pending) | None => {}
        }
        match self.frames.as_mut().poll_frame(cx) {
            Poll::Pending if self.ends.is_none() => Poll::Ready(None),
            polled => polled,
        }
    }
}
