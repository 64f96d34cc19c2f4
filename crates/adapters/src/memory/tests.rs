//! The store against a plain model on a clock of our own, its bounds, and its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::glob::Glob;
use super::options::Options;
use super::scan::{self, Position};
use super::shard::NoSum;
use super::store::Store;
use crate::key_value::{Page, SetOptions, Ttl, Value};

const SMALL: Options = Options { max_memory: 4 << 20, max_value: 1 << 20 };

fn page(store: &Store, pattern: &str, cursor: Option<&Bytes>, limit: usize, now: Instant) -> Page {
    let position = cursor.map_or(Some(Position::default()), |cursor| Position::from_cursor(cursor));
    scan::page(store, &Glob::new(pattern.as_bytes()).unwrap(), position.unwrap(), limit, now).unwrap()
}

fn scan_all(store: &Store, pattern: &str, limit: usize, now: Instant) -> Vec<Bytes> {
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(store, pattern, cursor.as_ref(), limit, now);
        keys.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            return keys;
        }
    }
}

fn set(store: &Store, key: &str, value: impl Into<Bytes>, ttl: Option<Duration>, now: Instant) -> bool {
    store.set(key.as_bytes(), Value::plain(value), SetOptions { ttl, if_absent: false }, now).unwrap()
}

fn validate(store: &Store) {
    store.shards().for_each(|shard| shard.validate());
}

/// One call, or time that passes.
#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Set { key: u8, value: String, ttl: Option<u64>, if_absent: bool },
    Delete(u8),
    Incr(u8, i64),
    Expire(u8, Option<u64>),
    Ttl(u8),
    Scan(usize),
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u8;
    let ttl = prop::option::of(prop_oneof![1 => Just(0), 6 => 1..20_u64, 1 => Just(u64::MAX)]);
    let value = prop_oneof!["[0-9]{1,3}", "[a-z]{0,40}", Just(i64::MAX.to_string())];
    let by = prop_oneof![-5..5_i64, Just(i64::MAX), Just(i64::MIN)];
    prop_oneof![
        3 => key.clone().prop_map(Step::Get),
        4 => (key.clone(), value, ttl.clone(), any::<bool>())
            .prop_map(|(key, value, ttl, if_absent)| Step::Set { key, value, ttl, if_absent }),
        2 => key.clone().prop_map(Step::Delete),
        2 => (key.clone(), by).prop_map(|(key, by)| Step::Incr(key, by)),
        2 => (key.clone(), ttl).prop_map(|(key, ttl)| Step::Expire(key, ttl)),
        2 => key.prop_map(Step::Ttl),
        1 => (1..4_usize).prop_map(Step::Scan),
        3 => (1..15_u64).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

/// The same by a plain map: values with the millisecond at which they are over.
#[derive(Default)]
struct Model {
    entries: BTreeMap<Vec<u8>, (String, Option<u64>)>,
    now: u64,
}

impl Model {
    fn put(&mut self, key: Vec<u8>, value: String, ttl: Option<u64>) {
        let ttl = ttl.filter(|ttl| *ttl != u64::MAX);
        self.entries.insert(key, (value, ttl.map(|ttl| self.now + ttl)));
        self.forget();
    }

    fn forget(&mut self) {
        let now = self.now;
        self.entries.retain(|_, (_, over)| over.is_none_or(|over| over > now));
    }

    fn incr(&mut self, key: Vec<u8>, by: i64) -> Result<i64, NoSum> {
        let (old, over) = self.entries.get(&key).cloned().unwrap_or(("0".to_owned(), None));
        let number: i64 = old.parse().map_err(|_| NoSum::NotANumber)?;
        if number.to_string() != old {
            return Err(NoSum::NotANumber);
        }
        let sum = number.checked_add(by).ok_or(NoSum::Overflow)?;
        self.entries.insert(key, (sum.to_string(), over));
        Ok(sum)
    }
}

/// A key of that number; one is empty.
fn name(key: u8) -> Vec<u8> {
    vec![key; usize::from(key)]
}

/// The largest stands for one that no clock can say, which is for ever.
fn ttl_of(millis: Option<u64>) -> Option<Duration> {
    millis.map(|millis| if millis == u64::MAX { Duration::MAX } else { Duration::from_millis(millis) })
}

fn take(step: Step, store: &Store, model: &mut Model, begun: Instant) {
    let now = begun + Duration::from_millis(model.now);
    match step {
        Step::Get(key) => {
            let ours = store.get(&name(key), now).map(|value| value.bytes);
            let theirs = model.entries.get(&name(key)).map(|(value, _)| Bytes::from(value.clone()));
            assert_eq!(ours, theirs);
        }
        Step::Set { key, value, ttl, if_absent } => {
            let options = SetOptions { ttl: ttl_of(ttl), if_absent };
            let stores = !if_absent || !model.entries.contains_key(&name(key));
            assert_eq!(store.set(&name(key), Value::plain(value.clone()), options, now), Ok(stores));
            if stores {
                model.put(name(key), value, ttl);
            }
        }
        Step::Delete(key) => {
            assert_eq!(store.delete(&name(key), now), Ok(model.entries.remove(&name(key)).is_some()));
        }
        Step::Incr(key, by) => assert_eq!(store.incr(&name(key), by, now), model.incr(name(key), by)),
        Step::Expire(key, ttl) => {
            let old = model.entries.get(&name(key)).cloned();
            assert_eq!(store.expire(&name(key), ttl_of(ttl), now), Ok(old.is_some()));
            if let Some((value, _)) = old {
                model.put(name(key), value, ttl);
            }
        }
        Step::Ttl(key) => {
            let theirs = match model.entries.get(&name(key)) {
                None => Ttl::Missing,
                Some((_, None)) => Ttl::Forever,
                Some((_, Some(over))) => Ttl::Left(Duration::from_millis(over - model.now)),
            };
            assert_eq!(store.ttl(&name(key), now), theirs);
        }
        Step::Scan(limit) => {
            let mut ours = scan_all(store, "*", limit, now);
            ours.sort();
            assert!(ours.iter().eq(model.entries.keys()), "{ours:?}");
        }
        Step::Wait(millis) => {
            model.now += millis;
            model.forget();
        }
        Step::Sweep => {
            store.sweep(now);
            assert_eq!(store.len(), model.entries.len(), "so few keys are swept in one go");
        }
    }
    validate(store);
}

proptest! {
    #[test]
    fn does_what_a_plain_map_does(steps in prop::collection::vec(step(), 0..120)) {
        let store = Store::new(SMALL);
        let mut model = Model::default();
        let begun = Instant::now();
        for step in steps {
            take(step, &store, &mut model, begun);
        }
    }
}

#[test]
fn stays_within_its_memory_whatever_is_put_in() {
    let store = Store::new(SMALL);
    let now = Instant::now();
    let filler = Bytes::from(vec![b'x'; 1 << 20]);
    let mut written = 0;
    let mut n = 0_usize;
    while written < SMALL.max_memory * 10 {
        // Every size from nothing to the largest, each as a new key and then grown.
        let size = [0, 10, 100, 3000, 200_000, 1 << 20][n % 6];
        let key = format!("key:{n}");
        assert!(set(&store, &key, filler.slice(..size / 2), None, now));
        assert!(set(&store, &key, filler.slice(..size), None, now));
        assert_eq!(
            store.get(key.as_bytes(), now).map(|value| value.bytes.len()),
            Some(size),
            "the newest is kept"
        );
        written += size as u64;
        n += 1;
        assert!(store.weight() <= SMALL.max_memory);
    }
    validate(&store);
    assert!(store.weight() > SMALL.max_memory / 4, "and uses what it has: {}", store.weight());
}

/// What was read stays, what was not goes: a scan of once-read keys does not wash out the used ones.
#[test]
fn what_is_used_stays() {
    let store = Store::new(SMALL);
    let now = Instant::now();
    let used: Vec<_> = (0..100).map(|n| format!("used:{n}")).collect();
    for key in &used {
        set(&store, key, vec![0; 1000], None, now);
    }
    for n in 0..20_000 {
        set(&store, &format!("once:{n}"), vec![0; 1000], None, now);
        store.get(used[n % used.len()].as_bytes(), now);
    }
    let kept = used.iter().filter(|key| store.get(key.as_bytes(), now).is_some()).count();
    assert!(kept >= 95, "{kept} of 100");
}

#[test]
fn a_sweep_takes_what_is_over_and_only_a_bounded_part() {
    let store = Store::new(Options { max_memory: 64 << 20, max_value: 1000 });
    let now = Instant::now();
    for n in 0..30_000 {
        let ttl = (n % 3 > 0).then_some(Duration::from_millis(500));
        set(&store, &format!("key:{n}"), "v", ttl, now);
    }
    store.sweep(now);
    assert_eq!(store.len(), 30_000, "nothing is over yet");
    let later = now + Duration::from_secs(1);
    store.sweep(later);
    let after_one = store.len();
    assert!(after_one > 24_000 && after_one < 29_000, "{after_one} after one sweep");
    for _ in 0..10 {
        store.sweep(later);
    }
    assert_eq!(store.len(), 10_000);
    assert_eq!(scan_all(&store, "*", 1000, later).len(), 10_000);
    validate(&store);
}

#[test]
fn keys_that_end_during_a_scan_are_not_shown_and_the_rest_is() {
    let store = Store::new(SMALL);
    let now = Instant::now();
    for n in 0..2000 {
        let ttl = (n % 2 == 0).then_some(Duration::from_millis(10));
        set(&store, &format!("key:{n}"), "v", ttl, now);
    }
    let mut seen = BTreeSet::new();
    let first = page(&store, "key:*", None, 100, now);
    seen.extend(first.keys);
    let later = now + Duration::from_millis(20);
    let mut cursor = first.next;
    while let Some(from) = cursor {
        let page = page(&store, "key:*", Some(&from), 100, later);
        for key in &page.keys {
            let number: usize = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
            assert_eq!(number % 2, 1, "{number} was over");
        }
        seen.extend(page.keys);
        // The key that the cursor names may go, too.
        store.sweep(later);
        cursor = page.next;
    }
    for n in (1..2000).step_by(2) {
        assert!(seen.contains(format!("key:{n}").as_bytes()), "{n} was not shown");
    }
}

#[test]
fn a_page_is_bounded_in_work_and_a_prefix_finds_its_place() {
    let store = Store::new(Options { max_memory: 64 << 20, max_value: 1000 });
    let now = Instant::now();
    for n in 0..20_000 {
        set(&store, &format!("many:{n}"), "v", None, now);
    }
    set(&store, "one:1", "v", None, now);
    let first = page(&store, "*:x", None, 10, now);
    assert!(first.keys.is_empty() && first.next.is_some(), "so much is not looked at for one page");
    let only = page(&store, "one:*", None, 10, now);
    assert_eq!((only.keys, only.next), (vec![Bytes::from("one:1")], None));
}

#[test]
fn threads_at_once_leave_it_whole() {
    let store = Store::new(SMALL);
    let now = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let store = &store;
            scope.spawn(move || {
                for n in 0..20_000_usize {
                    let at = now + Duration::from_micros(n as u64);
                    let key = format!("key:{}", (n * 7919 + thread) % 3000);
                    let ttl = (n % 3 == 0).then_some(Duration::from_micros(500));
                    match n % 6 {
                        0..=2 => _ = set(store, &key, vec![0; (n * 31) % 4000], ttl, at),
                        3 => _ = store.get(key.as_bytes(), at),
                        4 => _ = store.delete(key.as_bytes(), at),
                        _ => _ = store.incr(b"sum", 1, at),
                    }
                    if n % 1000 == thread {
                        store.sweep(at);
                        page(store, "key:*", None, 100, at);
                    }
                }
            });
        }
    });
    validate(&store);
    assert!(store.weight() <= SMALL.max_memory);
}

#[test]
fn of_threads_that_race_for_a_key_one_sets_it() {
    const KEYS: usize = 20_000;
    let store = Store::new(Options { max_memory: 64 << 20, max_value: 1000 });
    let now = Instant::now();
    let if_absent = SetOptions { if_absent: true, ttl: None };
    let start = Barrier::new(4);
    let won: usize = std::thread::scope(|scope| {
        let race = || {
            start.wait();
            (0..KEYS)
                .filter(|n| store.set(&n.to_le_bytes(), Value::plain("v"), if_absent, now).unwrap())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(store.len(), KEYS, "none had to make room");
    assert_eq!(won, KEYS);
}
