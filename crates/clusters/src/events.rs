//! The history of changes: the last thousand, in memory, and each as a line of the log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use model::event::Event;

use crate::clock;

/// How many are kept.
const KEPT: usize = 1000;

/// A handle on the history. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: AtomicU64,
    kept: Mutex<VecDeque<Event>>,
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

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each matches the field of that name")]
pub struct EventFilter {
    pub cluster: Option<String>,
    pub service: Option<String>,
    pub kind: Option<String>,
    /// Only those before this id.
    pub before: Option<u64>,
}

impl Events {
    /// Writes an event down.
    pub fn tell(&self, what: Happening) {
        let Happening { kind, cluster, service, endpoint, route, actor, message, request_id } = what;
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
        let time = clock::wall(clock::now());
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.0.last.fetch_add(1, Relaxed) + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Event {
            id,
            time,
            kind,
            cluster,
            service,
            endpoint,
            route,
            actor,
            message,
            request_id,
        });
    }

    /// The latest that match, newest first, and the cursor of the next page.
    #[must_use]
    pub fn list(&self, filter: &EventFilter, limit: usize) -> (Vec<Event>, Option<u64>) {
        let same = |asked: &Option<String>, own: &Option<String>| asked.is_none() || asked == own;
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = kept.iter().rev().filter(|event| {
            filter.before.is_none_or(|before| event.id < before)
                && same(&filter.cluster, &event.cluster)
                && same(&filter.service, &event.service)
                && filter.kind.as_ref().is_none_or(|kind| event.kind.starts_with(kind.as_str()))
        });
        let page: Vec<Event> = found.by_ref().take(limit).cloned().collect();
        let next = found.next().and(page.last().map(|event| event.id));
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_back_in_time_and_end() {
        let events = Events::default();
        for i in 0..KEPT + 7 {
            let kind = if i % 2 == 0 { "route.created" } else { "cluster.created" };
            events.tell(Happening { kind: kind.into(), message: i.to_string(), ..Happening::default() });
        }
        let filter = EventFilter { kind: Some("route.".into()), ..EventFilter::default() };
        let (page, next) = events.list(&filter, 300);
        assert_eq!((page.len(), page[0].message.as_str()), (300, "1006"));
        let (rest, end) = events.list(&EventFilter { before: next, ..filter }, 300);
        assert_eq!((rest.len(), end), (200, None));
        assert!(rest[0].id < page[299].id);
    }
}
