//! Kafka through its own client in this process, with acks=all: each message waited for, or as many under way as the
//! client holds. Both sides count what is in a topic in the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext};
use rdkafka::util::Timeout;

use super::log::message;
use super::{Remote, on_tasks, runtime};
use crate::proc;
use crate::timings::Timings;

/// Longer than a broker of one machine takes for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where each producer sends its first message: it takes a second until it has a name with the broker, which nobody waits
/// for in the gateway either.
const WARM_UP: &str = "warm-up";

/// Each caller sends its next message when the broker has the one before.
pub fn waiting(job: &Remote, topic: &str) -> anyhow::Result<Timings> {
    // Nobody comes to fill a batch while everybody waits for it.
    let producer: FutureProducer = config(&job.server).set("linger.ms", "0").create()?;
    let first = FutureRecord::<(), _>::to(WARM_UP).payload("first");
    runtime()?.block_on(producer.send(first, PATIENCE)).map_err(|(error, _)| error)?;
    producer.client().fetch_metadata(Some(topic), PATIENCE)?;
    let (topic, value) = (topic.to_owned(), message(0));
    let open = async || Ok(producer.clone());
    on_tasks(job, open, async move |producer, _| {
        let record = FutureRecord::<(), _>::to(&topic).payload(&value);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
        Ok(value.len())
    })
}

/// One caller sends as fast as the client takes messages, which makes the batches: what the client is best at.
pub fn batching(job: &Remote, topic: &str) -> anyhow::Result<Timings> {
    let producer: BaseProducer<Counted> = config(&job.server).create_with_context(Counted::default())?;
    let first = BaseRecord::<(), _>::to(WARM_UP).payload("first");
    producer.send(first).map_err(|(error, _)| error)?;
    producer.flush(PATIENCE)?;
    producer.client().fetch_metadata(Some(topic), PATIENCE)?;
    let before = producer.context().delivered.load(Ordering::Relaxed);
    let value = message(0);
    let me = [std::process::id()];
    let (cpu, start) = (proc::cpu_time(&me)?, Instant::now());
    while start.elapsed() < job.length {
        match producer.send(BaseRecord::<(), _>::to(topic).payload(&value)) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => bail!(error),
        }
    }
    producer.flush(PATIENCE)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = proc::cpu_time(&me)? - cpu;
    let counted = producer.context();
    let first_error = counted.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Timings {
        completed: counted.delivered.load(Ordering::Relaxed) - before,
        errors: counted.failed.load(Ordering::Relaxed),
        first_error,
        seconds,
        cpu_seconds: Some(cpu.as_secs_f64()),
        ..Timings::default()
    })
}

/// Makes a topic of one partition.
pub fn make_topic(server: &str, topic: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = config(server).create()?;
    let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let made = runtime()?.block_on(admin.create_topics([&wanted], &AdminOptions::new()))?;
    for one in made {
        one.map_err(|(topic, error)| anyhow::anyhow!("topic {topic}: {error}"))?;
    }
    Ok(())
}

/// How many messages are in the one partition of a topic, by its offsets.
pub fn count(server: &str, topic: &str) -> anyhow::Result<u64> {
    let consumer: BaseConsumer = config(server).create()?;
    let (first, next) = consumer.fetch_watermarks(topic, 0, PATIENCE).context("cannot ask for offsets")?;
    Ok(u64::try_from(next - first)?)
}

/// The version of the client under this one.
#[must_use]
pub fn client_version() -> String {
    format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1)
}

fn config(server: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server).set("acks", "all").set("enable.idempotence", "true");
    config
}

/// Counts what the broker has said of each message.
#[derive(Debug, Default)]
struct Counted {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl ClientContext for Counted {}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
            }
        }
    }
}
