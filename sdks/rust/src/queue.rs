//! A cluster's queue: publishing, topics and groups. What reads messages is in `consume`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address::{escape, with_query};
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::consume::Consume;
use crate::error::Error;
use crate::page::Paged;

/// A queue of a cluster; from [`ClusterHandle::queue`](crate::ClusterHandle::queue).
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    /// `/api/v1/clusters/{id}/queue`
    base: String,
    service: Option<String>,
}

/// A message to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Its content.
    pub value: Bytes,
    /// Messages of one key keep their order.
    pub key: Option<String>,
    /// What travels with it.
    pub headers: BTreeMap<String, String>,
}

impl Message {
    /// A message without key and headers.
    pub fn new(value: impl Into<Bytes>) -> Message {
        Message { value: value.into(), ..Message::default() }
    }

    /// The same with this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Message {
        self.key = Some(key.to_owned());
        self
    }

    /// The same with this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Message {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn json(&self) -> Value {
        let mut body = match std::str::from_utf8(&self.value) {
            Ok(text) => json!({ "message": text }),
            Err(_) => json!({ "message": STANDARD.encode(&self.value), "encoding": "base64" }),
        };
        if let Some(key) = &self.key {
            body["key"] = json!(key);
        }
        if !self.headers.is_empty() {
            body["headers"] = json!(self.headers);
        }
        body
    }
}

/// Where a message was put.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// Its topic.
    #[serde(default)]
    pub topic: String,
    /// Its partition, from 0.
    pub partition: u32,
    /// Its place in the partition, from 0.
    pub offset: u64,
}

/// What became of one of several messages.
#[derive(Debug)]
#[non_exhaustive]
pub enum Published {
    /// It is stored.
    Stored(Receipt),
    /// It is not, and this is why.
    Refused(Error),
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Topic {
    /// Its name.
    pub topic: String,
    /// Its parts: each keeps the order of its messages.
    #[serde(default)]
    pub num_partitions: u32,
    /// Copies.
    #[serde(default)]
    pub replication_factor: u32,
    /// Messages older than this go; `None`, they stay.
    #[serde(default)]
    pub retention_ms: Option<u64>,
    /// The oldest messages go when there is more; `None`, they stay.
    #[serde(default)]
    pub retention_bytes: Option<u64>,
    /// Messages in it; `None` while somebody who knows cannot be asked.
    #[serde(default)]
    pub messages: Option<u64>,
    /// Bytes that they take.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// How a topic is created; what is left out is the queue's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TopicOptions {
    /// Its parts; left out, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_partitions: Option<u32>,
    /// Copies; left out, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u32>,
    /// How long messages stay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// How many bytes of them stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
}

/// Those who read a topic together, each message by one of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// The topic.
    pub topic: String,
    /// Its name.
    pub group: String,
    /// Those who read now.
    #[serde(default)]
    pub consumers: Vec<String>,
    /// Messages that are not settled; `None` while somebody who knows cannot be asked.
    #[serde(default)]
    pub lag: Option<u64>,
    /// How far it is in each partition.
    #[serde(default)]
    pub partitions: Vec<Progress>,
}

/// How far a group is in a partition; nothing but its number while nobody who knows can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Progress {
    /// The partition, from 0.
    pub partition: u32,
    /// All before this offset are settled.
    pub settled: Option<u64>,
    /// Where the partition ends.
    pub next: Option<u64>,
    /// Messages that are not settled.
    pub lag: Option<u64>,
    /// Messages that were given out and not answered.
    pub delivered: Option<u64>,
}

/// Where a group is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the oldest message there is.
    Earliest,
    /// After the newest.
    Latest,
    /// At this offset of each partition.
    Offset(u64),
}

/// The answer for messages that were delivered, by the tokens that came with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// Done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<String>,
    /// To come again, after a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nack: Vec<Nack>,
    /// Never to come again: to the dead letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub term: Vec<String>,
}

/// A message that shall come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nack {
    /// Its token.
    pub ack: String,
    /// After this long, in milliseconds; left out, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct Acknowledged {
    acknowledged: u64,
}

impl Queue {
    pub(crate) fn new(client: Client, cluster: &str) -> Queue {
        Queue { client, base: format!("{cluster}/queue"), service: None }
    }

    /// The queue of this service, where the cluster has several. Left out, the gateway takes the only one
    /// there is, or fails with `ambiguous_service` and their names.
    #[must_use]
    pub fn service(mut self, name: &str) -> Queue {
        self.service = Some(name.to_owned());
        self
    }

    /// Publishes a message; where it was put. Tried again by itself: it is stored once however many tries
    /// arrive.
    pub fn publish(&self, topic: &str, message: &Message) -> Call<Receipt> {
        let mut body = message.json();
        body["topic"] = json!(topic);
        self.publishing(&body).decoded_by(|reply| {
            let first = reply.json::<Results>()?.results.into_iter().next();
            match published(first.unwrap_or_default())? {
                Published::Stored(receipt) => Ok(receipt),
                Published::Refused(error) => Err(error),
            }
        })
    }

    /// Publishes several; what became of each, in their order. Some may be stored and others not.
    pub fn publish_all(&self, topic: &str, messages: &[Message]) -> Call<Vec<Published>> {
        let messages: Vec<Value> = messages.iter().map(Message::json).collect();
        let body = json!({ "topic": topic, "messages": messages });
        self.publishing(&body)
            .decoded_by(|reply| reply.json::<Results>()?.results.into_iter().map(published).collect())
    }

    fn publishing(&self, body: &Value) -> Call<Value> {
        let request = Outgoing::post(self.path("/publish"), Patience::Data).json(body);
        self.client.call(request.once(one_of_a_kind()))
    }

    /// Reads the topic as one of this group. Nothing is sent before [`Consume::open`].
    #[must_use]
    pub fn consume(&self, topic: &str, group: &str) -> Consume {
        Consume::new(self.clone(), topic, group)
    }

    /// Answers for messages that were delivered; how many of the answers still counted. Twice is as good as
    /// once.
    pub fn settle(&self, topic: &str, group: &str, settlement: &Settlement) -> Call<u64> {
        let mut body = json!(settlement);
        body["topic"] = json!(topic);
        body["group"] = json!(group);
        let request = Outgoing::post(self.path("/ack"), Patience::Data).reads_only();
        self.client
            .call::<Value>(request.json(&body))
            .decoded_by(|reply| Ok(reply.json::<Acknowledged>()?.acknowledged))
    }

    /// Says that messages are done, by their tokens.
    pub fn ack(&self, topic: &str, group: &str, tokens: &[String]) -> Call<u64> {
        self.settle(topic, group, &Settlement { ack: tokens.to_vec(), ..Settlement::default() })
    }

    /// Its topics, by name.
    pub fn topics(&self) -> Paged<Topic> {
        Paged::new(self.client.clone(), self.path("/topics"), "topics", Patience::Data)
    }

    /// One topic.
    pub fn topic(&self, name: &str) -> Call<Topic> {
        self.client.call(Outgoing::get(self.path(&topic_path(name)), Patience::Data))
    }

    /// Creates a topic.
    pub fn create_topic(&self, name: &str, options: &TopicOptions) -> Call<Topic> {
        let mut body = json!(options);
        body["topic"] = json!(name);
        self.client.call(Outgoing::post(self.path("/topics"), Patience::Data).json(&body))
    }

    /// Removes a topic with its messages and its groups.
    pub fn delete_topic(&self, name: &str) -> Call<Value> {
        self.client.call(Outgoing::new(Method::DELETE, self.path(&topic_path(name)), Patience::Data))
    }

    /// The groups of a topic, or of all topics.
    pub fn groups(&self, topic: Option<&str>) -> Paged<Group> {
        let path = with_query(&self.path("/groups"), &[("topic", topic)]);
        Paged::new(self.client.clone(), path, "groups", Patience::Data)
    }

    /// Removes a group: how far it was is forgotten.
    pub fn delete_group(&self, topic: &str, group: &str) -> Call<Value> {
        let path = self.path(&format!("/groups/{}", escape(group)));
        let path = with_query(&path, &[("topic", Some(topic))]);
        self.client.call(Outgoing::new(Method::DELETE, path, Patience::Data))
    }

    /// Sets a group to another place in its topic.
    pub fn reset_group(&self, topic: &str, group: &str, to: Position) -> Call<Value> {
        let to = match to {
            Position::Earliest => json!("earliest"),
            Position::Latest => json!("latest"),
            Position::Offset(offset) => json!(offset),
        };
        let path = self.path(&format!("/groups/{}/reset", escape(group)));
        self.client.call(Outgoing::post(path, Patience::Data).json(&json!({ "topic": topic, "to": to })))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        with_query(&format!("{}{rest}", self.base), &[("service", self.service.as_deref())])
    }
}

fn topic_path(name: &str) -> String {
    format!("/topics/{}", escape(name))
}

fn published(result: Value) -> Result<Published, Error> {
    if let Some(problem) = result.get("error").filter(|problem| problem.is_object()) {
        return Ok(Published::Refused(Error::from_problem(problem)));
    }
    serde_json::from_value(result)
        .map(Published::Stored)
        .map_err(|source| Error::unreadable("the answer does not say where the message is", source))
}

/// A text that no other call has: 128 random bits, from the keys of hash maps.
fn one_of_a_kind() -> String {
    let half = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_are_the_same() {
        let keys: std::collections::BTreeSet<_> = (0..1000).map(|_| one_of_a_kind()).collect();
        assert_eq!((keys.len(), keys.first().map(String::len)), (1000, Some(32)));
    }
}
