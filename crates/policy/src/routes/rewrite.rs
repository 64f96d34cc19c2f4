//! The path that the service sees, where a route asks for another than the client's.

use std::borrow::Cow;

use model::RouteSpec;
use model::path::plain;
use model::route::parameter;

use super::pattern;
use super::request::Match;

/// The path that the service sees; `None` when it is the one asked for. `rewrite` goes before `strip_prefix`.
#[must_use]
pub fn rewrite<T>(spec: &RouteSpec, path: &str, found: &Match<'_, T>) -> Option<String> {
    let path_for_service = match (&spec.rewrite, found.tail) {
        (Some(template), _) => fill(template, path, found),
        (None, Some(tail)) if spec.strip_prefix => format!("/{tail}"),
        (None, _) => return None,
    };
    // A template may be written as it is read; what came was plain before.
    let made_plain = match plain(&path_for_service) {
        Cow::Owned(plain) => Some(plain),
        Cow::Borrowed(_) => None,
    };
    let path_for_service = made_plain.unwrap_or(path_for_service);
    (path_for_service != path).then_some(path_for_service)
}

/// The template with what `*` and each parameter stand for.
pub(super) fn fill<T>(template: &str, path: &str, found: &Match<'_, T>) -> String {
    let mut filled = String::with_capacity(template.len() + path.len());
    for segment in pattern::segments(template) {
        let value = match parameter(segment) {
            Some(name) => found.params.get(name).unwrap_or(segment),
            None if segment == "*" => match found.tail {
                // `/api/*` matches `/api`, so `/v2/*` makes `/v2` of it and not `/v2/`.
                Some("") if !path.ends_with('/') && !filled.is_empty() => break,
                Some(tail) => tail,
                None => segment,
            },
            None => segment,
        };
        filled.push('/');
        filled.push_str(value);
    }
    filled
}
