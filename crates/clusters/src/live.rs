//! The live stream: the shown state of the topics that somebody follows, compared now and then, and what changed
//! as numbered deltas for all of them.
//!
//! One task looks for everybody, and only while somebody follows. Deltas stand in one bounded ring; whoever follows
//! has no queue but a place in it. Who falls behind the ring, comes back too late or from another run gets a
//! snapshot, so that nobody's slowness costs memory.

mod look;
mod state;
mod subscription;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::live::Topic;
use model::{Code, Failure};
use tokio::sync::watch;

use crate::{Clusters, clock};
use state::State;
pub use subscription::{Change, Following, Next, Piece, Subscription};

/// Between two looks: a change shows within a fifth of a second, and ten looks a second cost little.
const PAUSE: Duration = Duration::from_millis(100);

/// A look may take a tenth of one thread's time, however much there is to look at.
const SHARE: u32 = 9;

/// However much there is to look at, this often it is done.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a topic is looked after when the last one has left, so that who comes back misses nothing.
const LINGER: Duration = Duration::from_secs(30);

/// Who may follow at once. Each costs a connection and a comparison of its filter with every delta.
const MOST: usize = 256;

/// What the live stream has to remember.
pub(crate) struct Hub {
    epoch: String,
    state: Mutex<State>,
    /// Held by whoever looks.
    eyes: tokio::sync::Mutex<look::Eyes>,
    /// The number of the last delta.
    told: watch::Sender<u64>,
}

impl Default for Hub {
    fn default() -> Self {
        Hub {
            epoch: format!("{:x}", clock::wall(clock::now()).as_microsecond()),
            state: Mutex::default(),
            eyes: tokio::sync::Mutex::default(),
            told: watch::Sender::new(0),
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clusters {
    /// Begins to follow. `last` is the id of the last event that was seen, when there was one: what came after it
    /// follows, or a snapshot when that is not known any more.
    ///
    /// # Errors
    /// `overloaded` when as many follow already as may.
    pub async fn follow(&self, following: Following, last: Option<&str>) -> Result<Subscription, Failure> {
        let mut subscription = {
            let mut state = self.0.live.state();
            if state.subscribers >= MOST {
                return Err(Failure::gateway(Code::Overloaded, format!("{MOST} clients follow already."))
                    .with_hint("Close one, or try again in a moment."));
            }
            state.enter(&following.topics);
            if !std::mem::replace(&mut state.working, true) {
                tokio::spawn(work(self.clone()));
            }
            Subscription::new(self.clone(), following)
        };
        // What was changed before the client asked is seen by it.
        self.look().await;
        subscription.resume(last);
        Ok(subscription)
    }

    /// This run, as the ids of events name it.
    #[must_use]
    pub fn live_epoch(&self) -> &str {
        &self.0.live.epoch
    }

    /// Deltas that are remembered: their number and their bytes; for whoever watches the memory.
    #[must_use]
    pub fn live_remembers(&self) -> (usize, usize) {
        self.0.live.state().remembered()
    }
}

/// Looks for as long as anybody follows, and a little longer.
async fn work(clusters: Clusters) {
    loop {
        let began = Instant::now();
        clusters.look().await;
        tokio::time::sleep((began.elapsed() * SHARE).clamp(PAUSE, LONGEST_PAUSE)).await;
        let mut state = clusters.0.live.state();
        if state.followed().is_empty() {
            state.working = false;
            return;
        }
    }
}

impl State {
    /// The topics to look after. Those that nobody has followed for a while are let go.
    fn followed(&mut self) -> Vec<Topic> {
        self.release(LINGER);
        Topic::ALL.into_iter().filter(|topic| self.is_followed(*topic)).collect()
    }
}

/// Text that is shared by everybody it is sent to.
type Text = Arc<str>;
