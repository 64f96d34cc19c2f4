//! The rules of routes that a table cannot say: what one may hold, and what several may not have in common.

mod affinity;
mod answers;
mod headers;
mod redirects;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::services::Services;
use crate::check::{Problems, said, step};
use crate::route::{LimitKey, is_token, parameter};
use crate::suggest::{listed, nearest};
use crate::tree::{Node, Value};

/// All routes of a cluster: each one, and between them. Those of them that are no mapping were noted before.
pub(super) fn check_all(list: &Node, services: &Services<'_>, path: &str, problems: &mut Problems) {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut matches: BTreeMap<Place, Vec<(usize, Match)>> = BTreeMap::new();
    for (index, route) in list.items().iter().enumerate() {
        let path = format!("{path}[{index}]");
        check_one(route, &path, problems);
        for (service, path) in answers::services(route, &path) {
            services.check(service, &path, problems);
        }
        if let Some(id) = said(route, "id").and_then(Node::as_text) {
            if let Some(first) = ids.get(id.as_ref()) {
                let at = route.get("id").unwrap_or(route);
                problems.at(at, &step(&path, "id"), format!("`{id}` is the id of routes[{first}] too"));
            } else {
                ids.insert(id.into_owned(), index);
            }
        }
        let Some((place, own)) = Match::of(route) else { continue };
        let matches = matches.entry(place).or_default();
        if let Some((first, _)) = matches.iter().find(|(_, other)| other.meets(&own)) {
            let id = list.items().get(*first).and_then(|other| said(other, "id")).and_then(Node::as_text);
            let other = match id {
                Some(id) => format!("`{id}` (routes[{first}])"),
                None => format!("routes[{first}]"),
            };
            problems.at(route, &path, format!("matches the same requests as {other}"));
        } else {
            matches.push((index, own));
        }
    }
}

/// What must hold in one route.
pub(super) fn check_one(route: &Node, path: &str, problems: &mut Problems) {
    if let Some(id) = said(route, "id")
        && let Some(text) = id.as_text()
        && !is_id(&text)
    {
        let message = "is not an id: 1 to 128 letters, digits, `-`, `_`, `.` and `:`";
        problems.at(id, &step(path, "id"), message);
    }
    let methods = said(route, "methods");
    for (index, method) in methods.map(Node::items).unwrap_or_default().iter().enumerate() {
        let text = method.as_text().unwrap_or_default();
        if !is_token(&text) {
            let path = format!("{}[{index}]", step(path, "methods"));
            problems.at(method, &path, format!("`{text}` is not a method"));
        }
    }
    check_conditions(route, path, problems);
    check_rewrite(route, path, problems);
    answers::check(route, path, problems);
    headers::check(route, path, problems);
    affinity::check(route, path, problems);
    check_rate_limit(route, path, problems);
    check_hedge(route, path, problems);
}

/// The headers that a request must have, each once: their names are the same in any case.
fn check_conditions(route: &Node, path: &str, problems: &mut Problems) {
    let headers = said(route, "headers").map(Node::entries).unwrap_or_default();
    for (index, header) in headers.iter().enumerate() {
        let path = step(&step(path, "headers"), &header.key);
        if !is_token(&header.key) {
            problems.add(&path, header.key_at, "is not the name of a header");
        }
        if let Some(first) = headers[..index].iter().find(|other| other.key.eq_ignore_ascii_case(&header.key))
        {
            let message = format!("is the header `{}` too: the case of a name says nothing", first.key);
            problems.add(&path, header.key_at, message).suggestion = Some("keep one of them".to_owned());
        }
    }
}

fn check_hedge(route: &Node, path: &str, problems: &mut Problems) {
    let Some(retry) = said(route, "retry") else { return };
    let is_one = said(retry, "attempts").is_some_and(|attempts| attempts.value == Value::Int(1));
    if let Some(hedge) = said(retry, "hedge").filter(|_| is_one) {
        let path = step(&step(path, "retry"), "hedge");
        problems.at(hedge, &path, "is a second try, and `attempts` allows one");
    }
}

fn check_rate_limit(route: &Node, path: &str, problems: &mut Problems) {
    let key = said(route, "rate_limit").and_then(|limit| said(limit, "key"));
    if let Some(key) = key
        && let Some(text) = key.as_text()
        && let Err(why) = text.parse::<LimitKey>()
    {
        problems.at(key, &step(&step(path, "rate_limit"), "key"), why).suggestion =
            Some("such as `header:X-Api-Key`".to_owned());
    }
}

fn check_rewrite(route: &Node, path: &str, problems: &mut Problems) {
    let text = |key: &str| said(route, key).and_then(Node::as_text).unwrap_or_default();
    let (pattern, strips) =
        (text("path"), said(route, "strip_prefix").filter(|v| v.value == Value::Bool(true)));
    let has_rest = pattern.ends_with("/*");
    if let Some(strips) = strips.filter(|_| !has_rest) {
        let message = "takes off what stands before `*`, and the path has none";
        problems.at(strips, &step(path, "strip_prefix"), message);
    }
    let Some(rewrite) = said(route, "rewrite") else { return };
    let inner = step(path, "rewrite");
    if strips.is_some() {
        problems.at(rewrite, &inner, "stands beside `strip_prefix`; a route has the one or the other");
    }
    check_template(rewrite, &text("rewrite"), route, &inner, problems);
}

/// A path that is made from what the route's path matched.
fn check_template(node: &Node, template: &str, route: &Node, path: &str, problems: &mut Problems) {
    let pattern = said(route, "path").and_then(Node::as_text).unwrap_or_default();
    if template.ends_with("/*") && !pattern.ends_with("/*") {
        problems.at(node, path, "has a `*`, and the path has none");
    }
    let named: Vec<&str> = pattern.split('/').filter_map(parameter).collect();
    for segment in template.split('/') {
        if parameter(segment).is_some_and(|name| !named.contains(&name)) {
            problems.at(node, path, format!("has `{segment}`, and the path has none"));
        }
    }
}

/// Notes the routes that name a listener which is none of these.
pub(super) fn check_listeners(list: &Node, known: &[String], path: &str, problems: &mut Problems) {
    for (index, route) in list.items().iter().enumerate() {
        let Some(listener) = said(route, "listener") else { continue };
        let name = listener.as_text().unwrap_or_default();
        if let Some((message, suggestion)) = unknown_listener(&name, known) {
            let path = step(&format!("{path}[{index}]"), "listener");
            problems.at(listener, &path, message).suggestion = Some(suggestion);
        }
    }
}

/// What is wrong with the name of a listener that is none of these, and what to write instead.
pub fn unknown_listener(name: &str, known: &[String]) -> Option<(String, String)> {
    let names = || known.iter().map(String::as_str);
    if names().any(|own| own == name) {
        return None;
    }
    let suggestion = match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}; `proxy.listeners` has them", listed(names())),
    };
    Some((format!("`{name}` is not a listener that takes requests"), suggestion))
}

/// Notes the routes that name another cluster than the one whose file they stand in.
pub(super) fn check_cluster(list: &Node, id: &str, path: &str, problems: &mut Problems) {
    for (index, route) in list.items().iter().enumerate() {
        let Some(own) = said(route, "cluster") else { continue };
        if own.as_text().is_some_and(|own| own != id) {
            let path = step(&format!("{path}[{index}]"), "cluster");
            problems.at(own, &path, format!("is not this cluster, `{id}`")).suggestion =
                Some("leave it out".to_owned());
        }
    }
}

/// Listener, host and path.
type Place = (String, String, String);

/// What a route matches beside listener, host and path, in a form that compares.
struct Match {
    methods: Vec<String>,
    conditions: BTreeMap<String, String>,
}

impl Match {
    /// Where it is looked for, and the rest. `None` for a route that takes no part or has no path.
    fn of(route: &Node) -> Option<(Place, Match)> {
        if said(route, "enabled").is_some_and(|enabled| enabled.value == Value::Bool(false)) {
            return None;
        }
        let path = said(route, "path")?.as_text()?;
        // Parameters match alike whatever their names are.
        let path: Vec<&str> =
            path.split('/').map(|part| if parameter(part).is_some() { ":" } else { part }).collect();
        let host = said(route, "host").and_then(Node::as_text).unwrap_or_default().to_lowercase();
        let methods = said(route, "methods").map(Node::items).unwrap_or_default();
        let mut conditions = BTreeMap::new();
        for (mark, key) in [("h", "headers"), ("q", "query")] {
            for entry in said(route, key).map(Node::entries).unwrap_or_default() {
                let name = if mark == "h" { entry.key.to_lowercase() } else { entry.key.clone() };
                conditions
                    .insert(format!("{mark} {name}"), entry.node.as_text().unwrap_or_default().into_owned());
            }
        }
        let methods = methods.iter().filter_map(Node::as_text).map(|text| text.to_uppercase()).collect();
        let listener = said(route, "listener").and_then(Node::as_text).unwrap_or_default().into_owned();
        Some(((listener, host, path.join("/")), Match { methods, conditions }))
    }

    /// Whether some request matches both and neither is the more specific one.
    fn meets(&self, other: &Match) -> bool {
        let methods = match (self.methods.as_slice(), other.methods.as_slice()) {
            ([], []) => true,
            ([], _) | (_, []) => false,
            (own, others) => own.iter().any(|method| others.contains(method)),
        };
        methods && self.conditions == other.conditions
    }
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        && text != "."
        && text != ".."
}
