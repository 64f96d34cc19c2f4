//! The whole kind: what the contract leaves to the engine, such as restarts, retention, limits and load.

mod crash;
mod limits;
mod load;
mod restart;
mod retention;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::adapter::LogAdapter;
use super::options::Options;
use crate::queue::{
    ConsumeOptions, Consumer, Delivery, From, Happening, Message, Queue, Receipt, Settlement, TopicSpec,
};
use crate::{Adapter, Home};

fn home(dir: &Path) -> Home {
    Home { cluster: "c".into(), service: "q".into(), dir: dir.to_path_buf() }
}

fn open(dir: &Path) -> Arc<LogAdapter> {
    open_with(dir, Options::default())
}

fn open_with(dir: &Path, options: Options) -> Arc<LogAdapter> {
    Arc::new(LogAdapter::new(options, &home(dir)).unwrap())
}

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, replication_factor: 1, retention: None, retention_bytes: None }
}

fn options(topic: &str, group: &str) -> ConsumeOptions {
    ConsumeOptions {
        topic: topic.into(),
        group: group.into(),
        from: From::Earliest,
        credit: 1000,
        lease: Duration::from_secs(60),
        resume: None,
    }
}

fn settlement(topic: &str, group: &str) -> Settlement {
    Settlement { topic: topic.into(), group: group.into(), ..Settlement::default() }
}

fn message(text: impl AsRef<[u8]>) -> Message {
    Message { value: Bytes::copy_from_slice(text.as_ref()), ..Message::default() }
}

async fn say(queue: &dyn Queue, topic: &str, texts: &[&str]) -> Vec<Receipt> {
    let messages: Vec<Message> = texts.iter().map(message).collect();
    let results = queue.publish(topic, &messages, None).await.unwrap();
    results.into_iter().map(Result::unwrap).collect()
}

async fn ack(queue: &dyn Queue, topic: &str, group: &str, deliveries: &[Delivery]) -> u64 {
    let ack = deliveries.iter().map(|delivery| delivery.ack.clone()).collect();
    queue.settle(&Settlement { ack, ..settlement(topic, group) }).await.unwrap()
}

/// At least so many deliveries, within ten seconds.
async fn some(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while all.len() < count {
            if let Happening::Messages(messages) = consumer.next().await.unwrap() {
                messages.last().into_iter().for_each(|last| consumer.written(last));
                all.extend(messages);
            }
        }
    });
    let in_time = waited.await.is_ok();
    assert!(in_time, "{} of {count} came", all.len());
    all
}

/// Nothing comes for this long.
async fn silence(consumer: &mut Box<dyn Consumer>, time: Duration) {
    let come = tokio::time::timeout(time, consumer.next()).await;
    assert!(come.is_err(), "{come:?}");
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| String::from_utf8_lossy(&delivery.value).into_owned()).collect()
}
