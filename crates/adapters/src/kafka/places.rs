//! The places of groups, as the brokers know them: an offset for each partition, asked for and put by a client that has
//! the group's name and has not joined it.

use std::collections::BTreeMap;

use model::Failure;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Ear;
use super::desk::{Clerk, Desk, PATIENCE};
use super::failure;
use crate::queue::Topic;

/// The places of a group, by topic and partition.
pub(super) type Places = BTreeMap<(String, u32), u64>;

/// Where a group stands in these topics, where it has been.
pub(super) async fn of(desk: &Desk, group: &str, topics: &[Topic]) -> Result<Places, Failure> {
    let mut asked = TopicPartitionList::new();
    for topic in topics {
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        for partition in 0..partitions {
            asked.add_partition(&topic.name, partition);
        }
    }
    if asked.count() == 0 {
        return Ok(Places::new());
    }
    let found =
        with_client(desk, group, "show groups", move |client| client.committed_offsets(asked, PATIENCE));
    let found = found.await?;
    for place in found.elements() {
        // A topic may have gone since it was looked at, or be one that nobody here may see.
        use RDKafkaErrorCode as E;
        let code = place.error().err().and_then(|error| error.rdkafka_error_code());
        if let Some(code) =
            code.filter(|code| !matches!(code, E::UnknownTopicOrPartition | E::TopicAuthorizationFailed))
        {
            return Err(failure::of_code(code, desk.ear(), "show groups"));
        }
    }
    let read = found.elements().into_iter().filter_map(|place| {
        let Offset::Offset(offset) = place.offset() else { return None };
        let partition = u32::try_from(place.partition()).ok()?;
        Some(((place.topic().to_owned(), partition), u64::try_from(offset).ok()?))
    });
    Ok(read.collect())
}

/// Does something with a client of this group that has not joined it.
async fn with_client<T: Send + 'static>(
    desk: &Desk,
    group: &str,
    what: &'static str,
    work: impl FnOnce(&BaseConsumer<Ear>) -> KafkaResult<T> + Send + 'static,
) -> Result<T, Failure> {
    let (mut config, ear) = (desk.settings().config(), desk.ear().clone());
    config.set("group.id", group).set("enable.auto.commit", "false");
    let done = desk.aside(move || work(&config.create_with_context(ear)?)).await?;
    done.map_err(|error| failure::of(&error, desk.ear(), what))
}

/// All topics, with nothing known but how many partitions they have.
pub(super) async fn all_topics(desk: &Desk) -> Result<Vec<Topic>, Failure> {
    let counts = |clerk: &Clerk| -> KafkaResult<Vec<(String, usize)>> {
        let metadata = clerk.metadata(None, clerk.patience())?;
        Ok(metadata.topics().iter().map(|own| (own.name().to_owned(), own.partitions().len())).collect())
    };
    let counts = desk.ask("show topics", counts).await?;
    Ok(counts.into_iter().map(|(name, count)| bare(&name, count)).collect())
}

/// A topic of which only the partitions are known.
pub(super) fn bare(name: &str, partitions: usize) -> Topic {
    Topic {
        name: name.into(),
        partitions: vec![None; partitions],
        replication_factor: 1,
        retention: None,
        retention_bytes: None,
        bytes: None,
    }
}

/// Puts a group that nobody reads for to these places.
pub(super) async fn put(desk: &Desk, group: &str, wanted: Places, what: &'static str) -> Result<(), Failure> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), place) in wanted {
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let offset = Offset::Offset(i64::try_from(place).unwrap_or(i64::MAX));
        let added = list.add_partition_offset(&topic, partition, offset);
        added.map_err(|error| failure::of(&error, desk.ear(), what))?;
    }
    with_client(desk, group, what, move |client| client.commit(&list, CommitMode::Sync)).await
}
