//! The routes of one host, or of every host: whole paths by hash, patterns by segment.

use std::cmp::Reverse;
use std::sync::Arc;

use super::entry::{Entry, Leaf};
use super::map::{Keyed, Map};
use super::pattern;
use super::request::Request;
use super::trie::Node;

/// The routes of one host.
#[derive(Debug)]
pub(super) struct Shard<T> {
    host: Box<str>,
    exact: Map<Leaf<T>>,
    patterns: Node<T>,
}

impl<T> Clone for Shard<T> {
    fn clone(&self) -> Self {
        Shard { host: self.host.clone(), exact: self.exact.clone(), patterns: self.patterns.clone() }
    }
}

impl<T> Keyed for Arc<Shard<T>> {
    fn key(&self) -> &str {
        &self.host
    }
}

impl<T> Shard<T> {
    /// No routes yet, of this host.
    pub(super) fn of(host: &str) -> Self {
        Shard { host: host.into(), exact: Map::default(), patterns: Node::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Adds a route, unless another matches the same; that one is given back.
    pub(super) fn add(&mut self, entry: &Arc<Entry<T>>) -> Result<(), Arc<Entry<T>>> {
        if !pattern::is_exact(entry.path()) {
            return self.patterns.leaf_mut(entry.path()).add(entry);
        }
        if let Some(leaf) = self.exact.get_mut(entry.path()) {
            return leaf.add(entry);
        }
        self.exact.insert(Leaf::One(Arc::clone(entry)));
        Ok(())
    }

    pub(super) fn remove(&mut self, entry: &Entry<T>) {
        if !pattern::is_exact(entry.path()) {
            return self.patterns.remove(entry.path().strip_prefix('/'), entry.id());
        }
        // A leaf is found by its routes, so that an empty one must not stay in the map even for a moment.
        let Some(mut leaf) = self.exact.remove(entry.path()) else { return };
        leaf.remove(entry.id());
        if !leaf.is_empty() {
            self.exact.insert(leaf);
        }
    }

    pub(super) fn find<'t>(&'t self, request: &Request<'_>) -> Option<&'t Entry<T>> {
        let exact = self.exact.get(request.path).and_then(|leaf| leaf.choose(request));
        exact.or_else(|| self.patterns.find(request))
    }

    /// Every route whose path matches, in the order in which they are asked.
    pub(super) fn all<'t>(&'t self, path: &str) -> Vec<&'t Entry<T>> {
        let mut whole: Vec<_> = self.exact.get(path).into_iter().flat_map(Leaf::iter).collect();
        let mut below = Vec::new();
        if let Some(rest) = path.strip_prefix('/') {
            self.patterns.all(Some(rest), 0, &mut whole, &mut below);
        }
        below.sort_by_key(|(depth, _)| Reverse(*depth));
        whole.extend(below.into_iter().map(|(_, entry)| entry));
        whole
    }
}
