//! The record of operations: a ring for each core, written without waiting, read now and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Code;
use model::view::ActivityRecord;
use policy::Time;
use wire::cores::{self, PerCore};

use crate::clock;
use crate::request_id::RequestId;

/// Operations that each core remembers.
const KEPT: usize = 4096;

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

/// Which operations are asked for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each matches the field of that name")]
pub struct ActivityFilter {
    pub cluster: Option<String>,
    pub service: Option<String>,
    pub service_type: Option<String>,
    pub operation: Option<String>,
    pub outcome: Option<String>,
    pub since: Option<jiff::Timestamp>,
    /// Only those with a smaller id.
    pub before: Option<String>,
    /// Only requests of the traffic door.
    pub requests_only: bool,
}

/// A handle on the record. Clones share it.
#[derive(Clone)]
pub struct Activity(Arc<PerCore<Mutex<Ring>>>);

#[derive(Default)]
struct Ring {
    entries: Vec<Entry>,
    /// Operations ever written; the next goes to this index, modulo [`KEPT`].
    written: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Activity(Arc::new(PerCore::new(Mutex::default)))
    }
}

impl Activity {
    /// Writes an operation down. Each core has its own ring, so the lock is free but for a reader now and then.
    pub(crate) fn note(&self, entry: Entry) {
        let mut ring = self.0.here().lock().unwrap_or_else(PoisonError::into_inner);
        if ring.entries.len() < KEPT {
            ring.entries.push(entry);
        } else {
            let at = (ring.written % KEPT as u64) as usize;
            ring.entries[at] = entry;
        }
        ring.written += 1;
    }

    /// The latest that match, newest first, and the cursor of the next page.
    #[must_use]
    pub fn list(&self, filter: &ActivityFilter, limit: usize) -> (Vec<ActivityRecord>, Option<String>) {
        let mut found = Vec::new();
        for (core, ring) in self.0.iter().enumerate() {
            // Copied out first: the core must not wait while records are put into words.
            let (entries, written) = {
                let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
                (ring.entries.clone(), ring.written)
            };
            let oldest = written - entries.len() as u64;
            let records = entries.iter().enumerate().map(|(at, entry)| {
                let number = oldest + ((at as u64 + KEPT as u64 - oldest % KEPT as u64) % KEPT as u64);
                (id(core, number, entry), entry)
            });
            found.extend(
                records.filter(|(id, entry)| filter.matches(id, entry)).map(|(id, entry)| record(id, entry)),
            );
        }
        found.sort_unstable_by(|a, b| b.id.cmp(&a.id));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| last.id.clone());
        (found, next)
    }
}

/// Sorts by the end of the operation; core and number make it unique.
fn id(core: usize, number: u64, entry: &Entry) -> String {
    let ended = clock::wall(entry.began.plus(entry.duration)).as_microsecond();
    format!("{ended:014x}-{core:02x}{:04x}", number & 0xffff)
}

impl ActivityFilter {
    fn matches(&self, id: &str, entry: &Entry) -> bool {
        let same = |asked: &Option<String>, own: &str| asked.as_deref().is_none_or(|asked| asked == own);
        self.before.as_deref().is_none_or(|before| id < before)
            && same(&self.cluster, &entry.cluster)
            && same(&self.service, &entry.service)
            && same(&self.service_type, entry.kind)
            && same(&self.operation, entry.operation)
            && same(&self.outcome, outcome(entry.ending))
            && self.since.is_none_or(|since| clock::wall(entry.began) >= since)
            && (!self.requests_only || matches!(entry.shape, Shape::Route(_)))
    }
}

fn outcome(ending: Ending) -> &'static str {
    match ending {
        Ending::Success(_) => "success",
        Ending::Failure(..) => "error",
        Ending::Cancelled => "cancelled",
    }
}

fn record(id: String, entry: &Entry) -> ActivityRecord {
    let (code, status) = match entry.ending {
        Ending::Success(status) => (None, status),
        Ending::Failure(code, status) => (Some(code.name().to_owned()), status),
        Ending::Cancelled => (None, None),
    };
    ActivityRecord {
        id,
        time: clock::wall(entry.began),
        cluster: entry.cluster.to_string(),
        service: entry.service.to_string(),
        operation: entry.operation.to_owned(),
        shape: entry.shape.text().to_owned(),
        outcome: outcome(entry.ending).to_owned(),
        code,
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
