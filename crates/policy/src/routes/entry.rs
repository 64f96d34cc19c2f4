//! One route in the table, and the order of those that share a path.

use std::cmp::Reverse;
use std::sync::Arc;

use model::RouteSpec;

use super::conditions::{Conditions, MethodFit, Miss};
use super::request::Request;

/// One route in the table.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) id: Arc<str>,
    /// In lower case.
    pub(super) host: Option<Arc<str>>,
    pub(super) path: Arc<str>,
    pub(super) payload: T,
    conditions: Conditions,
    /// One that takes no part holds its id, so that explaining can name it, and nothing else.
    enabled: bool,
}

impl<T> Entry<T> {
    pub(super) fn new(spec: &RouteSpec, payload: T) -> Self {
        Entry {
            id: spec.id.as_str().into(),
            host: spec.host.as_ref().map(|host| host.to_ascii_lowercase().into()),
            path: spec.path.as_str().into(),
            payload,
            conditions: Conditions::new(spec),
            enabled: spec.enabled,
        }
    }

    /// Whether the request meets everything that this route asks besides host and path.
    pub(super) fn fit(&self, request: &Request<'_>) -> Result<MethodFit, Miss<'_>> {
        if self.enabled { self.conditions.fit(request) } else { Err(Miss::Disabled) }
    }

    /// Whether some request would find both equally good. Host and path are the same already.
    fn collides(&self, other: &Entry<T>) -> bool {
        self.enabled && other.enabled && self.conditions.collide(&other.conditions)
    }

    fn rank(&self) -> (Reverse<(usize, bool)>, &str) {
        (Reverse((self.conditions.count(), self.conditions.names_methods())), &self.id)
    }
}

/// The routes of one path, the more specific first.
#[derive(Debug)]
pub(super) struct Leaf<T>(Vec<Arc<Entry<T>>>);

impl<T> Default for Leaf<T> {
    fn default() -> Self {
        Leaf(Vec::new())
    }
}

impl<T> Clone for Leaf<T> {
    fn clone(&self) -> Self {
        Leaf(self.0.clone())
    }
}

impl<T> Leaf<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.0.iter().map(|entry| &**entry)
    }

    /// Adds a route, unless one of those here matches the same; that one is given back.
    pub(super) fn add(&mut self, entry: &Arc<Entry<T>>) -> Result<(), Arc<Entry<T>>> {
        if let Some(other) = self.0.iter().find(|other| other.collides(entry)) {
            return Err(Arc::clone(other));
        }
        let at = self.0.partition_point(|other| other.rank() < entry.rank());
        self.0.reserve_exact(1);
        self.0.insert(at, Arc::clone(entry));
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.retain(|entry| *entry.id != *id);
    }

    /// The first that fits. A route that takes HEAD only because it takes GET yields to an equal one that names HEAD.
    pub(super) fn choose(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        let mut implied: Option<&Entry<T>> = None;
        for entry in self.iter() {
            if implied.is_some_and(|found| found.conditions.count() > entry.conditions.count()) {
                break;
            }
            match (entry.fit(request), implied) {
                (Err(_), _) => {}
                (Ok(MethodFit::Named), _) | (Ok(MethodFit::Any), None) => return Some(entry),
                (Ok(MethodFit::Any), Some(_)) => break,
                (Ok(MethodFit::HeadByGet), None) => implied = Some(entry),
                (Ok(MethodFit::HeadByGet), Some(_)) => {}
            }
        }
        implied
    }
}
