//! When to stop: SIGTERM or SIGINT, once for everybody who asks; or when another process has taken this one's place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Ready, for every clone, when the gateway is to stop.
#[derive(Clone)]
pub(crate) struct Closing {
    told: watch::Receiver<Option<Why>>,
    tell: Arc<watch::Sender<Option<Why>>>,
    /// Doors that wait for it and have not heard it.
    doors: Arc<AtomicUsize>,
}

/// Why the doors close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Stopped,
    /// Another process has the same doors.
    Replaced,
}

impl Closing {
    /// Listens for signals on the calling runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (tell, told) = watch::channel(None);
        let closing = Closing { told, tell: Arc::new(tell), doors: Arc::default() };
        let teller = closing.clone();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            let which = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = which, "stopping: requests under way are finished");
            teller.close();
            // A second word means: now.
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::warn!("stopping at once");
            std::process::exit(130);
        });
        Ok(closing)
    }

    /// Says it: something without which the gateway cannot go on has ended.
    pub(crate) fn close(&self) {
        self.say(Why::Stopped, || {});
    }

    /// Says it: another process takes this one's place. Does this before anybody hears it; or nothing, and says `false`,
    /// when the gateway is stopped already.
    pub(crate) fn give_way(&self, before: impl FnOnce()) -> bool {
        self.say(Why::Replaced, before)
    }

    /// The first word counts.
    fn say(&self, why: Why, before: impl FnOnce()) -> bool {
        self.tell.send_if_modified(|said| {
            let first = said.is_none();
            if first {
                before();
                *said = Some(why);
            }
            first
        })
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.told.borrow().is_some()
    }

    /// Waits for it.
    pub(crate) async fn wait(mut self) {
        // An error means that whoever would tell is gone, which is the same.
        let _ = self.told.wait_for(Option::is_some).await;
    }

    /// Waits for it as a door, which accepts nobody from then on. Says how long the door's idle connections may bring one
    /// more request: as long as given when another process has the same door.
    pub(crate) fn wait_as_door(self, patience: Duration) -> impl Future<Output = Duration> + Send + use<> {
        self.doors.fetch_add(1, SeqCst);
        async move {
            let Closing { mut told, doors, .. } = self;
            let replaced = told.wait_for(Option::is_some).await.is_ok_and(|why| *why == Some(Why::Replaced));
            doors.fetch_sub(1, SeqCst);
            if replaced { patience } else { Duration::ZERO }
        }
    }

    /// Whether every door has heard it.
    pub(crate) fn was_heard(&self) -> bool {
        self.is_closing() && self.doors.load(SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_stopped_gives_its_place_to_nobody() {
        let (one, other) = (Closing::listen().unwrap(), Closing::listen().unwrap());
        one.close();
        assert!(!one.give_way(|| panic!("it is being stopped")));
        assert_eq!(one.wait_as_door(Duration::from_secs(1)).await, Duration::ZERO);
        let mut given = false;
        assert!(other.give_way(|| given = true) && given);
        other.close();
        assert_eq!(other.wait_as_door(Duration::from_secs(1)).await, Duration::from_secs(1));
    }
}
