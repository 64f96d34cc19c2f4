//! One look at the world: what the followed topics are now, compared with what was shown last.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use model::live::Topic;
use model::view::{ActivityRecord, ServiceFacts};
use serde::Serialize;
use store::{ActivityFilter, EventFilter, KeptOperation};

use super::Text;
use super::state::{Compare, RECENT, Thing};
use crate::Clusters;
use crate::activity::{Gathered, Marks};

/// Between two looks at numbers that never stand still.
const SECOND: Duration = Duration::from_secs(1);

/// Operations that a look puts on the stream: two thousand a second, and fewer than the ring holds.
const OPERATIONS: usize = 200;

/// What the one who looks remembers.
#[derive(Default)]
pub(super) struct Eyes {
    /// When restless numbers were last looked at.
    whole: Option<Instant>,
    /// The last event seen.
    event: u64,
    /// How far operations were seen, while anybody follows them.
    marks: Option<Marks>,
    /// Operations that were shown when that began, since one may be seen twice then.
    shown: HashSet<String>,
    skipped: u64,
}

/// What a look found.
enum Found {
    Things(BTreeMap<String, Thing>, Compare),
    Happened(Vec<Thing>, u64),
    /// The first look at what happens: no change, whatever it is.
    Begun(Vec<Thing>),
}

impl Clusters {
    /// Looks, and tells what has changed.
    pub(super) async fn look(&self) {
        let hub = &self.0.live;
        let mut eyes = hub.eyes.lock().await;
        let topics: Vec<(Topic, bool)> = {
            let mut state = hub.state();
            let topics = state.followed();
            topics.into_iter().map(|topic| (topic, state.shown(topic).since.is_none())).collect()
        };
        if !topics.iter().any(|(topic, _)| *topic == Topic::Activity) {
            // Nothing is taken from the cores for nobody.
            eyes.marks = None;
        }
        let compare = if eyes.whole.is_none_or(|last| last.elapsed() >= SECOND) {
            eyes.whole = Some(Instant::now());
            Compare::Whole
        } else {
            Compare::Steady
        };
        let mut found = Vec::with_capacity(topics.len());
        for (topic, first) in topics {
            let one = match topic {
                Topic::Clusters => Found::Things(self.clusters_shown(), Compare::Whole),
                Topic::Services => Found::Things(self.services_shown(), compare),
                Topic::Routes => Found::Things(self.routes_shown(), Compare::Whole),
                Topic::Metrics if compare == Compare::Steady && !first => continue,
                Topic::Metrics => Found::Things(self.metrics_shown(), Compare::Whole),
                Topic::Events if first => Found::Begun(self.events_begun(&mut eyes).await),
                Topic::Events => self.events_since(&mut eyes),
                Topic::Activity if first => Found::Begun(self.operations_begun(&mut eyes).await),
                Topic::Activity => self.operations_since(&mut eyes),
            };
            found.push((topic, one));
        }
        let mut state = hub.state();
        for (topic, one) in found {
            match one {
                Found::Things(things, compare) => state.set(topic, things, compare),
                Found::Happened(things, skipped) => state.append(topic, things, skipped),
                Found::Begun(things) => state.begin(topic).recent = things.into(),
            }
        }
        let seq = state.seq;
        drop(state);
        hub.told.send_if_modified(|told| std::mem::replace(told, seq) != seq);
    }

    fn clusters_shown(&self) -> BTreeMap<String, Thing> {
        self.list().into_iter().map(|c| keyed(c.id.clone(), Some(&c.id), None, &c)).collect()
    }

    fn services_shown(&self) -> BTreeMap<String, Thing> {
        let world = self.snapshot().clone();
        let services = world.clusters.values().flat_map(|cluster| &cluster.services);
        let show = |service: &std::sync::Arc<crate::Service>| {
            let facts = service.facts();
            let key = service.path();
            let (key, mut thing) = keyed(key, Some(&service.cluster), Some(&service.name), &facts);
            thing.steady = steady(facts);
            (key, thing)
        };
        services.map(show).collect()
    }

    fn routes_shown(&self) -> BTreeMap<String, Thing> {
        let show = |route: model::view::RouteView| {
            let spec = &route.spec;
            let service = Some(spec.service.as_str()).filter(|service| !service.is_empty());
            keyed(spec.id.clone(), Some(&spec.cluster), service, &route)
        };
        self.routes().into_iter().map(show).collect()
    }

    fn metrics_shown(&self) -> BTreeMap<String, Thing> {
        let ids: Vec<Text> = self.snapshot().clusters.keys().cloned().collect();
        // One that has gone meanwhile has no metrics.
        let all = ids.into_iter().filter_map(|id| Some((self.metrics(&id).ok()?, id)));
        all.map(|(metrics, id)| keyed(id.to_string(), Some(&id), None, &metrics)).collect()
    }

    async fn events_begun(&self, eyes: &mut Eyes) -> Vec<Thing> {
        let (mut latest, _) = self.event_page(&EventFilter::default(), RECENT).await;
        latest.reverse();
        eyes.event = latest.last().map_or(0, |event| event.id);
        latest.iter().map(of_event).collect()
    }

    fn events_since(&self, eyes: &mut Eyes) -> Found {
        let new = self.events().after(eyes.event);
        let skipped = new.first().map_or(0, |first| first.id - eyes.event - 1);
        eyes.event = new.last().map_or(eyes.event, |last| last.id);
        Found::Happened(new.iter().map(of_event).collect(), skipped)
    }

    async fn operations_begun(&self, eyes: &mut Eyes) -> Vec<Thing> {
        // First the place, then the page: what ends in between is in both, and told once.
        eyes.marks = Some(self.activity().end());
        let (mut latest, _) = self.activity_page(&ActivityFilter::default(), RECENT).await;
        latest.reverse();
        eyes.shown = latest.iter().map(|record| record.id.clone()).collect();
        eyes.skipped = 0;
        latest.iter().map(of_operation).collect()
    }

    fn operations_since(&self, eyes: &mut Eyes) -> Found {
        let marks = eyes.marks.get_or_insert_with(|| self.activity().end());
        let Gathered { operations, left_out } = self.activity().gather(marks, OPERATIONS);
        let shown = std::mem::take(&mut eyes.shown);
        let new = operations.iter().map(|KeptOperation { record, .. }| record);
        let things: Vec<Thing> = new.filter(|record| !shown.contains(&record.id)).map(of_operation).collect();
        let skipped = left_out + std::mem::take(&mut eyes.skipped);
        if things.is_empty() {
            // Said with the next one.
            eyes.skipped = skipped;
        }
        Found::Happened(things, skipped)
    }
}

fn keyed(
    key: String,
    cluster: Option<&str>,
    service: Option<&str>,
    shown: &impl Serialize,
) -> (String, Thing) {
    let name = text(&key);
    let member: Text = format!("{name}:{}", text(shown)).into();
    let (cluster, service) = (cluster.map(Text::from), service.map(Text::from));
    let steady = hash(&member);
    (key, Thing { cluster, service, member, value: name.len() + 1, steady })
}

fn of_event(event: &model::event::Event) -> Thing {
    unkeyed(event.cluster.as_deref(), event.service.as_deref(), event)
}

fn of_operation(record: &ActivityRecord) -> Thing {
    unkeyed(Some(&record.cluster), Some(&record.service), record)
}

fn unkeyed(cluster: Option<&str>, service: Option<&str>, shown: &impl Serialize) -> Thing {
    let (cluster, service) = (cluster.map(Text::from), service.map(Text::from));
    Thing { cluster, service, member: text(shown).into(), value: 0, steady: 0 }
}

/// Of all but the numbers that change with every request.
fn steady(mut facts: ServiceFacts) -> u64 {
    for endpoint in &mut facts.endpoints {
        (endpoint.in_flight, endpoint.latency_ms) = (0, 0.0);
    }
    hash(&text(&facts))
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// What is shown is made of texts, numbers, lists and maps by text: all of it can be said in JSON.
fn text(shown: &impl Serialize) -> String {
    serde_json::to_string(shown).unwrap_or_else(|_| "null".to_owned())
}
