//! One route in the table, and the order of those that share a path.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use model::RouteSpec;

use super::conditions::{Conditions, MethodFit, Miss};
use super::map::Keyed;
use super::request::Request;

/// Headers and query parameters together, and how many of them ask for a value.
pub(super) type Weight = (usize, usize);

/// One route in the table. One that takes no part holds its id, so that explaining can name it, and nothing else.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) spec: Arc<RouteSpec>,
    pub(super) payload: T,
    /// Its path in plain form, where it was written otherwise.
    plain: Option<Box<str>>,
    /// None: it takes every request of its host and path.
    conditions: Option<Box<Conditions>>,
}

impl<T> Entry<T> {
    pub(super) fn new(spec: &Arc<RouteSpec>, payload: T) -> Self {
        let plain = match model::path::plain(&spec.path) {
            Cow::Owned(plain) if *plain != *spec.path => Some(plain.into()),
            _ => None,
        };
        Entry { spec: Arc::clone(spec), payload, plain, conditions: Conditions::of(spec) }
    }

    pub(super) fn id(&self) -> &str {
        &self.spec.id
    }

    pub(super) fn path(&self) -> &str {
        self.plain.as_deref().unwrap_or(&self.spec.path)
    }

    /// Whether the request meets everything that this route asks besides host and path.
    pub(super) fn fit(&self, request: &Request<'_>) -> Result<MethodFit, Miss<'_>> {
        match &self.conditions {
            _ if !self.spec.enabled => Err(Miss::Disabled),
            Some(conditions) => conditions.fit(request),
            None => Ok(MethodFit::Any),
        }
    }

    /// Whether some request would find both equally good. Host and path are the same already.
    fn collides(&self, other: &Entry<T>) -> bool {
        let meet = match (&self.conditions, &other.conditions) {
            (None, None) => true,
            (Some(own), Some(other)) => own.collide(other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        meet && self.spec.enabled && other.spec.enabled
    }

    fn weight(&self) -> Weight {
        self.conditions.as_ref().map_or((0, 0), |conditions| conditions.weight())
    }

    fn rank(&self) -> (Reverse<(Weight, bool)>, &str) {
        let names_methods = self.conditions.as_ref().is_some_and(|conditions| conditions.names_methods());
        (Reverse((self.weight(), names_methods)), self.id())
    }
}

impl<T> Keyed for Arc<Entry<T>> {
    fn key(&self) -> &str {
        self.id()
    }
}

/// The routes of one path, the more specific first. Nearly all paths have one.
#[derive(Debug, Default)]
pub(super) enum Leaf<T> {
    #[default]
    Empty,
    One(Arc<Entry<T>>),
    Several(Arc<Vec<Arc<Entry<T>>>>),
}

impl<T> Clone for Leaf<T> {
    fn clone(&self) -> Self {
        match self {
            Leaf::Empty => Leaf::Empty,
            Leaf::One(entry) => Leaf::One(Arc::clone(entry)),
            Leaf::Several(entries) => Leaf::Several(Arc::clone(entries)),
        }
    }
}

/// Found by the path that all of them have.
impl<T> Keyed for Leaf<T> {
    fn key(&self) -> &str {
        self.entries().first().map_or("", |entry| entry.path())
    }
}

impl<T> Leaf<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries().iter().map(|entry| &**entry)
    }

    fn entries(&self) -> &[Arc<Entry<T>>] {
        match self {
            Leaf::Empty => &[],
            Leaf::One(entry) => std::slice::from_ref(entry),
            Leaf::Several(entries) => entries,
        }
    }

    /// Adds a route, unless one of those here matches the same; that one is given back.
    pub(super) fn add(&mut self, entry: &Arc<Entry<T>>) -> Result<(), Arc<Entry<T>>> {
        if let Some(other) = self.entries().iter().find(|other| other.collides(entry)) {
            return Err(Arc::clone(other));
        }
        let mut entries = match std::mem::take(self) {
            Leaf::Empty => Vec::new(),
            Leaf::One(first) => vec![first],
            Leaf::Several(all) => Arc::unwrap_or_clone(all),
        };
        let at = entries.partition_point(|other| other.rank() < entry.rank());
        entries.insert(at, Arc::clone(entry));
        *self = Leaf::of(entries);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) {
        let left = self.entries().iter().filter(|entry| entry.id() != id);
        *self = Leaf::of(left.cloned().collect());
    }

    fn of(mut entries: Vec<Arc<Entry<T>>>) -> Self {
        match (entries.pop(), entries.is_empty()) {
            (None, _) => Leaf::Empty,
            (Some(one), true) => Leaf::One(one),
            (Some(last), false) => {
                entries.push(last);
                Leaf::Several(Arc::new(entries))
            }
        }
    }

    /// The first that fits. A route that takes HEAD only because it takes GET yields to an equal one that names HEAD.
    pub(super) fn choose(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        let mut implied: Option<&Entry<T>> = None;
        for entry in self.iter() {
            if implied.is_some_and(|found| found.weight() > entry.weight()) {
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
