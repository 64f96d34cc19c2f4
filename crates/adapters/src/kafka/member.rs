//! A member of a group on the broker: one client of librdkafka, and a thread that hears what the group decides.
//!
//! The thread takes partitions in and gives them back, commits places, and lets go of the client in the end, which takes
//! a while. Messages do not pass through it: each partition has a queue of its own, from which the stream takes what it
//! has room for. What it does not take stays there, and when that is full the client fetches no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::client::{Ear, Settings};
use super::desk::{PATIENCE, no_thread};
use super::group::{Ending, Group, State, Table, name_of};
use super::record::Content;
use crate::queue::From;

/// How long the thread sleeps in the client: commits that failed are tried again, and members whose grace is over go,
/// as soon after.
const NAP: Duration = Duration::from_millis(100);

/// Between two looks at whether the topic is there, and between two that must agree that it is not.
const LOOK: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

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
            Err(error) => tracing::debug!(%error, group = %group.name, "a place could not be committed"),
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

/// What a member is made of.
pub(super) struct Making {
    pub(super) settings: Settings,
    pub(super) ear: Ear,
    pub(super) group: Arc<Group>,
    pub(super) consumer: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) partitions: u32,
    pub(super) from: From,
    /// Whether somebody here reads for the group already, so that it has its places.
    pub(super) joins: bool,
}

/// A client that has joined nothing yet.
pub(super) struct Made {
    client: Arc<BaseConsumer<Delegate>>,
    pub(super) link: Arc<Link>,
}

impl Making {
    /// Makes the client, and gives a new group its places, so that it begins where it was made. Blocks.
    pub(super) fn make(self) -> KafkaResult<Made> {
        let link = Arc::new(Link::default());
        let Making { settings, ear, group, consumer, wake, partitions, from, joins } = self;
        let config = config(&settings, &group, consumer);
        let topic = group.topic.clone();
        let delegate = Delegate { ear, group, consumer, link: Arc::clone(&link), wake };
        let client: BaseConsumer<Delegate> = config.create_with_context(delegate)?;
        if !joins {
            begin(&client, &topic, partitions, from)?;
        }
        Ok(Made { client: Arc::new(client), link })
    }
}

fn config(settings: &Settings, group: &Group, consumer: u64) -> ClientConfig {
    let mut config = settings.config();
    config
        .set("client.id", format!("{CLIENT}{}", name_of(consumer)))
        .set("group.id", &*group.name)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // New groups are given their places; this is for messages that are kept no longer.
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "15000")
        // A change of the group is heard with a heartbeat.
        .set("heartbeat.interval.ms", "500")
        // Each partition has a queue, and these are the bounds of each.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "512")
        .set("max.partition.fetch.bytes", "524288")
        .set("fetch.max.bytes", "8388608")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "500");
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// What the names of members begin with on the broker.
pub(super) const CLIENT: &str = "throome-";

/// Gives a group its places if it has none.
fn begin<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: u32,
    from: From,
) -> KafkaResult<()> {
    let mut places = TopicPartitionList::new();
    for partition in 0..partitions {
        places.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
    }
    let known = client.committed_offsets(places.clone(), PATIENCE)?;
    if known.elements().iter().any(|place| matches!(place.offset(), Offset::Offset(_))) {
        return Ok(());
    }
    places.set_all_offsets(match from {
        From::Earliest => Offset::Beginning,
        From::Latest => Offset::End,
    })?;
    let places = client.offsets_for_times(places, PATIENCE)?;
    match client.commit(&places, CommitMode::Sync) {
        // Others join it at this moment, and it has the places that they give it.
        Err(error) if is_taken(&error) => Ok(()),
        done => done,
    }
}

fn is_taken(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as E;
    let taken = [E::UnknownMemberId, E::IllegalGeneration, E::RebalanceInProgress];
    error.rdkafka_error_code().is_some_and(|code| taken.contains(&code))
}

impl Made {
    /// Joins the group, and stays in it until its stream is gone for good. The thread ends then.
    pub(super) fn join(
        self,
        table: Arc<Table>,
        group: Arc<Group>,
        consumer: u64,
        ear: Ear,
    ) -> KafkaResult<()> {
        let Made { client, link } = self;
        link.lock().client = Some(Arc::clone(&client));
        let member = Joined { client, link, group, consumer, table, ear };
        let run = move || member.run();
        thread::Builder::new().name("kafka-consumer".to_owned()).spawn(run).map(drop).map_err(no_thread)
    }
}

/// The thread of a member.
struct Joined {
    client: Arc<BaseConsumer<Delegate>>,
    link: Arc<Link>,
    group: Arc<Group>,
    consumer: u64,
    table: Arc<Table>,
    ear: Ear,
}

impl Joined {
    fn run(self) {
        if let Err(error) = self.client.subscribe(&[&self.group.topic]) {
            tracing::warn!(%error, group = %self.group.name, "a topic could not be subscribed to");
            self.end(Ending::Refused(RDKafkaErrorCode::InvalidArgument));
        }
        let mut watch = Watch { looks_at: Instant::now() + LOOK, missed: 0 };
        while self.group.lock().stays(self.consumer) {
            if watch.looks_at <= Instant::now() && self.is_gone(&mut watch) {
                self.table.forget_topic(&self.group.topic, Ending::TopicDeleted);
            }
            match self.client.poll(NAP) {
                None => {}
                // Each partition has its queue before anything of it is fetched; a message that went elsewhere must
                // not be lost.
                Some(Ok(_)) => self.end(Ending::Refused(RDKafkaErrorCode::Inconsistent)),
                Some(Err(error)) => self.troubled(&error),
            }
            self.link.commit(&self.group, &mut self.group.lock(), self.consumer);
        }
        // The last places are committed while it closes.
        drop(std::mem::take(&mut *self.link.lock()));
        drop(self.client);
        self.group.lock().left(self.consumer);
    }

    fn end(&self, why: Ending) {
        if let Some(member) = self.group.lock().member(self.consumer) {
            member.stream.end(why);
            member.leaves_at = Some(Instant::now());
        }
    }

    fn troubled(&self, error: &KafkaError) {
        use RDKafkaErrorCode as E;
        let code = error.rdkafka_error_code().unwrap_or(E::Unknown);
        match code {
            E::GroupAuthorizationFailed
            | E::TopicAuthorizationFailed
            | E::InconsistentGroupProtocol
            | E::GroupMaxSizeReached
            | E::InvalidGroupId
            | E::Fatal => self.end(Ending::Refused(code)),
            _ => {
                tracing::debug!(service = %self.ear.service(), group = %self.group.name, %error, "a consumer of Kafka")
            }
        }
    }

    /// Whether others have deleted the topic. The client would ask again and again for what is not there, and say
    /// nothing.
    fn is_gone(&self, watch: &mut Watch) -> bool {
        let topic = &*self.group.topic;
        let unknown = RDKafkaErrorCode::UnknownTopicOrPartition;
        let missing = self.client.fetch_metadata(Some(topic), LOOK).is_ok_and(|metadata| {
            let own = metadata.topics().iter().find(|own| own.name() == topic);
            own.and_then(|own| own.error()).is_some_and(|code| RDKafkaErrorCode::from(code) == unknown)
        });
        watch.missed = if missing { watch.missed + 1 } else { 0 };
        watch.looks_at = Instant::now() + if missing { LOOK_AGAIN } else { LOOK };
        watch.missed > 1
    }
}

/// When the topic is looked for again, and how often in a row it was not there: one broker may not know it yet.
struct Watch {
    looks_at: Instant,
    missed: u32,
}
