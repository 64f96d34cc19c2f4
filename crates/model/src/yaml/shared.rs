//! What anchors name and aliases repeat, within bounds: a few aliases of aliases would make more than any memory holds.

use std::collections::HashMap;

use super::MAX_DEPTH;
use crate::tree::{Entry, Node, Value};

/// So many values may come of all the aliases of a document.
const MOST: usize = 100_000;

/// The values that have an anchor.
#[derive(Debug, Default)]
pub(super) struct Shared {
    kept: HashMap<usize, Kept>,
    copied: usize,
}

#[derive(Debug)]
struct Kept {
    node: Node,
    values: usize,
    depth: usize,
}

impl Shared {
    /// Keeps a value for the aliases that follow.
    pub(super) fn keep(&mut self, anchor: usize, node: &Node) {
        let (values, depth) = measure(node);
        self.kept.insert(anchor, Kept { node: node.clone(), values, depth });
    }

    /// The value again, for an alias at this depth; or what is wrong with that.
    pub(super) fn copy(&mut self, anchor: usize, depth: usize) -> Result<Node, String> {
        // A value is kept when it ends: one that is not there is that in which the alias stands.
        let Some(kept) = self.kept.get(&anchor) else {
            return Err("stands within the value that it repeats".to_owned());
        };
        self.copied += kept.values;
        if self.copied > MOST {
            return Err(format!("aliases make more than {MOST} values of it"));
        }
        if depth + kept.depth > MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(kept.node.clone())
    }
}

/// How many values there are, and how many levels below the first.
fn measure(node: &Node) -> (usize, usize) {
    let below = node.items().iter().chain(node.entries().iter().map(|entry| &entry.node));
    below.map(measure).fold((1, 0), |(values, depth), (more, deeper)| (values + more, depth.max(deeper + 1)))
}

/// Adds the keys of a mapping, or of a list of them, that are not there yet; whether it was one.
pub(super) fn merge(node: &Node, entries: &mut Vec<Entry>) -> bool {
    match &node.value {
        Value::Map(more) => {
            for entry in more {
                if !entries.iter().any(|known| known.key == entry.key) {
                    entries.push(entry.clone());
                }
            }
            true
        }
        Value::List(items) => {
            items.iter().all(|item| matches!(item.value, Value::Map(_)) && merge(item, entries))
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::yaml::parse_foreign;

    #[test]
    fn values_are_repeated_and_merged() {
        for (text, value) in [
            ("a: &x { k: 1 }\nb: *x\n", json!({ "a": { "k": 1 }, "b": { "k": 1 } })),
            (
                "a: &x { k: 1, l: 2 }\nb:\n  l: 3\n  <<: *x\n",
                json!({ "a": { "k": 1, "l": 2 }, "b": { "l": 3, "k": 1 } }),
            ),
            (
                "x: &x { k: 1 }\ny: &y { k: 2, l: 2 }\nb:\n  <<: [*x, *y]\n",
                json!({ "x": { "k": 1 }, "y": { "k": 2, "l": 2 }, "b": { "k": 1, "l": 2 } }),
            ),
            (
                "a: &l [1, 2]\nb: *l\nc: &t text\nd: [*t]\n",
                json!({ "a": [1, 2], "b": [1, 2], "c": "text", "d": ["text"] }),
            ),
            // The later one of the same name counts.
            ("a: &x 1\nb: &x 2\nc: *x\n", json!({ "a": 1, "b": 2, "c": 2 })),
            ("80: x\ntrue: y\n\"<<\": z\n", json!({ "80": "x", "true": "y", "<<": "z" })),
        ] {
            assert_eq!(parse_foreign(text).map(|node| node.to_json()), Ok(value), "{text}");
        }
        let tree = parse_foreign("a: &x { k: 1 }\nb: *x\n").unwrap();
        assert_eq!(tree.get("b").map(|node| (node.at.line, node.at.column)), Some((2, 4)));
    }

    #[test]
    fn what_cannot_be_repeated_is_told() {
        let bomb: String = (1..12).fold("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned(), |text, n| {
            let before = format!("*a{}", n - 1);
            text + &format!("a{n}: &a{n} [{}]\n", vec![before; 8].join(", "))
        });
        let chain: String =
            (1..80).fold("a0: &a0 1\n".to_owned(), |text, n| text + &format!("a{n}: &a{n} [*a{}]\n", n - 1));
        for (text, told) in [
            ("a: *nowhere\n", "1:4: a: no value above has an anchor (`&name`) of this name"),
            ("a: &x [*x]\n", "1:8: a[0]: stands within the value that it repeats"),
            ("a:\n  <<: 7\n", "2:7: a: `<<` takes a mapping, or a list of mappings"),
            ("a: !reset null\n", "the tag `!reset` is not read"),
            ("a: 1\na: 2\n", "2:1: a: stands twice; the other is on line 1"),
            (&bomb, "aliases make more than 100000 values of it"),
            (&chain, "is nested deeper than 64 levels"),
        ] {
            let problems = parse_foreign(text).unwrap_err();
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|one| one.contains(told)), "{text}: {all:?}");
        }
    }
}
