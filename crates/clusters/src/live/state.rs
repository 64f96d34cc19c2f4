//! What was shown last of each topic, and the ring of what has changed since.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::live::{Op, Topic};

use super::Text;
use super::subscription::Change;

/// Deltas that are remembered, at most. At a hundred a second, more than half a minute to come back in.
const DELTAS: usize = 4096;

/// Bytes of them, at most: facts of a service with many endpoints are long.
const BYTES: usize = 16 << 20;

/// Things of a topic without keys that a snapshot has.
pub(super) const RECENT: usize = 100;

/// Everything that those who follow share.
#[derive(Default)]
pub(crate) struct State {
    /// Rises with each delta, and whenever a topic is looked at anew.
    pub(super) seq: u64,
    /// The greatest number that is not remembered any more.
    pub(super) forgotten: u64,
    ring: VecDeque<Arc<Change>>,
    bytes: usize,
    topics: [Shown; Topic::ALL.len()],
    pub(super) subscribers: usize,
    pub(super) working: bool,
}

/// One topic.
#[derive(Default)]
pub(super) struct Shown {
    /// Who follows it now.
    followers: usize,
    /// When the last of them left.
    left: Option<Instant>,
    /// Since which number every change of it is in the ring, if it is looked after at all.
    pub(super) since: Option<u64>,
    /// By key.
    pub(super) things: BTreeMap<String, Thing>,
    /// Without keys, the oldest first.
    pub(super) recent: VecDeque<Thing>,
}

/// One thing as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) cluster: Option<Text>,
    pub(super) service: Option<Text>,
    /// `"key":value`, or the value alone where there is no key; as it stands in a snapshot.
    pub(super) member: Text,
    /// Where the value begins in it.
    pub(super) value: usize,
    /// Of what is worth a delta at once; numbers that never stand still are not in it.
    pub(super) steady: u64,
}

impl Thing {
    pub(super) fn value(&self) -> &str {
        &self.member[self.value..]
    }
}

impl State {
    pub(super) fn enter(&mut self, topics: &[Topic]) {
        self.subscribers += 1;
        for topic in topics {
            self.topics[*topic as usize].followers += 1;
        }
    }

    pub(super) fn leave(&mut self, topics: &[Topic]) {
        self.subscribers -= 1;
        for topic in topics {
            let shown = &mut self.topics[*topic as usize];
            shown.followers -= 1;
            if shown.followers == 0 {
                shown.left = Some(Instant::now());
            }
        }
    }

    /// Lets go of topics that nobody has followed for so long.
    pub(super) fn release(&mut self, linger: Duration) {
        for shown in &mut self.topics {
            if shown.followers == 0 && shown.left.is_none_or(|left| left.elapsed() >= linger) {
                *shown = Shown::default();
            }
        }
    }

    pub(super) fn is_followed(&self, topic: Topic) -> bool {
        let shown = self.shown(topic);
        shown.followers > 0 || shown.left.is_some()
    }

    pub(super) fn shown(&self, topic: Topic) -> &Shown {
        &self.topics[topic as usize]
    }

    /// Begins to look after a topic: what it is now is no change.
    pub(super) fn begin(&mut self, topic: Topic) -> &mut Shown {
        self.seq += 1;
        let shown = &mut self.topics[topic as usize];
        shown.since = Some(self.seq);
        shown
    }

    /// What a topic with keys is now. `Steady` leaves things alone of which only restless numbers have changed.
    pub(super) fn set(&mut self, topic: Topic, now: BTreeMap<String, Thing>, compare: Compare) {
        if self.shown(topic).since.is_none() {
            self.begin(topic).things = now;
            return;
        }
        let mut before = std::mem::take(&mut self.topics[topic as usize].things);
        let mut after = BTreeMap::new();
        for (key, thing) in now {
            let old = before.remove(&key);
            let same = old.as_ref().is_some_and(|old| match compare {
                Compare::Steady => old.steady == thing.steady,
                Compare::Whole => old.member == thing.member,
            });
            match old {
                Some(old) if same => drop(after.insert(key, old)),
                _ => {
                    self.push(topic, Op::Put, Some(&key), &thing, None);
                    after.insert(key, thing);
                }
            }
        }
        for (key, thing) in before {
            self.push(topic, Op::Remove, Some(&key), &thing, None);
        }
        self.topics[topic as usize].things = after;
    }

    /// More that happened in a topic without keys, the oldest first; `skipped` more are not told.
    pub(super) fn append(&mut self, topic: Topic, things: Vec<Thing>, skipped: u64) {
        for (n, thing) in things.into_iter().enumerate() {
            self.push(topic, Op::Append, None, &thing, (n == 0 && skipped > 0).then_some(skipped));
            let recent = &mut self.topics[topic as usize].recent;
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(thing);
        }
    }

    fn push(&mut self, topic: Topic, op: Op, key: Option<&str>, thing: &Thing, skipped: Option<u64>) {
        self.seq += 1;
        let change = Change::new(self.seq, topic, op, key, thing, skipped);
        self.bytes += change.data.len();
        self.ring.push_back(Arc::new(change));
        while self.ring.len() > DELTAS || self.bytes > BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.bytes -= oldest.data.len();
            self.forgotten = oldest.seq;
        }
    }

    /// What came after this number, the oldest first.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = &Arc<Change>> {
        let begin = self.ring.partition_point(|change| change.seq <= seq);
        self.ring.range(begin..)
    }

    pub(super) fn remembered(&self) -> (usize, usize) {
        (self.ring.len(), self.bytes)
    }
}

/// What counts as a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// What somebody may wait for.
    Steady,
    /// Every byte.
    Whole,
}
