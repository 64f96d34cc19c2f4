//! A map whose values know their own keys, which shares what has not changed with its copies: a copy is one pointer, a
//! change copies one bucket and the list of buckets.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// Up to here a plain list is faster than hashing, and a quarter of the size.
const FEW: usize = 8;

/// Entries for each bucket on average: a change copies about so many, and as many pointers as there are buckets.
const LOAD: usize = 8;

/// Keys come from the configuration and never from a client, so that a fixed seed gives nobody a handle.
const HASHER: FixedState = FixedState::with_seed(0x7468_726f_6f6d_6521);

/// Something that is found by a part of itself: no key is kept twice.
pub(super) trait Keyed: Clone {
    fn key(&self) -> &str;
}

/// The map. Its copies are independent: a change to one is not seen in another.
#[derive(Debug, Clone)]
pub(super) enum Map<V> {
    Few(Vec<V>),
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
    value: V,
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Map::Few(Vec::new())
    }
}

impl<V> Map<V> {
    /// Every value, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        let (few, many) = match self {
            Map::Few(few) => (few.as_slice(), None),
            Map::Many(many) => (&[][..], Some(many)),
        };
        let many = many.into_iter().flat_map(|many| &many.buckets).flat_map(|bucket| bucket.iter());
        few.iter().chain(many.map(|slot| &slot.value))
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

impl<V: Keyed> Map<V> {
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        let (bucket, at) = self.find(key)?;
        match self {
            Map::Few(few) => few.get(at),
            Map::Many(many) => many.buckets[bucket].get(at).map(|slot| &slot.value),
        }
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let at = self.find(key)?;
        Some(self.at_mut(at))
    }

    /// The value of this key, made first if it is not there.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        match self.find(key) {
            Some(at) => self.at_mut(at),
            None => self.insert(make()),
        }
    }

    /// Its bucket, and where in it.
    fn find(&self, key: &str) -> Option<(usize, usize)> {
        match self {
            Map::Few(few) => Some((0, few.iter().position(|value| value.key() == key)?)),
            Map::Many(many) => many.find(key),
        }
    }

    fn at_mut(&mut self, (bucket, at): (usize, usize)) -> &mut V {
        match self {
            Map::Few(few) => &mut few[at],
            Map::Many(many) => {
                let bucket = &mut Arc::make_mut(many).buckets[bucket];
                &mut Arc::make_mut(bucket)[at].value
            }
        }
    }

    /// Adds a value whose key is not there.
    pub(super) fn insert(&mut self, value: V) -> &mut V {
        if let Map::Few(few) = self
            && few.len() == FEW
        {
            *self = Map::Many(Arc::new(Many::of(std::mem::take(few))));
        }
        match self {
            Map::Few(few) => {
                // Most lists in a large table hold one entry, and four would be reserved for it.
                few.reserve_exact(1);
                few.push(value);
                let last = few.len() - 1;
                &mut few[last]
            }
            Map::Many(many) => Arc::make_mut(many).insert(value),
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<V> {
        let (bucket, at) = self.find(key)?;
        Some(match self {
            Map::Few(few) => few.remove(at),
            Map::Many(many) => {
                let many = Arc::make_mut(many);
                many.len -= 1;
                Arc::make_mut(&mut many.buckets[bucket]).swap_remove(at).value
            }
        })
    }
}

impl<V: Keyed> Many<V> {
    fn of(few: Vec<V>) -> Self {
        let mut many = Many { buckets: vec![Arc::default(); 2], len: 0 };
        for value in few {
            many.insert(value);
        }
        many
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits choose the bucket on any machine")]
    fn bucket_of(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn find(&self, key: &str) -> Option<(usize, usize)> {
        let hash = HASHER.hash_one(key);
        let bucket = self.bucket_of(hash);
        let is_it = |slot: &Slot<V>| slot.hash == hash && slot.value.key() == key;
        Some((bucket, self.buckets[bucket].iter().position(is_it)?))
    }

    fn insert(&mut self, value: V) -> &mut V {
        if self.len >= self.buckets.len() * LOAD {
            self.double();
        }
        let hash = HASHER.hash_one(value.key());
        self.push(Slot { hash, value })
    }

    fn push(&mut self, slot: Slot<V>) -> &mut V {
        let at = self.bucket_of(slot.hash);
        self.len += 1;
        let bucket = Arc::make_mut(&mut self.buckets[at]);
        bucket.push(slot);
        let last = bucket.len() - 1;
        &mut bucket[last].value
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
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for (Arc<str>, usize) {
        fn key(&self) -> &str {
            &self.0
        }
    }

    fn value(map: &Map<(Arc<str>, usize)>, key: &str) -> Option<usize> {
        map.get(key).map(|pair| pair.1)
    }

    #[test]
    fn copies_are_independent_while_it_grows_and_shrinks() {
        let mut map: Map<(Arc<str>, usize)> = Map::default();
        let mut copies = Vec::new();
        for n in 0..2_000 {
            map.insert((n.to_string().into(), n));
            if n % 500 == 3 {
                copies.push((n, map.clone()));
            }
        }
        assert_eq!(map.len(), 2_000);
        let Map::Many(many) = &map else { panic!("2,000 entries are not few") };
        let fullest = many.buckets.iter().map(|bucket| bucket.len()).max();
        assert!(fullest < Some(4 * LOAD), "a bucket holds {fullest:?}");
        for (last, copy) in &copies {
            assert_eq!((copy.len(), value(copy, &(last + 1).to_string())), (last + 1, None));
        }
        map.get_mut("7").unwrap().1 = 70;
        for n in 1_000..2_000 {
            assert_eq!(map.remove(&n.to_string()).map(|pair| pair.1), Some(n));
        }
        assert_eq!(map.remove("1500"), None);
        assert_eq!((map.len(), value(&map, "7"), value(&map, "1500")), (1_000, Some(70), None));
        assert!(copies.iter().all(|(_, copy)| value(copy, "7").is_none_or(|value| value == 7)));
        assert_eq!(map.values().count(), 1_000);
        assert_eq!(map.get_mut("none"), None);
    }
}
