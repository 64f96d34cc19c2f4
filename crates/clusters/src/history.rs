//! What happened, over a restart: what is new in memory moves to the store in batches, and a page is answered from
//! both together.
//!
//! Memory always has the latest, so what was done shows in the next page. The store has what was there a moment
//! before: an operation or event is lost with the process when that is killed within [`PAUSE`] of it. Of operations
//! at most [`A_SECOND`] go to the disk; beyond, those that failed and data calls go first, and the rest is counted,
//! said in the log, and shown for as long as memory has it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::event::Event;
use model::view::ActivityRecord;
use store::{ActivityFilter, EventFilter, KeptOperation, Store};

use crate::activity::{self, Activity, Gathered, Marks};
use crate::{Clusters, Events, events};

/// How long what is new waits for more of it: a sync of the disk is shared by all of it.
const PAUSE: Duration = Duration::from_millis(200);

/// Operations that go to the disk in a second, and at once after a quiet second. About a megabyte: less than what a
/// disk is worn out by, and more than anybody reads.
const A_SECOND: usize = 1000;

/// Operations that wait for a store that fails; beyond, the oldest are given up.
const WAITING: usize = 2 * A_SECOND;

/// How long a store that failed is left alone.
const REST: Duration = Duration::from_secs(5);

/// How often it is said that operations were left out.
const SAY: Duration = Duration::from_secs(60);

/// Where what happened is kept.
pub(crate) struct History {
    store: Store,
    /// Operations on their way from memory to the store, so that no page misses them meanwhile.
    waiting: Mutex<Arc<Vec<KeptOperation>>>,
    keeper: tokio::sync::Mutex<Keeper>,
    /// The last read failed, and that was said.
    unreadable: AtomicBool,
}

/// What the one who moves things to the store remembers.
struct Keeper {
    marks: Marks,
    /// Operations that may go to the disk now.
    room: usize,
    refilled: Instant,
    left_out: u64,
    said: Option<Instant>,
    failing: bool,
    /// Numbers go on where those of the store end: before, nothing is written.
    begun: bool,
    /// The store closes: what happens now is told by the log alone.
    ended: bool,
}

impl History {
    pub(crate) fn new(store: Store, activity: &Activity) -> History {
        let keeper = Keeper {
            marks: activity.beginning(),
            room: A_SECOND,
            refilled: Instant::now(),
            left_out: 0,
            said: None,
            failing: false,
            begun: false,
            ended: false,
        };
        History {
            store,
            waiting: Mutex::default(),
            keeper: tokio::sync::Mutex::new(keeper),
            unreadable: AtomicBool::new(false),
        }
    }

    /// Lets numbers go on where the last run ended, and what happens be written down.
    pub(crate) async fn begin(&self, activity: &Activity, events: &Events) -> Result<(), store::Error> {
        let mut keeper = self.keeper.lock().await;
        if keeper.begun {
            return Ok(());
        }
        let (operation, event) = (self.store.last_activity().await?, self.store.last_event().await?);
        if let Some(last) = operation {
            activity.resume(&last);
        }
        events.resume(event);
        keeper.begun = true;
        Ok(())
    }

    /// A store that fails is said once, and shows in the health of the gateway. That is no reason to hide what is
    /// known all the same.
    fn or_memory_alone<T>(&self, kept: Result<Vec<T>, store::Error>) -> Vec<T> {
        let failed_before = self.unreadable.swap(kept.is_err(), Relaxed);
        kept.unwrap_or_else(|error| {
            if !failed_before {
                tracing::error!(%error, "the store cannot be read: lists have what is in memory and no more");
            }
            Vec::new()
        })
    }

    fn waiting(&self) -> Arc<Vec<KeptOperation>> {
        Arc::clone(&self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_waiting(&self, operations: Vec<KeptOperation>) -> Arc<Vec<KeptOperation>> {
        let operations = Arc::new(operations);
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&operations);
        operations
    }
}

/// Keeps what happens, until it is dropped.
pub(crate) async fn keep(clusters: Clusters) {
    loop {
        let failing = clusters.0.history.keeper.lock().await.failing;
        tokio::time::sleep(if failing { REST } else { PAUSE }).await;
        clusters.keep_history().await;
    }
}

impl Clusters {
    /// Moves what is new to the store now, rather than in a moment.
    pub async fn keep_history(&self) {
        let mut keeper = self.0.history.keeper.lock().await;
        if keeper.begun && !keeper.ended {
            self.keep_new(&mut keeper).await;
        }
    }

    /// The same for the last time: the store is about to be closed.
    pub async fn end_history(&self) {
        let mut keeper = self.0.history.keeper.lock().await;
        if !std::mem::replace(&mut keeper.ended, true) && keeper.begun {
            self.keep_new(&mut keeper).await;
        }
    }

    async fn keep_new(&self, keeper: &mut Keeper) {
        let history = &self.0.history;
        let waiting = self.gather(keeper);
        let told = Arc::new(self.events().unsaved());
        // Asked for together, so that they share one transaction.
        let (operations, events) = tokio::join!(
            async { if waiting.is_empty() { Ok(()) } else { history.store.keep_operations(waiting).await } },
            async {
                if told.is_empty() { Ok(()) } else { history.store.keep_events(Arc::clone(&told)).await }
            },
        );
        if operations.is_ok() {
            history.set_waiting(Vec::new());
        }
        if let (Ok(()), Some(last)) = (&events, told.last()) {
            self.events().saved(last.id);
        }
        keeper.report(operations.and(events));
    }

    /// Takes what is new from memory, within what may go to the disk.
    fn gather(&self, keeper: &mut Keeper) -> Arc<Vec<KeptOperation>> {
        keeper.refill();
        let Gathered { operations, left_out } = self.activity().gather(&mut keeper.marks, keeper.room);
        keeper.room -= operations.len();
        keeper.left_out += left_out;
        let mut waiting = self.0.history.waiting();
        if !operations.is_empty() {
            let mut all: Vec<KeptOperation> = waiting.iter().cloned().chain(operations).collect();
            let given_up = all.len().saturating_sub(WAITING);
            keeper.left_out += given_up as u64;
            all.drain(..given_up);
            waiting = self.0.history.set_waiting(all);
        }
        waiting
    }

    /// A page of operations, newest first, and the cursor of the next: of all that is remembered.
    pub async fn activity_page(
        &self,
        filter: &ActivityFilter,
        limit: usize,
    ) -> (Vec<ActivityRecord>, Option<String>) {
        let most = limit.saturating_add(1);
        // In the order in which an operation travels, so that none is missed on its way.
        let mut found = self.activity().matching(filter, most);
        let waiting = self.0.history.waiting();
        found.extend(waiting.iter().filter(|one| filter.matches(&one.seen())).map(|one| one.record.clone()));
        let kept = self.0.history.store.activity(filter.clone(), most).await;
        found.extend(self.0.history.or_memory_alone(kept));
        found.sort_unstable_by(|a, b| b.id.cmp(&a.id));
        found.dedup_by(|a, b| a.id == b.id);
        activity::page(found, limit)
    }

    /// A page of events, newest first, and the cursor of the next: of all that is remembered.
    pub async fn event_page(&self, filter: &EventFilter, limit: usize) -> (Vec<Event>, Option<u64>) {
        let most = limit.saturating_add(1);
        let (mut found, first) = self.events().matching(filter, most);
        if found.len() < most {
            let before = Some(filter.before.map_or(first, |before| before.min(first)));
            let older = EventFilter { before, ..filter.clone() };
            let kept = self.0.history.store.events(older, most - found.len()).await;
            found.extend(self.0.history.or_memory_alone(kept));
        }
        events::page(found, limit)
    }
}

impl Keeper {
    fn refill(&mut self) {
        let now = Instant::now();
        let since = now - self.refilled;
        // A rate of thousands a second: nanoseconds would only matter if this were asked all the time.
        let more = usize::try_from(since.as_micros() * A_SECOND as u128 / 1_000_000).unwrap_or(A_SECOND);
        if more > 0 {
            self.room = (self.room + more).min(A_SECOND);
            self.refilled = now;
        }
    }

    fn report(&mut self, kept: Result<(), store::Error>) {
        let failed_before = std::mem::replace(&mut self.failing, kept.is_err());
        match kept {
            Ok(()) if failed_before => tracing::info!("what happens is kept on the disk again"),
            Err(error) if !failed_before => {
                tracing::error!(%error, "what happens is not kept on the disk at present; it is shown while memory has it");
            }
            _ => {}
        }
        if self.left_out > 0 && self.said.is_none_or(|said| said.elapsed() >= SAY) {
            tracing::warn!(
                operations = self.left_out,
                "operations were not kept on the disk: there were too many, or it took too few"
            );
            (self.left_out, self.said) = (0, Some(Instant::now()));
        }
    }
}
