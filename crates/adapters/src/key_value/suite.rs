//! The contract of [`KeyValue`] as tests: every kind that keeps keys and values must pass it, unchanged.
//!
//! Each rule is one function that panics with what it saw. Rules write under a beginning of their own, so
//! that they run against an engine that others use, and take their keys out when they have passed.

mod exclusive;
mod numbers;
mod scans;
mod times;
mod values;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use model::{Code, Failure};

use super::{KeyValue, SetOptions, Ttl, Value};
use crate::{Adapter, Call};

/// Runs every rule. Takes about two seconds, and tasks that run at once, so that a runtime of several threads
/// proves the most.
///
/// # Panics
/// When a rule is broken, or the adapter keeps no keys and values.
pub async fn run(adapter: &Arc<dyn Adapter>) {
    let subject = Subject::new(Arc::clone(adapter));
    values::run(&subject).await;
    times::run(&subject).await;
    numbers::run(&subject).await;
    scans::run(&subject).await;
    exclusive::run(&subject).await;
    subject.clear().await;
}

/// What is tested, with its calls in the short form that rules read best in.
struct Subject {
    adapter: Arc<dyn Adapter>,
    prefix: String,
}

impl Subject {
    fn new(adapter: Arc<dyn Adapter>) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Subject { adapter, prefix: format!("suite:{}:{nanos}:", std::process::id()) }
    }

    fn kv(&self) -> &dyn KeyValue {
        self.adapter.key_value().expect("the adapter keeps keys and values")
    }

    /// A key of this run.
    fn key(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_ref()].concat()
    }

    async fn get(&self, key: &[u8]) -> Option<Value> {
        passed("get", self.kv().get(key)).await
    }

    async fn text(&self, key: &[u8]) -> Option<String> {
        self.get(key).await.map(|value| String::from_utf8_lossy(&value.bytes).into_owned())
    }

    async fn set(&self, key: &[u8], value: impl Into<Bytes>) {
        assert!(self.set_with(key, value, SetOptions::default()).await, "a plain set always stores");
    }

    async fn set_with(&self, key: &[u8], value: impl Into<Bytes>, options: SetOptions) -> bool {
        passed("set", self.kv().set(key, Value::plain(value), options)).await
    }

    async fn delete(&self, key: &[u8]) -> bool {
        passed("delete", self.kv().delete(key)).await
    }

    async fn incr(&self, key: &[u8], by: i64) -> i64 {
        passed("incr", self.kv().incr(key, by)).await
    }

    async fn expire(&self, key: &[u8], ttl: Option<Duration>) -> bool {
        passed("expire", self.kv().expire(key, ttl)).await
    }

    async fn ttl(&self, key: &[u8]) -> Ttl {
        passed("ttl", self.kv().ttl(key)).await
    }

    /// Every key that a whole scan shows, in the order in which it does.
    async fn scan(&self, pattern: &[u8], limit: usize) -> Vec<Bytes> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = passed("scan", self.kv().scan(Some(pattern), cursor.as_deref(), limit)).await;
            keys.extend(page.keys);
            cursor = page.next;
            if cursor.is_none() {
                return keys;
            }
        }
    }

    async fn clear(&self) {
        for key in self.scan(&self.key("*"), 1000).await {
            self.delete(&key).await;
        }
    }
}

async fn passed<T>(call: &str, result: Call<'_, T>) -> T {
    result.await.unwrap_or_else(|failure| panic!("{call} failed: {failure}"))
}

/// The code of a call that must fail.
async fn refused<T: std::fmt::Debug>(call: Call<'_, T>) -> Code {
    let failure: Failure = call.await.expect_err("this call must be refused");
    failure.code()
}
