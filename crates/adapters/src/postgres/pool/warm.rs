//! Keeps as many connections open as the options ask for, though nobody asks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::{Pool, Pooled, lock};

/// How long opening one may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Between attempts while they fail: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How it goes.
#[derive(Debug, Default)]
pub(super) struct Warming {
    /// Failures in a row.
    failures: u32,
    /// When to try again.
    next: Option<Instant>,
}

impl Pool {
    /// Opens one more connection on this core, if there are too few.
    pub(super) fn warm(&self, now: Instant) {
        let shared = &self.0;
        if shared.open.load(Ordering::Acquire) >= shared.options.least
            || lock(&shared.warming).next.is_some_and(|next| now < next)
        {
            return;
        }
        // It has a place while it is opened: whoever has one must find a connection, or room for one.
        let (Ok(runtime), Ok(place)) =
            (Handle::try_current(), Arc::clone(&shared.places).try_acquire_owned())
        else {
            return;
        };
        let Some(slot) = shared.slot() else { return };
        let shared = Arc::clone(shared);
        runtime.spawn(async move {
            let opened = timeout(LONGEST, shared.target.open()).await;
            let mut warming = Warming::default();
            if let Ok(Ok(conn)) = opened {
                shared.put_to_rest(Pooled::new(conn, slot));
            } else {
                warming.failures = lock(&shared.warming).failures.saturating_add(1);
                let pause = PAUSES.0.saturating_mul(1 << warming.failures.min(10)).min(PAUSES.1);
                warming.next = Some(Instant::now() + pause);
            }
            *lock(&shared.warming) = warming;
            drop(place);
        });
    }
}
