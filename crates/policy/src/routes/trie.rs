//! Patterns by segment. A change copies the nodes on its way and shares all others with the older table.

use std::sync::Arc;

use model::route::parameter;

use super::entry::{Entry, Leaf};
use super::map::{Keyed, Map};
use super::pattern;
use super::request::Request;

/// What may follow the segments that led here.
#[derive(Debug)]
pub(super) struct Node<T> {
    /// The segment that led here; empty at the top and below parameters.
    segment: Box<str>,
    literals: Map<Arc<Node<T>>>,
    /// Below a parameter; what that is called is each route's own matter.
    named: Option<Arc<Node<T>>>,
    /// Patterns that end here.
    here: Leaf<T>,
    /// Patterns that go on with `*` from here.
    below: Leaf<T>,
}

/// The best `*` so far: the one with the most segments before it.
struct Longest<'t, T> {
    depth: usize,
    entry: &'t Entry<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node {
            segment: Box::default(),
            literals: Map::default(),
            named: None,
            here: Leaf::default(),
            below: Leaf::default(),
        }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Node {
            segment: self.segment.clone(),
            literals: self.literals.clone(),
            named: self.named.clone(),
            here: self.here.clone(),
            below: self.below.clone(),
        }
    }
}

impl<T> Keyed for Arc<Node<T>> {
    fn key(&self) -> &str {
        &self.segment
    }
}

impl<T> Node<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.named.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    /// The place of a pattern, made if it is not there.
    pub(super) fn leaf_mut(&mut self, path: &str) -> &mut Leaf<T> {
        let mut node = self;
        for segment in pattern::segments(path) {
            if segment == "*" {
                return &mut node.below;
            }
            let next = if parameter(segment).is_some() {
                node.named.get_or_insert_default()
            } else {
                node.literals.entry(segment, || Arc::new(Node { segment: segment.into(), ..Node::default() }))
            };
            node = Arc::make_mut(next);
        }
        &mut node.here
    }

    /// Takes the route with this id from the place of its pattern, and the nodes that nothing is left of.
    pub(super) fn remove(&mut self, rest: Option<&str>, id: &str) {
        let Some(rest) = rest else { return self.here.remove(id) };
        let (segment, next) = pattern::split(rest);
        if segment == "*" {
            self.below.remove(id);
        } else if parameter(segment).is_some() {
            let Some(node) = &mut self.named else { return };
            let node = Arc::make_mut(node);
            node.remove(next, id);
            if node.is_empty() {
                self.named = None;
            }
        } else {
            let Some(node) = self.literals.get_mut(segment) else { return };
            let node = Arc::make_mut(node);
            node.remove(next, id);
            if node.is_empty() {
                self.literals.remove(segment);
            }
        }
    }

    /// The route whose pattern wins: literal segments before named ones from the left, then the longest `*`.
    pub(super) fn find<'t>(&'t self, request: &Request<'_>) -> Option<&'t Entry<T>> {
        let rest = request.path.strip_prefix('/')?;
        let mut longest = None;
        let whole = self.walk(Some(rest), 0, request, &mut longest);
        whole.or(longest.map(|longest: Longest<'t, T>| longest.entry))
    }

    /// Gives the pattern that matches the whole path as soon as there is one; notes the longest `*` meanwhile.
    fn walk<'t>(
        &'t self,
        rest: Option<&str>,
        depth: usize,
        request: &Request<'_>,
        longest: &mut Option<Longest<'t, T>>,
    ) -> Option<&'t Entry<T>> {
        let found = match rest {
            None => self.here.choose(request),
            Some(rest) => {
                let (segment, next) = pattern::split(rest);
                let literal = self.literals.get(segment);
                // A name stands for something: `/users/:id` does not match `/users/`.
                let named = self.named.as_ref().filter(|_| !segment.is_empty());
                literal
                    .and_then(|node| node.walk(next, depth + 1, request, longest))
                    .or_else(|| named.and_then(|node| node.walk(next, depth + 1, request, longest)))
            }
        };
        if found.is_none()
            && longest.as_ref().is_none_or(|best| depth > best.depth)
            && let Some(entry) = self.below.choose(request)
        {
            *longest = Some(Longest { depth, entry });
        }
        found
    }

    /// Every route whose pattern matches the path, whatever else it asks for: whole patterns, and `*` with their depth.
    pub(super) fn all<'t>(
        &'t self,
        rest: Option<&str>,
        depth: usize,
        whole: &mut Vec<&'t Entry<T>>,
        below: &mut Vec<(usize, &'t Entry<T>)>,
    ) {
        if let Some(rest) = rest {
            let (segment, next) = pattern::split(rest);
            if let Some(node) = self.literals.get(segment) {
                node.all(next, depth + 1, whole, below);
            }
            if let Some(node) = self.named.as_ref().filter(|_| !segment.is_empty()) {
                node.all(next, depth + 1, whole, below);
            }
        } else {
            whole.extend(self.here.iter());
        }
        below.extend(self.below.iter().map(|entry| (depth, entry)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::route;
    use super::*;

    fn add(node: &mut Node<()>, id: &str, path: &str) {
        node.leaf_mut(path).add(&Arc::new(Entry::new(&Arc::new(route(id, path)), ()))).unwrap();
    }

    #[test]
    fn a_change_copies_its_way_and_leaves_nothing_behind() {
        let mut old = Node::default();
        for (id, path) in [("1", "/a/:x"), ("2", "/b/*"), ("3", "/:x/c/*")] {
            add(&mut old, id, path);
        }
        let mut new = old.clone();
        add(&mut new, "4", "/a/:y/d/*");
        let shared =
            |segment| Arc::ptr_eq(old.literals.get(segment).unwrap(), new.literals.get(segment).unwrap());
        assert_eq!((shared("a"), shared("b")), (false, true));
        assert!(Arc::ptr_eq(old.named.as_ref().unwrap(), new.named.as_ref().unwrap()));
        for (id, path) in [("4", "a/:y/d/*"), ("1", "a/:x"), ("2", "b/*"), ("3", ":x/c/*"), ("5", "a/b/c")] {
            new.remove(Some(path), id);
        }
        assert!(new.is_empty());
        assert!(!old.is_empty());
    }
}
