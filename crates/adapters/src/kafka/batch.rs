//! What a consumer is handed at a time: what has come from the broker, and what comes again.

use std::sync::Arc;

use rdkafka::error::RDKafkaErrorCode;

use super::consumer::KafkaConsumer;
use super::group::State;
use super::ledger::{Arrival, Holder, Millis};
use super::member::Poll;
use super::record::Content;
use super::token::{Ack, Resume};
use crate::queue::Delivery;

/// Messages and bytes that are handed over at a time: a consumer that is slow holds no more of the memory.
const MOST_MESSAGES: usize = 256;
const MOST_BYTES: u64 = 256 << 10;

/// Deliveries on their way to a consumer.
pub(super) struct Batch<'c> {
    consumer: &'c KafkaConsumer,
    now: Millis,
    until: Millis,
    /// Messages and bytes that it may still be sent.
    room: usize,
    memory: u64,
    pub(super) deliveries: Vec<Delivery>,
    bytes: u64,
    /// Why a partition has nothing more to give.
    pub(super) failed: Option<RDKafkaErrorCode>,
}

impl<'c> Batch<'c> {
    pub(super) fn of(consumer: &'c KafkaConsumer, state: &mut State, now: Millis) -> Self {
        let (held, bytes) = state.held(consumer.consumer);
        let (credit, lease) =
            state.member(consumer.consumer).map_or((0, 1), |member| (member.credit, member.lease));
        Batch {
            consumer,
            now,
            until: now.saturating_add(lease),
            room: credit.saturating_sub(held) as usize,
            memory: consumer.hub.options.max_unsettled.saturating_sub(bytes),
            deliveries: Vec::new(),
            bytes: 0,
            failed: None,
        }
    }

    fn is_full(&self) -> bool {
        self.deliveries.len() >= self.room.min(MOST_MESSAGES) || self.bytes >= MOST_BYTES
    }

    /// Takes what there is, within the consumer's credit. Never waits.
    pub(super) fn gather(&mut self, state: &mut State) {
        let Some(member) = state.member(self.consumer.consumer) else { return };
        let (mut partitions, link) = (member.assignment.clone(), Arc::clone(&member.link));
        if partitions.is_empty() {
            return;
        }
        // Each has its turn to be the first.
        member.turn = (member.turn + 1) % partitions.len();
        partitions.rotate_left(member.turn);
        for partition in partitions {
            self.due(state, partition);
            while !self.is_full() && self.memory > 0 && self.failed.is_none() {
                let State { parts, sequence, .. } = &mut *state;
                let Some(part) = parts.get_mut(&partition).filter(|part| part.ledger.has_room()) else {
                    break;
                };
                let (offset, content) = match link.poll(partition) {
                    Poll::Message(offset, content) => (offset, content),
                    Poll::Nothing => break,
                    Poll::Failed(code) => {
                        self.failed = Some(code).filter(|code| is_for_good(*code));
                        continue;
                    }
                };
                if part.ledger.arrives(offset, &content) == Arrival::Known {
                    continue;
                }
                *sequence += 1;
                let holder = Holder { consumer: self.consumer.consumer, sequence: *sequence };
                let delivery = part.ledger.deliver(offset, Arc::clone(&content), self.until, holder);
                self.memory = self.memory.saturating_sub(content.size());
                self.put(partition, offset, delivery, *sequence, &content);
            }
            // What has come again may be due.
            self.due(state, partition);
        }
    }

    /// Takes what is due of a partition.
    fn due(&mut self, state: &mut State, partition: u32) {
        let State { parts, sequence, .. } = state;
        let Some(part) = parts.get_mut(&partition) else { return };
        let most = self.room.min(MOST_MESSAGES).saturating_sub(self.deliveries.len());
        for offset in part.ledger.due(self.now, most) {
            if self.is_full() {
                break;
            }
            *sequence += 1;
            let holder = Holder { consumer: self.consumer.consumer, sequence: *sequence };
            if let Some((content, delivery)) = part.ledger.deliver_again(offset, self.until, holder) {
                self.put(partition, offset, delivery, *sequence, &content);
            }
        }
    }

    fn put(&mut self, partition: u32, offset: u64, delivery: u32, sequence: u64, content: &Content) {
        let KafkaConsumer { group, consumer, .. } = self.consumer;
        let (memory, whose) = (group.memory, group.whose);
        self.bytes += content.size();
        let message = content.message.clone();
        self.deliveries.push(Delivery {
            partition,
            offset,
            key: message.key,
            value: message.value,
            headers: message.headers,
            timestamp: content.timestamp,
            delivery,
            ack: Ack { memory, partition, offset, delivery }.text(whose),
            resume: Resume { memory, consumer: *consumer, sequence }.text(whose),
        });
    }
}

/// Whether a partition that says this has nothing more to give: going on would leave messages out.
fn is_for_good(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::BadCompression
            | E::BadMessage
            | E::InvalidMessage
            | E::NotImplemented
            | E::UnsupportedFeature
            | E::UnsupportedCompressionType
            | E::TopicAuthorizationFailed
            | E::Fatal
    )
}
