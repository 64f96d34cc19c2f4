//! The contract of [`Queue`](super::Queue) as tests: every kind that keeps messages must pass it, unchanged.
//!
//! Each rule is one function that panics with what it saw. Rules use topics of their own, so that they run against
//! an engine that others use, and take them out when they have passed. Times are generous, for engines that are
//! far away.

mod consuming;
mod groups;
mod publishing;
mod settling;
mod topics;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use model::{Code, Failure};

use super::{
    ConsumeOptions, Consumer, Delivery, From, Happening, Message, Queue, Receipt, Settlement, TopicSpec,
};
use crate::{Adapter, Call};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long nothing is listened to that must not happen.
const SILENCE: Duration = Duration::from_millis(400);

/// Long enough never to run out in a rule that is about something else.
const LONG: Duration = Duration::from_secs(60);

/// Runs every rule. Takes about twenty seconds, and tasks that run at once, so that a runtime of several threads
/// proves the most.
///
/// # Panics
/// When a rule is broken, or the adapter keeps no messages.
pub async fn run(adapter: &Arc<dyn Adapter>) {
    let subject = Subject::new(Arc::clone(adapter));
    topics::run(&subject).await;
    publishing::run(&subject).await;
    consuming::run(&subject).await;
    settling::run(&subject).await;
    groups::run(&subject).await;
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
        Subject { adapter, prefix: format!("suite.{}.{nanos}.", std::process::id()) }
    }

    fn queue(&self) -> &dyn Queue {
        self.adapter.queue().expect("the adapter keeps messages")
    }

    /// The name of a topic of this run.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a topic of this run; gives its name.
    async fn topic(&self, name: &str, partitions: u32) -> String {
        let name = self.name(name);
        passed("create_topic", self.queue().create_topic(&spec(&name, partitions))).await;
        name
    }

    async fn publish(&self, topic: &str, messages: &[Message]) -> Vec<Receipt> {
        let results = passed("publish", self.queue().publish(topic, messages, None)).await;
        results.into_iter().map(|result| result.expect("each message is published")).collect()
    }

    /// Publishes texts without keys.
    async fn say(&self, topic: &str, texts: &[&str]) -> Vec<Receipt> {
        let messages: Vec<Message> = texts.iter().map(|text| message(text)).collect();
        self.publish(topic, &messages).await
    }

    async fn join(&self, topic: &str, group: &str) -> Reader {
        self.join_with(&options(topic, group)).await
    }

    async fn join_with(&self, options: &ConsumeOptions) -> Reader {
        let consumer = passed("consume", self.queue().consume(options)).await;
        Reader { consumer, waiting: VecDeque::new() }
    }

    async fn settle(&self, settlement: &Settlement) -> u64 {
        passed("settle", self.queue().settle(settlement)).await
    }

    async fn ack(&self, topic: &str, group: &str, deliveries: &[Delivery]) -> u64 {
        self.settle(&Settlement { ack: tokens(deliveries), ..settlement(topic, group) }).await
    }

    async fn clear(&self) {
        for topic in passed("topics", self.queue().topics()).await {
            if topic.name.starts_with(&self.prefix) {
                passed("delete_topic", self.queue().delete_topic(&topic.name)).await;
            }
        }
    }
}

/// A consumer that gives one message after the other.
struct Reader {
    consumer: Box<dyn Consumer>,
    waiting: VecDeque<Delivery>,
}

impl Reader {
    /// The next delivery, whatever else happens before it. It has gone out then.
    async fn one(&mut self) -> Delivery {
        let waited = tokio::time::timeout(PATIENCE, self.wait()).await;
        let delivery =
            waited.unwrap_or_else(|_| panic!("{} was sent nothing for {PATIENCE:?}", self.consumer.id()));
        self.consumer.written(&delivery);
        delivery
    }

    async fn some(&mut self, count: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            deliveries.push(self.one().await);
        }
        deliveries
    }

    /// Nothing comes for a while.
    async fn silence(&mut self) {
        if let Ok(delivery) = tokio::time::timeout(SILENCE, self.wait()).await {
            panic!("{} must be sent nothing, and got {delivery:?}", self.consumer.id());
        }
    }

    /// Waits until so many partitions are its own; messages that come meanwhile are kept for later.
    async fn owns(&mut self, count: usize) {
        let changed = async {
            while self.consumer.assignment().len() != count {
                if let Happening::Messages(messages) = passed("next", self.consumer.next()).await {
                    self.waiting.extend(messages);
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, changed).await;
        assert!(waited.is_ok(), "{} owns {:?}, not {count}", self.consumer.id(), self.consumer.assignment());
    }

    async fn wait(&mut self) -> Delivery {
        loop {
            if let Some(delivery) = self.waiting.pop_front() {
                return delivery;
            }
            if let Happening::Messages(messages) = passed("next", self.consumer.next()).await {
                assert!(!messages.is_empty(), "messages are at least one");
                self.waiting.extend(messages);
            }
        }
    }
}

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, replication_factor: 1, retention: None, retention_bytes: None }
}

fn options(topic: &str, group: &str) -> ConsumeOptions {
    ConsumeOptions {
        topic: topic.into(),
        group: group.into(),
        from: From::Earliest,
        credit: 100,
        lease: LONG,
        resume: None,
    }
}

fn settlement(topic: &str, group: &str) -> Settlement {
    Settlement { topic: topic.into(), group: group.into(), ..Settlement::default() }
}

fn tokens(deliveries: &[Delivery]) -> Vec<Box<str>> {
    deliveries.iter().map(|delivery| delivery.ack.clone()).collect()
}

fn message(text: &str) -> Message {
    Message { value: Bytes::copy_from_slice(text.as_bytes()), ..Message::default() }
}

fn keyed(key: &str, text: &str) -> Message {
    Message { key: Some(Bytes::copy_from_slice(key.as_bytes())), ..message(text) }
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(&delivery.value).into_owned()).collect()
}

async fn passed<T>(call: &str, result: Call<'_, T>) -> T {
    result.await.unwrap_or_else(|failure| panic!("{call} failed: {failure}"))
}

/// The code of a call that must fail.
async fn refused<T>(call: Call<'_, T>) -> Code {
    let failure: Option<Failure> = call.await.err();
    failure.expect("this call must be refused").code()
}
