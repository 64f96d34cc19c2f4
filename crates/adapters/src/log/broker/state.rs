//! What the broker holds in memory: topics with their newest messages, groups with their members.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::super::command::{Ending, Handed};
use super::super::progress::{Millis, Progress};
use super::super::stored::Stored;
use super::super::tables::{GroupRow, PartitionRow, TopicRow};

pub(super) struct Topic {
    pub(super) id: u64,
    pub(super) name: Box<str>,
    pub(super) retention: Option<Duration>,
    pub(super) retention_bytes: Option<u64>,
    /// The last turn took out less than it added, though it had to.
    pub(super) behind: bool,
    pub(super) partitions: Vec<Partition>,
    /// Its groups, by name.
    pub(super) groups: BTreeMap<Box<str>, u64>,
    /// Consumers of all groups: without any, no message is kept in memory.
    pub(super) readers: usize,
    /// Where the next messages without a key go.
    pub(super) turn: u32,
}

pub(super) struct Partition {
    pub(super) earliest: u64,
    pub(super) next: u64,
    /// Of its messages.
    pub(super) bytes: u64,
    /// When its oldest message was published, if it has one.
    pub(super) oldest: Option<i64>,
    /// Its newest messages, up to `next`.
    pub(super) recent: VecDeque<Arc<Stored>>,
}

pub(super) struct Group {
    pub(super) id: u64,
    pub(super) topic: u64,
    pub(super) name: Box<str>,
    /// By partition.
    pub(super) progress: Vec<Progress>,
    /// By partition: the consumer that reads it.
    pub(super) owners: Vec<Option<u64>>,
    /// In the order in which they joined.
    pub(super) members: Vec<Member>,
    /// When it is looked at next, if nothing happens before.
    pub(super) alarm: Millis,
}

pub(super) struct Member {
    pub(super) consumer: u64,
    pub(super) session: u64,
    pub(super) credit: u32,
    /// In milliseconds.
    pub(super) lease: Millis,
    /// It waits for messages.
    pub(super) ready: bool,
    /// A thread reads for it.
    pub(super) fetching: bool,
    /// Set when its stream has ended: until when it may resume.
    pub(super) leaves_at: Option<Millis>,
    /// Its partitions, in order.
    pub(super) partitions: Vec<u32>,
    /// Which of them is served first next time.
    pub(super) turn: usize,
    /// What was read for it from the file.
    pub(super) fetched: HashMap<(u32, u64), Arc<Stored>>,
    pub(super) inbox: mpsc::UnboundedSender<Handed>,
    pub(super) assignment: watch::Sender<Vec<u32>>,
    /// Set when it waits, and there was nothing for it.
    pub(super) idle: Arc<AtomicBool>,
    pub(super) ending: Arc<OnceLock<Ending>>,
}

impl Topic {
    pub(super) fn of(row: TopicRow) -> Topic {
        Topic {
            id: row.id,
            name: row.name,
            retention: row.retention_ms.map(Duration::from_millis),
            retention_bytes: row.retention_bytes,
            behind: false,
            partitions: row.partitions.into_iter().map(Partition::of).collect(),
            groups: BTreeMap::new(),
            readers: 0,
            turn: 0,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }
}

impl Partition {
    pub(super) fn of(row: PartitionRow) -> Partition {
        let PartitionRow { earliest, next, bytes, oldest } = row;
        Partition { earliest, next, bytes, oldest, recent: VecDeque::new() }
    }

    /// A message that is still in memory.
    pub(super) fn recent(&self, offset: u64) -> Option<&Arc<Stored>> {
        let first = self.next - self.recent.len() as u64;
        let at = usize::try_from(offset.checked_sub(first)?).ok()?;
        self.recent.get(at)
    }
}

impl Group {
    /// A group of a topic that is open, with what its rows say.
    pub(super) fn of(row: GroupRow, topic: &Topic) -> Group {
        let mut progress: Vec<Progress> =
            topic.partitions.iter().map(|partition| Progress::at(partition.earliest)).collect();
        for (partition, kept) in row.progress {
            if let Some(own) = progress.get_mut(partition as usize) {
                *own = kept;
                let _ = own.trim(topic.partitions[partition as usize].earliest);
            }
        }
        Group::new(row.id, row.topic, row.name, progress)
    }

    pub(super) fn new(id: u64, topic: u64, name: Box<str>, progress: Vec<Progress>) -> Group {
        let owners = vec![None; progress.len()];
        Group { id, topic, name, progress, owners, members: Vec::new(), alarm: Millis::MAX }
    }

    /// The member of this stream, if the stream is its present one.
    pub(super) fn member(&mut self, consumer: u64, session: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.consumer == consumer && member.session == session)
    }

    /// Whether a consumer waits for messages.
    pub(super) fn is_waited_for(&self) -> bool {
        self.members.iter().any(|member| member.ready)
    }

    /// When it must be looked at, if nothing happens before.
    pub(super) fn wakes_at(&self, now: Millis) -> Option<Millis> {
        let leaves = self.members.iter().filter_map(|member| member.leaves_at);
        self.progress.iter().filter_map(|progress| progress.wakes_at(now)).chain(leaves).min()
    }
}
