//! What a cache can be asked to do, each as one value that can be asked again.

use std::time::Duration;

use adapters::key_value::{KeyValue, Page, SetOptions, Sought, Ttl, Value};
use adapters::{Adapter, Call};
use bytes::Bytes;
use clusters::{Access, Service};
use model::kind::Ability;
use tokio::time::Instant;

use crate::data::ask::Operation;

/// Something that a cache can be asked to do.
pub(crate) trait OnKeys: Sync {
    /// As metrics and activity name it.
    const NAME: &'static str;
    /// Which endpoints may be asked.
    const ACCESS: Access;
    /// What comes back.
    type Answer: Send;

    /// The same, where what is asked for says more.
    fn access(&self) -> Access {
        Self::ACCESS
    }

    /// The key, or the pattern, for its shape.
    fn key(&self) -> &[u8];

    /// What is asked for, by which one of several servers is found.
    fn sought(&self) -> Sought<'_> {
        Sought::Key(self.key())
    }

    /// Asks.
    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, Self::Answer>;
}

impl<O: OnKeys> Operation for O {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = O::Answer;

    fn name(&self) -> &'static str {
        O::NAME
    }

    fn access(&self) -> Access {
        OnKeys::access(self)
    }

    fn rerun(&self) -> bool {
        O::ACCESS == Access::Read
    }

    fn place(&self, adapter: &dyn Adapter) -> Option<String> {
        adapter.key_value()?.place(self.sought())
    }

    fn shape(&self) -> Box<str> {
        shape(self.key())
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, _deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        Some(OnKeys::run(self, adapter.key_value()?))
    }
}

/// Whom a walk over keys is asked of. Where it goes on is a place in the tables of one server, and replicas have others:
/// of several it is the primary.
pub(crate) fn walk_access(service: &Service) -> Access {
    if service.endpoints.len() > 1 { Access::Write } else { Access::Read }
}

/// What may be written down of a key: what stands before its first colon, which names a kind of thing.
pub(crate) fn shape(key: &[u8]) -> Box<str> {
    /// A longer prefix is hardly the name of a kind of thing.
    const LONGEST: usize = 64;
    let end = key.iter().take(LONGEST).position(|byte| *byte == b':');
    match end.and_then(|end| std::str::from_utf8(&key[..=end]).ok()) {
        Some(prefix) if !prefix.contains(|c: char| c.is_control() || "*?[\\".contains(c)) => {
            let mut shape = String::with_capacity(prefix.len() + 1);
            shape.push_str(prefix);
            shape.push('*');
            shape.into()
        }
        _ => "*".into(),
    }
}

pub(crate) struct Get<'k> {
    pub(crate) key: &'k [u8],
}

impl OnKeys for Get<'_> {
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

pub(crate) struct Set<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) value: Value,
    pub(crate) options: SetOptions,
}

impl OnKeys for Set<'_> {
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

pub(crate) struct Delete<'k> {
    pub(crate) key: &'k [u8],
}

impl OnKeys for Delete<'_> {
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

pub(crate) struct Incr<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) by: i64,
}

impl OnKeys for Incr<'_> {
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

pub(crate) struct Expire<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) ttl: Duration,
}

impl OnKeys for Expire<'_> {
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

pub(crate) struct TimeToLive<'k> {
    pub(crate) key: &'k [u8],
}

impl OnKeys for TimeToLive<'_> {
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

pub(crate) struct Scan<'k> {
    pub(crate) access: Access,
    pub(crate) pattern: Option<&'k [u8]>,
    pub(crate) cursor: Option<Bytes>,
    pub(crate) limit: usize,
}

impl OnKeys for Scan<'_> {
    const NAME: &'static str = "SCAN";
    const ACCESS: Access = Access::Read;
    type Answer = Page;

    fn access(&self) -> Access {
        self.access
    }

    fn key(&self) -> &[u8] {
        self.pattern.unwrap_or_default()
    }

    fn sought(&self) -> Sought<'_> {
        Sought::Page(self.cursor.as_deref())
    }

    fn run<'a>(&'a self, cache: &'a dyn KeyValue) -> Call<'a, Page> {
        cache.scan(self.pattern, self.cursor.as_deref(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn a_shape_never_holds_what_tells_one_key_from_another() {
        for (key, expected) in [
            (&b"user:42"[..], "user:*"),
            (b"user:42:name", "user:*"),
            (b"secret", "*"),
            (b"", "*"),
            (b":x", ":*"),
            (b"us\ner:1", "*"),
            (b"\xff:1", "*"),
            (b"us?r:*", "*"),
            (&[b'a'; 100], "*"),
        ] {
            assert_eq!(&*shape(key), expected, "{key:?}");
        }
    }
}
