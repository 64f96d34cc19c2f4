//! A member of a group on the broker: one client of librdkafka, and what the group decides about it.
//!
//! Its thread (`joined.rs`) takes partitions in and gives them back, and commits places. Messages do not pass through that:
//! each partition has a queue of its own, from which the stream takes what it has room for. What it does not take stays
//! there, and when that is full the client fetches no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::client::Ear;
use super::group::{Group, State};
use super::record::Content;

/// A member's client and the queues of its partitions. Empty before it has joined and after it has left.
#[derive(Default)]
pub(super) struct Link(Mutex<Wires>);

#[derive(Default)]
struct Wires {
    client: Option<Arc<BaseConsumer<Delegate>>>,
    queues: BTreeMap<u32, PartitionQueue<Delegate>>,
    /// A commit is on its way, so that the next one waits for it.
    committing: bool,
}

/// What a partition has for its consumer.
pub(super) enum Poll {
    /// The next message, and its offset.
    Message(u64, Arc<Content>),
    /// Nothing at present.
    Nothing,
    /// It cannot be read.
    Failed(RDKafkaErrorCode),
}

impl Link {
    fn lock(&self) -> std::sync::MutexGuard<'_, Wires> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on partitions have their queues in this client.
    pub(super) fn open(&self, client: Arc<BaseConsumer<Delegate>>) {
        self.lock().client = Some(client);
    }

    /// Lets go of the client and of all queues.
    pub(super) fn close(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    /// Takes the next message of a partition. Never waits.
    pub(super) fn poll(&self, partition: u32) -> Poll {
        let wires = self.lock();
        let Some(queue) = wires.queues.get(&partition) else { return Poll::Nothing };
        match queue.poll(Duration::ZERO) {
            None => Poll::Nothing,
            Some(Ok(message)) => {
                use rdkafka::message::Message as _;
                let offset = u64::try_from(message.offset()).unwrap_or(0);
                Poll::Message(offset, Arc::new(Content::of(&message)))
            }
            Some(Err(error)) => Poll::Failed(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        }
    }

    /// Tells the broker what is settled, unless it is being told already. Never waits.
    pub(super) fn commit(&self, group: &Group, state: &mut State, consumer: u64) {
        let mut wires = self.lock();
        let Some(client) = wires.client.as_ref().filter(|_| !wires.committing) else { return };
        let mut places = TopicPartitionList::new();
        for (partition, part) in state.parts.iter_mut().filter(|(_, part)| part.owner == Some(consumer)) {
            if let Some(place) = part.ledger.unconfirmed().filter(|place| part.sent != Some(*place)) {
                part.sent = Some(place);
                put(&mut places, &group.topic, *partition, place);
            }
        }
        if places.count() == 0 {
            return;
        }
        match client.commit(&places, CommitMode::Async) {
            Ok(()) => wires.committing = true,
            Err(error) => {
                tracing::debug!(%error, group = %group.name, "a place could not be committed");
                // It is tried again.
                let own = state.parts.values_mut().filter(|part| part.owner == Some(consumer));
                own.for_each(|part| part.sent = None);
            }
        }
    }
}

/// Hears what happens to the member.
pub(super) struct Delegate {
    ear: Ear,
    group: Arc<Group>,
    consumer: u64,
    link: Arc<Link>,
    wake: Arc<Notify>,
}

impl Delegate {
    pub(super) fn of(ear: Ear, group: Arc<Group>, consumer: u64, link: Arc<Link>, wake: Arc<Notify>) -> Self {
        Delegate { ear, group, consumer, link, wake }
    }

    /// The partitions of our topic in a list of the client's.
    fn own(&self, list: &TopicPartitionList) -> Vec<u32> {
        let own = list.elements_for_topic(&self.group.topic);
        own.iter().filter_map(|place| u32::try_from(place.partition()).ok()).collect()
    }
}

impl ClientContext for Delegate {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ConsumerContext for Delegate {
    fn pre_rebalance(&self, client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let gone = match rebalance {
            Rebalance::Assign(list) => return self.open_queues(&self.own(list)),
            Rebalance::Revoke(list) => self.own(list),
            Rebalance::Error(_) => return,
        };
        let mut places = TopicPartitionList::new();
        {
            let mut state = self.group.lock();
            for partition in &gone {
                if let Some(part) =
                    state.parts.get(partition).filter(|part| part.owner == Some(self.consumer))
                    && let Some(place) = part.ledger.unconfirmed()
                {
                    put(&mut places, &self.group.topic, *partition, place);
                }
            }
            state.revoke(self.consumer, &gone);
        }
        {
            let mut wires = self.link.lock();
            gone.iter().for_each(|partition| drop(wires.queues.remove(partition)));
        }
        // Whoever has them next begins where this one stands. When the broker had given it up, they are no longer its
        // own to commit.
        if places.count() > 0 && !client.assignment_lost() {
            let result = client.commit(&places, CommitMode::Sync);
            self.committed(result, &places);
        }
    }

    fn post_rebalance(&self, _client: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.group.lock().assign(self.consumer, &self.own(list)),
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!(%error, group = %self.group.name, "a group could not be joined");
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, places: &TopicPartitionList) {
        self.link.lock().committing = false;
        self.committed(result, places);
        self.link.commit(&self.group, &mut self.group.lock(), self.consumer);
    }
}

impl Delegate {
    /// Gives each partition a queue of its own. Before it is assigned, so that no message goes elsewhere.
    fn open_queues(&self, partitions: &[u32]) {
        let mut wires = self.link.lock();
        let Some(client) = wires.client.clone() else { return };
        for partition in partitions {
            let id = i32::try_from(*partition).unwrap_or(i32::MAX);
            let Some(mut queue) = client.split_partition_queue(&self.group.topic, id) else { continue };
            let wake = Arc::clone(&self.wake);
            // Called with locks of the client held: it must take none that is held while the client is called.
            queue.set_nonempty_callback(move || wake.notify_one());
            wires.queues.insert(*partition, queue);
        }
    }

    fn committed(&self, result: KafkaResult<()>, places: &TopicPartitionList) {
        let mut state = self.group.lock();
        for place in places.elements_for_topic(&self.group.topic) {
            let partition = u32::try_from(place.partition()).ok();
            let Some(part) = partition.and_then(|partition| state.parts.get_mut(&partition)) else {
                continue;
            };
            match (&result, place.error(), place.offset()) {
                (Ok(()), Ok(()), Offset::Offset(offset)) => part.ledger.confirm(offset.unsigned_abs()),
                // It is tried again.
                _ => part.sent = None,
            }
        }
        if let Err(error) = result {
            tracing::debug!(%error, group = %self.group.name, "a place could not be committed");
        }
    }
}

fn put(places: &mut TopicPartitionList, topic: &str, partition: u32, place: u64) {
    let (partition, place) =
        (i32::try_from(partition).unwrap_or(i32::MAX), i64::try_from(place).unwrap_or(i64::MAX));
    // Offsets of messages are none that cannot be said.
    let _ = places.add_partition_offset(topic, partition, Offset::Offset(place));
}
