//! A cluster's cache: bytes under keys, with a time to live.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::with_query;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::error::Error;
use crate::page::Paged;
use crate::reply::Reply;

/// A cache of a cluster; from [`ClusterHandle::cache`](crate::ClusterHandle::cache).
#[derive(Debug, Clone)]
pub struct Cache {
    client: Client,
    /// `/api/v1/clusters/{id}/cache`
    base: String,
    service: Option<String>,
}

/// How long a key still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeToLive {
    /// There is no such key.
    Missing,
    /// It does not expire.
    Unlimited,
    /// It expires after this long.
    Left(Duration),
}

impl Cache {
    pub(crate) fn new(client: Client, cluster: &str) -> Cache {
        Cache { client, base: format!("{cluster}/cache"), service: None }
    }

    /// The cache of this service, where the cluster has several. Left out, the gateway takes the only one
    /// there is, or fails with `ambiguous_service` and their names.
    #[must_use]
    pub fn service(mut self, name: &str) -> Cache {
        self.service = Some(name.to_owned());
        self
    }

    /// The value; `None` where there is no such key.
    pub fn get(&self, key: &str) -> Call<Option<Bytes>> {
        let request = Outgoing::post(self.path("/get"), Patience::Data).reads_only();
        self.client.call::<Value>(request.json(&json!({ "key": key }))).decoded_by(Cache::value_of)
    }

    /// The value as text; `None` where there is no such key, an error where it is not UTF-8.
    pub fn get_text(&self, key: &str) -> Call<Option<String>> {
        self.get(key).decoded_by(|reply| {
            let Some(value) = Cache::value_of(reply)? else { return Ok(None) };
            let text = String::from_utf8(value.into());
            text.map(Some).map_err(|source| Error::unreadable("the value is not UTF-8", source.utf8_error()))
        })
    }

    /// Stores a value that does not expire.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Call<()> {
        self.store(key, value.as_ref(), None)
    }

    /// Stores a value that expires.
    pub fn set_with_ttl(&self, key: &str, value: impl AsRef<[u8]>, ttl: Duration) -> Call<()> {
        self.store(key, value.as_ref(), Some(ttl))
    }

    fn store(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Call<()> {
        let mut body = match std::str::from_utf8(value) {
            Ok(text) => json!({ "key": key, "value": text }),
            Err(_) => json!({ "key": key, "value": STANDARD.encode(value), "encoding": "base64" }),
        };
        if let Some(ttl) = ttl {
            body["ttl"] = seconds(ttl);
        }
        self.post("/set", &body).decoded_by(|_| Ok(()))
    }

    /// Removes a key; whether it was there.
    pub fn delete(&self, key: &str) -> Call<bool> {
        self.post("/delete", &json!({ "key": key })).decoded_by(|reply| yes(reply, "deleted"))
    }

    /// Adds to a whole number, which is 0 where there is no such key; the sum.
    pub fn incr(&self, key: &str, by: i64) -> Call<i64> {
        self.post("/incr", &json!({ "key": key, "by": by })).decoded_by(|reply| {
            let value = reply.json::<Value>()?["value"].take();
            let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            number.ok_or_else(|| Error::unreadable("the sum is not a whole number", "no integer in `value`"))
        })
    }

    /// Sets how long a key still lives; whether it is there.
    pub fn expire(&self, key: &str, ttl: Duration) -> Call<bool> {
        self.post("/expire", &json!({ "key": key, "ttl": seconds(ttl) }))
            .decoded_by(|reply| yes(reply, "updated"))
    }

    /// How long a key still lives.
    pub fn ttl(&self, key: &str) -> Call<TimeToLive> {
        let path = with_query(&self.path("/ttl"), &[("key", Some(key))]);
        self.client.call::<Value>(Outgoing::get(path, Patience::Data)).decoded_by(Cache::ttl_of)
    }

    /// The keys that match a pattern (`*` for all), in no order. What is added or removed meanwhile may be
    /// there or not.
    pub fn scan(&self, pattern: &str) -> Paged<String> {
        let path = with_query(&self.path("/keys"), &[("match", Some(pattern))]);
        Paged::new(self.client.clone(), path, "keys", Patience::Data)
    }

    /// What awaiting [`Cache::get`] makes of its reply, for callers who want both.
    ///
    /// # Errors
    /// It is no such reply.
    pub fn value_of(reply: &Reply) -> Result<Option<Bytes>, Error> {
        let answer: GetAnswer = reply.json()?;
        let Some(value) = answer.value.filter(|_| answer.found) else { return Ok(None) };
        match answer.encoding.as_deref() {
            None => Ok(Some(value.into())),
            Some("base64") => STANDARD
                .decode(value)
                .map(|value| Some(value.into()))
                .map_err(|source| Error::unreadable("the value is not base64", source)),
            Some(_) => Err(Error::unreadable("the value's encoding is one of a later version", "not base64")),
        }
    }

    /// What awaiting [`Cache::ttl`] makes of its reply, for callers who want both.
    ///
    /// # Errors
    /// It is no such reply.
    pub fn ttl_of(reply: &Reply) -> Result<TimeToLive, Error> {
        let answer: TtlAnswer = reply.json()?;
        match (answer.found, answer.ttl) {
            (false, _) => Ok(TimeToLive::Missing),
            (true, None) => Ok(TimeToLive::Unlimited),
            (true, Some(ttl)) => Duration::try_from_secs_f64(ttl)
                .map(TimeToLive::Left)
                .map_err(|source| Error::unreadable("the time to live is not one", source)),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Call<Value> {
        self.client.call(Outgoing::post(self.path(path), Patience::Data).json(body))
    }

    fn path(&self, rest: &str) -> String {
        with_query(&format!("{}{rest}", self.base), &[("service", self.service.as_deref())])
    }
}

#[derive(Deserialize)]
struct GetAnswer {
    #[serde(default)]
    found: bool,
    value: Option<String>,
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct TtlAnswer {
    found: bool,
    ttl: Option<f64>,
}

/// `true`, or a count that is not 0.
fn yes(reply: &Reply, field: &str) -> Result<bool, Error> {
    match &reply.json::<Value>()?[field] {
        Value::Bool(yes) => Ok(*yes),
        Value::Number(count) => Ok(count.as_u64() != Some(0)),
        _ => Err(Error::unreadable(
            "the answer does not say whether it was done",
            "neither a boolean nor a count",
        )),
    }
}

/// As a whole number where it is one: that is how people write it.
fn seconds(ttl: Duration) -> Value {
    if ttl.subsec_nanos() == 0 { json!(ttl.as_secs()) } else { json!(ttl.as_secs_f64()) }
}
