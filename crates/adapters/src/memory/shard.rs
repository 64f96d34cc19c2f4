//! One shard of the store: entries with their expiry, bounded by weight, and their keys in order for scans.
//!
//! Knows no lock and no clock: the store holds the one and tells the other.

use std::collections::BTreeSet;
use std::mem;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use crate::key_value::{Ttl, Value};

/// A key, shared by the table and the order.
pub(super) type Key = Arc<[u8]>;

/// What an entry weighs beside its bytes: its slot in the slab (half of it empty after growth), in the hash
/// table and in the order, the counts of the two shared buffers, and what an allocator rounds up.
pub(super) const OVERHEAD: u64 = 256;

/// For each so many bytes of capacity half a ghost is remembered: an evicted key's hash, by which the policy
/// sees that it was evicted too soon.
const BYTES_PER_ITEM: u64 = 1024;

// Nothing here that holds values can be printed: they are no matter for a log.

/// A value and when it is over.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// `None` is never.
    pub(super) expires: Option<Instant>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    fn size(&self) -> usize {
        size_of(&self.value)
    }
}

/// Bytes of a value with its media type.
pub(super) fn size_of(value: &Value) -> usize {
    value.bytes.len() + value.content_type.as_ref().map_or(0, |text| text.len())
}

/// What was taken out on the way. The caller drops it when it has let go of the lock, since giving back
/// large buffers takes time.
#[derive(Default)]
pub(super) struct Leftovers {
    replaced: Option<Entry>,
    evicted: Vec<(Key, Entry)>,
}

/// Why a number was not added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSum {
    /// The value is no whole number of 64 bits.
    NotANumber,
    /// The sum is none.
    Overflow,
    /// Nothing is written any more.
    Gone,
}

/// What is here was left to another process: nothing is written any more that it would not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl From<Gone> for NoSum {
    fn from(_: Gone) -> Self {
        NoSum::Gone
    }
}

/// What a read found.
pub(super) enum Found {
    Live(Value),
    /// Its time is over; it should be removed.
    Over,
    Missing,
}

/// Entries and their keys. Every key of the cache is in the order and the other way round.
pub(super) struct Shard {
    cache: Cache<Key, Entry, ByBytes, DefaultHashBuilder, Collect>,
    order: BTreeSet<Key>,
    /// Said once, by whoever leaves it to another process.
    pub(super) gone: bool,
}

impl Shard {
    /// Holds so many bytes, each entry counted with [`OVERHEAD`].
    pub(super) fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity / BYTES_PER_ITEM).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new().weight_capacity(capacity).estimated_items_capacity(items).build();
        let options = options.expect("both capacities are set");
        let cache = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), Collect);
        Shard { cache, order: BTreeSet::new(), gone: false }
    }

    pub(super) fn get(&self, key: &[u8], now: Instant) -> Found {
        match self.cache.get(key) {
            Some(entry) if entry.is_over(now) => Found::Over,
            Some(entry) => Found::Live(entry.value.clone()),
            None => Found::Missing,
        }
    }

    pub(super) fn is_live(&self, key: &[u8], now: Instant) -> bool {
        self.cache.peek(key).is_some_and(|entry| !entry.is_over(now))
    }

    pub(super) fn ttl(&self, key: &[u8], now: Instant) -> Ttl {
        match self.cache.peek(key).map(|entry| entry.expires) {
            None => Ttl::Missing,
            Some(None) => Ttl::Forever,
            Some(Some(at)) if at > now => Ttl::Left(at - now),
            Some(Some(_)) => Ttl::Missing,
        }
    }

    /// Puts it in; what must go to make room is in `left`.
    pub(super) fn set(&mut self, key: &[u8], entry: Entry, left: &mut Leftovers) {
        if let Some(mut own) = self.cache.get_mut(key)
            && own.size() >= entry.size()
        {
            left.replaced = Some(mem::replace(&mut *own, entry));
            return;
        }
        // What grew goes in anew, since only an insertion makes room.
        if let Some((key, old)) = self.cache.remove(key) {
            left.replaced = Some(old);
            self.cache.insert_with_lifecycle(Arc::clone(&key), entry, left);
            // A read, so that the policy takes it for one that is in use.
            let _ = self.cache.get(&key);
        } else {
            let key = Key::from(key);
            self.order.insert(Arc::clone(&key));
            self.cache.insert_with_lifecycle(key, entry, left);
        }
        for (key, _) in &left.evicted {
            self.order.remove(key);
        }
    }

    /// Takes it out; says whether it was live.
    pub(super) fn remove(&mut self, key: &[u8], now: Instant, left: &mut Leftovers) -> bool {
        let Some((_, entry)) = self.cache.remove(key) else { return false };
        self.order.remove(key);
        let live = !entry.is_over(now);
        left.replaced = Some(entry);
        live
    }

    /// Takes it out if its time is over.
    pub(super) fn remove_over(&mut self, key: &[u8], now: Instant) {
        if self.cache.remove_if(key, |entry| entry.is_over(now)).is_some() {
            self.order.remove(key);
        }
    }

    pub(super) fn incr(
        &mut self,
        key: &[u8],
        by: i64,
        now: Instant,
        left: &mut Leftovers,
    ) -> Result<i64, NoSum> {
        let live = self.cache.peek(key).filter(|entry| !entry.is_over(now));
        let (old, content_type, expires) = match live {
            Some(Entry { value, expires }) => (whole(&value.bytes)?, value.content_type.clone(), *expires),
            None => (0, None, None),
        };
        let sum = old.checked_add(by).ok_or(NoSum::Overflow)?;
        let value = Value { bytes: Bytes::from(sum.to_string()), content_type };
        self.set(key, Entry { value, expires }, left);
        Ok(sum)
    }

    /// Sets when it is over; says whether it was live.
    pub(super) fn expire(&mut self, key: &[u8], expires: Option<Instant>, now: Instant) -> bool {
        let Some(mut entry) = self.cache.get_mut(key).filter(|entry| !entry.is_over(now)) else {
            return false;
        };
        entry.expires = expires;
        true
    }

    /// Shows keys with this prefix in order, from behind `after`. When `visit` breaks off, gives the key at
    /// which it did; at the end, nothing.
    pub(super) fn walk(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut visit: impl FnMut(&Key) -> ControlFlow<()>,
    ) -> Option<Key> {
        let from = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let keys = self.order.range::<[u8], _>((from, Bound::Unbounded));
        for key in keys.take_while(|key| key.starts_with(prefix)) {
            if visit(key).is_break() {
                return Some(Arc::clone(key));
            }
        }
        None
    }

    /// Every entry, in the order of the keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.order.iter().filter_map(|key| Some((key, self.cache.peek(&**key)?)))
    }

    /// Whether it is there and its time is over.
    pub(super) fn is_over(&self, key: &[u8], now: Instant) -> bool {
        self.cache.peek(key).is_some_and(|entry| entry.is_over(now))
    }
}

/// A number as Redis would read it: no sign but a minus, no leading zero, no space.
fn whole(text: &[u8]) -> Result<i64, NoSum> {
    let plain = matches!(text, [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    let number = std::str::from_utf8(text).ok().filter(|_| plain).and_then(|text| text.parse().ok());
    number.ok_or(NoSum::NotANumber)
}

/// Weighs an entry by its bytes.
#[derive(Debug, Clone, Copy)]
struct ByBytes;

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        (key.len() + entry.size()) as u64 + OVERHEAD
    }
}

/// Keeps what is evicted, so that its key leaves the order too.
#[derive(Debug, Clone, Copy)]
struct Collect;

impl Lifecycle<Key, Entry> for Collect {
    type RequestState = Leftovers;

    fn on_evict(&self, left: &mut Leftovers, key: Key, entry: Entry) {
        left.evicted.push((key, entry));
    }
}

#[cfg(test)]
impl Shard {
    pub(super) fn weight(&self) -> u64 {
        self.cache.weight()
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    /// That the order and the cache hold the same keys, and that nothing weighs too much.
    pub(super) fn validate(&self) {
        assert_eq!(self.order.len(), self.cache.len());
        assert!(self.order.iter().all(|key| self.cache.contains_key(&**key)));
        assert!(self.cache.weight() <= self.cache.capacity());
    }
}
