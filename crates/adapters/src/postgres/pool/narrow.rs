//! A server that takes fewer connections than the pool may have: the pool is smaller for a while, and works with those
//! that it has.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use super::Shared;

/// How long a place is of no use once the server has refused a connection for it.
const WHILE: Duration = Duration::from_secs(5);

/// Between two looks at whether one that is being opened is there.
const MOMENT: Duration = Duration::from_millis(5);

impl Shared {
    /// Whether there is any connection. Those that are being opened are waited for: whoever is refused hears it before
    /// those who were let in are through.
    pub(super) async fn comes_to_some(&self, end: Instant) -> bool {
        while self.there.load(Ordering::Acquire) == 0 {
            if self.open.load(Ordering::Acquire) == 0 || Instant::now() >= end {
                return false;
            }
            sleep(MOMENT).await;
        }
        true
    }

    /// Takes a place away for a while: no connection can be opened for it.
    pub(super) fn narrow(self: &Arc<Self>, place: OwnedSemaphorePermit) {
        let narrowed = Narrowed::of(self);
        tokio::spawn(async move {
            sleep(WHILE).await;
            drop(narrowed);
            drop(place);
        });
    }
}

/// Counted as long as it lasts.
struct Narrowed(Arc<Shared>);

impl Narrowed {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.narrowed.fetch_add(1, Ordering::Relaxed);
        Narrowed(Arc::clone(shared))
    }
}

impl Drop for Narrowed {
    fn drop(&mut self) {
        self.0.narrowed.fetch_sub(1, Ordering::Relaxed);
    }
}
