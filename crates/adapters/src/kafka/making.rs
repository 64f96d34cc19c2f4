//! How a member of a group comes to be: its client, and the places of a group that has none.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::client::Settings;
use super::desk::{Desk, PATIENCE, no_thread};
use super::group::{Group, name_of};
use super::joined::Joined;
use super::member::{Delegate, Link};
use super::table::Table;
use crate::queue::From;

/// How long the places of a group may be on their way from one broker to another, and between two looks.
const COORDINATED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

/// What a member is made of.
pub(super) struct Making {
    pub(super) desk: Arc<Desk>,
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
    making: Making,
    client: Arc<BaseConsumer<Delegate>>,
    pub(super) link: Arc<Link>,
}

impl Making {
    /// Makes the client, and gives a new group its places, so that it begins where it was made. Blocks.
    pub(super) fn make(self) -> KafkaResult<Made> {
        let link = Arc::new(Link::default());
        let client = self.client(&link)?;
        let until = Instant::now() + COORDINATED;
        while !self.joins
            && let Err(error) = begin(&client, &self.group.topic, self.partitions, self.from)
        {
            if !is_moving(&error) || Instant::now() >= until {
                return Err(error);
            }
            thread::sleep(LOOK);
        }
        Ok(Made { making: self, client: Arc::new(client), link })
    }

    /// A client that has joined nothing, whose partitions will have their queues in this.
    pub(super) fn client(&self, link: &Arc<Link>) -> KafkaResult<BaseConsumer<Delegate>> {
        let (group, wake) = (Arc::clone(&self.group), Arc::clone(&self.wake));
        let ear = self.desk.ear().clone();
        let delegate = Delegate::of(ear, group, self.consumer, Arc::clone(link), wake);
        config(self.desk.settings(), &self.group, self.consumer).create_with_context(delegate)
    }
}

fn config(settings: &Settings, group: &Group, consumer: u64) -> ClientConfig {
    let mut config = settings.config();
    config
        .set("client.id", format!("{CLIENT}{}", name_of(consumer)))
        .set("group.id", &*group.name)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A broker that looks for old messages takes its time.
        .set("socket.timeout.ms", "10000")
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
        // A message may be as large as `max_message` can be; one that does not fit would be asked for for ever.
        .set("receive.message.max.bytes", "300000000")
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
    for place in known.elements() {
        // A place that cannot be told may be there, and must not be put elsewhere.
        place.error()?;
        if matches!(place.offset(), Offset::Offset(_)) {
            return Ok(());
        }
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

/// Whether the broker that keeps the group's places is being found, or does not know them all yet.
fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as E;
    let moving = [
        E::NotCoordinator,
        E::CoordinatorNotAvailable,
        E::CoordinatorLoadInProgress,
        E::UnstableOffsetCommit,
    ];
    error.rdkafka_error_code().is_some_and(|code| moving.contains(&code))
}

fn is_taken(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as E;
    let taken = [E::UnknownMemberId, E::IllegalGeneration, E::RebalanceInProgress];
    error.rdkafka_error_code().is_some_and(|code| taken.contains(&code))
}

impl Made {
    /// Joins the group, and stays in it until its stream is gone for good. The thread ends then.
    pub(super) fn join(self, table: Arc<Table>, runtime: Handle) -> KafkaResult<()> {
        let Made { making, client, link } = self;
        let member = Joined::of(making, client, link, table, runtime);
        let run = move || member.run();
        thread::Builder::new().name("kafka-consumer".to_owned()).spawn(run).map(drop).map_err(no_thread)
    }
}
