//! Which headers a route may change.

use super::is_token;
use crate::check::{Problems, said, step};
use crate::tree::{Node, Value};

/// What concerns one connection, or says where a message ends: the gateway says it anew on each side, and a message
/// that said something else would be read differently by two readers.
const OF_CONNECTIONS: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "http2-settings",
];

/// What the gateway itself says of the client. Services trust it, so nothing else may write it.
const OURS: [&str; 3] = ["forwarded", "x-real-ip", "x-request-id"];
const OUR_PREFIXES: [&str; 2] = ["x-forwarded-", "x-client-cert-"];

pub(super) fn check(route: &Node, path: &str, problems: &mut Problems) {
    for (key, to_service) in [("request_headers", true), ("response_headers", false)] {
        if let Some(edits) = said(route, key).filter(|node| matches!(node.value, Value::Map(_))) {
            check_edits(edits, to_service, &step(path, key), problems);
        }
    }
}

fn check_edits(edits: &Node, to_service: bool, path: &str, problems: &mut Problems) {
    let mut set: Vec<String> = Vec::new();
    for key in ["set", "add"] {
        for entry in said(edits, key).map(Node::entries).unwrap_or_default() {
            let inner = step(&step(path, key), &entry.key);
            if let Some(fault) = fault_of_name(&entry.key, key, to_service) {
                problems.add(&inner, entry.key_at, fault);
                continue;
            }
            let name = folded(&entry.key);
            if key == "set" && set.contains(&name) {
                problems.add(&inner, entry.key_at, "is set twice");
            }
            if key == "set" {
                set.push(name.clone());
            }
            if to_service && is_credential(&name) {
                let message = format!("`{name}` is not built yet: waits for secrets in routes");
                let problem = problems.add(&inner, entry.key_at, message);
                problem.not_built = true;
                problem.suggestion = Some("every view of the route would show it".to_owned());
            }
            let Some(value) = entry.node.as_text() else { continue };
            let fault = match fault_of_value(&value) {
                None if name == "host" => fault_of_host(&value),
                fault => fault,
            };
            if let Some(fault) = fault {
                problems.at(&entry.node, &inner, fault);
            }
        }
    }
    for (index, node) in said(edits, "remove").map(Node::items).unwrap_or_default().iter().enumerate() {
        let Some(name) = node.as_text() else { continue };
        let inner = format!("{}[{index}]", step(path, "remove"));
        if let Some(fault) = fault_of_name(&name, "remove", to_service) {
            problems.at(node, &inner, fault);
        } else if set.contains(&folded(&name)) {
            problems.at(node, &inner, "is set too; `set` takes the place of what was there");
        }
    }
}

/// In lower case, and with one of the two spellings that many services take for the same.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Whether its value proves who one is. Views mask such values, and do not know of these yet.
fn is_credential(folded: &str) -> bool {
    const WORDS: [&str; 6] = ["authorization", "cookie", "token", "secret", "password", "api-key"];
    WORDS.iter().any(|word| folded.contains(word))
}

fn fault_of_name(name: &str, key: &str, to_service: bool) -> Option<String> {
    if !is_token(name) {
        return Some("is not the name of a header".to_owned());
    }
    let folded = folded(name);
    if OF_CONNECTIONS.contains(&folded.as_str()) {
        return Some(
            "concerns one connection or the length of a message, which only the gateway says".to_owned(),
        );
    }
    if OURS.contains(&folded.as_str()) || OUR_PREFIXES.iter().any(|prefix| folded.starts_with(prefix)) {
        return Some("is what the gateway says of the client, which services trust".to_owned());
    }
    // Another host is set for services that ask for their own name; one that has none, or two, is no request.
    if folded == "host" && !(to_service && key == "set" && name.eq_ignore_ascii_case("host")) {
        return Some("may only be set, and only on the way to the service".to_owned());
    }
    None
}

/// What is wrong with the value of a header, if anything.
pub(super) fn fault_of_value(value: &str) -> Option<String> {
    if let Some(c) = value.chars().find(|c| c.is_control() && *c != '\t') {
        return Some(format!("holds `{}`, which no header may", c.escape_debug()));
    }
    (value.trim() != value).then(|| "has spaces around it, which no reader keeps".to_owned())
}

fn fault_of_host(value: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
    (value.is_empty() || !value.chars().all(fits)).then(|| "is not a host, or a host and its port".to_owned())
}
