//! The query of a request: each name is asked for once, and what nobody asked for is a fault.

use std::borrow::Cow;
use std::str::FromStr;

use http::Uri;
use model::check::Problems;
use model::suggest::nearest;
use model::tree::Place;
use model::{Code, Failure};

use crate::percent::{Plus, decode};

/// Items in a page when nothing is said.
const PAGE: usize = 100;

/// Items in a page at most.
pub(crate) const LARGEST_PAGE: usize = 1000;

/// A name with its value.
type Pair<'u> = (Cow<'u, [u8]>, Cow<'u, [u8]>);

/// The query of one request, while its names are asked for.
pub(crate) struct Query<'u> {
    pairs: Vec<Pair<'u>>,
    known: Vec<&'static str>,
    problems: Problems,
}

impl<'u> Query<'u> {
    pub(crate) fn of(uri: &'u Uri) -> Self {
        let mut problems = Problems::default();
        let mut pairs = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name, Plus::Space), decode(value, Plus::Space)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                _ => drop(problems.add(name, Place::default(), "has a percent sign without two digits")),
            }
        }
        Query { pairs, known: Vec::new(), problems }
    }

    /// The value of this name as it is; given twice, it is a fault.
    pub(crate) fn bytes(&mut self, name: &'static str) -> Option<Cow<'u, [u8]>> {
        if self.pairs.is_empty() {
            // Most calls have no query: nothing is left that could be unknown, and nothing is allocated.
            return None;
        }
        self.known.push(name);
        let mut found = None;
        while let Some(at) = self.pairs.iter().position(|(own, _)| &**own == name.as_bytes()) {
            let (_, value) = self.pairs.swap_remove(at);
            if found.replace(value).is_some() {
                self.fault(name, "is given more than once");
            }
        }
        found
    }

    /// The value of this name as text; an empty one says nothing.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let bytes = self.bytes(name).filter(|bytes| !bytes.is_empty())?;
        let text = String::from_utf8(bytes.into_owned());
        text.map_err(|_| self.fault(name, "is not UTF-8")).ok()
    }

    /// The value of this name as something that is written so; `what` completes "must be".
    pub(crate) fn parse<T: FromStr>(&mut self, name: &'static str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.fault(name, &format!("must be {what}, not `{text}`"))).ok()
    }

    /// `limit`: how many items a page has.
    pub(crate) fn limit(&mut self) -> usize {
        let what = format!("a whole number from 1 to {LARGEST_PAGE}");
        let limit = self.parse("limit", &what).unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            self.fault("limit", &format!("must be {what}, not `{limit}`"));
        }
        limit
    }

    /// Notes a fault of this name.
    pub(crate) fn fault(&mut self, name: &str, message: &str) {
        self.problems.add(name, Place::default(), message);
    }

    /// All names have been asked for.
    ///
    /// # Errors
    /// `invalid_request` with every fault, names that nobody asked for among them.
    pub(crate) fn done(mut self) -> Result<(), Failure> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            let name = String::from_utf8_lossy(&name);
            let problem = self.problems.add(&name, Place::default(), "is not a known parameter");
            problem.suggestion = match nearest(&name, self.known.iter().copied()) {
                Some(meant) => Some(format!("did you mean `{meant}`?")),
                None if self.known.is_empty() => None,
                None => Some(format!("known are {}", self.known.join(", "))),
            };
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Failure::invalid(Code::InvalidRequest, self.problems.into_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(query: &str) -> Vec<String> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        let mut query = Query::of(&uri);
        let _ = (query.text("cluster"), query.limit(), query.parse::<u64>("cursor", "a number"));
        let failure = query.done();
        failure.err().map(|f| f.problems().iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[test]
    fn every_fault_is_named() {
        for (query, expected) in [
            ("", vec![]),
            ("cluster=a+b&limit=1000&cursor=7", vec![]),
            ("cluster=", vec![]),
            ("limit=0", vec!["limit: must be a whole number from 1 to 1000, not `0`"]),
            ("limit=many", vec!["limit: must be a whole number from 1 to 1000, not `many`"]),
            ("cursor=x", vec!["cursor: must be a number, not `x`"]),
            ("cluster=a&cluster=b", vec!["cluster: is given more than once"]),
            ("cluster=%ff", vec!["cluster: is not UTF-8"]),
            ("cluster=%f", vec!["cluster: has a percent sign without two digits"]),
            ("clutser=a", vec!["clutser: is not a known parameter (did you mean `cluster`?)"]),
            ("zzzzzz", vec!["zzzzzz: is not a known parameter (known are cluster, limit, cursor)"]),
        ] {
            assert_eq!(faults(query), expected, "{query}");
        }
    }
}
