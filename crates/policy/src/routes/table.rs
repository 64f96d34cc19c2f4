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
    below: Below<T>,
    /// Routes for every host.
    any: Arc<Shard<T>>,
    ids: Map<Arc<Entry<T>>>,
}

/// Routes for all hosts below one, as `*.example.com` says.
#[derive(Debug)]
struct Below<T> {
    /// By what stands behind `*.`.
    shards: Map<Arc<Shard<T>>>,
    /// How many parts the longest of these names has: a host with thousands is not looked up thousands of times.
    longest: usize,
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
        let below = Below { shards: Map::default(), longest: 0 };
        Table { hosts: Map::default(), below, any: Arc::new(Shard::of("")), ids: Map::default() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        let Table { hosts, below, any, ids } = self;
        let below = Below { shards: below.shards.clone(), longest: below.longest };
        Table { hosts: hosts.clone(), below, any: Arc::clone(any), ids: ids.clone() }
    }
}

/// Whose requests a route takes.
enum Whose {
    Everybody,
    /// Of this host, in lower case.
    Host(String),
    /// Of all hosts below this one.
    Below(String),
}

impl Whose {
    fn of(host: Option<&str>) -> Self {
        match host.map(str::to_ascii_lowercase) {
            None => Whose::Everybody,
            // Requests name such a host in brackets.
            Some(host) if host.contains(':') && !host.starts_with('[') => Whose::Host(format!("[{host}]")),
            Some(host) => match host.strip_prefix("*.") {
                Some(below) => Whose::Below(below.to_owned()),
                None => Whose::Host(host),
            },
        }
    }
}

impl<T> Below<T> {
    /// The shards of all names that this host is below, the longest first.
    fn of<'t>(&'t self, host: &str) -> impl Iterator<Item = &'t Arc<Shard<T>>> {
        let dots = if self.shards.is_empty() { 0 } else { host.bytes().filter(|byte| *byte == b'.').count() };
        // Behind the first dot there are as many parts as there are dots.
        let behind = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
        let behind = behind.take(dots).skip(dots.saturating_sub(self.longest));
        behind.filter_map(|name| self.shards.get(name))
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
    /// When the id is taken, when another route matches the same requests (host, path whatever its names are called,
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

    /// The route that answers: of the request's host first, then of the hosts it is below, the longest name first, then
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
    pub fn explain(&self, request: &Request<'_>) -> Vec<(String, String)> {
        let winner = self.winner(request).map(Entry::id);
        let entries = self.shards(request.host).flat_map(|shard| shard.all(request.path));
        let lost = entries.filter(|entry| winner != Some(entry.id()));
        let reason = |entry: &Entry<T>| match (entry.fit(request), winner) {
            (Err(miss), _) => miss.to_string(),
            (Ok(_), Some(winner)) => format!("would match; `{winner}` is more specific"),
            (Ok(_), None) => "would match".to_owned(),
        };
        lost.take(EXPLAINED).map(|entry| (entry.id().to_owned(), reason(entry))).collect()
    }

    fn winner(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        // Most tables know no host at all, or this one.
        let of_host = self.hosts.get(request.host).and_then(|shard| shard.find(request));
        let below = || self.below.of(request.host).find_map(|shard| shard.find(request));
        of_host.or_else(below).or_else(|| self.any.find(request))
    }

    /// The shards that may have a route for this host, in the order in which they are asked.
    fn shards<'t>(&'t self, host: &str) -> impl Iterator<Item = &'t Arc<Shard<T>>> {
        self.hosts.get(host).into_iter().chain(self.below.of(host)).chain([&self.any])
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
        let shard = match Whose::of(spec.host.as_deref()) {
            Whose::Everybody => &mut self.any,
            Whose::Host(host) => self.hosts.entry(&host, || Arc::new(Shard::of(&host))),
            Whose::Below(name) => {
                self.below.longest = self.below.longest.max(name.split('.').count());
                self.below.shards.entry(&name, || Arc::new(Shard::of(&name)))
            }
        };
        if let Err(other) = Arc::make_mut(shard).add(&entry) {
            let message = format!("Route `{}` matches the same requests as route `{}`.", spec.id, other.id());
            return conflict(other.id(), message);
        }
        self.ids.insert(entry);
        Ok(())
    }

    fn take_out(&mut self, entry: &Entry<T>) {
        let (shards, host) = match Whose::of(entry.spec.host.as_deref()) {
            Whose::Everybody => return Arc::make_mut(&mut self.any).remove(entry),
            Whose::Host(host) => (&mut self.hosts, host),
            Whose::Below(name) => (&mut self.below.shards, name),
        };
        let Some(shard) = shards.get_mut(&host) else { return };
        let shard = Arc::make_mut(shard);
        shard.remove(entry);
        if shard.is_empty() {
            shards.remove(&host);
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
        let old = Table::build(routes.into_iter().map(|spec| (Arc::new(spec), ()))).unwrap();
        let new = old.with(&Arc::new(on("a", route("4", "/y"))), ()).unwrap().without("1");
        let shared = |host| Arc::ptr_eq(old.hosts.get(host).unwrap(), new.hosts.get(host).unwrap());
        assert_eq!((shared("a"), shared("b"), Arc::ptr_eq(&old.any, &new.any)), (false, true, true));
        assert!(new.without("4").hosts.get("a").is_none(), "nothing is left of a host without routes");
    }
}
