//! The adapter: a sorted table behind a lock, looked at with today's clock.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Code, Failure};
use throome_adapters::key_value::{Exclusive, HeldKeys, KeyValue, MAX_KEY, Page, SetOptions, Ttl, Value};
use throome_adapters::{Adapter, Call};

use super::glob::matches;
use super::options::Options;

/// What cursors begin with, so that other bytes are told from them.
const CURSOR: &[u8] = b"behind:";

/// One table.
pub(super) struct Toy {
    options: Options,
    entries: Mutex<BTreeMap<Vec<u8>, Entry>>,
}

struct Entry {
    value: Value,
    /// From when on it is not there; `None` is never.
    until: Option<Instant>,
}

impl Entry {
    fn lives(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Toy {
    pub(super) fn new(options: Options) -> Self {
        Toy { options, entries: Mutex::default() }
    }

    /// The table as it is now. Nobody awaits anything while it is held.
    fn table(&self) -> Table<'_> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Table { entries, now: Instant::now() }
    }
}

/// The table, held for one call: what is over is not in it.
struct Table<'t> {
    entries: MutexGuard<'t, BTreeMap<Vec<u8>, Entry>>,
    now: Instant,
}

impl Table<'_> {
    fn get(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = self.now;
        self.entries.get_mut(key).filter(|entry| entry.lives(now))
    }

    fn set(&mut self, key: &[u8], value: Value, options: SetOptions) -> bool {
        if options.if_absent && self.get(key).is_some() {
            return false;
        }
        let until = options.ttl.map(|ttl| self.now + ttl);
        self.entries.insert(key.to_vec(), Entry { value, until });
        true
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let now = self.now;
        self.entries.remove(key).is_some_and(|entry| entry.lives(now))
    }

    fn incr(&mut self, key: &[u8], by: i64) -> Result<i64, Failure> {
        let refused = |detail| Failure::client(Code::CommandFailed, detail);
        let Some(entry) = self.get(key) else {
            self.set(key, Value::plain(by.to_string()), SetOptions::default());
            return Ok(by);
        };
        let number = number(&entry.value.bytes).ok_or_else(|| refused("The value is not a whole number."))?;
        let sum =
            number.checked_add(by).ok_or_else(|| refused("The sum is not a whole number of 64 bits."))?;
        // The time that it has left stays as it is.
        entry.value = Value::plain(sum.to_string());
        Ok(sum)
    }

    fn expire(&mut self, key: &[u8], ttl: Option<Duration>) -> bool {
        let until = ttl.map(|ttl| self.now + ttl);
        self.get(key).map(|entry| entry.until = until).is_some()
    }

    fn ttl(&mut self, key: &[u8]) -> Ttl {
        let now = self.now;
        match self.get(key).map(|entry| entry.until) {
            None => Ttl::Missing,
            Some(None) => Ttl::Forever,
            Some(Some(until)) => Ttl::Left(until - now),
        }
    }

    fn scan(&self, pattern: &[u8], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Failure> {
        let nonsense = || Failure::client(Code::InvalidRequest, "The cursor is not one that a scan gave.");
        let from = match cursor {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(cursor.strip_prefix(CURSOR).ok_or_else(nonsense)?),
        };
        let mut page = Page::default();
        for (key, entry) in self.entries.range::<[u8], _>((from, Bound::Unbounded)) {
            if page.keys.len() == limit {
                page.next = page.keys.last().map(|last| [CURSOR, last].concat().into());
                break;
            }
            if entry.lives(self.now) && matches(pattern, key) {
                page.keys.push(Bytes::copy_from_slice(key));
            }
        }
        Ok(page)
    }
}

impl Adapter for Toy {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        done(Ok(()))
    }

    fn key_value(&self) -> Option<&dyn KeyValue> {
        Some(self)
    }

    fn sweep(&self) {
        let mut table = self.table();
        let now = table.now;
        table.entries.retain(|_, entry| entry.lives(now));
    }
}

impl KeyValue for Toy {
    fn get<'a>(&'a self, key: &'a [u8]) -> Call<'a, Option<Value>> {
        done(checked(key).map(|key| self.table().get(key).map(|entry| entry.value.clone())))
    }

    fn set<'a>(&'a self, key: &'a [u8], value: Value, options: SetOptions) -> Call<'a, bool> {
        let set = |(key, value)| self.table().set(key, value, options);
        done(checked(key).and_then(|key| Ok((key, self.options.own(value)?))).map(set))
    }

    fn delete<'a>(&'a self, key: &'a [u8]) -> Call<'a, bool> {
        done(checked(key).map(|key| self.table().delete(key)))
    }

    fn incr<'a>(&'a self, key: &'a [u8], by: i64) -> Call<'a, i64> {
        done(checked(key).and_then(|key| self.table().incr(key, by)))
    }

    fn expire<'a>(&'a self, key: &'a [u8], ttl: Option<Duration>) -> Call<'a, bool> {
        done(checked(key).map(|key| self.table().expire(key, ttl)))
    }

    fn ttl<'a>(&'a self, key: &'a [u8]) -> Call<'a, Ttl> {
        done(checked(key).map(|key| self.table().ttl(key)))
    }

    fn scan<'a>(
        &'a self,
        pattern: Option<&'a [u8]>,
        cursor: Option<&'a [u8]>,
        limit: usize,
    ) -> Call<'a, Page> {
        done(self.table().scan(pattern.unwrap_or(b"*"), cursor, limit))
    }

    fn exclusive(&self) -> Option<&dyn Exclusive> {
        Some(self)
    }
}

impl Exclusive for Toy {
    fn hold(&self, keys: &[&[u8]], work: &mut dyn FnMut(&mut dyn HeldKeys)) -> Result<(), Failure> {
        keys.iter().try_for_each(|key| checked(key).map(drop))?;
        // Who holds the table holds every key.
        work(&mut Held { table: self.table(), options: self.options });
        Ok(())
    }
}

/// The table, held for as long as some work takes.
struct Held<'t> {
    table: Table<'t>,
    options: Options,
}

impl HeldKeys for Held<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Value> {
        self.table.get(key).map(|entry| entry.value.clone())
    }

    fn set(&mut self, key: &[u8], value: Value, ttl: Option<Duration>) -> Result<(), Failure> {
        let value = self.options.own(value)?;
        self.table.set(key, value, SetOptions { ttl, if_absent: false });
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        self.table.delete(key)
    }

    fn expire(&mut self, key: &[u8], ttl: Option<Duration>) -> bool {
        self.table.expire(key, ttl)
    }

    fn ttl(&mut self, key: &[u8]) -> Ttl {
        self.table.ttl(key)
    }
}

/// A call that has its answer already.
fn done<'a, T: Send + 'a>(answer: Result<T, Failure>) -> Call<'a, T> {
    Box::pin(ready(answer))
}

/// A key that is not too long.
fn checked(key: &[u8]) -> Result<&[u8], Failure> {
    if key.len() <= MAX_KEY {
        return Ok(key);
    }
    let detail = format!("The key has {} bytes; at most {MAX_KEY} are taken.", key.len());
    Err(Failure::client(Code::TooLarge, detail))
}

/// A whole number, written the one way in which sums are written: neither `+1` nor `007`.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
