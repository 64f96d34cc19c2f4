//! The history of changes: the last thousand, in memory, and each as a line of the log. What outlives the process
//! is taken from here by `history`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::event::Event;
pub use store::EventFilter;

use crate::clock;

/// How many are kept.
const KEPT: usize = 1000;

/// How many are kept while the store has not taken them: two megabytes of what is usual, twenty at the worst.
const UNSAVED: usize = 5000;

/// The longest message, in bytes. A refused file may have very many problems; the log has them all.
const MESSAGE: usize = 4 << 10;

/// A handle on the history. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    /// Up to which the store has them.
    saved: u64,
    kept: VecDeque<Event>,
}

/// An event before it has its number and time.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in model::event::Event")]
pub struct Happening {
    pub kind: String,
    pub cluster: Option<String>,
    pub service: Option<String>,
    pub endpoint: Option<String>,
    pub route: Option<String>,
    pub actor: String,
    pub message: String,
    pub request_id: Option<String>,
}

impl Events {
    /// Writes an event down.
    pub fn tell(&self, what: Happening) {
        let Happening { kind, cluster, service, endpoint, route, actor, mut message, request_id } = what;
        let show = |field: &Option<String>| field.clone().unwrap_or_default();
        tracing::info!(
            event = kind,
            cluster = show(&cluster),
            service = show(&service),
            endpoint = show(&endpoint),
            route = show(&route),
            actor,
            "{message}"
        );
        if message.len() > MESSAGE {
            message.truncate(message.floor_char_boundary(MESSAGE));
            message.push('…');
        }
        let mut inner = self.lock();
        let time = clock::wall(clock::now());
        inner.last += 1;
        let id = inner.last;
        let event = Event { id, time, kind, cluster, service, endpoint, route, actor, message, request_id };
        inner.kept.push_back(event);
        inner.shrink();
    }

    /// Goes on counting after this id, which is the greatest of an earlier run. What was told before comes after it,
    /// as it happened: a store that is late says only then how far that run has come.
    pub(crate) fn resume(&self, last: u64) {
        let mut inner = self.lock();
        let further = last.saturating_sub(inner.saved);
        inner.last += further;
        inner.saved += further;
        inner.kept.iter_mut().for_each(|event| event.id += further);
    }

    /// The latest in memory that match, newest first, and the cursor of the next page.
    #[must_use]
    pub fn list(&self, filter: &EventFilter, limit: usize) -> (Vec<Event>, Option<u64>) {
        page(self.matching(filter, limit.saturating_add(1)).0, limit)
    }

    /// At most `most` of those in memory that match, the latest first; and the first id that memory has, or will
    /// have: whatever is older is in the store or nowhere.
    pub(crate) fn matching(&self, filter: &EventFilter, most: usize) -> (Vec<Event>, u64) {
        let inner = self.lock();
        let found = inner.kept.iter().rev().filter(|event| filter.matches(event)).take(most).cloned();
        (found.collect(), inner.kept.front().map_or(inner.last + 1, |first| first.id))
    }

    /// Those after this id, the oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Event> {
        let inner = self.lock();
        let begin = inner.kept.partition_point(|event| event.id <= id);
        inner.kept.range(begin..).cloned().collect()
    }

    /// Those that the store has not got yet, the oldest first.
    pub(crate) fn unsaved(&self) -> Vec<Event> {
        let saved = self.lock().saved;
        self.after(saved)
    }

    /// The store has got them up to this id.
    pub(crate) fn saved(&self, id: u64) {
        let mut inner = self.lock();
        inner.saved = inner.saved.max(id);
        inner.shrink();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The oldest go, those that are nowhere else only when there are far too many.
    fn shrink(&mut self) {
        while self.kept.len() > KEPT {
            let saved = self.kept.front().is_some_and(|first| first.id <= self.saved);
            if !saved && self.kept.len() <= UNSAVED {
                return;
            }
            self.kept.pop_front();
        }
    }
}

/// One page of what is sorted and may hold more, and the cursor of the next.
pub(crate) fn page(mut found: Vec<Event>, limit: usize) -> (Vec<Event>, Option<u64>) {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id);
    (found, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(events: &Events, count: usize) {
        for i in 0..count {
            let kind = if i % 2 == 0 { "route.created" } else { "cluster.created" };
            events.tell(Happening { kind: kind.into(), message: i.to_string(), ..Happening::default() });
        }
    }

    #[test]
    fn pages_go_back_in_time_and_end() {
        let events = Events::default();
        events.saved(u64::MAX);
        tell(&events, KEPT + 7);
        let filter = EventFilter { kind: Some("route.".into()), ..EventFilter::default() };
        let (page, next) = events.list(&filter, 300);
        assert_eq!((page.len(), page[0].message.as_str()), (300, "1006"));
        let (rest, end) = events.list(&EventFilter { before: next, ..filter }, 300);
        assert_eq!((rest.len(), end), (200, None));
        assert!(rest[0].id < page[299].id);
    }

    #[test]
    fn what_the_store_has_not_got_stays_within_a_bound() {
        let events = Events::default();
        events.resume(41);
        assert_eq!(events.matching(&EventFilter::default(), 1), (Vec::new(), 42));
        tell(&events, KEPT + 7);
        let unsaved = events.unsaved();
        assert_eq!((unsaved.len(), unsaved[0].id), (KEPT + 7, 42));
        events.saved(50);
        assert_eq!(events.matching(&EventFilter::default(), 1).1, 49, "a thousand stay");
        assert_eq!(events.unsaved()[0].id, 51);
        tell(&events, UNSAVED + 1);
        assert_eq!(events.unsaved().len(), UNSAVED);
    }

    #[test]
    fn what_was_told_before_the_store_came_goes_on_from_it() {
        let events = Events::default();
        tell(&events, 3);
        events.resume(41);
        let ids: Vec<u64> = events.unsaved().iter().map(|event| event.id).collect();
        assert_eq!(ids, [42, 43, 44]);
        tell(&events, 1);
        assert_eq!(events.unsaved().last().unwrap().id, 45);
    }

    #[test]
    fn a_message_without_end_is_cut() {
        let events = Events::default();
        events.tell(Happening { message: "ä".repeat(MESSAGE), ..Happening::default() });
        let message = &events.unsaved()[0].message;
        assert!(message.len() < MESSAGE + 4 && message.ends_with("ä…"));
    }
}
