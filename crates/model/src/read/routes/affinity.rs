//! What may keep a client with one endpoint: one thing, and a name for it.

use super::is_token;
use crate::check::{Problems, said, step};
use crate::tree::{Node, Value};

const SOURCES: [&str; 4] = ["cookie", "header", "query", "address"];

pub(super) fn check(route: &Node, path: &str, problems: &mut Problems) {
    let Some(affinity) = said(route, "affinity").filter(|node| matches!(node.value, Value::Map(_))) else {
        return;
    };
    let path = step(path, "affinity");
    let is_said = |key| said(affinity, key).filter(|node| node.value != Value::Bool(false));
    let mut sources = SOURCES.into_iter().filter_map(|key| Some((key, is_said(key)?)));
    let Some((first, node)) = sources.next() else {
        problems.at(affinity, &path, "says nothing to go by").suggestion =
            Some("write `cookie`, `header`, `query` or `address`".to_owned());
        return;
    };
    for (key, other) in sources {
        let message = format!("stands beside `{first}`; affinity goes by one of them");
        problems.at(other, &step(&path, key), message);
    }
    let name = node.as_text().unwrap_or_default();
    match first {
        "cookie" if !is_token(&name) => {
            problems.at(node, &step(&path, first), format!("`{name}` is not the name of a cookie"));
        }
        "header" if !is_token(&name) => {
            problems.at(node, &step(&path, first), format!("`{name}` is not the name of a header"));
        }
        "query" if name.is_empty() => {
            problems.at(node, &step(&path, first), "is empty");
        }
        _ => {}
    }
    let makes = said(affinity, "make").is_none_or(|make| make.value != Value::Bool(false));
    for key in ["ttl", "make"] {
        let Some(node) = said(affinity, key) else { continue };
        if first != "cookie" {
            let message = format!("is for a `cookie`, and this goes by `{first}`");
            problems.at(node, &step(&path, key), message);
        } else if key == "ttl" && !makes {
            problems.at(
                node,
                &step(&path, key),
                "is for a cookie that the gateway makes, and `make` is false",
            );
        }
    }
}
