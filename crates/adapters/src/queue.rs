//! The ability to keep messages in topics and hand them to groups of consumers.
//!
//! A topic has partitions, and a message with a key always goes to the same one. A group reads each partition
//! by one consumer at a time, in order, and remembers what was settled. What is not settled within its lease
//! comes again with `delivery` raised.

use std::time::Duration;

use bytes::Bytes;
use model::Failure;

use crate::Call;

pub(crate) mod murmur2;
pub(crate) mod names;
pub(crate) mod seal;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub(crate) mod varint;

/// The longest name of a topic or group, in bytes. Both are `[A-Za-z0-9._-]`, as Kafka has it.
pub const MAX_NAME: usize = 249;

/// A message on this delivery that is not settled goes to the dead letters.
pub const LAST_DELIVERY: u32 = 10;

/// How long joining a group may wait for what the group decides, beyond the time of other calls: brokers that gather the
/// first consumers of a group do so for three seconds unless they are told otherwise.
pub const JOINING: Duration = Duration::from_secs(4);

/// What is put behind the name of a topic for its dead letters.
pub const DEAD_LETTERS: &str = ".dead";

/// A message to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Messages of one key go to one partition, and so stay in order.
    pub key: Option<Bytes>,
    /// What it says.
    pub value: Bytes,
    /// Names and values that travel with it.
    pub headers: Vec<(Box<str>, Bytes)>,
}

/// Where a published message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its partition.
    pub partition: u32,
    /// Its place there.
    pub offset: u64,
}

/// Publishing that may be sent again: the same key gives the receipts of the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// What the client calls this publish.
    pub key: Box<str>,
    /// What it publishes: another fingerprint under the same key is `idempotency_mismatch`.
    pub fingerprint: [u8; 32],
}

/// A topic as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: Box<str>,
    /// At least 1.
    pub partitions: u32,
    /// Copies that the engine keeps; an engine that keeps one takes 1 only.
    pub replication_factor: u16,
    /// How long messages stay; `None` is the engine's default.
    pub retention: Option<Duration>,
    /// How many bytes of messages stay; `None` is the engine's default.
    pub retention_bytes: Option<u64>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Box<str>,
    /// Where each partition begins and ends; `None` while nobody who knows can be asked.
    pub partitions: Vec<Option<Extent>>,
    /// Copies that are kept.
    pub replication_factor: u16,
    /// How long messages stay; `None` is for ever.
    pub retention: Option<Duration>,
    /// How many bytes of messages stay; `None` is any number.
    pub retention_bytes: Option<u64>,
    /// Bytes of messages that it holds, where the engine knows.
    pub bytes: Option<u64>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The oldest message that is kept.
    pub earliest: u64,
    /// Where the next message goes.
    pub next: u64,
}

impl Extent {
    /// Offsets that stand between the two: messages, but for those that were taken out in between.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.next.saturating_sub(self.earliest)
    }
}

/// Where a group begins that has no place yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum From {
    /// At the oldest message.
    #[default]
    Earliest,
    /// Behind the newest.
    Latest,
}

/// How a consumer joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// What it reads.
    pub topic: Box<str>,
    /// For whom.
    pub group: Box<str>,
    /// Where a new group begins.
    pub from: From,
    /// Messages that may be delivered and unsettled at a time; at least 1.
    pub credit: u32,
    /// How long a delivered message waits for its settlement.
    pub lease: Duration,
    /// The `resume` of the last delivery that arrived: what was delivered to that consumer behind it and is
    /// not settled comes again at once.
    pub resume: Option<Box<str>>,
}

/// A message on its way to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its partition.
    pub partition: u32,
    /// Its place there.
    pub offset: u64,
    /// Its key.
    pub key: Option<Bytes>,
    /// What it says.
    pub value: Bytes,
    /// Names and values that travel with it.
    pub headers: Vec<(Box<str>, Bytes)>,
    /// When it was published, in milliseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// How often it was delivered to the group, this time included.
    pub delivery: u32,
    /// What settles it.
    pub ack: Box<str>,
    /// What resumes behind it.
    pub resume: Box<str>,
}

/// What happens to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Messages have come; at least one.
    Messages(Vec<Delivery>),
    /// The partitions that are its own have changed.
    Assignment(Vec<u32>),
}

/// How deliveries are settled, by the `ack` of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Of which topic.
    pub topic: Box<str>,
    /// Of which group.
    pub group: Box<str>,
    /// Done with.
    pub ack: Vec<Box<str>>,
    /// To come again, after this long.
    pub nack: Vec<(Box<str>, Duration)>,
    /// Never to come again: they go to the dead letters.
    pub term: Vec<Box<str>>,
}

/// A group that reads a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its topic.
    pub topic: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Consumers that read for it now.
    pub consumers: Vec<Box<str>>,
    /// Where it stands in each partition; `None` while it is not known where that ends.
    pub partitions: Vec<Option<Progress>>,
}

/// Where a group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Everything before it is settled.
    pub settled: u64,
    /// Where the next message of the partition goes.
    pub next: u64,
    /// Messages that are not settled, delivered or not.
    pub lag: u64,
    /// Of these, those that are delivered.
    pub delivered: u64,
}

/// Where a group is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// To the oldest message of each partition.
    Earliest,
    /// Behind the newest of each partition.
    Latest,
    /// To this offset of each partition, or its nearest end.
    Offset(u64),
}

/// Topics, and groups that read them. A topic or group that is not there is `not_found`; a name that is none
/// is `invalid_request`; a message that is too large is `too_large`.
pub trait Queue: Send + Sync {
    /// Publishes in order; answers when all that is acknowledged is on the disk of the engine. One result for
    /// each message. A topic that is not there is made where the engine is set so.
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        messages: &'a [Message],
        idempotency: Option<&'a Idempotency>,
    ) -> Call<'a, Vec<Result<Receipt, Failure>>>;

    /// Makes a topic; `already_exists` when there is one of that name.
    fn create_topic<'a>(&'a self, spec: &'a TopicSpec) -> Call<'a, Topic>;

    /// A topic.
    fn topic<'a>(&'a self, name: &'a str) -> Call<'a, Topic>;

    /// All topics, by name.
    fn topics(&self) -> Call<'_, Vec<Topic>>;

    /// Takes a topic out, with its messages and what its groups remember. Consumers of it end.
    fn delete_topic<'a>(&'a self, name: &'a str) -> Call<'a, ()>;

    /// Joins a group.
    fn consume<'a>(&'a self, options: &'a ConsumeOptions) -> Call<'a, Box<dyn Consumer>>;

    /// Settles deliveries; says how many were settled by it. A token that was settled before, or whose message
    /// is no longer kept, counts for nothing; something that is no token of this topic and group is
    /// `invalid_request`, and then nothing is settled.
    fn settle<'a>(&'a self, settlement: &'a Settlement) -> Call<'a, u64>;

    /// The groups of a topic, or of all topics; by topic and name.
    fn groups<'a>(&'a self, topic: Option<&'a str>) -> Call<'a, Vec<Group>>;

    /// Puts a group to a place; `conflict` while consumers read for it. What it remembered of single messages
    /// is forgotten.
    fn reset_group<'a>(&'a self, topic: &'a str, group: &'a str, to: Position) -> Call<'a, Group>;

    /// Takes a group out; `conflict` while consumers read for it.
    fn delete_group<'a>(&'a self, topic: &'a str, group: &'a str) -> Call<'a, ()>;
}

/// A consumer of a group. Dropped, it leaves after a short grace, within which it may resume; what went out to its
/// client stays leased.
pub trait Consumer: Send {
    /// Its id.
    fn id(&self) -> &str;

    /// The partitions that are its own at present.
    fn assignment(&self) -> Vec<u32>;

    /// Waits for what happens next. May be dropped while it waits: nothing is lost by that. Fails with
    /// `not_found` when the topic was deleted, and for good.
    fn next(&mut self) -> Call<'_, Happening>;

    /// Whether it is still being found out what there is for it: that nothing has come yet does not mean that there is
    /// nothing. An engine that cannot tell says no.
    fn is_looking(&self) -> bool {
        false
    }

    /// Everything up to this delivery went out to whom it is for. What never did comes again at once when the consumer
    /// is dropped, and does not count as delivered; without this word that is everything which is not settled. An
    /// engine that cannot tell the difference lets it all stay leased.
    fn written(&mut self, last: &Delivery) {
        let _ = last;
    }
}
