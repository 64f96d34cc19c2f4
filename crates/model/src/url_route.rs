//! Routes as seed 003 has them: from a path to a URL. What each means in our own words, a service and a route, is
//! said here; where they run is left to `clusters`.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::check::{Problem, Problems};
use crate::read::read_route;
use crate::route::is_token;
use crate::tree::{Node, Place};
use crate::{RouteSpec, check};

/// The cluster of the services that such routes lead to.
pub const CLUSTER: &str = "url-routes";

/// The longest path and the longest URL that earlier clients could keep; a little more is allowed.
const LONGEST: usize = 2048;

/// What clients send, in the order in which they are told what is wrong with it.
const NAMES: [&str; 3] = ["path", "target_url", "method"];

/// What is asked of such a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UrlRouteSpec {
    /// The path that it answers for: `/exact`, `/users/:id` or `/users/{id}`, `/files/*`.
    pub path: String,
    /// Where its requests go, in place of the path that was asked for. What `*` and names stand for is kept.
    pub target_url: String,
    /// The one method that it takes; `*` is all of them.
    pub method: String,
    /// Whether it takes part.
    pub enabled: bool,
    /// Requests a second that each client may send; 0 is no limit.
    pub rate_limit: u32,
    /// Seconds for a request; 0 is the 30 of everybody.
    pub timeout: u32,
}

/// Such a route as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UrlRoute {
    /// Its number; no other ever has it.
    pub id: i64,
    /// What is asked.
    #[serde(flatten)]
    pub spec: UrlRouteSpec,
    /// When it was made; RFC 3339, UTC.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: jiff::Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: jiff::Timestamp,
}

/// A URL taken apart: where it leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl UrlRoute {
    /// The id of the route that it becomes.
    #[must_use]
    pub fn route_id(id: i64) -> String {
        format!("url-{id}")
    }

    /// The ids that the route may have which it becomes, the best first: somebody else may have taken some.
    pub fn route_ids(id: i64) -> impl Iterator<Item = String> {
        let own = UrlRoute::route_id(id);
        let others = (2_u64..).map({
            let own = own.clone();
            move |n| format!("{own}-{n}")
        });
        std::iter::once(own).chain(others)
    }

    /// The number of a route that came from here.
    #[must_use]
    pub fn number(route: &RouteSpec) -> Option<i64> {
        if route.cluster != CLUSTER {
            return None;
        }
        route.id.strip_prefix("url-")?.split('-').next()?.parse().ok()
    }
}

impl UrlRouteSpec {
    /// Where it leads, and the route that it becomes.
    ///
    /// # Errors
    /// Every problem, each under the name that earlier clients send.
    pub fn meaning(&self, id: i64) -> Result<(Origin, RouteSpec), Vec<Problem>> {
        let mut problems = Problems::default();
        for (name, text) in [("path", &self.path), ("target_url", &self.target_url)] {
            if text.len() > LONGEST {
                problems.add(name, Place::default(), format!("is longer than {LONGEST} bytes"));
            }
        }
        let target = parse(&self.target_url);
        if let Err(why) = &target {
            problems.add("target_url", Place::default(), why.clone()).suggestion =
                Some("such as `http://127.0.0.1:3000/users`".to_owned());
        }
        let (origin, target_path) = target.unwrap_or_else(|_| (Origin::nowhere(), "/".to_owned()));
        let is_method = self.method == "*" || is_token(&self.method);
        if !is_method {
            problems.add("method", Place::default(), format!("`{}` is not a method", self.method));
        }
        let method = if is_method { self.method.as_str() } else { "*" };
        let document = self.document(id, method, &origin, &target_path);
        let mut found = Problems::default();
        let route = read_route(&Node::from_json(&document), &mut found);
        for mut problem in found.into_vec() {
            problem.path = said_as(&problem.path).to_owned();
            problems.push(problem);
        }
        match route {
            Some(route) if problems.is_empty() => Ok((origin, route)),
            _ => {
                let mut problems = problems.into_vec();
                problems.sort_by_key(|problem| NAMES.iter().position(|name| problem.path.starts_with(name)));
                Err(problems)
            }
        }
    }

    /// Where it leads; `None` when its URL is none.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        parse(&self.target_url).ok().map(|(origin, _)| origin)
    }

    fn document(&self, id: i64, method: &str, origin: &Origin, target: &str) -> Value {
        let path = names(&self.path);
        let mut target = names(target);
        if path.ends_with("/*") && !target.ends_with("/*") {
            target = format!("{}/*", target.strip_suffix('/').unwrap_or(&target));
        }
        let mut document = json!({
            "id": UrlRoute::route_id(id),
            "cluster": CLUSTER,
            "service": origin.service(),
            "path": path,
            "rewrite": target,
            "enabled": self.enabled,
        });
        if method != "*" {
            document["methods"] = json!([method]);
        }
        if self.timeout > 0 {
            document["timeout"] = format!("{}s", self.timeout).into();
        }
        if self.rate_limit > 0 {
            document["rate_limit"] = json!({ "requests": self.rate_limit });
        }
        document
    }
}

impl Origin {
    fn nowhere() -> Self {
        Origin { secure: false, host: "nowhere".to_owned(), port: 1 }
    }

    /// The name of its service: what people recognise, and the same for the same origin always.
    #[must_use]
    pub fn service(&self) -> String {
        let plain: String = self
            .host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let port = self.port;
        let name = if self.secure { format!("https-{plain}-{port}") } else { format!("{plain}-{port}") };
        // Other hosts may come to the same: then a number of its own tells them apart.
        let is_address = self.host.parse::<std::net::Ipv4Addr>().is_ok();
        let is_plain = plain == self.host
            && plain.contains(|c: char| c.is_ascii_alphabetic())
            && !plain.starts_with("https-");
        if (is_address || is_plain) && name.len() <= 63 {
            return name;
        }
        let short: String = name.trim_start_matches('-').chars().take(54).collect();
        format!("{short}-{:08x}", self.number())
    }

    /// Its service as a document says it, of this kind.
    #[must_use]
    pub fn document(&self, kind: &str) -> Value {
        let mut document = json!({ "type": kind, "host": self.host, "port": self.port });
        if self.secure {
            document["tls"] = json!({ "enabled": true });
        }
        document
    }

    /// FNV-1a, folded to half: the same in every version.
    fn number(&self) -> u64 {
        let text = format!("{}://{}:{}", self.secure, self.host, self.port);
        let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (mixed ^ (mixed >> 32)) & 0xffff_ffff
    }
}

/// Takes a URL apart: where it leads, and its path.
fn parse(url: &str) -> Result<(Origin, String), String> {
    let (scheme, rest) =
        url.split_once("://").ok_or("is not a URL: it begins with `http://` or `https://`")?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        s if s.as_bytes() == b"http" => false,
        s if s.as_bytes() == b"https" => true,
        _ => return Err(format!("has the scheme `{scheme}`; `http://` and `https://` are known")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.contains(['?', '#']) {
        return Err("has a query or a fragment; the client's own query is passed on".to_owned());
    }
    if authority.contains('@') {
        return Err("has a user in it, whom anybody could read".to_owned());
    }
    let standard = if secure { 443 } else { 80 };
    let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, _))) if host.parse::<Ipv6Addr>().is_err() => {
            return Err(format!("has `[{host}]`, which is not an IPv6 address"));
        }
        Some(Some((host, rest))) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some("x"))),
        Some(None) => return Err("has a bracket that nobody closes".to_owned()),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None | Some("") => standard,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && !port.starts_with('+') => number,
            _ => return Err("has a port that is none".to_owned()),
        },
    };
    check::path::host(host).map_err(|(why, _)| format!("has a host that {why}"))?;
    let path = if path.is_empty() { "/" } else { path };
    Ok((Origin { secure, host: host.to_ascii_lowercase(), port }, path.to_owned()))
}

/// A path in our own spelling: `{name}` is `:name`.
fn names(path: &str) -> String {
    let name = |segment: &str| {
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        inner.map_or_else(|| segment.to_owned(), |name| format!(":{name}"))
    };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

/// The name under which earlier clients said what stands here in a route of ours.
fn said_as(path: &str) -> &str {
    match path.split(['.', '[']).next().unwrap_or(path) {
        "rewrite" => "target_url",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(path: &str, target_url: &str) -> UrlRouteSpec {
        UrlRouteSpec {
            path: path.to_owned(),
            target_url: target_url.to_owned(),
            method: "GET".to_owned(),
            enabled: true,
            rate_limit: 0,
            timeout: 30,
        }
    }

    #[test]
    fn a_url_is_a_service_and_a_path() {
        for (path, url, service, rewrite) in [
            ("/api/users", "http://backend:3000/users", "backend-3000", "/users"),
            ("/api/users", "http://backend:3000", "backend-3000", "/"),
            ("/a", "HTTP://Backend/", "backend-80", "/"),
            ("/a", "https://example.test/x", "https-example-test-443-", "/x"),
            ("/a", "http://127.0.0.1:80/", "127-0-0-1-80", "/"),
            ("/a", "http://[::1]:8080/x", "1-8080-", "/x"),
            ("/files/*", "http://b:1/store/", "b-1", "/store/*"),
            ("/files/*", "http://b:1", "b-1", "/*"),
            ("/files/*", "http://b:1/x/*", "b-1", "/x/*"),
            ("/u/{id}", "http://b:1/users/{id}/all", "b-1", "/users/:id/all"),
            ("/u/:id", "http://b:1/users/:id", "b-1", "/users/:id"),
        ] {
            let (origin, route) = spec(path, url).meaning(7).unwrap_or_else(|why| panic!("{url}: {why:?}"));
            let name = origin.service();
            assert!(
                name == service || (service.ends_with('-') && name.starts_with(service)),
                "{url}: {name}"
            );
            assert_eq!(crate::check::path::name(&name), Ok(()), "{name}");
            assert_eq!(
                (route.rewrite.as_deref(), &*route.id, &*route.service),
                (Some(rewrite), "url-7", &*name)
            );
            assert_eq!(UrlRoute::number(&route), Some(7));
        }
    }

    #[test]
    fn other_origins_have_other_names() {
        let urls = [
            "http://a.b:1",
            "http://a-b:1",
            "https://a.b:1",
            "http://https-a-b:1",
            "http://a_b:1",
            "https://a-b:1",
            "http://10.0.0.1:1",
            "http://10-0-0-1:1",
        ];
        let names: std::collections::BTreeSet<String> =
            urls.iter().map(|url| spec("/", url).meaning(1).unwrap().0.service()).collect();
        assert_eq!(names.len(), urls.len(), "{names:?}");
        let long = format!("http://{}.test:65535", "x".repeat(60));
        assert!(spec("/", &long).meaning(1).unwrap().0.service().len() <= 63);
    }

    #[test]
    fn what_is_wrong_is_said_under_the_name_that_was_sent() {
        let faults = |spec: UrlRouteSpec| {
            spec.meaning(1)
                .unwrap_err()
                .iter()
                .map(|problem| problem.to_string())
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (path, url, said) in [
            ("api", "http://b:1", "path: must begin with `/`"),
            ("/a", "b:1", "target_url: is not a URL"),
            ("/a", "ftp://b:1", "target_url: has the scheme `ftp`"),
            ("/a", "http://u:p@b:1", "target_url: has a user in it"),
            ("/a", "http://b:1/x?y=1", "target_url: has a query"),
            ("/a", "http://b:0", "target_url: has a port that is none"),
            ("/a", "http://b:99999", "target_url: has a port that is none"),
            ("/a", "http://b:+80", "target_url: has a port that is none"),
            ("/a", "http://bücher.test", "target_url: has a host that holds `ü`"),
            ("/a", "http://[fe80::1%25eth0]/", "target_url: has `[fe80::1%25eth0]`"),
            ("/a", "http://[b]/", "target_url: has `[b]`"),
            ("/a", "http:///x", "target_url: has a host that is empty"),
            ("/a", "http://b:1/u/:id", "target_url: has `:id`, and the path has none"),
            ("/a", "http://b:1/*", "target_url: has a `*`, and the path has none"),
            ("/a/{id:[0-9]+}", "http://b:1", "path: "),
        ] {
            let told = faults(spec(path, url));
            assert!(told.contains(said), "{path} {url}: {told}");
            assert!(!told.contains("p@b"), "{told}");
        }
        let told = faults(UrlRouteSpec { method: "G T".to_owned(), ..spec("x", "y") });
        assert!(
            ["path:", "target_url:", "method:"].iter().all(|name| told.contains(name)),
            "all at once: {told}"
        );
    }

    #[test]
    fn its_number_is_read_from_whichever_id_it_has() {
        let (_, mut route) = spec("/a", "http://b:1").meaning(12).unwrap();
        let ids: Vec<String> = UrlRoute::route_ids(12).take(3).collect();
        assert_eq!(ids, ["url-12", "url-12-2", "url-12-3"]);
        for id in ids {
            route.id = id;
            assert_eq!(UrlRoute::number(&route), Some(12));
        }
    }

    #[test]
    fn a_limit_is_for_each_client_and_second() {
        let (_, route) = UrlRouteSpec { rate_limit: 100, method: "*".to_owned(), ..spec("/a", "http://b:1") }
            .meaning(1)
            .unwrap();
        assert_eq!(
            serde_json::to_value(&route.rate_limit).unwrap(),
            json!({"requests": 100, "per": "1s", "key": "client"})
        );
        assert!(route.methods.is_empty());
        assert_eq!(route.timeout.map(|span| span.0.as_secs()), Some(30));
    }
}
