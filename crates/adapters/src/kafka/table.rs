//! The groups of a service that this process reads for, or did a while ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group::{Ending, Group};

/// How long counts of deliveries are remembered of a group that nobody here reads for, and of how many such groups.
const REMEMBERED: Duration = Duration::from_secs(3600);
const MOST_REMEMBERED: usize = 10_000;

/// The groups of one service.
#[derive(Default)]
pub(super) struct Table(Mutex<Groups>);

/// By topic and name.
type Groups = HashMap<Box<str>, HashMap<Box<str>, Arc<Group>>>;

impl Table {
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of that name, if this process knows it.
    pub(super) fn find(&self, topic: &str, group: &str) -> Option<Arc<Group>> {
        self.lock().get(topic)?.get(group).cloned()
    }

    /// The same, made if it is not known. Forgets those that nobody reads for any more.
    pub(super) fn enter(&self, topic: &str, group: &str) -> Arc<Group> {
        let mut table = self.lock();
        let all: usize = table.values().map(HashMap::len).sum();
        let patience = if all > MOST_REMEMBERED { Duration::ZERO } else { REMEMBERED };
        for groups in table.values_mut() {
            groups.retain(|_, own| own.lock().idle_for().is_none_or(|idle| idle < patience));
        }
        table.retain(|_, groups| !groups.is_empty());
        let groups = table.entry(topic.into()).or_default();
        Arc::clone(groups.entry(group.into()).or_insert_with(|| Arc::new(Group::new(topic, group))))
    }

    /// Forgets a group, and ends its streams.
    pub(super) fn forget(&self, topic: &str, group: &str, why: Ending) {
        let gone = self.lock().get_mut(topic).and_then(|groups| groups.remove(group));
        if let Some(group) = gone {
            group.end(why);
        }
    }

    /// Forgets all groups of a topic, and ends their streams.
    pub(super) fn forget_topic(&self, topic: &str, why: Ending) {
        for group in self.lock().remove(topic).unwrap_or_default().into_values() {
            group.end(why);
        }
    }

    /// All groups that are known here.
    pub(super) fn all(&self) -> Vec<Arc<Group>> {
        self.lock().values().flat_map(HashMap::values).cloned().collect()
    }
}
