//! What answers for a route: a service, several, an address elsewhere or a text; and what stands in when it cannot.

use super::redirects;
use crate::check::{Problems, said, step};
use crate::tree::{Node, Value};

/// Of these a route has one.
const ANSWERS: [&str; 4] = ["service", "split", "redirect", "respond"];

/// What has a meaning only where a service is asked.
const OF_SERVICES: [&str; 9] = [
    "strip_prefix",
    "rewrite",
    "timeout",
    "retry",
    "strategy",
    "mirror",
    "request_headers",
    "affinity",
    "fallback",
];

/// The longest fixed answer: it is a part of the configuration, and held in memory.
const LONGEST_BODY: usize = 64 * 1024;

/// Every service that a route names, with its path.
pub(super) fn services<'n>(route: &'n Node, path: &str) -> Vec<(&'n Node, String)> {
    let mut found = Vec::new();
    let mut name = |node: Option<&'n Node>, path: &str| {
        if let Some(service) = node.and_then(|node| said(node, "service")) {
            found.push((service, step(path, "service")));
        }
    };
    name(Some(route), path);
    for (index, part) in parts(route).iter().enumerate() {
        name(Some(part), &format!("{}[{index}]", step(path, "split")));
    }
    for key in ["mirror", "fallback"] {
        name(said(route, key), &step(path, key));
    }
    found
}

fn parts(route: &Node) -> &[Node] {
    said(route, "split").map(Node::items).unwrap_or_default()
}

pub(super) fn check(route: &Node, path: &str, problems: &mut Problems) {
    if !matches!(route.value, Value::Map(_)) {
        return;
    }
    let mut answers = ANSWERS.into_iter().filter_map(|key| Some((key, said(route, key)?)));
    let Some((first, _)) = answers.next() else {
        problems.at(route, path, "has nothing that answers").suggestion =
            Some("write `service`, `split`, `redirect` or `respond`".to_owned());
        return;
    };
    for (key, node) in answers {
        let message = format!("stands beside `{first}`; a route has one of them");
        problems.at(node, &step(path, key), message);
    }
    check_split(route, path, problems);
    if let Some(redirect) = said(route, "redirect") {
        redirects::check(redirect, route, &step(path, "redirect"), problems);
    }
    if let Some(respond) = said(route, "respond") {
        check_fixed(respond, &step(path, "respond"), problems);
    }
    if matches!(first, "redirect" | "respond") {
        let said = |key| said(route, key).filter(|node| node.value != Value::Bool(false));
        for (key, node) in OF_SERVICES.into_iter().filter_map(|key| Some((key, said(key)?))) {
            let message = format!("means nothing beside `{first}`, which asks no service");
            problems.at(node, &step(path, key), message).suggestion = Some("take it away".to_owned());
        }
    }
    check_mirror(route, path, problems);
    check_fallback(route, path, problems);
}

fn check_split(route: &Node, path: &str, problems: &mut Problems) {
    let Some(split) = said(route, "split") else { return };
    let path = step(path, "split");
    let Value::List(parts) = &split.value else { return };
    let weight = |part: &Node| said(part, "weight").map_or(Value::Int(1), |weight| weight.value.clone());
    if parts.iter().all(|part| weight(part) == Value::Int(0)) {
        problems.at(split, &path, "gives no service a share");
    }
    let name = |part: &Node| said(part, "service").and_then(Node::as_text).map(|name| name.into_owned());
    for (index, part) in parts.iter().enumerate() {
        let Some(own) = name(part) else { continue };
        if let Some(first) = parts[..index].iter().position(|other| name(other).as_ref() == Some(&own)) {
            let path = step(&format!("{path}[{index}]"), "service");
            let at = said(part, "service").unwrap_or(part);
            problems.at(at, &path, format!("`{own}` is split[{first}] too"));
        }
    }
}

/// A fixed answer.
fn check_fixed(respond: &Node, path: &str, problems: &mut Problems) {
    let Some(body) = said(respond, "body") else {
        if let Some(kind) = said(respond, "content_type") {
            problems.at(kind, &step(path, "content_type"), "is the kind of a `body`, and there is none");
        }
        return;
    };
    let text = body.as_text().unwrap_or_default();
    if text.len() > LONGEST_BODY {
        problems.at(body, &step(path, "body"), "is longer than 64 KiB");
    }
    if let Some(Value::Int(status @ (204 | 205 | 304))) = said(respond, "status").map(|status| &status.value)
        && !text.is_empty()
    {
        problems.at(body, &step(path, "body"), format!("stands beside the status {status}, which has none"));
    }
    if let Some(kind) = said(respond, "content_type")
        && let Some(fault) = kind.as_text().and_then(|text| super::headers::fault_of_value(&text))
    {
        problems.at(kind, &step(path, "content_type"), fault);
    }
}

/// A mirror is another service than those that answer.
fn check_mirror(route: &Node, path: &str, problems: &mut Problems) {
    let Some(mirror) = said(route, "mirror").and_then(|mirror| said(mirror, "service")) else { return };
    if answers_already(route, mirror) {
        let path = step(&step(path, "mirror"), "service");
        problems.at(mirror, &path, "answers already: it would be asked twice");
    }
}

fn answers_already(route: &Node, service: &Node) -> bool {
    let whole = std::iter::once(route).chain(parts(route)).filter_map(|part| said(part, "service"));
    let name = service.as_text();
    whole.into_iter().any(|own| own.as_text().is_some() && own.as_text() == name)
}

fn check_fallback(route: &Node, path: &str, problems: &mut Problems) {
    let Some(fallback) = said(route, "fallback").filter(|node| matches!(node.value, Value::Map(_))) else {
        return;
    };
    let path = step(path, "fallback");
    match (said(fallback, "service"), said(fallback, "respond")) {
        (None, None) => {
            problems.at(fallback, &path, "says nothing").suggestion =
                Some("write `service` or `respond`".to_owned());
        }
        (Some(_), Some(respond)) => {
            problems.at(
                respond,
                &step(&path, "respond"),
                "stands beside `service`; a fallback has one of them",
            );
        }
        (Some(service), None) if answers_already(route, service) => {
            let message = "is the service that cannot answer then";
            problems.at(service, &step(&path, "service"), message);
        }
        (Some(_), None) => {}
        (None, Some(respond)) => check_fixed(respond, &step(&path, "respond"), problems),
    }
}
