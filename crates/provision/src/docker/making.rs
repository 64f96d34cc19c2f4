//! What an engine was asked to make is seen through although nobody waits for it any more, so that a removal that comes
//! after it finds all there is.
//!
//! An engine goes on with what it was asked when its client goes away. Without this, a network or a container would appear
//! a moment after a start was dropped and all that it had made was removed.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

/// What is being made, by the names of clusters.
#[derive(Debug, Default)]
pub(super) struct Makings(Mutex<HashMap<Arc<str>, Making>>);

/// What is being made for one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Making(Arc<RwLock<()>>);

impl Makings {
    pub(super) fn of(&self, cluster: &Arc<str>) -> Making {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Clusters come and go; those for which nothing is made need no place here.
        all.retain(|name, making| name == cluster || Arc::strong_count(&making.0) > 1);
        all.entry(cluster.clone()).or_default().clone()
    }
}

impl Making {
    /// Asks the engine to make something, to the end.
    pub(super) async fn whole<T: Send + 'static>(&self, ask: impl Future<Output = T> + Send + 'static) -> T {
        let turn = self.0.clone().read_owned().await;
        seen_through(turn, ask).await
    }

    /// The same, while nothing else is made for the cluster.
    pub(super) async fn alone<T: Send + 'static>(&self, ask: impl Future<Output = T> + Send + 'static) -> T {
        let turn = self.over().await;
        seen_through(turn, ask).await
    }

    /// Waits until nothing is being made. Nothing is, for as long as this is held.
    pub(super) async fn over(&self) -> OwnedRwLockWriteGuard<()> {
        self.0.clone().write_owned().await
    }
}

async fn seen_through<T: Send + 'static>(
    turn: impl Send + 'static,
    ask: impl Future<Output = T> + Send + 'static,
) -> T {
    let task = tokio::spawn(async move {
        let answer = ask.await;
        drop(turn);
        answer
    });
    match task.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and we with it.
            Err(_) => pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_seen_through_before_it_is_over() {
        let makings = Makings::default();
        let (shop, other): (Arc<str>, Arc<str>) = ("shop".into(), "other".into());
        let made = Arc::new(Mutex::new(0));
        let count = made.clone();
        let ask = async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            *count.lock().unwrap() += 1;
        };
        let making = makings.of(&shop);
        assert!(tokio::time::timeout(Duration::from_secs(1), making.whole(ask)).await.is_err());
        drop(making);
        drop(makings.of(&other).over().await);
        assert_eq!(*made.lock().unwrap(), 0, "what is made for another cluster is not waited for");
        drop(makings.of(&shop).over().await);
        assert_eq!(*made.lock().unwrap(), 1);
    }
}
