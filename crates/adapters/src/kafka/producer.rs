//! Publishing: one idempotent producer for a service, whose own thread hears what became of each message.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::Notify;

use super::client::{Ear, Settings};
use super::desk::no_thread;
use super::limits::FRAMING;
use super::options::Options;
use super::record;
use crate::queue::{Message, Receipt};

/// How long its thread sleeps in the client.
const NAP: Duration = Duration::from_millis(100);

/// A producer that gives messages up has stalled when none has arrived for so long.
const STALL: Duration = Duration::from_secs(3);

/// Messages that wait at a time, whatever their size: each has its own memory beside its bytes.
const MOST_WAITING: &str = "200000";

/// The client, shared by all who publish. The thread that listens to it lets go of it.
pub(super) struct Producer {
    client: BaseProducer<Courier>,
    flow: Arc<Flow>,
    stop: AtomicBool,
}

impl Producer {
    pub(super) fn open(settings: &Settings, options: &Options, ear: Ear) -> KafkaResult<Arc<Producer>> {
        let flow = Arc::new(Flow::default());
        let courier = Courier { ear, flow: Arc::clone(&flow) };
        let client = config(settings, options).create_with_context(courier)?;
        let producer = Arc::new(Producer { client, flow, stop: AtomicBool::new(false) });
        let own = Arc::clone(&producer);
        let listen = move || {
            // Whoever has gone away may come back under his key for what became of his message.
            while !own.stop.load(Ordering::Acquire) || Arc::strong_count(&own) > 1 || own.flow.is_waited_for()
            {
                own.client.poll(NAP);
            }
        };
        thread::Builder::new().name("kafka-producer".to_owned()).spawn(listen).map_err(no_thread)?;
        Ok(producer)
    }

    /// Hands a message over; the parcel hears what becomes of it. Never waits.
    pub(super) fn send(&self, topic: &str, message: &Message, parcel: &Arc<Parcel>, at: usize) {
        let ticket = Box::new(Ticket { parcel: Arc::clone(parcel), at });
        let mut record: BaseRecord<'_, [u8], [u8], Box<Ticket>> =
            BaseRecord::with_opaque_to(topic, ticket).payload(&message.value);
        record.key = message.key.as_deref();
        record.headers = record::native(message);
        self.flow.handed_over();
        if let Err((error, _)) = self.client.send(record) {
            self.flow.ended();
            parcel.tell(at, Err(code(&error)));
        }
    }

    /// Whether it can publish nothing more, ever: its numbers no longer fit the broker's.
    pub(super) fn is_lost(&self) -> bool {
        self.client.client().fatal_error().is_some()
    }

    /// Whether messages were given up, and none has arrived for a while. Where the broker answers others, it has lost its
    /// way.
    pub(super) fn has_stalled(&self) -> bool {
        self.flow.has_stalled()
    }

    /// Waits until everything is delivered or failed, or for so long. Blocks.
    pub(super) fn flush(&self, timeout: Duration) {
        if let Err(error) = self.client.flush(timeout) {
            tracing::warn!(%error, "messages were not published in time");
        }
    }

    /// Its thread ends when nobody has it any more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn config(settings: &Settings, options: &Options) -> ClientConfig {
    let mut config = settings.config();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // Keys go where the clients of Java, and the embedded queue, put them.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", (options.linger.as_secs_f64() * 1000.0).to_string())
        .set("delivery.timeout.ms", options.delivery_timeout.as_millis().to_string())
        .set("compression.type", &*options.compression)
        .set("message.max.bytes", (options.max_message + FRAMING).to_string())
        .set("queue.buffering.max.kbytes", options.buffer.div_ceil(1024).to_string())
        .set("queue.buffering.max.messages", MOST_WAITING);
    config
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
}

/// Messages that were handed over together, and what became of each.
pub(super) struct Parcel {
    slots: Mutex<Vec<Option<Fate>>>,
    left: AtomicUsize,
    done: Notify,
}

/// What became of a message.
pub(super) type Fate = Result<Receipt, RDKafkaErrorCode>;

impl Parcel {
    /// A parcel whose slots hear their fates; those that are known are filled.
    pub(super) fn of(slots: Vec<Option<Fate>>) -> Arc<Parcel> {
        let left = slots.iter().filter(|slot| slot.is_none()).count();
        Arc::new(Parcel { slots: Mutex::new(slots), left: AtomicUsize::new(left), done: Notify::new() })
    }

    /// The places of those whose fate is not known.
    pub(super) fn open(&self) -> Vec<usize> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().enumerate().filter(|(_, slot)| slot.is_none()).map(|(at, _)| at).collect()
    }

    fn tell(&self, at: usize, fate: Fate) {
        if let Some(slot) = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
            *slot = Some(fate);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }

    /// What became of each, when all is known. Several may wait.
    pub(super) async fn fates(&self) -> Vec<Fate> {
        loop {
            let mut done = pin!(self.done.notified());
            done.as_mut().enable();
            if self.left.load(Ordering::Acquire) == 0 {
                break;
            }
            done.await;
        }
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|slot| slot.unwrap_or(Err(RDKafkaErrorCode::Unknown))).collect()
    }
}

/// The place of one message in its parcel.
struct Ticket {
    parcel: Arc<Parcel>,
    at: usize,
}

/// Whether messages arrive.
struct Flow {
    began: Instant,
    waiting: AtomicUsize,
    /// When one last arrived: milliseconds from the beginning.
    arrived: AtomicU64,
    /// Some were given up, and none has arrived since.
    gave_up: AtomicBool,
}

impl Default for Flow {
    fn default() -> Self {
        let (waiting, arrived, gave_up) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Flow { began: Instant::now(), waiting, arrived, gave_up }
    }
}

impl Flow {
    fn handed_over(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    fn arrived(&self) {
        self.arrived.store(self.now(), Ordering::Relaxed);
        self.gave_up.store(false, Ordering::Relaxed);
    }

    fn given_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// One waits no more, whatever became of it.
    fn ended(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// One that only waits may still arrive, before those that would be sent by another producer. One that is new has to find
    /// its brokers first, however soon messages are given up.
    fn has_stalled(&self) -> bool {
        let still = || self.now().saturating_sub(self.arrived.load(Ordering::Relaxed));
        self.gave_up.load(Ordering::Relaxed) && still() > STALL.as_millis() as u64
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// Brings what the broker says of a message to those who wait for it.
struct Courier {
    ear: Ear,
    flow: Arc<Flow>,
}

impl ClientContext for Courier {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ProducerContext for Courier {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let fate = match result {
            Ok(message) => match (u32::try_from(message.partition()), u64::try_from(message.offset())) {
                (Ok(partition), Ok(offset)) => {
                    self.ear.well();
                    self.flow.arrived();
                    Ok(Receipt { partition, offset })
                }
                // Taken, and nobody knows where.
                _ => Err(RDKafkaErrorCode::Unknown),
            },
            Err((error, _)) => {
                let code = code(error);
                if code == RDKafkaErrorCode::MessageTimedOut {
                    self.ear.gave_up();
                    self.flow.given_up();
                }
                Err(code)
            }
        };
        self.flow.ended();
        ticket.parcel.tell(ticket.at, fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_stalled_when_messages_are_given_up_until_one_arrives() {
        let mut flow = Flow::default();
        flow.given_up();
        assert!(!flow.has_stalled(), "it is new");
        flow.arrived();
        flow.began -= STALL * 3;
        flow.handed_over();
        assert!(!flow.has_stalled(), "what waits may still arrive");
        flow.ended();
        flow.given_up();
        assert!(flow.has_stalled(), "what was given up did not arrive");
        flow.arrived();
        assert!(!flow.has_stalled());
    }

    #[tokio::test]
    async fn a_parcel_waits_for_all_of_its_messages() {
        let place = |offset| Ok(Receipt { partition: 0, offset });
        let parcel = Parcel::of(vec![None, Some(place(7)), None]);
        let waits = tokio::spawn({
            let parcel = Arc::clone(&parcel);
            async move { parcel.fates().await }
        });
        parcel.tell(2, Err(RDKafkaErrorCode::MessageTimedOut));
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        parcel.tell(0, place(6));
        let fates = waits.await.unwrap();
        assert_eq!(fates, [place(6), place(7), Err(RDKafkaErrorCode::MessageTimedOut)]);
        assert_eq!(parcel.fates().await, fates, "whoever asks later is told the same");
    }
}
