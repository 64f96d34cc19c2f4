//! When to stop: SIGTERM or SIGINT, once for everybody who asks.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Ready, for every clone, when the gateway is to stop.
#[derive(Clone)]
pub(crate) struct Closing(watch::Receiver<bool>, Arc<watch::Sender<bool>>);

impl Closing {
    /// Listens for signals on the calling runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (tell, told) = watch::channel(false);
        let tell = Arc::new(tell);
        let teller = Arc::clone(&tell);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            let which = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = which, "stopping: requests under way are finished");
            let _ = teller.send(true);
            // A second word means: now.
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::warn!("stopping at once");
            std::process::exit(130);
        });
        Ok(Closing(told, tell))
    }

    /// Says it: something without which the gateway cannot go on has ended.
    pub(crate) fn close(&self) {
        let _ = self.1.send(true);
    }

    /// Waits for it.
    pub(crate) async fn wait(mut self) {
        // An error means that whoever would tell is gone, which is the same.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}
