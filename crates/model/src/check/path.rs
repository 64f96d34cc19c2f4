//! The rules of names in routes and services: paths, hosts, names. Each says what is wrong and what to write.

use std::net::Ipv6Addr;

use crate::route::parameter;

/// What is wrong, and what to write instead.
pub(crate) type Fault = (String, Option<String>);

fn fault(message: impl Into<String>) -> Result<(), Fault> {
    Err((message.into(), None))
}

fn fault_with(message: impl Into<String>, suggestion: impl Into<String>) -> Result<(), Fault> {
    Err((message.into(), Some(suggestion.into())))
}

/// A route's path: absolute, `:name` for one segment, `*` for the rest.
///
/// What a request's path may never hold (dot segments, `//`, `%2f`, `;`, control characters) would never match.
pub(crate) fn route_path(path: &str) -> Result<(), Fault> {
    let Some(inner) = path.strip_prefix('/') else {
        return fault_with("must begin with `/`", format!("write `/{path}`"));
    };
    if let Some(c) = path.chars().find(|c| c.is_control() || c.is_whitespace()) {
        return fault(format!("holds {}, which no path may", c.escape_debug()));
    }
    if let Some(c) = path.chars().find(|c| matches!(c, ';' | '?' | '#' | '\\')) {
        return match c {
            '?' => fault_with("holds `?`, which begins a query", "put it under `query`"),
            c => fault(format!("holds `{c}`, which no path may")),
        };
    }
    let lower = path.to_ascii_lowercase();
    if let Some(code) = ["%2f", "%5c", "%00", "%2e"].into_iter().find(|code| lower.contains(code)) {
        return fault(format!("holds `{code}`, which no path may"));
    }
    if let Some(code) = bad_percent(path) {
        return fault(format!("holds `{code}`, which is not a percent code"));
    }
    let segments: Vec<&str> = inner.split('/').collect();
    let mut names: Vec<&str> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            "" if !last => return fault("holds `//`, which no path may"),
            "." | ".." => return fault(format!("holds the segment `{segment}`, which no path may")),
            "*" if last => {}
            "**" => return fault_with("holds `**`", "`*` at the end already stands for everything below"),
            segment if segment.contains('*') && !segment.starts_with('{') => {
                return fault("may have `*` only as its last segment, as in `/api/*`");
            }
            segment => {
                let Some(name) = parameter(segment) else {
                    if segment.contains(['{', '}']) {
                        return fault(format!("holds `{segment}`; `{{name}}` stands for a whole segment"));
                    }
                    continue;
                };
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    return fault(format!("holds `{segment}`; a name has letters, digits and `_`"));
                }
                if names.contains(&name) {
                    return fault(format!("names `{name}` twice"));
                }
                names.push(name);
            }
        }
    }
    Ok(())
}

fn bad_percent(path: &str) -> Option<&str> {
    path.match_indices('%')
        .map(|(at, _)| {
            let end = path[at..].char_indices().nth(3).map_or(path.len(), |(length, _)| at + length);
            &path[at..end]
        })
        .find(|code| code.len() != 3 || !code[1..].bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The host of an endpoint or a route: a name, an IPv4 address or an IPv6 address without brackets.
pub(crate) fn host(host: &str) -> Result<(), Fault> {
    if host.is_empty() {
        return fault("is empty");
    }
    if let Some((_, rest)) = host.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or_default();
        return fault_with("is a URL; a host is only a name or an address", format!("write `{name}`"));
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.split(']').next().unwrap_or_default();
        return fault_with("is in brackets", format!("write `{address}`"));
    }
    if host.contains(':') {
        if host.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) {
            return Ok(());
        }
        return match host.split_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => {
                fault_with("has its port in it", format!("write `{name}`, and `{port}` under `port`"))
            }
            _ => fault("is not an IPv6 address"),
        };
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match host.chars().find(|c| !fits(*c)) {
        Some(c) if c.is_alphanumeric() => fault_with(
            format!("holds `{c}`, which no host may as it is"),
            "write the name as DNS has it, with `xn--` before what was encoded",
        ),
        Some(c) => fault(format!("holds `{}`, which no host may", c.escape_debug())),
        None if host.len() > 253 => fault("is longer than 253 characters"),
        None => Ok(()),
    }
}

/// The host of a route: one host, or `*.` and a name for all hosts below it, however deep.
pub(crate) fn route_host(text: &str) -> Result<(), Fault> {
    match text.strip_prefix("*.") {
        Some(below) if below.starts_with('.') || below.parse::<std::net::Ipv4Addr>().is_ok() => {
            fault("has `*.` before what is not a name")
        }
        Some(below) => host(below),
        None if text == "*" => fault_with("is every host", "leave it out"),
        None if text.contains('*') => {
            fault("may have `*` only as its whole first part, as in `*.example.com`")
        }
        None => host(text),
    }
}

/// A service's name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit.
pub(crate) fn name(name: &str) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let begins = name.bytes().next().is_some_and(plain);
    if begins && name.len() <= 63 && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_') {
        return Ok(());
    }
    fault("is not a name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in
            ["/", "/*", "/api", "/api/", "/api/*", "/users/:id", "/users/{id}/posts/*", "/a.b/%20", "/é"]
        {
            assert_eq!(route_path(good), Ok(()), "{good}");
        }
        for (bad, message) in [
            ("", "must begin with `/`"),
            ("api", "must begin with `/`"),
            ("*", "must begin with `/`"),
            ("/a b", "holds  , which no path may"),
            ("/a\n", "holds \\n, which no path may"),
            ("/a;b", "holds `;`, which no path may"),
            ("/a?b=c", "holds `?`, which begins a query"),
            ("/a/%2F", "holds `%2f`, which no path may"),
            ("/a/%zz", "holds `%zz`, which is not a percent code"),
            ("/%", "holds `%`, which is not a percent code"),
            ("/%é", "holds `%é`, which is not a percent code"),
            ("//a", "holds `//`, which no path may"),
            ("/a//b", "holds `//`, which no path may"),
            ("/a/../b", "holds the segment `..`, which no path may"),
            ("/a/.", "holds the segment `.`, which no path may"),
            ("/a*", "may have `*` only as its last segment, as in `/api/*`"),
            ("/*/a", "may have `*` only as its last segment, as in `/api/*`"),
            ("/a/**", "holds `**`"),
            ("/a/{id}.json", "holds `{id}.json`; `{name}` stands for a whole segment"),
            ("/a/{id:[0-9]+}", "holds `{id:[0-9]+}`; a name has letters, digits and `_`"),
            ("/a/{*rest}", "holds `{*rest}`; a name has letters, digits and `_`"),
            ("/a/:", "holds `:`; a name has letters, digits and `_`"),
            ("/a/{}", "holds `{}`; a name has letters, digits and `_`"),
            ("/:a/{a}", "names `a` twice"),
        ] {
            assert_eq!(route_path(bad).unwrap_err().0, message, "{bad}");
        }
    }

    #[test]
    fn hosts_of_routes() {
        for good in ["a.example", "*.example.com", "*.local", "::1"] {
            assert_eq!(route_host(good), Ok(()), "{good}");
        }
        for (bad, message) in [
            ("*", "is every host"),
            ("a.*.b", "may have `*` only as its whole first part, as in `*.example.com`"),
            ("*a.b", "may have `*` only as its whole first part, as in `*.example.com`"),
            ("*.", "is empty"),
            ("*..b", "has `*.` before what is not a name"),
            ("*.10.0.0.1", "has `*.` before what is not a name"),
            ("*.a:80", "has its port in it"),
        ] {
            assert_eq!(route_host(bad).unwrap_err().0, message, "{bad}");
        }
    }

    #[test]
    fn hosts() {
        for good in [
            "localhost",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "host.docker.internal",
            "my_db",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for (bad, message, suggestion) in [
            ("", "is empty", None),
            ("http://db:5432/x", "is a URL; a host is only a name or an address", Some("write `db`")),
            ("db:5432", "has its port in it", Some("write `db`, and `5432` under `port`")),
            ("[::1]", "is in brackets", Some("write `::1`")),
            ("a:b:c:x", "is not an IPv6 address", None),
            ("a b", "holds ` `, which no host may", None),
            ("a/b", "holds `/`, which no host may", None),
            (
                "bücher.example",
                "holds `ü`, which no host may as it is",
                Some("write the name as DNS has it, with `xn--` before what was encoded"),
            ),
        ] {
            assert_eq!(host(bad), Err((message.to_owned(), suggestion.map(str::to_owned))), "{bad}");
        }
    }
}
