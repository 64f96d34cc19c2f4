//! The connections to one endpoint: no more than there may be of the whole process, those that rest stay with the
//! core that opened them, and whoever finds none free waits in turn.

mod clean;
mod lease;
mod narrow;
mod warm;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Failure;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::{Instant, timeout_at};
use wire::cores::PerCore;

use super::conn::{Conn, Target};
use super::failure;
use super::options::PoolOptions;
use super::types::Catalog;

pub(super) use lease::Lease;
use warm::Warming;

/// A connection that was used within this time is believed to be there still (`docs/decisions/0006`).
const TRUSTED: Duration = Duration::from_secs(2);

/// How long opening a connection may take though nothing is left of the time then: far servers that encrypt take some.
const OPENING: Duration = Duration::from_secs(1);

/// Connections to one endpoint. Clones share them.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    target: Target,
    options: PoolOptions,
    catalog: Catalog,
    /// Those that rest, the last used on top.
    idle: PerCore<Mutex<Vec<Idle>>>,
    /// A place for each connection that somebody uses: whoever has one finds a connection at rest or may open one.
    places: Arc<Semaphore>,
    /// Connections that there are, in use, at rest, and being opened.
    open: AtomicUsize,
    /// The same without those that are being opened.
    there: AtomicUsize,
    /// Places that are of no use for a while: the server takes no more connections.
    narrowed: AtomicUsize,
    /// Connections in use on which the server has yet to end what nobody waits for any more.
    ending: AtomicUsize,
    closed: AtomicBool,
    warming: Mutex<Warming>,
}

/// A connection that rests.
struct Idle {
    pooled: Pooled,
    since: Instant,
}

/// A connection that is counted as long as it is there.
struct Pooled {
    conn: Box<Conn>,
    slot: Slot,
}

/// A place in the count of connections.
struct Slot {
    shared: Arc<Shared>,
    /// It is no more being opened.
    is_there: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
        if self.is_there {
            self.shared.there.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Pool {
    pub(super) fn new(target: Target, options: PoolOptions) -> Self {
        Pool(Arc::new(Shared {
            target,
            options,
            catalog: Catalog::default(),
            idle: PerCore::new(Mutex::default),
            places: Arc::new(Semaphore::new(options.most)),
            open: AtomicUsize::new(0),
            there: AtomicUsize::new(0),
            narrowed: AtomicUsize::new(0),
            ending: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            warming: Mutex::default(),
        }))
    }

    /// The types that the server has told.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// Where the server is.
    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// A connection, for as long as the lease lives.
    ///
    /// # Errors
    /// `busy` when none comes free in time, `overloaded` when the server takes no more of them and none comes free; why
    /// none can be opened. Nothing has left then.
    pub(super) async fn take(&self, deadline: Instant) -> Result<Lease, Failure> {
        let shared = &self.0;
        // Whoever waited longer would have a connection, and no time left to use it: where more is asked than the
        // server can do, all would end so.
        let now = Instant::now();
        let end = now + deadline.saturating_duration_since(now) / 2;
        let mut place = shared.place(end).await?;
        loop {
            if let Some(idle) = shared.at_rest() {
                if let Some(pooled) = awake(idle, deadline).await {
                    return Ok(Lease::new(Arc::clone(shared), pooled, place));
                }
                continue;
            }
            if let Some(slot) = shared.slot() {
                let opened = timeout_at(opened_by(deadline), shared.target.open()).await;
                match opened.unwrap_or_else(|_| Err(failure::unopened_in_time(&shared.target.address))) {
                    Ok(conn) => {
                        return Ok(Lease::new(Arc::clone(shared), Pooled::new(conn, slot), place));
                    }
                    Err(failure) => {
                        drop(slot);
                        if !failure::is_limit(&failure) || !shared.comes_to_some(end).await {
                            return Err(failure);
                        }
                        shared.narrow(place);
                        place = shared.place(end).await?;
                    }
                }
                continue;
            }
            // Somebody has just put one to rest where this one had looked already.
            tokio::task::yield_now().await;
        }
    }

    /// Whether there is any connection.
    pub(super) fn has_some(&self) -> bool {
        self.0.there.load(Ordering::Acquire) > 0
    }

    /// Lets go of connections of this core that rest for too long, and sees to it that there are as many as asked.
    pub(super) fn sweep(&self) {
        let shared = &self.0;
        let now = Instant::now();
        let gone: Vec<Idle> = {
            let mut idle = lock(shared.idle.here());
            let spare = shared.open.load(Ordering::Acquire).saturating_sub(shared.options.least);
            let mut spent = 0;
            idle.extract_if(.., |idle| {
                let stale = now.duration_since(idle.since) > shared.options.idle && spent < spare;
                let goes = stale || shared.is_old(&idle.pooled, now) || !idle.pooled.conn.is_fresh();
                spent += usize::from(goes);
                goes
            })
            .collect()
        };
        gone.into_iter().for_each(|idle| idle.pooled.part());
        self.warm(now);
    }

    /// Lets go of all connections, for good.
    pub(super) fn close(&self) {
        let shared = &self.0;
        shared.closed.store(true, Ordering::Release);
        shared.places.close();
        for idle in shared.idle.iter() {
            let gone = std::mem::take(&mut *lock(idle));
            gone.into_iter().for_each(|idle| idle.pooled.part());
        }
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }
}

impl Shared {
    /// A place for a connection, in turn.
    async fn place(&self, end: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(place),
            Err(TryAcquireError::Closed) => Err(failure::closed()),
            Err(TryAcquireError::NoPermits) => {
                match timeout_at(end, Arc::clone(&self.places).acquire_owned()).await {
                    Ok(Ok(place)) => Ok(place),
                    Ok(Err(AcquireError { .. })) => Err(failure::closed()),
                    Err(_) => Err(self.full()),
                }
            }
        }
    }

    /// Why none came free: they are in use, or else the server does not even end what it was told to end.
    fn full(&self) -> Failure {
        let most = self.options.most;
        let narrowed = self.narrowed.load(Ordering::Relaxed);
        if self.ending.load(Ordering::Relaxed) * 2 >= most.saturating_sub(narrowed).max(1) {
            failure::stuck(&self.target.address)
        } else if narrowed > 0 {
            failure::limited(&self.target.address)
        } else {
            failure::full(most)
        }
    }

    /// A connection at rest: of this core, or else of another.
    fn at_rest(&self) -> Option<Idle> {
        let here = self.idle.here();
        let others = self.idle.iter().filter(|idle| !std::ptr::eq(*idle, here));
        std::iter::once(here).chain(others).find_map(|idle| self.top_of(idle))
    }

    fn top_of(&self, idle: &Mutex<Vec<Idle>>) -> Option<Idle> {
        let now = Instant::now();
        loop {
            let mut top = lock(idle).pop()?;
            if !self.is_old(&top.pooled, now) && top.pooled.conn.is_fresh() {
                return Some(top);
            }
            top.pooled.part();
        }
    }

    /// Room for one more connection, if there is.
    fn slot(self: &Arc<Self>) -> Option<Slot> {
        let most = self.options.most;
        let more = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Slot { shared: Arc::clone(self), is_there: false })
    }

    /// Puts a connection to rest with the core that opened it.
    fn put_to_rest(&self, mut pooled: Pooled) {
        let now = Instant::now();
        if self.closed.load(Ordering::Acquire) || self.is_old(&pooled, now) {
            pooled.part();
            return;
        }
        pooled.conn.lie_down();
        let home = pooled.conn.home;
        let idle = self.idle.iter().nth(home).unwrap_or_else(|| self.idle.here());
        lock(idle).push(Idle { pooled, since: now });
        if self.closed.load(Ordering::Acquire) {
            // Whoever closed the pool may have looked here already.
            lock(idle).clear();
        }
    }

    /// Connections of one age do not all end in the same moment.
    fn is_old(&self, pooled: &Pooled, now: Instant) -> bool {
        let lifetime = self.options.lifetime;
        let earlier = lifetime.mul_f64(f64::from(pooled.conn.lot()) / f64::from(u8::MAX) / 10.0);
        now.duration_since(pooled.conn.born()) > lifetime.saturating_sub(earlier)
    }
}

/// A connection that was used lately, or that answers: what waits for one that died in its sleep could not be sent
/// again by anybody.
async fn awake(idle: Idle, deadline: Instant) -> Option<Pooled> {
    let (mut pooled, now) = (idle.pooled, Instant::now());
    if now.duration_since(idle.since) < TRUSTED {
        return Some(pooled);
    }
    // Some of the time is left for another one.
    let end = now + deadline.saturating_duration_since(now) / 4;
    match timeout_at(end, pooled.conn.settle()).await {
        Ok(Ok(())) => Some(pooled),
        _ => None,
    }
}

/// When a connection must be there: nothing has left by then, and some of the time is left for another endpoint.
fn opened_by(deadline: Instant) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + (left * 3 / 4).max(left.min(OPENING))
}

impl Pooled {
    fn new(conn: Conn, mut slot: Slot) -> Self {
        slot.is_there = true;
        slot.shared.there.fetch_add(1, Ordering::AcqRel);
        Pooled { conn: Box::new(conn), slot }
    }

    /// Says farewell, as far as the socket takes it at once.
    fn part(mut self) {
        self.conn.farewell();
        drop(self.slot);
    }
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
