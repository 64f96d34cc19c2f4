//! What is matched, and what a match gives back. Nothing here is copied out of the request.

use model::route::parameter;

use super::entry::Entry;
use super::pattern;

/// A request as far as routes look at it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The listener by which it has come.
    pub listener: &'a str,
    /// In lower case and without its port; empty when there is none.
    pub host: &'a str,
    /// As received.
    pub method: &'a str,
    /// As received, without the query.
    pub path: &'a str,
    /// What stands after `?`, as received.
    pub query: Option<&'a str>,
    /// The value of a header. Asked with names in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// The route that answers.
#[derive(Debug)]
pub struct Match<'t, T> {
    /// Id of the route.
    pub id: &'t str,
    /// What it leads to.
    pub payload: &'t T,
    /// What each `:name` or `{name}` stands for.
    pub params: Params<'t>,
    /// What `*` stands for; empty for the prefix itself.
    pub tail: Option<&'t str>,
}

impl<'t, T> Match<'t, T> {
    pub(super) fn new(entry: &'t Entry<T>, path: &'t str) -> Self {
        Match {
            id: entry.id(),
            payload: &entry.payload,
            params: Params { pattern: entry.path(), path },
            tail: pattern::tail(entry.path(), path),
        }
    }
}

/// What each `:name` stands for: read out of pattern and path when asked for, so that it costs nothing until then.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    pattern: &'a str,
    path: &'a str,
}

impl<'a> Params<'a> {
    /// Names with their values, from the left.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = pattern::segments(self.pattern).zip(pattern::segments(self.path));
        pairs.filter_map(|(segment, value)| Some((parameter(segment)?, value)))
    }

    /// What this name stands for.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
