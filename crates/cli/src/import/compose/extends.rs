//! `extends`: the keys of another service, of this file or another one, below those of a service.

use std::collections::BTreeSet;

use model::Problems;
use model::tree::{Entry, Node, Value};

use super::super::variables::Lookup;
use super::{Around, is_map, parse, scalar};

/// So many services may stand below one another.
const DEEPEST: usize = 16;

/// What finding a base takes.
pub(super) struct Bases<'a, 'b> {
    pub(super) around: &'a Around<'b>,
    pub(super) lookup: &'a Lookup<'b>,
    pub(super) missing: &'a mut BTreeSet<String>,
    pub(super) problems: &'a mut Problems,
}

impl Bases<'_, '_> {
    /// The keys of a service with those of its bases below them; nothing where a problem was noted.
    pub(super) fn whole(
        &mut self,
        service: &Node,
        siblings: &Node,
        path: &str,
        depth: usize,
    ) -> Option<Node> {
        let Some(extends) = service.get("extends").filter(|node| !node.is_null()) else {
            return Some(service.clone());
        };
        let path = format!("{path}.extends");
        if depth == DEEPEST {
            self.problems.at(extends, &path, "leads back to where it began, or through too many services");
            return None;
        }
        let file = extends.get("file").and_then(Node::as_text);
        let Some(name) = extends.get("service").unwrap_or(extends).as_text() else {
            self.problems.at(extends, &path, "does not say which service").suggestion =
                Some("write `extends: { service: NAME }`".to_owned());
            return None;
        };
        let base = match &file {
            None => self.named(&name, siblings, extends, &path, depth, "this file")?,
            Some(file) => {
                let text = match (self.around.files)(file) {
                    Ok(text) => text,
                    Err(error) => {
                        self.problems.at(extends, &path, format!("{file} cannot be read: {error}"));
                        return None;
                    }
                };
                let tree = self.other(&text, file)?;
                let none = Node::new(Value::Map(Vec::new()));
                let services = tree.get("services").unwrap_or(&none);
                self.named(&name, services, extends, &path, depth, file)?
            }
        };
        Some(laid_over(&base, service))
    }

    fn named(
        &mut self,
        name: &str,
        services: &Node,
        extends: &Node,
        path: &str,
        depth: usize,
        file: &str,
    ) -> Option<Node> {
        let Some(base) = services.get(name).filter(|base| is_map(base)) else {
            self.problems.at(extends, path, format!("names the service `{name}`, which is not in {file}"));
            return None;
        };
        self.whole(base, services, path, depth + 1)
    }

    /// Another file; what is wrong with it is told of it.
    fn other(&mut self, text: &str, file: &str) -> Option<Node> {
        let mut problems = Problems::new(Some(file));
        let tree = parse(text, self.lookup, self.missing, &mut problems);
        let whole = problems.is_empty();
        problems.into_vec().into_iter().for_each(|problem| self.problems.push(problem));
        tree.filter(|_| whole)
    }
}

/// A service's keys over those of its base: mappings are joined, lists go on, anything else is replaced.
fn laid_over(base: &Node, over: &Node) -> Node {
    let mut entries: Vec<Entry> = base.entries().to_vec();
    for entry in over.entries() {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => known.node = joined(&entry.key, &known.node, &entry.node),
            None => entries.push(entry.clone()),
        }
    }
    entries.retain(|entry| entry.key != "extends");
    as_if(over, Value::Map(entries))
}

fn joined(key: &str, base: &Node, over: &Node) -> Node {
    if matches!(key, "command" | "entrypoint" | "test") || over.is_null() {
        return over.clone();
    }
    if matches!(key, "environment" | "labels") {
        return laid_over(&by_name(base), &by_name(over));
    }
    match (&base.value, &over.value) {
        (Value::Map(_), Value::Map(_)) => laid_over(base, over),
        (Value::List(first), Value::List(then)) => {
            let items = first.iter().chain(then).cloned().collect();
            as_if(over, Value::List(items))
        }
        _ => over.clone(),
    }
}

/// A list of `NAME=value` as a mapping, as which it can be joined.
fn by_name(node: &Node) -> Node {
    let Value::List(items) = &node.value else { return node.clone() };
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let text = scalar(item);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Value::Text(value.to_owned())),
            None => (text.as_str(), Value::Null),
        };
        entries.retain(|entry| entry.key != name);
        entries.push(Entry::new(name, as_if(item, value)));
    }
    as_if(node, Value::Map(entries))
}

/// This value as if it stood where the node does.
fn as_if(node: &Node, value: Value) -> Node {
    let mut made = Node::new(value);
    made.at = node.at;
    made
}
