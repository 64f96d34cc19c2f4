//! A program that is waited for to its end. Where nobody waits any more, it is ended.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::child::{Running, kill_group};

/// Dropped before it is over, it is asked to end, and has this time for it.
pub(super) struct Awaited {
    running: Arc<Running>,
    grace: Duration,
    is_over: bool,
}

impl Awaited {
    pub(super) fn new(running: Running, grace: Duration) -> Awaited {
        Awaited { running: Arc::new(running), grace, is_over: false }
    }

    /// It has ended, and its code was asked for.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Deref for Awaited {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (running, grace, runtime) = (Arc::clone(&self.running), self.grace, Handle::try_current());
        if grace.is_zero() || runtime.is_err() {
            kill_group(running.id());
        }
        if let Ok(runtime) = runtime {
            // Somebody has to ask how it ended, or it stays in the table.
            runtime.spawn(async move { running.end_all(grace).await });
        }
    }
}
