//! A map from text that shares what has not changed with its copies: a copy is one pointer, a change
//! copies one bucket and the list of buckets.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// Up to here a plain list is faster than hashing, and a quarter of the size.
const FEW: usize = 8;

/// Entries for each bucket on average: a change copies about so many, and as many pointers as there are buckets.
const LOAD: usize = 8;

/// Keys come from the configuration and never from a client, so that a fixed seed gives nobody a handle.
const HASHER: FixedState = FixedState::with_seed(0x7468_726f_6f6d_6521);

/// The map. Its copies are independent: a change to one is not seen in another.
#[derive(Debug, Clone)]
pub(super) enum Map<V> {
    Few(Vec<(Arc<str>, V)>),
    Many(Arc<Many<V>>),
}

#[derive(Debug, Clone)]
pub(super) struct Many<V> {
    /// A power of two of them.
    buckets: Vec<Arc<Vec<Slot<V>>>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Slot<V> {
    /// Compared before the key, which lies elsewhere in memory.
    hash: u64,
    key: Arc<str>,
    value: V,
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Map::Few(Vec::new())
    }
}

impl<V> Map<V> {
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        match self {
            Map::Few(few) => few.iter().find(|(k, _)| **k == *key).map(|(_, value)| value),
            Map::Many(many) => {
                let hash = HASHER.hash_one(key);
                let bucket = &many.buckets[many.bucket_of(hash)];
                bucket.iter().find(|slot| slot.hash == hash && *slot.key == *key).map(|slot| &slot.value)
            }
        }
    }

    /// Every value, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (few, many) = match self {
            Map::Few(few) => (few.as_slice(), None),
            Map::Many(many) => (&[][..], Some(many)),
        };
        let many = many.into_iter().flat_map(|many| &many.buckets).flat_map(|bucket| bucket.iter());
        few.iter().map(|(_, value)| value).chain(many.map(|slot| &slot.value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Map::Few(few) => few.len(),
            Map::Many(many) => many.len,
        }
    }
}

impl<V: Clone> Map<V> {
    /// The value of this key, made first if it is not there.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> (Arc<str>, V)) -> &mut V {
        if let Map::Few(few) = self
            && few.len() == FEW
            && !few.iter().any(|(k, _)| **k == *key)
        {
            *self = Map::Many(Arc::new(Many::of(std::mem::take(few))));
        }
        match self {
            Map::Few(few) => {
                let at = few.iter().position(|(k, _)| **k == *key).unwrap_or_else(|| {
                    // Most lists in a large table hold one entry, and four would be reserved for it.
                    few.reserve_exact(1);
                    few.push(make());
                    few.len() - 1
                });
                &mut few[at].1
            }
            Map::Many(many) => Arc::make_mut(many).entry(key, make),
        }
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        match self {
            Map::Few(few) => few.iter_mut().find(|(k, _)| **k == *key).map(|(_, value)| value),
            Map::Many(many) => {
                let many = Arc::make_mut(many);
                let hash = HASHER.hash_one(key);
                let at = many.bucket_of(hash);
                let bucket = Arc::make_mut(&mut many.buckets[at]);
                bucket
                    .iter_mut()
                    .find(|slot| slot.hash == hash && *slot.key == *key)
                    .map(|slot| &mut slot.value)
            }
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        match self {
            Map::Few(few) => {
                let at = few.iter().position(|(k, _)| **k == *key)?;
                Some(few.remove(at).1)
            }
            Map::Many(many) => Arc::make_mut(many).remove(key),
        }
    }
}

impl<V> Many<V> {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits choose the bucket on any machine")]
    fn bucket_of(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }
}

impl<V: Clone> Many<V> {
    fn of(few: Vec<(Arc<str>, V)>) -> Self {
        let mut many = Many { buckets: vec![Arc::default(); 2], len: 0 };
        for (key, value) in few {
            many.push(Slot { hash: HASHER.hash_one(&*key), key, value });
        }
        many
    }

    fn push(&mut self, slot: Slot<V>) -> &mut V {
        let at = self.bucket_of(slot.hash);
        self.len += 1;
        let bucket = Arc::make_mut(&mut self.buckets[at]);
        bucket.push(slot);
        let last = bucket.len() - 1;
        &mut bucket[last].value
    }

    fn entry(&mut self, key: &str, make: impl FnOnce() -> (Arc<str>, V)) -> &mut V {
        let hash = HASHER.hash_one(key);
        let at = self.bucket_of(hash);
        if let Some(place) = self.buckets[at].iter().position(|slot| slot.hash == hash && *slot.key == *key) {
            return &mut Arc::make_mut(&mut self.buckets[at])[place].value;
        }
        if self.len >= self.buckets.len() * LOAD {
            self.double();
        }
        let (key, value) = make();
        self.push(Slot { hash, key, value })
    }

    fn double(&mut self) {
        let twice = vec![Arc::default(); self.buckets.len() * 2];
        let old = std::mem::replace(&mut self.buckets, twice);
        self.len = 0;
        for bucket in old {
            for slot in Arc::unwrap_or_clone(bucket) {
                self.push(slot);
            }
        }
    }

    fn remove(&mut self, key: &str) -> Option<V> {
        let hash = HASHER.hash_one(key);
        let at = self.bucket_of(hash);
        let place = self.buckets[at].iter().position(|slot| slot.hash == hash && *slot.key == *key)?;
        self.len -= 1;
        Some(Arc::make_mut(&mut self.buckets[at]).swap_remove(place).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(map: &mut Map<usize>, key: &str, value: usize) {
        *map.entry(key, || (key.into(), 0)) = value;
    }

    #[test]
    fn copies_are_independent_while_it_grows_and_shrinks() {
        let mut map = Map::default();
        let mut copies = Vec::new();
        for n in 0..2_000 {
            put(&mut map, &n.to_string(), n);
            if n % 500 == 3 {
                copies.push((n, map.clone()));
            }
        }
        assert_eq!(map.len(), 2_000);
        let Map::Many(many) = &map else { panic!("2,000 entries are not few") };
        let fullest = many.buckets.iter().map(|bucket| bucket.len()).max();
        assert!(fullest < Some(4 * LOAD), "a bucket holds {fullest:?}");
        for (last, copy) in &copies {
            assert_eq!((copy.len(), copy.get(&(last + 1).to_string())), (last + 1, None));
        }
        put(&mut map, "7", 70);
        for n in 1_000..2_000 {
            assert_eq!(map.remove(&n.to_string()), Some(n));
        }
        assert_eq!(map.remove("1500"), None);
        assert_eq!((map.len(), map.get("7"), map.get("1500")), (1_000, Some(&70), None));
        assert!(copies.iter().all(|(_, copy)| copy.get("7").is_none_or(|value| *value == 7)));
        *map.get_mut("8").unwrap() = 80;
        assert_eq!(map.get("8"), Some(&80));
        assert_eq!(map.get_mut("none"), None);
    }
}
