//! The routes of one host, or of every host: whole paths by hash, patterns by segment.

use std::cmp::Reverse;
use std::sync::Arc;

use super::entry::{Entry, Leaf};
use super::map::Map;
use super::pattern;
use super::request::Request;
use super::trie::Node;

/// The routes of one host.
#[derive(Debug)]
pub(super) struct Shard<T> {
    exact: Map<Leaf<T>>,
    patterns: Node<T>,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Shard { exact: Map::default(), patterns: Node::default() }
    }
}

impl<T> Clone for Shard<T> {
    fn clone(&self) -> Self {
        Shard { exact: self.exact.clone(), patterns: self.patterns.clone() }
    }
}

impl<T> Shard<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Adds a route, unless another matches the same; that one is given back.
    pub(super) fn add(&mut self, entry: &Arc<Entry<T>>) -> Result<(), Arc<Entry<T>>> {
        let leaf = if pattern::is_exact(&entry.path) {
            self.exact.entry(&entry.path, || (Arc::clone(&entry.path), Leaf::default()))
        } else {
            self.patterns.leaf_mut(&entry.path)
        };
        leaf.add(entry)
    }

    pub(super) fn remove(&mut self, entry: &Entry<T>) {
        if !pattern::is_exact(&entry.path) {
            return self.patterns.remove(entry.path.strip_prefix('/'), &entry.id);
        }
        let Some(leaf) = self.exact.get_mut(&entry.path) else { return };
        leaf.remove(&entry.id);
        if leaf.is_empty() {
            self.exact.remove(&entry.path);
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
