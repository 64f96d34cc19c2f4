//! Something that many may want at once and one task finds out for all of them.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The task under way, if there is one.
#[derive(Debug)]
pub(super) struct Flight<T>(Mutex<Option<watch::Receiver<Option<T>>>>);

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Flight(Mutex::new(None))
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// What the task under way finds out, or the one that begins now. The task goes on when its callers leave. `None`
    /// when its runtime ends before it.
    pub(super) async fn join<F>(self: &Arc<Self>, begin: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut coming = self.coming(begin);
        coming.wait_for(Option::is_some).await.ok().and_then(|found| found.clone())
    }

    /// Begins the task, if none is under way, and does not wait for it.
    pub(super) fn begin<F>(self: &Arc<Self>, begin: impl FnOnce() -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.coming(begin);
    }

    fn coming<F>(self: &Arc<Self>, begin: impl FnOnce() -> F) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A task whose runtime has ended tells nobody anything.
        if let Some(coming) = slot.as_ref().filter(|coming| coming.has_changed().is_ok()) {
            return coming.clone();
        }
        let (tell, coming) = watch::channel(None);
        *slot = Some(coming.clone());
        let (work, flight) = (begin(), Arc::clone(self));
        tokio::spawn(async move {
            let found = work.await;
            *flight.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = tell.send(Some(found));
        });
        coming
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[tokio::test]
    async fn one_finds_out_for_all_and_the_next_asks_again() {
        let flight = Arc::new(Flight::default());
        let runs = Arc::new(AtomicU32::new(0));
        let ask = || {
            let runs = Arc::clone(&runs);
            async move {
                tokio::task::yield_now().await;
                runs.fetch_add(1, Relaxed)
            }
        };
        let (a, b) = tokio::join!(flight.join(ask), flight.join(ask));
        assert_eq!((a, b), (Some(0), Some(0)));
        assert_eq!(flight.join(ask).await, Some(1));
    }

    #[tokio::test]
    async fn callers_that_leave_stop_nothing() {
        let flight = Arc::new(Flight::default());
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let first = flight.join(|| async { wait.await.is_ok() });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), first).await.is_err());
        go.send(()).unwrap();
        assert_eq!(flight.join(|| async { panic!("the first is still under way") }).await, Some(true));
    }
}
