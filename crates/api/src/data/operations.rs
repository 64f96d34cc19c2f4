//! What a cache can be asked to do, each as one value that can be asked again.

use std::time::Duration;

use adapters::Call;
use adapters::key_value::{KeyValue, Page, SetOptions, Ttl, Value};
use bytes::Bytes;
use clusters::Access;

use super::ask::Operation;

pub(super) struct Get<'k> {
    pub(super) key: &'k [u8],
}

impl Operation for Get<'_> {
    const NAME: &'static str = "GET";
    const ACCESS: Access = Access::Read;
    type Answer = Option<Value>;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, Self::Answer> {
        cache.get(self.key)
    }
}

pub(super) struct Set<'k> {
    pub(super) key: &'k [u8],
    pub(super) value: Value,
    pub(super) options: SetOptions,
}

impl Operation for Set<'_> {
    const NAME: &'static str = "SET";
    const ACCESS: Access = Access::Write;
    type Answer = bool;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, bool> {
        // The bytes are shared; only a media type, which few values have, is copied.
        cache.set(self.key, self.value.clone(), self.options)
    }
}

pub(super) struct Delete<'k> {
    pub(super) key: &'k [u8],
}

impl Operation for Delete<'_> {
    const NAME: &'static str = "DELETE";
    const ACCESS: Access = Access::Write;
    type Answer = bool;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, bool> {
        cache.delete(self.key)
    }
}

pub(super) struct Incr<'k> {
    pub(super) key: &'k [u8],
    pub(super) by: i64,
}

impl Operation for Incr<'_> {
    const NAME: &'static str = "INCR";
    const ACCESS: Access = Access::Write;
    type Answer = i64;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, i64> {
        cache.incr(self.key, self.by)
    }
}

pub(super) struct Expire<'k> {
    pub(super) key: &'k [u8],
    pub(super) ttl: Duration,
}

impl Operation for Expire<'_> {
    const NAME: &'static str = "EXPIRE";
    const ACCESS: Access = Access::Write;
    type Answer = bool;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, bool> {
        cache.expire(self.key, Some(self.ttl))
    }
}

pub(super) struct TimeToLive<'k> {
    pub(super) key: &'k [u8],
}

impl Operation for TimeToLive<'_> {
    const NAME: &'static str = "TTL";
    const ACCESS: Access = Access::Read;
    type Answer = Ttl;

    fn key(&self) -> &[u8] {
        self.key
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, Ttl> {
        cache.ttl(self.key)
    }
}

pub(super) struct Scan<'k> {
    pub(super) pattern: Option<&'k [u8]>,
    pub(super) cursor: Option<Bytes>,
    pub(super) limit: usize,
}

impl Operation for Scan<'_> {
    const NAME: &'static str = "SCAN";
    const ACCESS: Access = Access::Read;
    type Answer = Page;

    fn key(&self) -> &[u8] {
        self.pattern.unwrap_or_default()
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, Page> {
        cache.scan(self.pattern, self.cursor.as_deref(), self.limit)
    }
}
