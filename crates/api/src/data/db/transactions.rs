//! Transactions under way, found by their `tx` whichever core the next request lands on, and ended when they
//! lie idle or are open for too long or their service goes away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use adapters::Call;
use adapters::sql::Transaction;
use clusters::{Access, Attempt, Clusters, Ending, Endpoint, Order, RequestId, Service, Shape, Tries, clock};
use model::{Code, Failure};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::data::ask::{LAST_WORDS, Seat, Target};

/// Transactions that are open at once. Each holds a connection of an engine, or keeps its writers waiting.
const MOST: usize = 1000;

/// How long one may be open where its engine allows more: what is open for longer belongs to a client that has
/// forgotten it, and others wait for it.
const LIFE: Duration = Duration::from_mins(5);

/// How often idle ones are looked for, while there are any.
const TICK: Duration = Duration::from_millis(100);

/// The table of them. Clones share it; with the last one all are rolled back.
#[derive(Clone)]
pub(crate) struct Transactions(Arc<Table>);

struct Table {
    open: Mutex<Open>,
    room: Arc<Semaphore>,
    /// How long any may be open, whatever its engine says.
    life: Duration,
}

#[derive(Default)]
struct Open {
    by_tx: HashMap<Box<str>, Arc<Entry>>,
    /// Whether somebody looks for idle ones.
    watched: bool,
}

/// One transaction.
pub(super) struct Entry {
    cluster: Arc<str>,
    service: Arc<str>,
    endpoint: Arc<Endpoint>,
    /// The request that began it.
    began_by: RequestId,
    limits: Limits,
    /// When it is rolled back whatever runs in it.
    ends: Instant,
    turn: tokio::sync::Mutex<Turn>,
    /// It counts as in flight while it lives.
    _attempt: Attempt,
    _room: OwnedSemaphorePermit,
}

/// How long a transaction may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// While nothing runs in it.
    pub(super) idle: Duration,
    /// In all.
    pub(super) life: Duration,
}

/// What whoever has the turn of a transaction may use.
pub(super) struct Turn {
    /// `None` when it is over.
    pub(super) transaction: Option<Box<dyn Transaction>>,
    /// When the last one to have the turn gave it back.
    idle_since: Instant,
}

impl Default for Transactions {
    fn default() -> Self {
        Transactions::of_life(LIFE)
    }
}

impl Transactions {
    /// A table of transactions that are open for so long at most.
    pub(crate) fn of_life(life: Duration) -> Self {
        let room = Arc::new(Semaphore::new(MOST));
        Transactions(Arc::new(Table { open: Mutex::default(), room, life }))
    }

    /// Ends all for good, and says how many: one whose statement runs ends with that.
    pub(crate) fn end(&self) -> usize {
        let mut open = self.0.lock();
        self.0.room.close();
        let over = std::mem::take(&mut open.by_tx);
        // What they hold is let go of without the lock.
        drop(open);
        over.len()
    }

    /// A place for one more.
    ///
    /// # Errors
    /// `overloaded`; `busy` once all were ended.
    pub(super) fn room(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.0.room).try_acquire_owned().map_err(|error| {
            if error == TryAcquireError::Closed {
                return replaced();
            }
            Failure::gateway(
                Code::Overloaded,
                format!("{MOST} transactions are open, which is as many as may be."),
            )
            .with_hint("Commit transactions, or roll them back, as soon as they have done their work.")
        })
    }

    /// Keeps one that has begun, under a name that nobody guesses.
    ///
    /// # Errors
    /// `internal` when the system gives no random numbers, `busy` once all were ended.
    pub(super) fn keep(
        &self,
        target: &Target<'_>,
        transaction: Box<dyn Transaction>,
        attempt: Attempt,
        limits: Limits,
        room: OwnedSemaphorePermit,
    ) -> Result<(String, Arc<Entry>), Failure> {
        let tx = store::random_text()?;
        let now = Instant::now();
        let limits = Limits { life: limits.life.min(self.0.life), ..limits };
        let entry = Arc::new(Entry {
            cluster: Arc::clone(&attempt.service().cluster),
            service: Arc::clone(&attempt.service().name),
            endpoint: Arc::clone(attempt.endpoint()),
            began_by: target.id,
            limits,
            ends: now + limits.life,
            turn: tokio::sync::Mutex::new(Turn { transaction: Some(transaction), idle_since: now }),
            _attempt: attempt,
            _room: room,
        });
        let mut open = self.0.lock();
        if self.0.room.is_closed() {
            return Err(replaced());
        }
        open.by_tx.insert(tx.as_str().into(), Arc::clone(&entry));
        if !std::mem::replace(&mut open.watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.0), target.clusters.clone()));
        }
        Ok((tx, entry))
    }

    /// The open transaction of that name, for somebody who may use its service, and where it is.
    ///
    /// # Errors
    /// `transaction_ended` when there is none there; `permission_denied`.
    pub(super) fn find(&self, target: &Target<'_>, tx: &str) -> Result<(Arc<Entry>, Seat), Failure> {
        let entry = self.0.lock().by_tx.get(tx).cloned().ok_or_else(ended)?;
        let elsewhere = target.service.is_some_and(|service| *service != *entry.service);
        if *entry.cluster != *target.cluster || elsewhere {
            return Err(ended());
        }
        target.caller.may_use(&entry.cluster, &entry.service)?;
        let service = entry.home(target.clusters).ok_or_else(ended)?;
        let endpoint = Arc::clone(&entry.endpoint);
        Ok((entry, Seat { service, endpoint }))
    }

    /// Forgets a transaction if it is over.
    pub(super) fn forget_ended(&self, tx: &str, entry: &Entry) {
        if entry.turn.try_lock().is_ok_and(|turn| turn.transaction.is_none()) {
            let entry = self.0.lock().by_tx.remove(tx);
            // What it holds is let go of without the lock.
            drop(entry);
        }
    }
}

impl Table {
    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is idle or open for too long or without a home. `false` when none is left.
    fn look_around(&self, clusters: &Clusters) -> bool {
        let mut over = Vec::new();
        let any_left = {
            let mut open = self.lock();
            open.by_tx.retain(|_, entry| match entry.over(clusters) {
                Some(why) => {
                    over.push((Arc::clone(entry), why));
                    false
                }
                None => true,
            });
            open.watched = !open.by_tx.is_empty();
            open.watched
        };
        for (entry, why) in over {
            match why {
                Why::TooLong(transaction, how) => {
                    drop(transaction);
                    entry.tell(clusters, &how);
                }
                Why::Homeless(transaction) => drop(transaction),
                Why::Ended => {}
            }
        }
        any_left
    }
}

/// Why a transaction is taken off the table, with what is left of it: that is let go of without the lock.
enum Why {
    /// It is over.
    Ended,
    /// Its service is gone.
    Homeless(Box<dyn Transaction>),
    /// It was idle or open for too long, and how long.
    TooLong(Box<dyn Transaction>, String),
}

impl Entry {
    /// The turn of a transaction that goes on; whoever has it is alone.
    ///
    /// # Errors
    /// `busy` when it does not come before the deadline, `transaction_ended` when it is over by then.
    pub(super) async fn turn(&self, deadline: tokio::time::Instant) -> Result<MutexGuard<'_, Turn>, Failure> {
        let Ok(turn) = tokio::time::timeout_at(deadline, self.turn.lock()).await else {
            let detail = "Another statement of the transaction was still running when its time was over.";
            return Err(Failure::gateway(Code::Busy, detail));
        };
        if turn.transaction.is_none() || self.too_long(&turn).is_some() {
            return Err(ended());
        }
        Ok(turn)
    }

    /// How long a statement of it may run that has this deadline.
    pub(super) fn until(&self, deadline: tokio::time::Instant) -> tokio::time::Instant {
        deadline.min(self.ends.into())
    }

    /// What a statement of it gives, unless the transaction is over first.
    ///
    /// # Errors
    /// The statement's own; `transaction_ended`.
    pub(super) async fn while_it_lives<T>(&self, statement: Call<'_, T>) -> Result<T, Failure> {
        let last = tokio::time::Instant::from(self.ends) + LAST_WORDS;
        let Ok(result) = tokio::time::timeout_at(last, statement).await else { return Err(self.outlived()) };
        result.map_err(|failure| match failure.code() {
            // It was ended since the transaction's time was over, and not its own.
            Code::Timeout | Code::Busy if Instant::now() >= self.ends => self.outlived(),
            _ => failure,
        })
    }

    fn outlived(&self) -> Failure {
        let life = self.limits.life.as_millis();
        let detail = format!(
            "The transaction was open for {life} ms, which is as long as one may be; nothing of it is kept."
        );
        Failure::client(Code::TransactionEnded, detail).with_hint("Do less in one transaction.")
    }

    /// How long it was idle or open, if that was too long.
    fn too_long(&self, turn: &Turn) -> Option<String> {
        let Limits { idle, life } = self.limits;
        if Instant::now() >= self.ends {
            return Some(format!("open for {} ms", life.as_millis()));
        }
        (turn.idle_since.elapsed() >= idle).then(|| format!("idle for {} ms", idle.as_millis()))
    }

    /// When it is rolled back if nobody uses it from now on.
    pub(super) fn expires_at(&self) -> jiff::Timestamp {
        clock::wall(clock::at((Instant::now() + self.limits.idle).min(self.ends)))
    }

    /// Its service as it is now, while its endpoint is one of it.
    fn home(&self, clusters: &Clusters) -> Option<Arc<Service>> {
        let snapshot = clusters.snapshot();
        let service = snapshot.service(&self.cluster, &self.service).ok()?;
        let there = service.endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, &self.endpoint));
        there.then(|| Arc::clone(service))
    }

    /// Ends it where it must not go on. One whose statement runs is not idle, and that statement ends in time.
    fn over(&self, clusters: &Clusters) -> Option<Why> {
        let mut turn = self.turn.try_lock().ok()?;
        let too_long = self.too_long(&turn);
        if too_long.is_none() && turn.transaction.is_some() && self.home(clusters).is_some() {
            return None;
        }
        Some(match (turn.transaction.take(), too_long) {
            (None, _) => Why::Ended,
            (Some(transaction), Some(how)) => Why::TooLong(transaction, how),
            (Some(transaction), None) => Why::Homeless(transaction),
        })
    }

    /// Writes down that it was rolled back since it lasted too long: a lock that vanishes has a reason.
    fn tell(&self, clusters: &Clusters, how: &str) {
        let (cluster, service) = (&*self.cluster, &*self.service);
        tracing::info!(cluster, service, how, "a transaction lasted too long and is rolled back");
        let Some(home) = self.home(clusters) else { return };
        let order = Order {
            operation: "ROLLBACK",
            shape: Shape::Text(how.into()),
            access: Access::Write,
            rerun: false,
            uploads: false,
            patience: Duration::ZERO,
            key: None,
            request_id: self.began_by,
        };
        let tries = Tries::begin_at(home, &self.endpoint, order, clusters.activity().clone());
        tries.finish(Ending::Failure(Code::TransactionEnded, None));
    }
}

impl Turn {
    /// The turn is given back, with the transaction as it is.
    pub(super) fn rest(&mut self) {
        self.idle_since = Instant::now();
    }
}

/// Looks around while any are open and the table is there.
async fn watch(table: Weak<Table>, clusters: Clusters) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(table) = table.upgrade() else { return };
        if !table.look_around(&clusters) {
            return;
        }
    }
}

/// Nobody would find it again.
fn replaced() -> Failure {
    Failure::gateway(Code::Busy, "Another program takes this one's place: no transaction was begun.")
        .with_retryable(true)
        .with_retry_after(Duration::from_secs(1))
        .with_hint("Send it again: the other one answers.")
}

/// There is no such transaction, whatever became of it.
pub(super) fn ended() -> Failure {
    Failure::client(Code::TransactionEnded, "There is no open transaction of this `tx` here.").with_hint(
        "It was committed, rolled back, idle or open for too long, or its service has changed. Begin another one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many() {
        let transactions = Transactions::default();
        let mut taken: Vec<_> = (0..MOST).map(|_| transactions.room().unwrap()).collect();
        let refused = transactions.room().unwrap_err();
        assert_eq!((refused.code(), refused.retryable()), (Code::Overloaded, true));
        taken.pop();
        assert!(transactions.room().is_ok());
    }
}
