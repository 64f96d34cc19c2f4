//! Long changes as they run: written down before they begin, shown while they do, cancelled, and found again after a
//! crash.
//!
//! What an operation does is not known here. Whoever begins one carries it out, and tells of it by its [`Running`].

mod board;
mod follow;
mod running;
mod step;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::problem;
use model::view::{Operation, OperationKind, OperationStatus};
use model::{Code, Failure};
use store::Store;
pub use store::{OperationFilter, Touched, Unfinished};
use tokio::sync::OnceCell;

use crate::{By, Events, Happening, identity, late};
use board::Board;
pub use follow::Following as OperationChanges;
pub use running::Running;
pub use step::{At, Step};

/// How long a store that could not keep an end is left alone.
const REST: Duration = Duration::from_secs(5);

/// A handle on all of them. Clones share it.
#[derive(Clone)]
pub struct Operations(Arc<Inner>);

struct Inner {
    store: Store,
    events: Events,
    data_dir: PathBuf,
    /// Who this gateway is to the others that share the store, once that was asked.
    gateway: OnceCell<Arc<str>>,
    /// The microsecond in the id that was given last.
    last: AtomicI64,
    /// The microsecond that no id of an earlier run is beyond.
    began: AtomicI64,
    known: Mutex<Known>,
}

/// What memory has.
#[derive(Default)]
struct Known {
    /// The operation of each cluster that has one.
    busy: HashMap<String, String>,
    /// Those that run here, by id, and those that have ended and whose end the store has not got.
    boards: BTreeMap<String, Arc<Board>>,
    /// Those of this run that could not take back what they had made: their clusters are busy until that is put in order.
    broken: HashSet<String>,
}

/// An operation that is to begin.
#[derive(Debug, Clone)]
pub struct Begin {
    /// What it does.
    pub kind: OperationKind,
    /// The cluster that it changes. No other operation changes it meanwhile.
    pub cluster: String,
    /// The one service that it is about.
    pub service: Option<String>,
    /// Who asks for it.
    pub by: By,
    /// What it will do, as far as that is known by now.
    pub steps: Vec<Planned>,
}

/// A step that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// For people: `cache: pull redis:7-alpine`. One that is there already gets a number behind it.
    pub name: String,
    /// The service that it is about.
    pub service: Option<String>,
    /// One word.
    pub action: &'static str,
}

impl Operations {
    pub(crate) fn new(store: Store, events: Events, data_dir: PathBuf) -> Operations {
        Operations(Arc::new(Inner {
            store,
            events,
            data_dir,
            gateway: OnceCell::new(),
            last: AtomicI64::new(0),
            began: AtomicI64::new(0),
            known: Mutex::default(),
        }))
    }

    /// The word that tells this gateway from others: it stands on what the gateway makes outside of itself.
    ///
    /// # Errors
    /// Its file cannot be read or made; or the store fails.
    pub async fn gateway(&self) -> Result<Arc<str>, Failure> {
        let made = self.0.gateway.get_or_try_init(|| async {
            // Ids go on after those of an earlier run, should the clock have been set back since.
            let last = self.0.store.last_operation().await?;
            let began = micros_now().max(last.as_deref().map_or(0, moment_of));
            self.0.began.store(began, Relaxed);
            self.0.last.fetch_max(began, Relaxed);
            let dir = self.0.data_dir.clone();
            let word = tokio::task::spawn_blocking(move || identity::read_or_make(&dir)).await;
            let word = word.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            word.map(Arc::from).map_err(|error| {
                let dir = self.0.data_dir.display();
                Failure::gateway(
                    Code::Internal,
                    format!("Cannot keep what this gateway is called in `{dir}`: {error}."),
                )
                .with_hint("Nothing was changed. Check the directory's owner, mode and free space.")
            })
        });
        made.await.cloned()
    }

    /// Begins an operation: it is written down when this returns, and its cluster is its own until it ends.
    ///
    /// # Errors
    /// `conflict` while another one changes the cluster; `busy` while the store is away.
    pub async fn begin(&self, begin: Begin) -> Result<Running, Failure> {
        if !self.0.store.is_ready() {
            return Err(late::not_come());
        }
        let gateway = self.gateway().await?;
        let board = Arc::new(Board::new(self.next_id(), begin));
        let view = board.view();
        {
            let mut known = self.known();
            if let Some(other) = known.busy.get(&view.cluster) {
                return Err(in_the_way(&view.cluster, other, known.boards.get(other)));
            }
            known.busy.insert(view.cluster.clone(), view.id.clone());
            known.boards.insert(view.id.clone(), Arc::clone(&board));
        }
        // From here on it is let go of whatever happens.
        let running = Running::new(self.clone(), board);
        match self.0.store.begin_operation(&gateway, &view).await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.never_began();
                Err(error.into())
            }
        }
    }

    /// One operation as it is.
    ///
    /// # Errors
    /// `not_found`, or what the store says.
    pub async fn get(&self, id: &str) -> Result<Arc<Operation>, Failure> {
        if let Some(board) = self.board(id) {
            return Ok(board.view());
        }
        self.0.store.operation(id).await?.map(Arc::new).ok_or_else(|| {
            Failure::client(Code::NotFound, format!("There is no operation `{id}`."))
                .with_hint("`throome operation list` shows them; the newest 1,000 are kept.")
        })
    }

    /// A page, newest first, and the cursor of the next. While the store is away it has what memory has.
    pub async fn list(
        &self,
        filter: &OperationFilter,
        limit: usize,
    ) -> (Vec<Arc<Operation>>, Option<String>) {
        // What memory has counts, and is read first: an end that comes between is in the store then.
        let here: Vec<Arc<Operation>> = self.known().boards.values().map(|board| board.view()).collect();
        let most = limit.saturating_add(1).saturating_add(here.len());
        let kept = self.0.store.operations(filter.clone(), most).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the store cannot be read: the list of operations has those in memory and no more");
            Vec::new()
        });
        let elsewhere = kept.into_iter().filter(|one| !here.iter().any(|own| own.id == one.id)).map(Arc::new);
        let mut found: Vec<Arc<Operation>> = elsewhere.collect();
        found.extend(here.iter().filter(|one| filter.matches(one)).cloned());
        found.sort_unstable_by(|a, b| b.id.cmp(&a.id));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| last.id.clone());
        (found, next)
    }

    /// What becomes of an operation: it as it is, then as it is after each change, to its end.
    ///
    /// # Errors
    /// As [`Operations::get`].
    pub async fn follow(&self, id: &str) -> Result<OperationChanges, Failure> {
        match self.board(id) {
            Some(board) => Ok(OperationChanges::here(board.follow())),
            None => Ok(OperationChanges::elsewhere(self.clone(), self.get(id).await?)),
        }
    }

    /// Asks for the end of an operation. Whoever carries it out undoes what it has made, and then it ends. Twice is the
    /// same as once.
    ///
    /// # Errors
    /// `not_found`; `conflict` when it has ended, or is not carried out here.
    pub async fn cancel(&self, id: &str, by: &By) -> Result<Arc<Operation>, Failure> {
        if let Some(view) = self.board(id).and_then(|board| board.cancel(by)) {
            return Ok(view);
        }
        let view = self.get(id).await?;
        let detail = match view.status {
            OperationStatus::Running if self.board(id).is_some() => {
                format!(
                    "The operation `{id}` was broken off by an end of the gateway, and is being put in order."
                )
            }
            OperationStatus::Running => format!("The operation `{id}` is not carried out by this gateway."),
            status => format!("The operation `{id}` has ended: {}.", status.name()),
        };
        Err(Failure::client(Code::Conflict, detail))
    }

    /// Whether nothing changes this cluster now.
    ///
    /// # Errors
    /// `conflict`, with the operation that does.
    pub fn idle(&self, cluster: &str) -> Result<(), Failure> {
        let known = self.known();
        match known.busy.get(cluster) {
            None => Ok(()),
            Some(id) => Err(in_the_way(cluster, id, known.boards.get(id))),
        }
    }

    /// The operation that changes this cluster now.
    #[must_use]
    pub fn is_busy(&self, cluster: &str) -> Option<String> {
        self.known().busy.get(cluster).cloned()
    }

    /// One that is carried out here now.
    #[must_use]
    pub fn under_way(&self) -> Option<String> {
        let known = self.known();
        let runs = |id: &&String| known.boards.get(*id).is_some_and(|board| !board.is_left());
        known.busy.values().find(runs).cloned()
    }

    /// What an earlier run of this gateway has left, and what this one could not take back, the oldest first. Nobody
    /// changes their clusters until each is [closed](Operations::close_unfinished).
    ///
    /// # Errors
    /// What the store says.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, Failure> {
        let gateway = self.gateway().await?;
        let mut left = self.0.store.unfinished_operations(&gateway).await?;
        let mut known = self.known();
        // What this run carries out is not left by it.
        let is_left = |id: &String| moment_of(id) <= self.0.began.load(Relaxed) || known.broken.contains(id);
        left.retain(|one| is_left(&one.operation.id));
        for Unfinished { operation, .. } in &left {
            let board = || Arc::new(Board::of_left(operation.clone()));
            known.boards.entry(operation.id.clone()).or_insert_with(board);
            known.busy.entry(operation.cluster.clone()).or_insert_with(|| operation.id.clone());
        }
        drop(known);
        Ok(left)
    }

    /// Whether this run has left anything in the middle.
    pub(crate) fn has_broken(&self) -> bool {
        !self.known().broken.is_empty()
    }

    /// Ends what was left in the middle, once the world is in order again. `detail` says in a sentence what was done.
    ///
    /// # Errors
    /// `not_found` for one that is not left; what the store says: then it is left still.
    pub async fn close_unfinished(
        &self,
        id: &str,
        status: OperationStatus,
        detail: &str,
    ) -> Result<(), Failure> {
        let is_broken = self.known().broken.contains(id);
        let board = self.board(id).filter(|board| board.is_left() || is_broken).ok_or_else(|| {
            Failure::client(Code::NotFound, format!("No operation `{id}` was left in the middle."))
        })?;
        if is_broken {
            // How it ended was told then.
            let last = board.view();
            self.0.store.end_operation(&last).await?;
            self.known().broken.remove(id);
            self.release(&last);
            self.forget(id);
            return Ok(());
        }
        let failure = Failure::gateway(Code::Internal, detail.to_owned());
        let error = (status != OperationStatus::Succeeded).then_some(&failure);
        let request_id = board.view().request_id.clone();
        let last = board.last(status, error.map(|failure| document(failure, request_id.as_deref())));
        self.0.store.end_operation(&last).await?;
        self.release(&last);
        board.end(&last);
        self.tell(&last, "start", detail);
        self.known().boards.remove(id);
        // Another one may have been left of the same cluster, which waits still.
        let mut known = self.known();
        let mut waiting = known.boards.values().filter(|board| board.is_left()).map(|board| board.view());
        if let Some(view) = waiting.find(|view| view.cluster == last.cluster) {
            known.busy.entry(view.cluster.clone()).or_insert_with(|| view.id.clone());
        }
        Ok(())
    }

    /// Writes an end down, lets go of the cluster, and tells whoever follows.
    async fn finish(&self, board: &Board, last: Arc<Operation>, by: &str) {
        let kept = self.0.store.end_operation(&last).await;
        self.release(&last);
        board.end(&last);
        self.tell(&last, by, &sentence(&last));
        match kept {
            Ok(()) => self.forget(&last.id),
            Err(error) => {
                tracing::warn!(operation = last.id, %error, "the end of an operation is not kept yet");
                tokio::spawn(self.clone().keep_end(last));
            }
        }
    }

    /// Until it is kept, memory has it.
    async fn keep_end(self, last: Arc<Operation>) {
        loop {
            tokio::time::sleep(REST).await;
            match self.0.store.end_operation(&last).await {
                Ok(()) => return self.forget(&last.id),
                Err(error) if error.is_passing() => {}
                Err(error) => tracing::debug!(operation = last.id, %error, "its end is not kept yet"),
            }
        }
    }

    fn release(&self, view: &Operation) {
        let mut known = self.known();
        if known.busy.get(&view.cluster) == Some(&view.id) {
            known.busy.remove(&view.cluster);
        }
    }

    fn forget(&self, id: &str) {
        self.known().boards.remove(id);
    }

    fn tell(&self, view: &Operation, actor: &str, message: &str) {
        self.0.events.tell(Happening {
            kind: format!("operation.{}", view.status.name()),
            cluster: Some(view.cluster.clone()),
            service: view.service.clone(),
            actor: actor.to_owned(),
            message: format!("{} {}: {message}", view.kind.name(), view.id),
            request_id: view.request_id.clone(),
            ..Happening::default()
        });
    }

    fn board(&self, id: &str) -> Option<Arc<Board>> {
        self.known().boards.get(id).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment, and something random, since others may share the store.
    fn next_id(&self) -> String {
        let now = micros_now();
        let before = self.0.last.fetch_update(Relaxed, Relaxed, |last| Some(now.max(last + 1)));
        let moment = now.max(before.unwrap_or(0) + 1);
        format!("{moment:014x}-{:04x}", crate::choice::random() & 0xffff)
    }
}

fn micros_now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// The moment in an id; the first of all where there is none.
fn moment_of(id: &str) -> i64 {
    let moment = id.split('-').next().unwrap_or_default();
    i64::from_str_radix(moment, 16).unwrap_or(0)
}

fn in_the_way(cluster: &str, id: &str, other: Option<&Arc<Board>>) -> Failure {
    let kind = other.map_or("an operation", |board| board.view().kind.name());
    Failure::client(Code::Conflict, format!("`{cluster}` is being changed: {kind}, operation `{id}`."))
        .with_hint(format!(
            "`throome operation watch {id}` shows how far it is, `throome operation cancel {id}` ends it."
        ))
}

/// A failure as an operation shows it.
fn document(failure: &Failure, request_id: Option<&str>) -> serde_json::Value {
    problem::document(failure, failure.code().status(), request_id.unwrap_or_default())
}

/// How it ended.
fn sentence(view: &Operation) -> String {
    #[expect(clippy::cast_precision_loss, reason = "tenths of a second are told")]
    let seconds = view.duration_ms.unwrap_or(0) as f64 / 1000.0;
    match view.error.as_ref().and_then(|error| error["detail"].as_str()) {
        Some(detail) => format!("{} after {seconds:.1} s: {detail}", view.status.name()),
        None => format!("{} after {seconds:.1} s", view.status.name()),
    }
}

#[cfg(test)]
mod tests;
