//! What each client has used, within a bound: whoever has waited long enough is forgotten, since he is as good as new.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::FixedState;

/// Locks, each of its own share of the clients: two cores rarely want the same one at once, and hold it for a few
/// dozen nanoseconds.
const SHARDS: usize = 1 << 6;

/// Places that a client may stand in: one line of the cache holds four of them.
const WAYS: usize = 8;

/// Places of one shard at most. 131,072 clients in all, which are 2 MiB.
const MOST: usize = 2048;

/// A client of one route, as a number that only this table understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientKey(u64);

/// What clients have used. Shared by the routes of a cluster, over the changes of all of them.
///
/// A client stands in one of eight places, which its key names. Nobody who still owes time is forgotten until there is
/// no place and the table is as large as it may be; then the one who owes least goes.
pub struct Clients {
    keys: FixedState,
    shards: Box<[Shard]>,
}

/// On a line of its own, so that one lock does not slow down its neighbour.
#[repr(align(64))]
#[derive(Default)]
struct Shard(Mutex<Vec<Place>>);

/// A client, and up to when its time is used; zero is nobody.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    used: u64,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// An empty table. The seed is a number that nobody guesses: else somebody could choose a name that uses up
    /// another client's share.
    #[must_use]
    pub fn new(seed: u64) -> Clients {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Clients { keys: FixedState::with_seed(seed), shards }
    }

    /// The key of this client of this route; the same whenever the two are the same.
    pub fn key(&self, route: &str, client: impl Hash) -> ClientKey {
        // Zero marks a place that is free.
        ClientKey(self.keys.hash_one((route, client)).max(1))
    }

    /// Clients that the table has room for at present; it grows with those that come.
    #[must_use]
    pub fn room(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Replaces what a client has used, and passes on what is told of that. Whom nobody knows has used nothing.
    pub(super) fn change<T>(
        &self,
        ClientKey(key): ClientKey,
        now: u64,
        change: impl FnOnce(u64) -> (u64, T),
    ) -> T {
        let mut places = lock(&self.shards[usize::try_from(key >> 58).unwrap_or(0)]);
        let known = set(&places, key)
            .and_then(|set| places[set.clone()].iter().position(|p| p.key == key).map(|at| set.start + at));
        let used = known.map_or(0, |at| places[at].used);
        let (used, told) = change(used);
        let at = known.unwrap_or_else(|| free(&mut places, key, now));
        places[at] = Place { key, used };
        told
    }
}

/// The places that a client may stand in.
fn set(places: &[Place], key: u64) -> Option<std::ops::Range<usize>> {
    let sets = places.len() / WAYS;
    // A power of two: the low bits name one, the high ones have named the shard.
    let start = usize::try_from(key & (sets.checked_sub(1)? as u64)).unwrap_or(0) * WAYS;
    Some(start..start + WAYS)
}

/// A place for a client that has none. Grows the table while there is none that nobody needs.
fn free(places: &mut Vec<Place>, key: u64, now: u64) -> usize {
    loop {
        if let Some(set) = set(places, key) {
            // What is used up to now or before is nothing.
            let least = set.min_by_key(|at| places[*at].used).unwrap_or(0);
            if places[least].used <= now || places.len() >= MOST {
                return least;
            }
        }
        grow(places, now);
    }
}

/// Twice the places, and in them those who still owe time.
fn grow(places: &mut Vec<Place>, now: u64) {
    let larger = (places.len() * 2).max(WAYS);
    let before = std::mem::replace(places, vec![Place::default(); larger]);
    for place in before.into_iter().filter(|place| place.used > now) {
        // A set of twice as many takes from one set only: there is room.
        if let Some(at) = set(places, place.key).and_then(|mut set| set.find(|at| places[*at].key == 0)) {
            places[at] = place;
        }
    }
}

fn lock(Shard(places): &Shard) -> MutexGuard<'_, Vec<Place>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}
