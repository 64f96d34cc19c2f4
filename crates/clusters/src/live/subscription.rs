//! One who follows: a place in the ring of deltas, and what is asked for.

use std::fmt::Write;
use std::sync::Arc;

use model::live::{Op, Topic};

use super::Text;
use super::state::{Shown, State, Thing};
use crate::Clusters;

/// Deltas that are handed out at once, so that the ring's lock is held for a moment.
const AT_ONCE: usize = 256;

/// Bytes of them: what a client that does not read holds beyond what everybody shares. One delta may be longer.
const BYTES: usize = 64 << 10;

/// What is followed.
#[derive(Debug, Clone, Default)]
pub struct Following {
    /// Each once.
    pub topics: Vec<Topic>,
    /// Only what is of this cluster.
    pub cluster: Option<String>,
    /// Only what is of a service of this name; clusters and their metrics stay.
    pub service: Option<String>,
}

/// One delta.
#[derive(Debug)]
pub struct Change {
    /// Its number.
    pub seq: u64,
    /// It, as JSON in one line.
    pub data: String,
    topic: Topic,
    cluster: Option<Text>,
    service: Option<Text>,
}

/// A piece of the text of a snapshot.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Ours.
    Own(String),
    /// One that everybody shares.
    Shared(Arc<str>),
}

impl AsRef<str> for Piece {
    fn as_ref(&self) -> &str {
        match self {
            Piece::Own(text) => text,
            Piece::Shared(text) => text,
        }
    }
}

/// What follows next.
#[derive(Debug)]
pub enum Next {
    /// Everything that was asked for, as JSON in one line, in pieces.
    Snapshot {
        /// Deltas up to this number are in it.
        seq: u64,
        /// One after the other.
        pieces: Vec<Piece>,
    },
    /// What has changed, the oldest first.
    Deltas(Vec<Arc<Change>>),
}

/// One who follows, until dropped.
pub struct Subscription {
    clusters: Clusters,
    following: Following,
    /// The last number that was seen; none before the first snapshot.
    seen: Option<u64>,
    told: tokio::sync::watch::Receiver<u64>,
}

impl Subscription {
    pub(super) fn new(clusters: Clusters, following: Following) -> Self {
        let told = clusters.0.live.told.subscribe();
        Subscription { clusters, following, seen: None, told }
    }

    /// Goes on after the event of this id, if all that followed it is known.
    pub(super) fn resume(&mut self, last: Option<&str>) {
        let Some((epoch, seq)) = last.and_then(|last| last.rsplit_once('-')) else { return };
        let Ok(seq) = seq.parse::<u64>() else { return };
        let hub = &self.clusters.0.live;
        let state = hub.state();
        let since = |topic: &Topic| state.shown(*topic).since.is_some_and(|since| since <= seq);
        let known = epoch == hub.epoch
            && (state.forgotten..=state.seq).contains(&seq)
            && self.following.topics.iter().all(since);
        self.seen = known.then_some(seq);
    }

    /// Waits for what follows. May be dropped while it waits; nothing is lost then.
    pub async fn next(&mut self) -> Next {
        loop {
            // Seen before the look, so that what is told meanwhile is not waited for.
            self.told.borrow_and_update();
            if let Some(next) = self.look() {
                return next;
            }
            if self.told.changed().await.is_err() {
                // Cannot be: we hold who tells. But then nothing follows.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is there already.
    fn look(&mut self) -> Option<Next> {
        let clusters = self.clusters.clone();
        let state = clusters.0.live.state();
        let Some(seen) = self.seen.filter(|seen| *seen >= state.forgotten) else {
            self.seen = Some(state.seq);
            let pieces = self.following.snapshot(&clusters.0.live.epoch, &state);
            return Some(Next::Snapshot { seq: state.seq, pieces });
        };
        let (mut deltas, mut bytes) = (Vec::new(), 0);
        self.seen = Some(state.seq);
        for change in state.after(seen).filter(|change| self.following.wants_change(change)) {
            deltas.push(Arc::clone(change));
            bytes += change.data.len();
            if deltas.len() == AT_ONCE || bytes >= BYTES {
                self.seen = Some(change.seq);
                break;
            }
        }
        (!deltas.is_empty()).then_some(Next::Deltas(deltas))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.clusters.0.live.state().leave(&self.following.topics);
    }
}

impl Following {
    fn wants(&self, topic: Topic, cluster: Option<&str>, service: Option<&str>) -> bool {
        let same = |asked: &Option<String>, own| asked.is_none() || asked.as_deref() == own;
        // Things that are of no service are not of another one.
        let whole = matches!(topic, Topic::Clusters | Topic::Metrics);
        same(&self.cluster, cluster) && (whole || same(&self.service, service))
    }

    fn wants_change(&self, change: &Change) -> bool {
        self.topics.contains(&change.topic)
            && self.wants(change.topic, change.cluster.as_deref(), change.service.as_deref())
    }

    /// The text of a snapshot. Things are shared and not copied: a snapshot of ten thousand is a list.
    fn snapshot(&self, epoch: &str, state: &State) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut own = format!(r#"{{"epoch":"{epoch}","seq":{}"#, state.seq);
        for topic in Topic::ALL.into_iter().filter(|topic| self.topics.contains(topic)) {
            let Shown { things, recent, .. } = state.shown(topic);
            let (open, close) = match topic {
                Topic::Events | Topic::Activity => ('[', ']'),
                Topic::Clusters | Topic::Services | Topic::Routes | Topic::Metrics => ('{', '}'),
            };
            // Writing into a text cannot fail.
            let _ = write!(own, r#","{}":{open}"#, topic.name());
            let wanted =
                |thing: &&Thing| self.wants(topic, thing.cluster.as_deref(), thing.service.as_deref());
            for (n, thing) in things.values().chain(recent).filter(wanted).enumerate() {
                if n > 0 {
                    own.push(',');
                }
                if !own.is_empty() {
                    pieces.push(Piece::Own(std::mem::take(&mut own)));
                }
                pieces.push(Piece::Shared(Arc::clone(&thing.member)));
            }
            own.push(close);
        }
        own.push('}');
        pieces.push(Piece::Own(own));
        pieces
    }
}

impl Change {
    pub(super) fn new(
        seq: u64,
        topic: Topic,
        op: Op,
        key: Option<&str>,
        thing: &Thing,
        skipped: Option<u64>,
    ) -> Self {
        let word = match op {
            Op::Put => "put",
            Op::Remove => "remove",
            Op::Append => "append",
        };
        let mut data = format!(r#"{{"seq":{seq},"topic":"{}","op":"{word}""#, topic.name());
        if key.is_some() {
            // The member begins with its key, as JSON.
            let _ = write!(data, r#","key":{}"#, &thing.member[..thing.value - 1]);
        }
        if op != Op::Remove {
            let _ = write!(data, r#","value":{}"#, thing.value());
        }
        if let Some(skipped) = skipped {
            let _ = write!(data, r#","skipped":{skipped}"#);
        }
        data.push('}');
        Change { seq, data, topic, cluster: thing.cluster.clone(), service: thing.service.clone() }
    }
}
