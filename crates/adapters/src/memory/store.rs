//! The store: shards behind locks, found by a key's hash. Time comes from the caller.

use std::hash::BuildHasher;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use quick_cache::DefaultHashBuilder;

use super::options::Options;
use super::scan::Position;
use super::shard::{Entry, Found, Gone, Leftovers, NoSum, OVERHEAD, Shard};
use crate::key_value::{MAX_KEY, SetOptions, Ttl, Value};

/// Enough that the cores of a large machine seldom meet at one lock.
const MOST_SHARDS: u64 = 16;

/// Keys that a walk looks at before it lets go of a shard's lock: a few tens of microseconds.
pub(super) const LOT: usize = 256;

/// Keys that one sweep looks at: under a millisecond.
const SWEPT: usize = 4096;

/// Keys and values with their expiry.
pub(super) struct Store {
    shards: Box<[RwLock<Shard>]>,
    hasher: DefaultHashBuilder,
    /// Where the next sweep goes on.
    swept: Mutex<Position>,
}

impl Store {
    pub(super) fn new(options: Options) -> Self {
        // A sixteenth is left for what the policy remembers of evicted keys.
        let capacity = options.max_memory - options.max_memory / 16;
        let largest = options.max_value + MAX_KEY as u64 + OVERHEAD;
        let mut shards = MOST_SHARDS;
        while shards > 1 && capacity / shards < largest + largest / 2 {
            shards /= 2;
        }
        Store {
            shards: (0..shards).map(|_| RwLock::new(Shard::new(capacity / shards))).collect(),
            hasher: DefaultHashBuilder::default(),
            swept: Mutex::new(Position::default()),
        }
    }

    pub(super) fn get(&self, key: &[u8], now: Instant) -> Option<Value> {
        let shard = self.shard(key);
        // Bound first: the guard must be gone before the entry is removed.
        let found = read(shard).get(key, now);
        match found {
            Found::Live(value) => Some(value),
            Found::Missing => None,
            Found::Over => {
                write(shard).remove_over(key, now);
                None
            }
        }
    }

    /// Says whether it was stored.
    pub(super) fn set(
        &self,
        key: &[u8],
        value: Value,
        options: SetOptions,
        now: Instant,
    ) -> Result<bool, Gone> {
        let mut left = Leftovers::default();
        let mut shard = usable(self.shard(key))?;
        if options.if_absent && shard.is_live(key, now) {
            return Ok(false);
        }
        match over_at(options.ttl, now) {
            Some(at) if at <= now => {
                shard.remove(key, now, &mut left);
            }
            expires => shard.set(key, Entry { value, expires }, &mut left),
        }
        drop(shard);
        Ok(true)
    }

    pub(super) fn delete(&self, key: &[u8], now: Instant) -> Result<bool, Gone> {
        let mut left = Leftovers::default();
        Ok(usable(self.shard(key))?.remove(key, now, &mut left))
    }

    pub(super) fn incr(&self, key: &[u8], by: i64, now: Instant) -> Result<i64, NoSum> {
        let mut left = Leftovers::default();
        usable(self.shard(key))?.incr(key, by, now, &mut left)
    }

    pub(super) fn expire(&self, key: &[u8], ttl: Option<Duration>, now: Instant) -> Result<bool, Gone> {
        let mut left = Leftovers::default();
        let mut shard = usable(self.shard(key))?;
        Ok(match over_at(ttl, now) {
            Some(at) if at <= now => shard.remove(key, now, &mut left),
            expires => shard.expire(key, expires, now),
        })
    }

    pub(super) fn ttl(&self, key: &[u8], now: Instant) -> Ttl {
        read(self.shard(key)).ttl(key, now)
    }

    /// Locks the shards of these keys until what is given back goes. Everybody locks them in their order, and nobody
    /// else more than one, so that no two wait for each other.
    pub(super) fn hold(&self, keys: &[&[u8]], now: Instant) -> Result<Hold<'_>, Gone> {
        let mut wanted: Vec<usize> = keys.iter().map(|key| self.index(key)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let locked = wanted.into_iter().map(|index| Ok((index, usable(&self.shards[index])?)));
        Ok(Hold { shards: locked.collect::<Result<_, _>>()?, store: self, now, left: Vec::new() })
    }

    /// Nothing is written any more: whoever was writing is done, and whoever comes is refused.
    pub(super) fn end(&self) {
        self.shards.iter().for_each(|shard| write(shard).gone = true);
    }

    /// Removes some of the entries whose time is over, going round. Only one sweep runs at a time.
    pub(super) fn sweep(&self, now: Instant) {
        let Ok(mut position) = self.swept.try_lock() else { return };
        let mut over = Vec::new();
        let mut seen = 0;
        let mut turned = 0;
        while seen < SWEPT && turned < self.shards.len() {
            let shard = &self.shards[position.shard];
            let mut lot = 0;
            let stopped = {
                let shard = read(shard);
                shard.walk(b"", position.after.as_deref(), |key| {
                    lot += 1;
                    if shard.is_over(key, now) {
                        over.push(key.clone());
                    }
                    if lot == LOT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            };
            seen += lot;
            if !over.is_empty() {
                let mut shard = write(shard);
                for key in over.drain(..) {
                    shard.remove_over(&key, now);
                }
            }
            if stopped.is_none() {
                position.shard = (position.shard + 1) % self.shards.len();
                turned += 1;
            }
            position.after = stopped;
        }
    }

    /// The shard of that number, for a walk over all.
    pub(super) fn nth(&self, index: usize) -> Option<RwLockReadGuard<'_, Shard>> {
        self.shards.get(index).map(read)
    }

    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    fn shard(&self, key: &[u8]) -> &RwLock<Shard> {
        &self.shards[self.index(key)]
    }

    fn index(&self, key: &[u8]) -> usize {
        // Their number is a power of two.
        (self.hasher.hash_one(key) & (self.shards.len() as u64 - 1)) as usize
    }
}

/// Shards that are locked together, at one moment.
pub(super) struct Hold<'s> {
    shards: Vec<(usize, RwLockWriteGuard<'s, Shard>)>,
    store: &'s Store,
    now: Instant,
    /// What is given back when the locks are gone: fields go in their order.
    left: Vec<Leftovers>,
}

impl Hold<'_> {
    fn shard(&mut self, key: &[u8]) -> &mut Shard {
        let index = self.store.index(key);
        let at = self.shards.binary_search_by_key(&index, |(index, _)| *index);
        &mut self.shards[at.expect("the key was named when it was held")].1
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Option<Value> {
        let now = self.now;
        match self.shard(key).get(key, now) {
            Found::Live(value) => Some(value),
            Found::Over | Found::Missing => None,
        }
    }

    pub(super) fn set(&mut self, key: &[u8], value: Value, ttl: Option<Duration>) {
        let (now, mut left) = (self.now, Leftovers::default());
        match over_at(ttl, now) {
            Some(at) if at <= now => drop(self.shard(key).remove(key, now, &mut left)),
            expires => self.shard(key).set(key, Entry { value, expires }, &mut left),
        }
        self.left.push(left);
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> bool {
        let (now, mut left) = (self.now, Leftovers::default());
        let live = self.shard(key).remove(key, now, &mut left);
        self.left.push(left);
        live
    }

    pub(super) fn expire(&mut self, key: &[u8], ttl: Option<Duration>) -> bool {
        match over_at(ttl, self.now) {
            Some(at) if at <= self.now => self.delete(key),
            expires => {
                let now = self.now;
                self.shard(key).expire(key, expires, now)
            }
        }
    }

    pub(super) fn ttl(&mut self, key: &[u8]) -> Ttl {
        let now = self.now;
        self.shard(key).ttl(key, now)
    }
}

/// A time that the clock cannot say is never.
fn over_at(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

// Nothing in a shard runs foreign code, so a poisoned lock guards what a panic left consistent enough: a
// cache. Refusing every later call would turn one fault into many.

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// The same for what is to last.
fn usable(shard: &RwLock<Shard>) -> Result<RwLockWriteGuard<'_, Shard>, Gone> {
    let shard = write(shard);
    if shard.gone { Err(Gone) } else { Ok(shard) }
}

#[cfg(test)]
impl Store {
    pub(super) fn shards(&self) -> impl Iterator<Item = RwLockReadGuard<'_, Shard>> {
        self.shards.iter().map(read)
    }

    pub(super) fn weight(&self) -> u64 {
        self.shards().map(|shard| shard.weight()).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.shards().map(|shard| shard.len()).sum()
    }
}
