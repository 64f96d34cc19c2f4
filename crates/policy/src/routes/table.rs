//! The whole table: sharded by host, so that a change touches the routes of one host only.

use std::fmt;
use std::sync::Arc;

use model::RouteSpec;

use super::entry::Entry;
use super::map::Map;
use super::pattern;
use super::request::{Match, Request};
use super::shard::Shard;

/// Explaining names so many of the routes that lost.
const EXPLAINED: usize = 20;

/// All routes. Never changes; [`with`](Table::with) and [`without`](Table::without) give another that shares what is the same.
#[derive(Debug)]
pub struct Table<T> {
    hosts: Map<Arc<Shard<T>>>,
    /// Routes for every host.
    any: Arc<Shard<T>>,
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
        Table { hosts: Map::default(), any: Arc::default(), ids: Map::default() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Table { hosts: self.hosts.clone(), any: Arc::clone(&self.any), ids: self.ids.clone() }
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
    pub fn build(routes: impl IntoIterator<Item = (RouteSpec, T)>) -> Result<Self, Vec<Conflict>> {
        let mut table = Table::new();
        let faults: Vec<_> =
            routes.into_iter().filter_map(|(spec, payload)| table.add(&spec, payload).err()).collect();
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    /// The table with this route besides. One that is not enabled holds its id and matches nothing.
    ///
    /// # Errors
    /// When the id is taken, when another route matches the same requests (host, path whatever its names are called,
    /// a method in common, the same headers and query), or when the path is not one.
    pub fn with(&self, spec: &RouteSpec, payload: T) -> Result<Self, Conflict> {
        let mut table = self.clone();
        table.add(spec, payload)?;
        Ok(table)
    }

    /// The table without the route of this id; the same one when there is none.
    #[must_use]
    pub fn without(&self, id: &str) -> Self {
        let mut table = self.clone();
        if let Some(entry) = table.ids.remove(id) {
            table.take_out(&entry);
        }
        table
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

    /// The route that answers: of the request's host first, then of every host. Among those the exact path, then
    /// `:name` (literal segments from the left first), then the longest `*`; among equal paths the one that asks for
    /// more headers and query parameters, then the one that names methods, then by id.
    #[must_use]
    pub fn find<'t>(&'t self, request: &Request<'t>) -> Option<Match<'t, T>> {
        let entry = self.winner(request)?;
        Some(Match::new(entry, request.path))
    }

    /// Routes for this host and path that do not answer, each with the reason, in the order in which they were asked;
    /// the first twenty.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Vec<(String, String)> {
        let winner = self.winner(request).map(|entry| &*entry.id);
        let shards = self.hosts.get(request.host).into_iter().chain([&self.any]);
        let entries = shards.flat_map(|shard| shard.all(request.path));
        let lost = entries.filter(|entry| winner != Some(&entry.id));
        let reason = |entry: &Entry<T>| match (entry.fit(request), winner) {
            (Err(miss), _) => miss.to_string(),
            (Ok(_), Some(winner)) => format!("would match; `{winner}` is more specific"),
            (Ok(_), None) => "would match".to_owned(),
        };
        lost.take(EXPLAINED).map(|entry| (entry.id.to_string(), reason(entry))).collect()
    }

    fn winner(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        let of_host = self.hosts.get(request.host).and_then(|shard| shard.find(request));
        of_host.or_else(|| self.any.find(request))
    }

    fn add(&mut self, spec: &RouteSpec, payload: T) -> Result<(), Conflict> {
        let conflict = |other: &str, message: String| {
            Err(Conflict { id: spec.id.clone(), other: other.to_owned(), message })
        };
        if let Some(fault) = pattern::fault(&spec.path) {
            return conflict("", format!("Route `{}`: {fault}.", spec.id));
        }
        if let Some(other) = self.ids.get(&spec.id) {
            return conflict(
                &spec.id,
                format!("Route `{}` is there already, for `{}`.", spec.id, other.path),
            );
        }
        let entry = Arc::new(Entry::new(spec, payload));
        let shard = match &entry.host {
            Some(host) => self.hosts.entry(host, || (Arc::clone(host), Arc::default())),
            None => &mut self.any,
        };
        if let Err(other) = Arc::make_mut(shard).add(&entry) {
            let message = format!("Route `{}` matches the same requests as route `{}`.", spec.id, other.id);
            return conflict(&other.id, message);
        }
        let id = Arc::clone(&entry.id);
        self.ids.entry(&spec.id, || (id, entry));
        Ok(())
    }

    fn take_out(&mut self, entry: &Entry<T>) {
        let Some(host) = &entry.host else { return Arc::make_mut(&mut self.any).remove(entry) };
        let Some(shard) = self.hosts.get_mut(host) else { return };
        let shard = Arc::make_mut(shard);
        shard.remove(entry);
        if shard.is_empty() {
            self.hosts.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{on, route};
    use super::*;

    #[test]
    fn a_change_shares_what_it_does_not_touch() {
        let routes = [on("a", route("1", "/x")), on("b", route("2", "/x")), route("3", "/x")];
        let old = Table::build(routes.into_iter().map(|spec| (spec, ()))).unwrap();
        let new = old.with(&on("a", route("4", "/y")), ()).unwrap().without("1");
        let shared = |host| Arc::ptr_eq(old.hosts.get(host).unwrap(), new.hosts.get(host).unwrap());
        assert_eq!((shared("a"), shared("b"), Arc::ptr_eq(&old.any, &new.any)), (false, true, true));
        assert!(new.without("4").hosts.get("a").is_none(), "nothing is left of a host without routes");
    }
}
