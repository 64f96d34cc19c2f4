//! Where a redirect sends a client: an address made from what the route says and what was asked.

use model::route::{RedirectSpec, SCHEMES};

use super::request::Match;
use super::rewrite::fill;

/// What a request was asked of, besides what its route matched.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// Host and port, as the client said them; empty when it said none.
    pub authority: &'a str,
    /// As received, without the query.
    pub path: &'a str,
    /// What stands after `?`, as received.
    pub query: Option<&'a str>,
}

/// A redirect, ready to be said.
#[derive(Debug)]
pub struct Redirect {
    status: u16,
    origin: Origin,
    /// None: the path that was asked for.
    path: Option<Box<str>>,
    /// Query and fragment that stand in place of those asked for.
    rest: Option<Box<str>>,
}

#[derive(Debug)]
enum Origin {
    /// The one that was asked: nothing but a path is said.
    Same,
    /// Scheme, host and port.
    Other(Box<str>),
    /// Some of these are as they were asked.
    Parts { scheme: Option<Box<str>>, host: Option<Box<str>>, port: Option<u16> },
}

impl Redirect {
    /// Of what was checked before.
    #[must_use]
    pub fn new(spec: &RedirectSpec) -> Self {
        let RedirectSpec { status, to, scheme, host, port, path } = spec;
        let status = *status;
        if let Some(to) = to {
            let at = if to.starts_with('/') { 0 } else { to.find("://").map_or(0, |at| at + 3) };
            let end = to[at..].find(['/', '?', '#']).map_or(to.len(), |end| at + end);
            let (origin, rest) = to.split_at(end);
            let (path, rest) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
            return Redirect {
                status,
                origin: if origin.is_empty() { Origin::Same } else { Origin::Other(origin.into()) },
                path: Some(if path.is_empty() { "/" } else { path }.into()),
                rest: (!rest.is_empty()).then(|| rest.into()),
            };
        }
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let origin = if scheme.is_none() && host.is_none() && port.is_none() {
            Origin::Same
        } else {
            let host = host.as_deref().map(|host| bracketed(host).into());
            Origin::Parts { scheme: scheme.as_deref().map(Into::into), host, port: *port }
        };
        Redirect { status, origin, path: path.as_deref().map(Into::into), rest: None }
    }

    /// 301, 302, 303, 307 or 308.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of `Location`. A client can choose no host by it, and end no line.
    #[must_use]
    pub fn location<T>(&self, asked: &Asked<'_>, found: &Match<'_, T>) -> String {
        let mut location = self.origin.text(asked);
        let path = match &self.path {
            Some(template) => fill(template, asked.path, found),
            None => asked.path.to_owned(),
        };
        if location.is_empty() {
            // What begins with `//` names a host.
            location.push('/');
            location.push_str(path.trim_start_matches('/'));
        } else {
            location.push_str(&path);
        }
        let rest = self.rest.as_deref().unwrap_or("");
        if let Some(query) = asked.query.filter(|_| !rest.starts_with('?')) {
            location.push('?');
            location.push_str(query);
        }
        location.push_str(rest);
        visible(location)
    }
}

impl Origin {
    fn text(&self, asked: &Asked<'_>) -> String {
        match self {
            Origin::Same => String::new(),
            Origin::Other(origin) => origin.to_string(),
            Origin::Parts { scheme, host, port } => {
                let (own_host, own_port) = apart(asked.authority);
                let name = host.as_deref().unwrap_or(own_host);
                // A port that was asked belongs to the scheme and the host that were asked.
                let kept = if scheme.is_none() && host.is_none() { own_port } else { None };
                let scheme = scheme.as_deref().unwrap_or(asked.scheme);
                match (port, kept) {
                    (Some(port), _) if Some(*port) == usual(scheme) => format!("{scheme}://{name}"),
                    (Some(port), _) => format!("{scheme}://{name}:{port}"),
                    (None, Some(port)) => format!("{scheme}://{name}:{port}"),
                    (None, None) => format!("{scheme}://{name}"),
                }
            }
        }
    }
}

fn usual(scheme: &str) -> Option<u16> {
    SCHEMES.iter().position(|own| *own == scheme).map(|at| [80, 443][at])
}

/// Host and port of an authority.
fn apart(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// The text with what may not stand in a field encoded. The doors let nothing of that kind in: this is in case.
fn visible(text: String) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text;
    }
    let encode = |byte: u8| {
        if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::RouteSpec;

    use super::*;
    use crate::routes::{Request, Table};

    const NOTHING: RedirectSpec =
        RedirectSpec { status: 307, to: None, scheme: None, host: None, port: None, path: None };

    fn to(text: &str) -> RedirectSpec {
        RedirectSpec { to: Some(text.to_owned()), ..NOTHING }
    }

    /// Where `http://old.example:8080` sends a client that asks for this path of that pattern.
    fn location(spec: &RedirectSpec, pattern: &str, target: &str) -> String {
        let table = Table::build([(Arc::new(RouteSpec::of_path(pattern)), ())]).unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let request = Request { listener: "main", host: "", method: "GET", path, query, header: &|_| None };
        let found = table.find(&request).unwrap();
        let asked = Asked { scheme: SCHEMES[0], authority: "old.example:8080", path, query };
        Redirect::new(spec).location(&asked, &found)
    }

    #[test]
    fn an_address_or_a_path_with_what_was_matched() {
        for (text, pattern, target, expected) in [
            ("https://new.example", "/*", "/a/b?c=d", "https://new.example/?c=d"),
            ("https://new.example/*", "/*", "/a/b?c=d", "https://new.example/a/b?c=d"),
            ("https://new.example:8443/v2/*", "/v1/*", "/v1", "https://new.example:8443/v2"),
            (
                "https://new.example/u/{id}?from=old",
                "/users/:id",
                "/users/7?x=1",
                "https://new.example/u/7?from=old",
            ),
            ("/people/:id#top", "/users/{id}", "/users/7?x=1", "/people/7?x=1#top"),
            ("/*", "/old/*", "/old/x", "/x"),
            ("/", "/old/*", "/old/x", "/"),
        ] {
            assert_eq!(location(&to(text), pattern, target), expected, "{text}");
        }
    }

    #[test]
    fn only_the_parts_that_are_said_change() {
        let text = |text: &str| Some(text.to_owned());
        for (spec, expected) in [
            (RedirectSpec { scheme: text("https"), ..NOTHING }, "https://old.example/a?b"),
            (
                RedirectSpec { scheme: text("https"), port: Some(8443), ..NOTHING },
                "https://old.example:8443/a?b",
            ),
            (RedirectSpec { scheme: text("https"), port: Some(443), ..NOTHING }, "https://old.example/a?b"),
            (RedirectSpec { host: text("new.example"), ..NOTHING }, "http://new.example/a?b"),
            (RedirectSpec { host: text("::1"), port: Some(81), ..NOTHING }, "http://[::1]:81/a?b"),
            (RedirectSpec { port: Some(81), ..NOTHING }, "http://old.example:81/a?b"),
            (RedirectSpec { path: text("/z"), ..NOTHING }, "/z?b"),
            (RedirectSpec { host: text("h"), path: text("/z/*"), ..NOTHING }, "http://h/z/a?b"),
        ] {
            assert_eq!(location(&spec, "/*", "/a?b"), expected, "{spec:?}");
        }
    }

    #[test]
    fn a_client_chooses_no_host_and_ends_no_line() {
        assert_eq!(location(&to("/*"), "/old/*", "/old//evil.example"), "/evil.example");
        assert_eq!(location(&to("/:x"), "/:x", "/%0d%0aX:1"), "/%0d%0aX:1");
        assert_eq!(location(&to("/:x"), "/:x", "/a\r\nX: 1"), "/a%0D%0AX:%201");
    }
}
