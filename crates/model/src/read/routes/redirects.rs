//! Where a redirect may lead, and what its address may hold.

use super::check_template;
use crate::check::path::host;
use crate::check::{Problems, said, step};
use crate::route::{SCHEMES, parameter};
use crate::tree::{Node, Value};

/// What stands in place of `to`.
const PARTS: [&str; 4] = ["scheme", "host", "port", "path"];

pub(super) fn check(redirect: &Node, route: &Node, path: &str, problems: &mut Problems) {
    if !matches!(redirect.value, Value::Map(_)) {
        return;
    }
    if let Some(status) = said(redirect, "status")
        && let Value::Int(n @ 304..=306) = status.value
    {
        let message = format!("{n} is no redirect: 301, 302, 303, 307 or 308");
        problems.at(status, &step(path, "status"), message);
    }
    let parts: Vec<(&str, &Node)> =
        PARTS.into_iter().filter_map(|key| Some((key, said(redirect, key)?))).collect();
    let own = said(route, "path").and_then(Node::as_text).unwrap_or_default();
    let Some(to) = said(redirect, "to") else {
        if parts.is_empty() {
            problems.at(redirect, path, "leads nowhere").suggestion =
                Some("write `to`, or `scheme`, `host`, `port` or `path`".to_owned());
        }
        if let Some(target) = said(redirect, "path")
            && let Some(text) = target.as_text()
        {
            let inner = step(path, "path");
            check_template(target, &text, route, &inner, problems);
            if parts.len() == 1 && is_same(&text, &own) {
                problems.at(target, &inner, "leads to itself");
            }
        }
        return;
    };
    for (key, node) in parts {
        problems.at(node, &step(path, key), "stands beside `to`, which says it").suggestion =
            Some("write it into `to`, or take `to` away".to_owned());
    }
    let Some(text) = to.as_text() else { return };
    let inner = step(path, "to");
    match path_of(&text) {
        Err(fault) => {
            problems.at(to, &inner, fault);
        }
        Ok(target) => {
            check_template(to, target, route, &inner, problems);
            if text.starts_with('/') && is_same(&text, &own) {
                problems.at(to, &inner, "leads to itself");
            }
        }
    }
}

fn is_same(one: &str, other: &str) -> bool {
    let name = |segment| parameter(segment).unwrap_or(segment);
    one.split('/').map(name).eq(other.split('/').map(name))
}

/// The path of an address or of a path with its query, or what is wrong with it.
fn path_of(to: &str) -> Result<&str, String> {
    if let Some(c) = to.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
        return Err(format!("holds `{}`, which no address may as it is", c.escape_debug()));
    }
    let rest = if let Some((scheme, rest)) = to.split_once("://").filter(|(scheme, _)| !scheme.contains('/'))
    {
        if !SCHEMES.contains(&scheme) {
            return Err(format!("has the scheme `{scheme}`; it may be `http` or `https`"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        check_authority(authority)?;
        rest
    } else if to.starts_with('/') && !to.starts_with("//") {
        to
    } else {
        return Err("must be an address that begins with `http://` or `https://`, or a path".to_owned());
    };
    Ok(rest.split(['?', '#']).next().unwrap_or_default())
}

/// Host and port. What a client sends never stands here: it could send others where it likes.
fn check_authority(authority: &str) -> Result<(), String> {
    if authority.contains(['{', '*', '@']) || authority.starts_with(':') {
        return Err(format!("has `{authority}` for a host: it must be a name or an address as it is"));
    }
    let (name, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("has `{authority}` for a host, with a port that is not one"));
    }
    host(name).map_err(|(fault, _)| format!("has `{authority}` for a host, which {fault}"))
}
