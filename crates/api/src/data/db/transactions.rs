//! Transactions under way, found by their `tx` whichever core the next request lands on, and ended when they
//! lie idle for too long or their service goes away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use adapters::sql::Transaction;
use clusters::{Access, Attempt, Clusters, Ending, Endpoint, Order, RequestId, Service, Shape, Tries, clock};
use model::{Code, Failure};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::data::ask::{Seat, Target};

/// Transactions that are open at once. Each holds a connection of an engine, or keeps its writers waiting.
const MOST: usize = 1000;

/// How often idle ones are looked for, while there are any.
const TICK: Duration = Duration::from_millis(100);

/// The table of them. Clones share it; with the last one all are rolled back.
#[derive(Clone)]
pub(crate) struct Transactions(Arc<Table>);

struct Table {
    open: Mutex<Open>,
    room: Arc<Semaphore>,
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
    idle_limit: Duration,
    turn: tokio::sync::Mutex<Turn>,
    /// It counts as in flight while it lives.
    _attempt: Attempt,
    _room: OwnedSemaphorePermit,
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
        Transactions(Arc::new(Table { open: Mutex::default(), room: Arc::new(Semaphore::new(MOST)) }))
    }
}

impl Transactions {
    /// A place for one more.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) fn room(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.0.room).try_acquire_owned().map_err(|_| {
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
    /// `internal` when the system gives no random numbers.
    pub(super) fn keep(
        &self,
        target: &Target<'_>,
        transaction: Box<dyn Transaction>,
        attempt: Attempt,
        idle_limit: Duration,
        room: OwnedSemaphorePermit,
    ) -> Result<(String, Arc<Entry>), Failure> {
        let tx = store::random_text()?;
        let entry = Arc::new(Entry {
            cluster: Arc::clone(&attempt.service().cluster),
            service: Arc::clone(&attempt.service().name),
            endpoint: Arc::clone(attempt.endpoint()),
            began_by: target.id,
            idle_limit,
            turn: tokio::sync::Mutex::new(Turn {
                transaction: Some(transaction),
                idle_since: Instant::now(),
            }),
            _attempt: attempt,
            _room: room,
        });
        let mut open = self.0.lock();
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

    /// Ends what is idle for too long or without a home. `false` when none is left.
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
                Why::Idle(transaction) => {
                    drop(transaction);
                    entry.tell(clusters);
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
    /// Nobody used it for too long.
    Idle(Box<dyn Transaction>),
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
        if turn.transaction.is_none() || turn.idle_since.elapsed() >= self.idle_limit {
            return Err(ended());
        }
        Ok(turn)
    }

    /// When it is rolled back if nobody uses it from now on.
    pub(super) fn expires_at(&self) -> jiff::Timestamp {
        clock::wall(clock::at(Instant::now() + self.idle_limit))
    }

    /// Its service as it is now, while its endpoint is one of it.
    fn home(&self, clusters: &Clusters) -> Option<Arc<Service>> {
        let snapshot = clusters.snapshot();
        let service = snapshot.service(&self.cluster, &self.service).ok()?;
        let there = service.endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, &self.endpoint));
        there.then(|| Arc::clone(service))
    }

    /// Ends it where it must not go on. One whose statement runs is not idle.
    fn over(&self, clusters: &Clusters) -> Option<Why> {
        let mut turn = self.turn.try_lock().ok()?;
        let idle = turn.idle_since.elapsed() >= self.idle_limit;
        if !idle && turn.transaction.is_some() && self.home(clusters).is_some() {
            return None;
        }
        Some(match turn.transaction.take() {
            None => Why::Ended,
            Some(transaction) if idle => Why::Idle(transaction),
            Some(transaction) => Why::Homeless(transaction),
        })
    }

    /// Writes down that it was rolled back since nobody used it: a lock that vanishes has a reason.
    fn tell(&self, clusters: &Clusters) {
        let (cluster, service, idle) = (&*self.cluster, &*self.service, self.idle_limit.as_millis());
        tracing::info!(
            cluster,
            service,
            idle_ms = idle,
            "a transaction lay idle for too long and is rolled back"
        );
        let Some(home) = self.home(clusters) else { return };
        let order = Order {
            operation: "ROLLBACK",
            shape: Shape::Text(format!("idle for {idle} ms").into()),
            access: Access::Write,
            rerun: false,
            uploads: false,
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

/// There is no such transaction, whatever became of it.
pub(super) fn ended() -> Failure {
    Failure::client(Code::TransactionEnded, "There is no open transaction of this `tx` here.").with_hint(
        "It was committed, rolled back, or idle for too long, or its service has changed. Begin another one.",
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
