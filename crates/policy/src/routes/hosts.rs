//! The routes of one listener, or of all: sharded by host, so that a change touches the routes of one host only.

use std::sync::Arc;

use super::entry::Entry;
use super::map::{Keyed, Map};
use super::request::Request;
use super::shard::Shard;

/// Routes by host.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    /// The listener whose they are; empty for those of all.
    listener: Box<str>,
    hosts: Map<Arc<Shard<T>>>,
    below: Below<T>,
    /// Routes for every host.
    any: Arc<Shard<T>>,
}

/// Routes for all hosts below one, as `*.example.com` says.
#[derive(Debug)]
struct Below<T> {
    /// By what stands behind `*.`.
    shards: Map<Arc<Shard<T>>>,
    /// How many parts the longest of these names has: a host with thousands is not looked up thousands of times.
    longest: usize,
}

impl<T> Clone for Hosts<T> {
    fn clone(&self) -> Self {
        let Hosts { listener, hosts, below, any } = self;
        let below = Below { shards: below.shards.clone(), longest: below.longest };
        Hosts { listener: listener.clone(), hosts: hosts.clone(), below, any: Arc::clone(any) }
    }
}

impl<T> Keyed for Arc<Hosts<T>> {
    fn key(&self) -> &str {
        &self.listener
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

impl<T> Hosts<T> {
    /// No routes yet, of this listener; of all where it is empty.
    pub(super) fn of(listener: &str) -> Self {
        let below = Below { shards: Map::default(), longest: 0 };
        Hosts { listener: listener.into(), hosts: Map::default(), below, any: Arc::new(Shard::of("")) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.below.shards.is_empty() && self.any.is_empty()
    }

    pub(super) fn find(&self, request: &Request<'_>) -> Option<&Entry<T>> {
        // Most tables know no host at all, or this one.
        let of_host = self.hosts.get(request.host).and_then(|shard| shard.find(request));
        let below = || self.below.of(request.host).find_map(|shard| shard.find(request));
        of_host.or_else(below).or_else(|| self.any.find(request))
    }

    /// Every route for this host and path, in the order in which they are asked.
    pub(super) fn all<'t>(&'t self, request: &Request<'t>) -> impl Iterator<Item = &'t Entry<T>> {
        let shards = self.hosts.get(request.host).into_iter().chain(self.below.of(request.host));
        let path = request.path;
        shards.chain([&self.any]).flat_map(move |shard| shard.all(path))
    }

    /// Adds a route, unless another matches the same; that one is given back.
    pub(super) fn add(&mut self, entry: &Arc<Entry<T>>) -> Result<(), Arc<Entry<T>>> {
        let shard = match Whose::of(entry.spec.host.as_deref()) {
            Whose::Everybody => &mut self.any,
            Whose::Host(host) => self.hosts.entry(&host, || Arc::new(Shard::of(&host))),
            Whose::Below(name) => {
                self.below.longest = self.below.longest.max(name.split('.').count());
                self.below.shards.entry(&name, || Arc::new(Shard::of(&name)))
            }
        };
        Arc::make_mut(shard).add(entry)
    }

    pub(super) fn remove(&mut self, entry: &Entry<T>) {
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
        let entry = |spec| Arc::new(Entry::new(&Arc::new(spec), ()));
        let mut old = Hosts::of("");
        for spec in [on("a", route("1", "/x")), on("b", route("2", "/x")), route("3", "/x")] {
            old.add(&entry(spec)).unwrap();
        }
        let mut new = old.clone();
        new.add(&entry(on("a", route("4", "/y")))).unwrap();
        let shared = |host| Arc::ptr_eq(old.hosts.get(host).unwrap(), new.hosts.get(host).unwrap());
        assert_eq!((shared("a"), shared("b"), Arc::ptr_eq(&old.any, &new.any)), (false, true, true));
        for id in [("1", "/x"), ("4", "/y")] {
            new.remove(&entry(on("a", route(id.0, id.1))));
        }
        assert!(new.hosts.get("a").is_none(), "nothing is left of a host without routes");
    }
}
