//! Publishing: one idempotent producer for a service, whose own thread hears what became of each message.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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

/// Messages that wait at a time, whatever their size: each has its own memory beside its bytes.
const MOST_WAITING: &str = "200000";

/// The client, shared by all who publish. The thread that listens to it lets go of it.
pub(super) struct Producer {
    client: BaseProducer<Courier>,
    stop: AtomicBool,
}

impl Producer {
    pub(super) fn open(settings: &Settings, options: &Options, ear: Ear) -> KafkaResult<Arc<Producer>> {
        let client = config(settings, options).create_with_context(Courier(ear))?;
        let producer = Arc::new(Producer { client, stop: AtomicBool::new(false) });
        let own = Arc::clone(&producer);
        let listen = move || {
            while !own.stop.load(Ordering::Acquire) || Arc::strong_count(&own) > 1 {
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
        if let Err((error, _)) = self.client.send(record) {
            parcel.tell(at, Err(code(&error)));
        }
    }

    /// Whether it can publish nothing more, ever: its numbers no longer fit the broker's.
    pub(super) fn is_lost(&self) -> bool {
        self.client.client().fatal_error().is_some()
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

/// Brings what the broker says of a message to those who wait for it.
struct Courier(Ear);

impl ClientContext for Courier {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Courier {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let fate = match result {
            Ok(message) => match (u32::try_from(message.partition()), u64::try_from(message.offset())) {
                (Ok(partition), Ok(offset)) => {
                    self.0.well();
                    Ok(Receipt { partition, offset })
                }
                // Taken, and nobody knows where.
                _ => Err(RDKafkaErrorCode::Unknown),
            },
            Err((error, _)) => {
                let code = code(error);
                if code == RDKafkaErrorCode::MessageTimedOut {
                    self.0.gave_up();
                }
                Err(code)
            }
        };
        ticket.parcel.tell(ticket.at, fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
