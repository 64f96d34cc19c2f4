//! A body that an async function writes, frame by frame: it goes on only when a frame was taken.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use wire::Error;
use wire::body::Frames;

/// What the function writes with. At most one frame stands ready, so that a client that takes nothing keeps
/// the function waiting and fills no memory.
pub(super) struct Pen(Arc<Mutex<Option<Bytes>>>);

impl Pen {
    /// Hands over a frame and waits until it is taken.
    pub(super) async fn write(&self, frame: impl Into<Bytes>) {
        let frame = frame.into();
        if frame.is_empty() {
            return;
        }
        *self.frame() = Some(frame);
        // No waker is kept: whoever takes the frame polls for the next one.
        poll_fn(|_| if self.frame().is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn frame(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Work = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// The body. Dropped, it drops the function where it stands, with all that it holds.
pub(super) struct Written {
    /// `None` when it has ended.
    work: Option<Work>,
    pen: Pen,
}

/// A body that `work` writes. It ends as `work` does; an error cuts the connection.
pub(super) fn written<F>(work: impl FnOnce(Pen) -> F) -> Written
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    Written { work: Some(Box::pin(work(Pen(Arc::clone(&slot))))), pen: Pen(slot) }
}

impl Frames for Written {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        if let Poll::Ready(end) = work.as_mut().poll(cx) {
            self.work = None;
            return Poll::Ready(end.err().map(Err));
        }
        let frame = self.pen.frame().take();
        frame.map_or(Poll::Pending, |frame| Poll::Ready(Some(Ok(frame))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn next(body: &mut Written) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    #[tokio::test]
    async fn it_goes_on_only_when_a_frame_was_taken() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let mut body = written(|pen| async move {
            for n in 0..3 {
                counted.fetch_add(1, Ordering::Relaxed);
                pen.write(Bytes::new()).await;
                pen.write(format!("frame {n}")).await;
                tokio::task::yield_now().await;
            }
            Err(Error::Truncated)
        });
        assert_eq!(count.load(Ordering::Relaxed), 0);
        for n in 0..3 {
            assert_eq!(next(&mut body).await.unwrap().unwrap(), format!("frame {n}"));
            assert_eq!(count.load(Ordering::Relaxed), n + 1);
        }
        assert!(matches!(next(&mut body).await, Some(Err(Error::Truncated))));
        assert!(next(&mut body).await.is_none(), "an end stays an end");
    }

    #[tokio::test]
    async fn dropped_it_drops_what_it_holds() {
        let held = Arc::new(());
        let own = Arc::clone(&held);
        let mut body = written(|pen| async move {
            pen.write("a").await;
            drop(own);
            Ok(())
        });
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "a");
        assert_eq!(Arc::strong_count(&held), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
