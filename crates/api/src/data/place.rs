//! Where a path of the data API leads: its cluster, its call, and what stands in the call's places.

use std::borrow::Cow;

use model::{Code, Failure};

use crate::percent::{Plus, decode, decode_text};

const CLUSTERS: &str = "/api/v1/clusters/";

/// A path of the data API, taken apart as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    cluster: &'p str,
    rest: &'p str,
}

/// What stands in the places of a path, as it was sent.
#[derive(Debug, Default)]
pub(crate) struct Parts<'p>([&'p str; 2]);

impl<'p> Place<'p> {
    /// `None` for a path that is none of the data API.
    pub(crate) fn of(path: &'p str) -> Option<Self> {
        let (cluster, rest) = path.strip_prefix(CLUSTERS)?.split_once('/')?;
        let (area, below) = rest.split_once('/')?;
        let known = match area {
            "cache" | "db" | "queue" => true,
            "services" => matches!(below.split('/').nth(1), Some("upstash" | "sql")),
            _ => false,
        };
        // What stands behind the URL of a door may be nothing.
        let is_door = area == "services" && below.split_once('/').is_some_and(|(_, door)| door == "upstash/");
        let rest = if is_door { rest.trim_end_matches('/') } else { rest };
        known.then_some(Place { cluster, rest })
    }

    /// The cluster's id; `None` when it is no text.
    pub(crate) fn cluster(&self) -> Option<Cow<'p, str>> {
        decode_text(self.cluster, Plus::Plus)
    }

    /// The row of the table that the path means, and what stands in its places.
    pub(crate) fn find<C: Copy>(
        &self,
        calls: &[(&'static str, &'static str, C)],
    ) -> Option<(C, &'static str, Parts<'p>)> {
        calls.iter().find_map(|(template, methods, call)| {
            parts_of(template, self.rest).map(|parts| (*call, *methods, parts))
        })
    }
}

/// Lays a path over a template: `{name}` takes one segment, `{name*}` all that is left. Neither is empty.
fn parts_of<'p>(template: &str, path: &'p str) -> Option<Parts<'p>> {
    let mut parts = Parts::default();
    let Some(literal) = template.find('{') else { return (template == path).then_some(parts) };
    let (mut template, mut path) = (&template[literal..], path.strip_prefix(&template[..literal])?);
    for part in &mut parts.0 {
        let (name, after) = template.strip_prefix('{')?.split_once('}')?;
        if name.ends_with('*') {
            *part = path;
            return (!path.is_empty()).then_some(parts);
        }
        let end = path.find('/').unwrap_or(path.len());
        *part = &path[..end];
        path = &path[end..];
        let literal = after.find('{').unwrap_or(after.len());
        path = path.strip_prefix(&after[..literal]).filter(|_| !part.is_empty())?;
        template = &after[literal..];
        if template.is_empty() {
            return path.is_empty().then_some(parts);
        }
    }
    None
}

impl<'p> Parts<'p> {
    /// The bytes that stand in a place.
    ///
    /// # Errors
    /// `invalid_request` when their percent-encoding is broken.
    pub(crate) fn bytes(&self, place: usize) -> Result<Cow<'p, [u8]>, Failure> {
        decode(self.0[place], Plus::Plus).ok_or_else(|| {
            let detail = "The path has a percent sign without two hexadecimal digits.";
            Failure::client(Code::InvalidRequest, detail)
        })
    }

    /// The text that stands in a place.
    ///
    /// # Errors
    /// `invalid_request` when it is none.
    pub(crate) fn text(&self, place: usize) -> Result<String, Failure> {
        String::from_utf8(self.bytes(place)?.into_owned())
            .map_err(|_| Failure::client(Code::InvalidRequest, "A part of the path is not UTF-8."))
    }

    /// What stands in a place, as it was sent; empty where the path has no such place.
    pub(crate) fn raw(&self, place: usize) -> &'p str {
        self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_take_what_they_say() {
        for (template, path, expected) in [
            ("cache/get", "cache/get", Some(["", ""])),
            ("cache/get", "cache/gets", None),
            ("cache/keys/{key*}", "cache/keys/a/b", Some(["a/b", ""])),
            ("cache/keys/{key*}", "cache/keys/", None),
            ("db/transactions/{tx}/commit", "db/transactions/7/commit", Some(["7", ""])),
            ("db/transactions/{tx}/commit", "db/transactions//commit", None),
            ("db/transactions/{tx}/commit", "db/transactions/7/commit/x", None),
            ("queue/topics/{topic}", "queue/topics/a", Some(["a", ""])),
            ("queue/topics/{topic}", "queue/topics/a/b", None),
            ("services/{name}/upstash", "services/c/upstash", Some(["c", ""])),
            ("services/{name}/upstash/{command*}", "services/c/upstash/set/a/b", Some(["c", "set/a/b"])),
            ("services/{name}/upstash/{command*}", "services/c/upstash/", None),
        ] {
            assert_eq!(parts_of(template, path).map(|parts| parts.0), expected, "{template} {path}");
        }
    }

    #[test]
    fn the_url_of_a_door_may_end_with_a_slash() {
        let rest = |path| Place::of(path).unwrap().rest;
        assert_eq!(rest("/api/v1/clusters/a/services/b/upstash/"), "services/b/upstash");
        assert_eq!(
            rest("/api/v1/clusters/a/services/b/upstash/get/upstash/"),
            "services/b/upstash/get/upstash/"
        );
    }

    #[test]
    fn only_its_own_paths_are_its_own() {
        for (path, own) in [
            ("/api/v1/clusters/a/cache/get", true),
            ("/api/v1/clusters/a/db/query", true),
            ("/api/v1/clusters/a/queue/consume", true),
            ("/api/v1/clusters/a/services/b/upstash", true),
            ("/api/v1/clusters/a/services/b/upstash/get/x", true),
            ("/api/v1/clusters/a/services/b/upstash/", true),
            ("/api/v1/clusters/a/services/b/sql", true),
            ("/api/v1/clusters/a/services/b", false),
            ("/api/v1/clusters/a/services/b/drain", false),
            ("/api/v1/clusters/a/health", false),
            ("/api/v1/clusters/a", false),
            ("/api/v1/clusters//cache/get", true),
            ("/cache/get", false),
        ] {
            assert_eq!(Place::of(path).is_some(), own, "{path}");
        }
    }
}
