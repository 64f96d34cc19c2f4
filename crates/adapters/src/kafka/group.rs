//! A topic's group as this process knows it: its members here, and what each partition of theirs was delivered.
//!
//! The broker says who has which partition; it remembers one place for each. The rest is remembered here.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use model::{Code, Failure};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Notify;

use super::client::Ear;
use super::failure;
use super::ledger::{Ledger, Millis};
use super::member::Link;
use super::token::Whose;

/// How long a consumer whose stream has ended is waited for: the time in which it comes back after a broken
/// connection.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// A topic's group.
pub(super) struct Group {
    pub(super) topic: Box<str>,
    pub(super) name: Box<str>,
    pub(super) whose: Whose,
    /// Which making of this memory it is, as tokens say it.
    pub(super) memory: u64,
    began: Instant,
    state: Mutex<State>,
}

/// What changes of a group.
#[derive(Default)]
pub(super) struct State {
    pub(super) parts: BTreeMap<u32, Part>,
    pub(super) members: Vec<Member>,
    /// Deliveries so far.
    pub(super) sequence: u64,
    /// Members that have gone and whose clients have not.
    leaving: usize,
    /// Since when nobody here reads for it.
    idle: Option<Instant>,
}

/// A partition of which something is known here.
#[derive(Default)]
pub(super) struct Part {
    pub(super) ledger: Ledger,
    /// Whose it is, of the members here.
    pub(super) owner: Option<u64>,
    /// The place that was sent to the broker last.
    pub(super) sent: Option<u64>,
}

/// A consumer that reads for the group.
pub(super) struct Member {
    pub(super) consumer: u64,
    pub(super) session: u64,
    pub(super) credit: u32,
    pub(super) lease: Millis,
    /// Set while no stream is there: when it goes.
    pub(super) leaves_at: Option<Instant>,
    /// The partitions that are its own, and how often that has changed.
    pub(super) assignment: Vec<u32>,
    pub(super) changes: u64,
    /// The partition that is looked at first.
    pub(super) turn: usize,
    pub(super) stream: Stream,
    pub(super) link: Arc<Link>,
}

/// What a member and the stream of it share. The streams of one member, one after the other, are woken alike.
#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) wake: Arc<Notify>,
    pub(super) ending: Arc<OnceLock<Ending>>,
}

/// Why a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The topic was deleted.
    TopicDeleted,
    /// Another stream goes on as the same consumer.
    Superseded,
    /// The group was reset or deleted.
    GroupChanged,
    /// The gateway closes the service.
    Closed,
    /// The broker refuses it, or sends what cannot be read.
    Refused(RDKafkaErrorCode),
}

impl Ending {
    pub(super) fn failure(self, ear: &Ear) -> Failure {
        let client = |code, detail: &'static str| Failure::client(code, detail);
        match self {
            Ending::TopicDeleted => client(Code::NotFound, "The topic was deleted."),
            Ending::Superseded => client(Code::Conflict, "Another stream has resumed this consumer."),
            Ending::GroupChanged => client(Code::Conflict, "The group was deleted or reset."),
            Ending::Closed => failure::closed(),
            Ending::Refused(code) => failure::of_code(code, ear, "deliver messages"),
        }
    }
}

impl Stream {
    /// Ends it, for the first reason that is told.
    pub(super) fn end(&self, why: Ending) {
        let _ = self.ending.set(why);
        self.wake.notify_waiters();
        self.wake.notify_one();
    }
}

impl Group {
    pub(super) fn new(topic: &str, name: &str) -> Self {
        Group {
            topic: topic.into(),
            name: name.into(),
            whose: Whose::of(topic, name),
            memory: random(),
            began: Instant::now(),
            state: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of this group's life.
    pub(super) fn now(&self) -> Millis {
        self.moment(Instant::now())
    }

    fn moment(&self, at: Instant) -> Millis {
        u64::try_from(at.duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment of these milliseconds.
    pub(super) fn at(&self, millis: Millis) -> Instant {
        self.began + Duration::from_millis(millis)
    }

    /// Ends all streams, for that reason.
    pub(super) fn end(&self, why: Ending) {
        for member in &mut self.lock().members {
            member.stream.end(why);
            member.leaves_at = Some(Instant::now());
        }
    }
}

impl State {
    pub(super) fn member(&mut self, consumer: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|own| own.consumer == consumer)
    }

    /// What a consumer holds of the partitions that are its own: messages that it owes, and bytes in memory.
    pub(super) fn held(&self, consumer: u64) -> (u32, u64) {
        let own = self.parts.values().filter(|part| part.owner == Some(consumer));
        own.fold((0, 0), |(held, bytes), part| {
            (held + part.ledger.held_by(consumer), bytes + part.ledger.bytes())
        })
    }

    /// Consumers whose stream is there.
    pub(super) fn reading(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.leaves_at.is_none())
    }

    /// A partition is a member's now.
    pub(super) fn assign(&mut self, consumer: u64, partitions: &[u32]) {
        for partition in partitions {
            let part = self.parts.entry(*partition).or_default();
            part.owner = Some(consumer);
            part.sent = None;
            part.ledger.assign();
        }
        self.reassigned(consumer);
    }

    /// It is no more.
    pub(super) fn revoke(&mut self, consumer: u64, partitions: &[u32]) {
        for partition in partitions {
            // A sibling may have it already, when the broker had given this member up.
            if let Some(part) = self.parts.get_mut(partition).filter(|part| part.owner == Some(consumer)) {
                part.owner = None;
                part.ledger.revoke();
            }
        }
        self.reassigned(consumer);
    }

    /// It has no partition any more.
    pub(super) fn revoke_all(&mut self, consumer: u64) {
        let own: Vec<u32> =
            self.parts.iter().filter(|(_, own)| own.owner == Some(consumer)).map(|(at, _)| *at).collect();
        self.revoke(consumer, &own);
    }

    fn reassigned(&mut self, consumer: u64) {
        let own = self.parts.iter().filter(|(_, part)| part.owner == Some(consumer));
        let own: Vec<u32> = own.map(|(partition, _)| *partition).collect();
        if let Some(member) = self.member(consumer) {
            member.assignment = own;
            member.changes += 1;
            member.stream.wake.notify_one();
        }
    }

    /// Whether a member stays. One whose time is over is a member no more when this has said so.
    pub(super) fn stays(&mut self, consumer: u64) -> bool {
        let now = Instant::now();
        let gone = self
            .members
            .extract_if(.., |own| own.consumer == consumer && own.leaves_at.is_some_and(|at| at <= now));
        let gone = gone.count();
        self.leaving += gone;
        gone == 0
    }

    /// The client of a member that does not stay has left the group.
    pub(super) fn left(&mut self, consumer: u64) {
        self.revoke_all(consumer);
        self.leaving -= 1;
        if self.is_empty() {
            self.idle = Some(Instant::now());
        }
    }

    /// Whether no client of this process is a member.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.leaving == 0
    }

    /// How long nobody here has read for it.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.idle.map(|since| since.elapsed())
    }

    pub(super) fn insert(&mut self, member: Member) {
        self.idle = None;
        self.members.push(member);
    }
}

/// A number that no other process comes by.
pub(super) fn random() -> u64 {
    // Each state has keys of its own, of which the first are random.
    RandomState::new().hash_one(Instant::now())
}

/// What a consumer is called, here and on the broker.
pub(super) fn name_of(consumer: u64) -> String {
    format!("consumer-{consumer:016x}")
}
