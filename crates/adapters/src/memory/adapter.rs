//! The adapter: the store with today's clock, its limits and its failures.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Code, Failure};

use super::glob::{Glob, MOST};
use super::kept;
use super::options::Options;
use super::scan::{self, Position};
use super::shard::{Gone, NoSum, size_of};
use super::store::{Hold, Store};
use crate::embedded::gate;
use crate::key_value::{Exclusive, HeldKeys, KeyValue, MAX_KEY, Page, SetOptions, Ttl, Value};
use crate::{Adapter, Call};

/// One cache of this process.
pub(super) struct MemoryAdapter {
    store: Store,
    max_value: u64,
}

impl MemoryAdapter {
    pub(super) fn new(options: Options) -> Self {
        MemoryAdapter { store: Store::new(options), max_value: options.max_value }
    }
}

impl Adapter for MemoryAdapter {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn key_value(&self) -> Option<&dyn KeyValue> {
        Some(self)
    }

    fn leave(&self, file: &Path, until: Instant) -> Call<'_, ()> {
        let left = kept::leave(&self.store, file, until).map_err(|error| unkept(file, "left", &error));
        Box::pin(std::future::ready(left))
    }

    fn take_up(&self, file: &Path, until: Instant) -> Call<'_, ()> {
        let taken = kept::take_up(&self.store, file, until).map_err(|error| unkept(file, "taken up", &error));
        Box::pin(std::future::ready(taken))
    }

    fn sweep(&self) {
        self.store.sweep(Instant::now());
    }
}

impl KeyValue for MemoryAdapter {
    fn get<'a>(&'a self, key: &'a [u8]) -> Call<'a, Option<Value>> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.store.get(key, Instant::now()))
        })
    }

    fn set<'a>(&'a self, key: &'a [u8], value: Value, options: SetOptions) -> Call<'a, bool> {
        Box::pin(async move {
            check_key(key)?;
            let value = own(value, self.max_value)?;
            Ok(self.store.set(key, value, options, Instant::now())?)
        })
    }

    fn delete<'a>(&'a self, key: &'a [u8]) -> Call<'a, bool> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.store.delete(key, Instant::now())?)
        })
    }

    fn incr<'a>(&'a self, key: &'a [u8], by: i64) -> Call<'a, i64> {
        Box::pin(async move {
            check_key(key)?;
            self.store.incr(key, by, Instant::now()).map_err(|why| {
                let detail = match why {
                    NoSum::NotANumber => "The value is not a whole number of 64 bits.",
                    NoSum::Overflow => "The sum is not a whole number of 64 bits.",
                    NoSum::Gone => return gate::given_away(),
                };
                Failure::client(Code::CommandFailed, detail)
            })
        })
    }

    fn expire<'a>(&'a self, key: &'a [u8], ttl: Option<Duration>) -> Call<'a, bool> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.store.expire(key, ttl, Instant::now())?)
        })
    }

    fn ttl<'a>(&'a self, key: &'a [u8]) -> Call<'a, Ttl> {
        Box::pin(async move {
            check_key(key)?;
            Ok(self.store.ttl(key, Instant::now()))
        })
    }

    fn scan<'a>(
        &'a self,
        pattern: Option<&'a [u8]>,
        cursor: Option<&'a [u8]>,
        limit: usize,
    ) -> Call<'a, Page> {
        Box::pin(async move {
            let glob = Glob::new(pattern.unwrap_or(b"*")).map_err(|_| {
                let detail =
                    format!("The pattern has more than {MOST} characters behind its first wildcard.");
                Failure::client(Code::InvalidRequest, detail)
            })?;
            cursor
                .map_or(Some(Position::default()), Position::from_cursor)
                .and_then(|position| scan::page(&self.store, &glob, position, limit, Instant::now()))
                .ok_or_else(|| {
                    Failure::client(Code::InvalidRequest, "The cursor is not one that a scan gave.")
                })
        })
    }

    fn exclusive(&self) -> Option<&dyn Exclusive> {
        Some(self)
    }
}

impl Exclusive for MemoryAdapter {
    fn hold(&self, keys: &[&[u8]], work: &mut dyn FnMut(&mut dyn HeldKeys)) -> Result<(), Failure> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let hold = self.store.hold(keys, Instant::now())?;
        work(&mut Held { hold, max_value: self.max_value });
        Ok(())
    }
}

/// Held keys, with the limit of values.
struct Held<'s> {
    hold: Hold<'s>,
    max_value: u64,
}

impl HeldKeys for Held<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Value> {
        self.hold.get(key)
    }

    fn set(&mut self, key: &[u8], value: Value, ttl: Option<Duration>) -> Result<(), Failure> {
        self.hold.set(key, own(value, self.max_value)?, ttl);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        self.hold.delete(key)
    }

    fn expire(&mut self, key: &[u8], ttl: Option<Duration>) -> bool {
        self.hold.expire(key, ttl)
    }

    fn ttl(&mut self, key: &[u8]) -> Ttl {
        self.hold.ttl(key)
    }
}

/// A value as it is kept: a copy, since its bytes may be a small part of a large buffer that would stay with them.
fn own(value: Value, most: u64) -> Result<Value, Failure> {
    let size = size_of(&value);
    if size as u64 <= most {
        return Ok(Value { bytes: Bytes::copy_from_slice(&value.bytes), ..value });
    }
    Err(Failure::client(Code::TooLarge, format!("The value has {size} bytes; at most {most} are kept."))
        .with_hint("Raise `max_value` of the service."))
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        gate::given_away()
    }
}

fn unkept(file: &Path, verb: &str, error: &io::Error) -> Failure {
    let detail = format!("What the cache holds could not be {verb} in `{}`: {error}.", file.display());
    Failure::gateway(Code::Internal, detail)
}

fn check_key(key: &[u8]) -> Result<(), Failure> {
    if key.len() <= MAX_KEY {
        return Ok(());
    }
    let detail = format!("The key has {} bytes; at most {MAX_KEY} are taken.", key.len());
    Err(Failure::client(Code::TooLarge, detail))
}
