//! Where the partitions of topics begin and end. Each leader is asked for its own, so that one who is away hides nothing of
//! the others.

use std::collections::BTreeMap;

use model::Failure;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::desk::{Clerk, Desk};
use super::limits;
use crate::queue::Extent;

/// Topics by name, with what is known of them.
pub(super) struct Found {
    pub(super) shapes: BTreeMap<String, Shape>,
    /// Something is not known yet, and will be in a moment.
    pub(super) are_young: bool,
}

/// The partitions of a topic.
pub(super) struct Shape {
    /// `None` where nobody who knows could be asked.
    pub(super) partitions: Vec<Option<Extent>>,
    pub(super) replication_factor: u16,
}

/// Where the partitions that a broker leads begin and end, and what it says of those of which it does not know.
type Told = (Vec<(String, i32, Extent)>, Vec<RDKafkaErrorCode>);

/// All topics but Kafka's own, or the one of that name; none where it is not there.
pub(super) async fn of(desk: &Desk, name: Option<&str>) -> Result<Found, Failure> {
    let asked = name.map(str::to_owned);
    let (shapes, leaders) = desk.ask("show topics", move |clerk| shapes(clerk, asked.as_deref())).await?;
    let mut found = Found { shapes, are_young: leaders.contains_key(&NOBODY) };
    let own = leaders.into_iter().filter(|(leader, _)| *leader != NOBODY).map(|(_, own)| own);
    for (places, refused) in desk.ask_each(own, ends).await? {
        found.are_young |= refused.into_iter().any(is_young);
        for (topic, partition, extent) in places {
            let shape = found.shapes.get_mut(&topic);
            let own = shape.and_then(|own| own.partitions.get_mut(usize::try_from(partition).ok()?));
            own.into_iter().for_each(|own| *own = Some(extent));
        }
    }
    Ok(found)
}

/// Who leads a partition that has no leader.
const NOBODY: i32 = -1;

/// Topics with their partitions, and these by who leads them.
type Shapes = (BTreeMap<String, Shape>, BTreeMap<i32, TopicPartitionList>);

fn shapes(clerk: &Clerk, name: Option<&str>) -> KafkaResult<Shapes> {
    let metadata = clerk.metadata(name, clerk.patience())?;
    let (mut found, mut leaders): Shapes = (BTreeMap::new(), BTreeMap::new());
    for topic in metadata.topics() {
        if topic.error().is_some() || name.is_none() && topic.name().starts_with(limits::INTERNAL) {
            continue;
        }
        for partition in topic.partitions() {
            let leader = partition.leader().max(NOBODY);
            leaders
                .entry(leader)
                .or_insert_with(TopicPartitionList::new)
                .add_partition(topic.name(), partition.id());
        }
        let copies = topic.partitions().first().map_or(0, |partition| partition.replicas().len());
        let shape = Shape {
            partitions: vec![None; topic.partitions().len()],
            replication_factor: u16::try_from(copies).unwrap_or(u16::MAX),
        };
        found.insert(topic.name().to_owned(), shape);
    }
    Ok((found, leaders))
}

/// Asks one leader. What it cannot tell is left out.
fn ends(clerk: &Clerk, own: &TopicPartitionList) -> Told {
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    let begin = clerk.ends(own, Offset::Beginning);
    let both = begin.and_then(|begin| Ok((begin, clerk.ends(own, Offset::End)?)));
    let (begin, end) = match both {
        Ok(both) => both,
        Err(error) => {
            refused.extend(error.rdkafka_error_code());
            return (told, refused);
        }
    };
    for (begin, end) in begin.elements().into_iter().zip(end.elements()) {
        match begin.error().and_then(|()| end.error()) {
            Ok(()) => {
                let extent = Extent { earliest: offset(begin.offset()), next: offset(end.offset()) };
                told.push((begin.topic().to_owned(), begin.partition(), extent));
            }
            Err(error) => refused.extend(error.rdkafka_error_code()),
        }
    }
    (told, refused)
}

fn offset(offset: Offset) -> u64 {
    offset.to_raw().and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0)
}

/// What a broker says of a partition of which it does not know everything yet. One that has just started hears of its
/// partitions and of their leaders' terms one after the other.
fn is_young(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Is;
    matches!(
        code,
        Is::LeaderNotAvailable
            | Is::NotLeaderForPartition
            | Is::UnknownTopicOrPartition
            | Is::ReplicaNotAvailable
            | Is::UnknownLeaderEpoch
            | Is::FencedLeaderEpoch
            | Is::OffsetNotAvailable
            | Is::KafkaStorageError
    )
}
