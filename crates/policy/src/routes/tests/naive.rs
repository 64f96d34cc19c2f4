//! A table that looks at every route for every request: slow, and plainly what the documents say.

use std::cmp::Reverse;

use model::RouteSpec;
use proptest::prelude::*;

/// The routes in no order.
#[derive(Default)]
pub(super) struct Naive(Vec<RouteSpec>);

/// A change of the table.
#[derive(Debug, Clone)]
pub(super) enum Change {
    With(Box<RouteSpec>),
    Without(String),
}

/// A request with at most the header `h`.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) listener: String,
    pub(super) host: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) header: Option<String>,
}

impl Naive {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the route could be added.
    pub(super) fn with(&mut self, spec: &RouteSpec) -> bool {
        let free = self.0.iter().all(|other| other.id != spec.id && !same_match(other, spec));
        if free {
            self.0.push(spec.clone());
        }
        free
    }

    pub(super) fn without(&mut self, id: &str) {
        self.0.retain(|spec| spec.id != id);
    }

    pub(super) fn find(&self, asked: &Asked) -> Option<String> {
        let fits = self.0.iter().filter(|spec| fits(spec, asked));
        fits.min_by_key(|spec| rank(spec, asked)).map(|spec| spec.id.clone())
    }
}

fn shape(path: &str) -> Vec<&str> {
    path[1..].split('/').map(|segment| if segment.starts_with([':', '{']) { ":" } else { segment }).collect()
}

fn same_match(one: &RouteSpec, other: &RouteSpec) -> bool {
    let methods_meet = one.methods.iter().any(|method| other.methods.contains(method))
        || one.methods.is_empty() && other.methods.is_empty();
    let same = one.listener == other.listener
        && one.host == other.host
        && one.headers == other.headers
        && one.query == other.query;
    same && methods_meet && shape(&one.path) == shape(&other.path) && one.enabled && other.enabled
}

fn fits(spec: &RouteSpec, asked: &Asked) -> bool {
    let method_fits = spec.methods.is_empty()
        || spec.methods.contains(&asked.method)
        || asked.method == "HEAD" && spec.methods.iter().any(|method| method == "GET");
    let query = asked.query.as_deref().unwrap_or("");
    spec.enabled
        && spec.listener.as_ref().is_none_or(|listener| **listener == *asked.listener)
        && spec.host.as_ref().is_none_or(|host| host_fits(host, &asked.host))
        && method_fits
        && spec
            .headers
            .values()
            .all(|value| asked.header.as_ref().is_some_and(|own| value == "*" || own == value))
        && spec.query.iter().all(|(name, value)| {
            let is_it =
                |pair: &str| pair == format!("{name}={value}") || value == "*" && pair.starts_with("q=");
            query.split('&').any(is_it)
        })
        && path_fits(&shape(&spec.path), &shape(&asked.path))
}

fn host_fits(host: &str, asked: &str) -> bool {
    match host.strip_prefix('*') {
        Some(below) => asked.ends_with(below),
        None => host == asked,
    }
}

fn path_fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        (["*"], _) | ([], []) => true,
        ([], _) | (_, []) => false,
        ([first, pattern @ ..], [segment, path @ ..]) => {
            (first == segment || *first == ":" && !segment.is_empty()) && path_fits(pattern, path)
        }
    }
}

/// The lower wins.
fn rank(spec: &RouteSpec, asked: &Asked) -> impl Ord + use<> {
    let shape = shape(&spec.path);
    let kind = if shape.last() == Some(&"*") { 2 } else { u8::from(shape.contains(&":")) };
    let longest = if kind == 2 { Reverse(shape.len()) } else { Reverse(0) };
    let names: Vec<bool> = shape.iter().map(|segment| *segment == ":").collect();
    let host = match &spec.host {
        None => (2, Reverse(0)),
        Some(host) if host.starts_with('*') => (1, Reverse(host.len())),
        Some(_) => (0, Reverse(0)),
    };
    let values = spec.headers.values().chain(spec.query.values()).filter(|value| *value != "*").count();
    let conditions = Reverse((spec.headers.len() + spec.query.len(), values));
    let method = match spec.methods.contains(&asked.method) {
        true => 0,
        false => 1 + u8::from(spec.methods.is_empty()),
    };
    (spec.listener.is_none(), host, kind, longest, names, conditions, method, spec.id.clone())
}

fn path(last: &'static [&'static str]) -> impl Strategy<Value = String> {
    let segment = prop::sample::select(&["x", "y", "z", ":p", "{p}"][..]);
    let segments = prop::collection::vec(segment, 0..3);
    (segments, prop::sample::select(last)).prop_map(|(segments, last)| {
        // Names differ within a path, and from those of other paths.
        let mut path = String::new();
        for (index, segment) in segments.into_iter().chain([last]).enumerate() {
            path.push('/');
            path.push_str(segment);
            if segment.starts_with(':') {
                path.push_str(&index.to_string());
            } else if segment.starts_with('{') {
                path.insert_str(path.len() - 1, &index.to_string());
            }
        }
        path
    })
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    let id = (0..30).prop_map(|n| format!("r{n}"));
    let methods =
        prop::sample::subsequence(vec!["GET".to_owned(), "HEAD".to_owned(), "POST".to_owned()], 0..3);
    let value = prop::option::weighted(0.3, prop::sample::select(&["1", "2", "*"][..]));
    let conditions = (value.clone(), value);
    let host = prop::option::of(prop::sample::select(&["a", "b.a", "*.a", "*.b.a", "*.c"][..]));
    let listener = prop::option::weighted(0.3, prop::sample::select(&["l", "m"][..]));
    let with = (
        id.clone(),
        (listener, host),
        path(&["x", "y", "", ":q", "*", "*"]),
        methods,
        conditions,
        prop::bool::weighted(0.9),
    )
        .prop_map(|(id, (listener, host), path, methods, (header, query), enabled)| {
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            Change::With(Box::new(RouteSpec {
                listener: listener.map(Into::into),
                host: host.map(str::to_owned),
                methods,
                headers: header.map(|value| pair("h", value)).into_iter().collect(),
                query: query.map(|value| pair("q", value)).into_iter().collect(),
                enabled,
                ..super::route(&id, &path)
            }))
        });
    prop_oneof![4 => with, 1 => id.prop_map(Change::Without)]
}

pub(super) fn request() -> impl Strategy<Value = Asked> {
    let value = prop::option::of(prop::sample::select(&["1", "2"][..]));
    let segments = prop::collection::vec(prop::sample::select(&["x", "y", "z", "n", ""][..]), 1..5);
    let host = prop::sample::select(&["a", "b.a", "c.b.a", "d.c.b.a", "x.a", "b", "x.c", ""][..]);
    let method = prop::sample::select(&["GET", "HEAD", "POST", "PUT"][..]);
    let listener = prop::sample::select(&["l", "m", "n"][..]);
    let asked = ((listener, host), method, segments, value.clone(), value);
    asked.prop_map(|((listener, host), method, segments, header, query)| Asked {
        listener: listener.to_owned(),
        host: host.to_owned(),
        method: method.to_owned(),
        path: format!("/{}", segments.join("/")),
        query: query.map(|value| format!("n=0&q={value}")),
        header: header.map(str::to_owned),
    })
}
