//! The record of operations: a ring for each core, written without waiting, read now and then. What outlives the
//! process is taken from here by `history`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Code;
use model::view::ActivityRecord;
use policy::Time;
pub use store::ActivityFilter;
use store::{KeptOperation, Seen};
use wire::cores::{self, PerCore};

use crate::clock;
use crate::request_id::RequestId;

/// Operations that each core remembers.
const KEPT: usize = 4096;

/// Operations that a reader looks at before it lets the core write again.
const AT_ONCE: u64 = 256;

/// What an operation looked like, without its values.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A routed request: the id of its route.
    Route(Arc<str>),
    /// A data call: the shape of its key, topic or statement.
    Text(Box<str>),
}

impl Shape {
    fn text(&self) -> &str {
        match self {
            Shape::Route(id) => id,
            Shape::Text(text) => text,
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Well; with the HTTP status of a proxied answer.
    Success(Option<u16>),
    /// With a failure; with the status that was passed on, if one was.
    Failure(Code, Option<u16>),
    /// The client went away.
    Cancelled,
}

/// One operation. Holds names and nothing that runs: what is remembered keeps nothing alive.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) cluster: Arc<str>,
    pub(crate) service: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) shape: Shape,
    pub(crate) ending: Ending,
    pub(crate) began: Time,
    pub(crate) duration: Duration,
    pub(crate) tries: u32,
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) request_id: RequestId,
}

/// A handle on the record. Clones share it.
#[derive(Clone)]
pub struct Activity(Arc<Inner>);

struct Inner {
    rings: PerCore<Mutex<Ring>>,
    /// Microseconds that ids are ahead of the wall clock, should that have been set back since the last run.
    ahead: AtomicU64,
}

#[derive(Default)]
struct Ring {
    entries: Vec<Entry>,
    /// Operations ever written; the next goes to this index, modulo [`KEPT`].
    written: u64,
}

/// How far somebody has read in each ring.
#[derive(Debug, Clone)]
pub(crate) struct Marks(Vec<u64>);

/// What somebody found beyond their marks.
#[derive(Default)]
pub(crate) struct Gathered {
    /// By id.
    pub(crate) operations: Vec<KeptOperation>,
    /// Operations that there was no room for, or that were overwritten before they were looked at.
    pub(crate) left_out: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Activity(Arc::new(Inner { rings: PerCore::new(Mutex::default), ahead: AtomicU64::new(0) }))
    }
}

impl Activity {
    /// Writes an operation down. Each core has its own ring, so the lock is free but for a reader now and then.
    pub(crate) fn note(&self, entry: Entry) {
        let mut ring = self.0.rings.here().lock().unwrap_or_else(PoisonError::into_inner);
        if ring.entries.len() < KEPT {
            ring.entries.push(entry);
        } else {
            let at = (ring.written % KEPT as u64) as usize;
            ring.entries[at] = entry;
        }
        ring.written += 1;
    }

    /// Makes ids go on after this one, which is the greatest of an earlier run.
    pub(crate) fn resume(&self, last: &str) {
        let micros = last.split('-').next().and_then(|micros| i64::from_str_radix(micros, 16).ok());
        let ahead = micros.unwrap_or(0) - clock::wall(clock::now()).as_microsecond() + 1;
        self.0.ahead.store(u64::try_from(ahead).unwrap_or(0), Relaxed);
    }

    /// The latest in memory that match, newest first, and the cursor of the next page.
    #[must_use]
    pub fn list(&self, filter: &ActivityFilter, limit: usize) -> (Vec<ActivityRecord>, Option<String>) {
        page(self.matching(filter, limit.saturating_add(1)), limit)
    }

    /// At most `most` of those in memory that match, the latest first.
    pub(crate) fn matching(&self, filter: &ActivityFilter, most: usize) -> Vec<ActivityRecord> {
        let mut found = Vec::new();
        for (core, ring) in self.0.rings.iter().enumerate() {
            // Copied out first: the core must not wait while records are put into words.
            let wanted = |entry: &Entry| filter.matches(&seen(entry, ""));
            read(ring, 0, wanted, |number, entry| {
                let id = self.id(core, number, &entry);
                if filter.before.as_ref().is_none_or(|before| id < *before) {
                    found.push((id, entry));
                }
            });
        }
        found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        found.truncate(most);
        found.into_iter().map(|(id, entry)| record(id, &entry)).collect()
    }

    /// The end of each ring: who reads on from here sees what is written from now on.
    pub(crate) fn end(&self) -> Marks {
        let written = |ring: &Mutex<Ring>| ring.lock().unwrap_or_else(PoisonError::into_inner).written;
        Marks(self.0.rings.iter().map(written).collect())
    }

    /// The beginning of each ring.
    pub(crate) fn beginning(&self) -> Marks {
        Marks(self.0.rings.iter().map(|_| 0).collect())
    }

    /// At most `room` of what lies beyond the marks, which move on: what failed before data calls, and these before
    /// requests that went well. The cores wait for no more than a look at what they wrote.
    pub(crate) fn gather(&self, marks: &mut Marks, room: usize) -> Gathered {
        let mut ranks: [Vec<(usize, u64, Entry)>; 3] = Default::default();
        let mut left_out = 0;
        for (core, (ring, mark)) in self.0.rings.iter().zip(&mut marks.0).enumerate() {
            let mut space = ranks.each_ref().map(|rank| room - rank.len());
            let mut refused = 0;
            let wanted = |entry: &Entry| match &mut space[rank(entry)] {
                0 => {
                    refused += 1;
                    false
                }
                space => {
                    *space -= 1;
                    true
                }
            };
            let (end, missed) = read(ring, *mark, wanted, |number, entry| {
                ranks[rank(&entry)].push((core, number, entry));
            });
            *mark = end;
            left_out += missed + refused;
        }
        let found = ranks.iter().map(|rank| rank.len() as u64).sum::<u64>();
        let chosen = ranks.into_iter().flatten().take(room);
        let mut operations: Vec<KeptOperation> =
            chosen.map(|(core, number, entry)| kept(self.id(core, number, &entry), &entry)).collect();
        operations.sort_unstable_by(|a, b| a.record.id.cmp(&b.record.id));
        left_out += found - operations.len() as u64;
        Gathered { operations, left_out }
    }

    /// Sorts by the end of the operation; core and number make it unique.
    fn id(&self, core: usize, number: u64, entry: &Entry) -> String {
        let ended = clock::wall(entry.began.plus(entry.duration)).as_microsecond();
        let ended = ended.saturating_add_unsigned(self.0.ahead.load(Relaxed));
        format!("{ended:014x}-{core:02x}{:04x}", number & 0xffff)
    }
}

/// Looks at what a ring has from this number on, the oldest first, and hands out copies of what is `wanted`. Says
/// where it ended, and how many were overwritten before they were seen.
fn read(
    ring: &Mutex<Ring>,
    from: u64,
    mut wanted: impl FnMut(&Entry) -> bool,
    mut each: impl FnMut(u64, Entry),
) -> (u64, u64) {
    let (mut at, mut missed) = (from, 0);
    let end = ring.lock().unwrap_or_else(PoisonError::into_inner).written;
    let mut copies = Vec::new();
    while at < end {
        {
            let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = (ring.written - ring.entries.len() as u64).min(end);
            missed += oldest.saturating_sub(at);
            at = at.max(oldest);
            let until = end.min(at + AT_ONCE);
            for number in at..until {
                let entry = &ring.entries[(number % KEPT as u64) as usize];
                if wanted(entry) {
                    copies.push((number, entry.clone()));
                }
            }
            at = until;
        }
        for (number, entry) in copies.drain(..) {
            each(number, entry);
        }
    }
    (end, missed)
}

/// What is kept first when not everything can be.
fn rank(entry: &Entry) -> usize {
    match (entry.ending, &entry.shape) {
        (Ending::Failure(..) | Ending::Cancelled, _) => 0,
        (Ending::Success(_), Shape::Text(_)) => 1,
        (Ending::Success(_), Shape::Route(_)) => 2,
    }
}

/// One page of what is sorted and may hold more, and the cursor of the next.
pub(crate) fn page(mut found: Vec<ActivityRecord>, limit: usize) -> (Vec<ActivityRecord>, Option<String>) {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.clone());
    (found, next)
}

fn seen<'e>(entry: &'e Entry, id: &'e str) -> Seen<'e> {
    Seen {
        id,
        cluster: &entry.cluster,
        service: &entry.service,
        kind: entry.kind,
        operation: entry.operation,
        outcome: outcome(entry.ending),
        code: code(entry.ending),
        request_id: entry.request_id.as_str(),
        began: clock::wall(entry.began),
        routed: matches!(entry.shape, Shape::Route(_)),
    }
}

fn outcome(ending: Ending) -> &'static str {
    match ending {
        Ending::Success(_) => "success",
        Ending::Failure(..) => "error",
        Ending::Cancelled => "cancelled",
    }
}

fn code(ending: Ending) -> Option<&'static str> {
    match ending {
        Ending::Failure(code, _) => Some(code.name()),
        Ending::Success(_) | Ending::Cancelled => None,
    }
}

fn kept(id: String, entry: &Entry) -> KeptOperation {
    let routed = matches!(entry.shape, Shape::Route(_));
    KeptOperation { record: record(id, entry), kind: entry.kind, routed }
}

fn record(id: String, entry: &Entry) -> ActivityRecord {
    let status = match entry.ending {
        Ending::Success(status) | Ending::Failure(_, status) => status,
        Ending::Cancelled => None,
    };
    ActivityRecord {
        id,
        time: clock::wall(entry.began),
        cluster: entry.cluster.to_string(),
        service: entry.service.to_string(),
        operation: entry.operation.to_owned(),
        shape: entry.shape.text().to_owned(),
        outcome: outcome(entry.ending).to_owned(),
        code: code(entry.ending).map(str::to_owned),
        status,
        duration_ms: entry.duration.as_secs_f64() * 1000.0,
        tries: entry.tries,
        endpoint: entry.endpoint.as_deref().map(str::to_owned),
        request_id: entry.request_id.to_string(),
    }
}

/// The slot of the calling thread, for meters.
pub(crate) fn slot() -> usize {
    cores::index()
}

#[cfg(test)]
mod tests;
