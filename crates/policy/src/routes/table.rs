//! The whole table: the routes of each listener by itself, and those of all.

use std::fmt;
use std::sync::Arc;

use model::RouteSpec;

use super::entry::Entry;
use super::hosts::Hosts;
use super::map::{Keyed, Map};
use super::pattern;
use super::request::{Match, Request};

/// Explaining names so many of the routes that lost.
const EXPLAINED: usize = 20;

/// All routes. Never changes; [`with`](Table::with) and [`without`](Table::without) give another that shares what is the same.
#[derive(Debug)]
pub struct Table<T> {
    /// Routes of every listener.
    all: Arc<Hosts<T>>,
    /// Routes of one listener, by its name.
    own: Map<Arc<Hosts<T>>>,
    ids: Map<Arc<Entry<T>>>,
}

/// Why a route cannot stand in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The route that cannot.
    pub id: String,
    /// The one that is there; empty when the fault is the route's own.
    pub other: String,
    /// In one sentence.
    pub message: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Conflict {}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { all: Arc::new(Hosts::of("")), own: Map::default(), ids: Map::default() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        let Table { all, own, ids } = self;
        Table { all: Arc::clone(all), own: own.clone(), ids: ids.clone() }
    }
}

impl<T> Table<T> {
    /// A table without routes.
    #[must_use]
    pub fn new() -> Self {
        Table::default()
    }

    /// A table of these routes.
    ///
    /// # Errors
    /// Every route that cannot stand with those before it.
    pub fn build(routes: impl IntoIterator<Item = (Arc<RouteSpec>, T)>) -> Result<Self, Vec<Conflict>> {
        let mut table = Table::new();
        let faults: Vec<_> =
            routes.into_iter().filter_map(|(spec, payload)| table.add(&spec, payload).err()).collect();
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    /// The table with this route besides. One that is not enabled holds its id and matches nothing.
    ///
    /// # Errors
    /// When the id is taken, when another route matches the same requests (listener, host, path whatever its names are called,
    /// a method in common, the same headers and query), or when the path is not one.
    pub fn with(&self, spec: &Arc<RouteSpec>, payload: T) -> Result<Self, Conflict> {
        let mut table = self.clone();
        table.add(spec, payload)?;
        Ok(table)
    }

    /// The table without the route of this id; the same one when there is none.
    #[must_use]
    pub fn without(&self, id: &str) -> Self {
        let mut table = self.clone();
        table.remove(id);
        table
    }

    /// Takes the route of this id out, for whoever changes many; says whether there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(entry) = self.ids.remove(id) else { return false };
        self.take_out(&entry);
        true
    }

    /// How many routes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What the route of this id leads to.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&T> {
        self.ids.get(id).map(|entry| &entry.payload)
    }

    /// What every route leads to, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.ids.values().map(|entry| &entry.payload)
    }

    /// The route that answers: of those of the request's listener first, then of those of all. Among these of its host first, then of the hosts it is below, the longest name first, then
    /// of every host. Among those the exact path, then
    /// parameters (literal segments from the left first), then the longest `*`; among equal paths the one that asks for
    /// more headers and query parameters, then for more values of them, then the one that names methods, then by id.
    #[must_use]
    pub fn find<'t>(&'t self, request: &Request<'t>) -> Option<Match<'t, T>> {
        let entry = self.winner(request)?;
        Some(Match::new(entry, request.path))
    }

    /// Routes for this host and path that do not answer, each with the reason, in the order in which they were asked;
    /// the first twenty.
    #[must_use]
    pub fn explain<'t>(&'t self, request: &Request<'t>) -> Vec<(String, String)> {
        let winner = self.winner(request).map(Entry::id);
        let asked = self.of_listener(request.listener).into_iter().chain([&self.all]);
        let lost = asked.flat_map(|hosts| hosts.all(request)).filter(|entry| winner != Some(entry.id()));
        let reason = |entry: &Entry<T>| match (entry.fit(request), winner) {
            (Err(miss), _) => miss.to_string(),
            (Ok(_), Some(winner)) => format!("would match; `{winner}` is more specific"),
            (Ok(_), None) => "would match".to_owned(),
        };
        let of_here = lost.map(|entry| (entry.id().to_owned(), reason(entry)));
        let others = self.own.values().filter(|hosts| hosts.key() != request.listener);
        let elsewhere = others.flat_map(|hosts| {
            let told = format!("answers on the listener `{}` only", hosts.key());
            hosts.all(request).map(move |entry| (entry.id().to_owned(), told.clone()))
        });
        of_here.chain(elsewhere).take(EXPLAINED).collect()
    }

    fn winner(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        let own = self.of_listener(request.listener).and_then(|own| own.find(request));
        own.or_else(|| self.all.find(request))
    }

    /// Routes that only this listener has. Most tables have none of any.
    fn of_listener(&self, listener: &str) -> Option<&Arc<Hosts<T>>> {
        if self.own.is_empty() { None } else { self.own.get(listener) }
    }

    /// Puts this route in, for whoever changes many. One that cannot stand here changes nothing.
    ///
    /// # Errors
    /// As for [`with`](Table::with).
    pub fn add(&mut self, spec: &Arc<RouteSpec>, payload: T) -> Result<(), Conflict> {
        let conflict = |other: &str, message: String| {
            Err(Conflict { id: spec.id.clone(), other: other.to_owned(), message })
        };
        if let Some(fault) = pattern::fault(&spec.path) {
            return conflict("", format!("Route `{}`: {fault}.", spec.id));
        }
        if let Some(other) = self.ids.get(&spec.id) {
            return conflict(
                &spec.id,
                format!("Route `{}` is there already, for `{}`.", spec.id, other.path()),
            );
        }
        let entry = Arc::new(Entry::new(spec, payload));
        let hosts = match spec.listener.as_deref() {
            None => &mut self.all,
            Some(listener) => self.own.entry(listener, || Arc::new(Hosts::of(listener))),
        };
        if let Err(other) = Arc::make_mut(hosts).add(&entry) {
            let message = format!("Route `{}` matches the same requests as route `{}`.", spec.id, other.id());
            return conflict(other.id(), message);
        }
        self.ids.insert(entry);
        Ok(())
    }

    fn take_out(&mut self, entry: &Entry<T>) {
        let Some(listener) = entry.spec.listener.as_deref() else {
            return Arc::make_mut(&mut self.all).remove(entry);
        };
        let Some(hosts) = self.own.get_mut(listener) else { return };
        let hosts = Arc::make_mut(hosts);
        hosts.remove(entry);
        if hosts.is_empty() {
            self.own.remove(listener);
        }
    }
}
