//! Threads that hold connections: started with a name, and waited for without blocking.

use std::sync::Arc;
use std::thread;

use tokio::sync::watch;

use crate::error::Error;

/// The threads of one side, and how many of them still run.
pub(crate) struct Threads {
    alive: Arc<watch::Sender<usize>>,
}

impl Default for Threads {
    fn default() -> Self {
        Threads { alive: Arc::new(watch::Sender::new(0)) }
    }
}

impl Threads {
    /// Starts one more. It counts as running until `body` has returned and dropped what it owned.
    pub(crate) fn start(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        self.alive.send_modify(|alive| *alive += 1);
        let running = Running(Arc::clone(&self.alive));
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Bound here so that it goes last, also when the body panics.
            let _running = running;
            body();
        });
        spawned.map(drop).map_err(|error| Error::Thread(Arc::new(error)))
    }

    /// Returns when none runs any more.
    pub(crate) async fn ended(&self) {
        // Fails only without a sender, and `self` holds one.
        let _ = self.alive.subscribe().wait_for(|alive| *alive == 0).await;
    }
}

struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}
