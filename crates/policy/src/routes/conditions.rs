//! What a route asks of a request besides host and path: method, headers, query.

use std::collections::BTreeMap;
use std::fmt;

use model::RouteSpec;

use super::entry::Weight;
use super::request::Request;

/// Methods, headers and query parameters that must be there. At least one of them is.
#[derive(Debug)]
pub(super) struct Conditions {
    /// None: all.
    methods: Box<[Box<str>]>,
    /// Names in lower case, sorted.
    headers: Pairs,
    /// Sorted.
    query: Pairs,
}

/// Names with their values; without one, any will do.
type Pairs = Box<[(Box<str>, Option<Box<str>>)]>;

/// As a value of a condition: any.
const ANY: &str = "*";

/// How a route takes the method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodFit {
    /// It names it.
    Named,
    /// It names GET, and a HEAD is a GET without its body.
    HeadByGet,
    /// It names none.
    Any,
}

/// Why a route does not take a request whose host and path it matches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss<'a> {
    Disabled,
    Method(&'a [Box<str>]),
    Header(&'a str, Option<&'a str>),
    Query(&'a str, Option<&'a str>),
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Disabled => f.write_str("is not enabled"),
            Miss::Method(methods) => write!(f, "takes {} only", methods.join(", ")),
            Miss::Header(name, Some(value)) => write!(f, "asks for the header `{name}: {value}`"),
            Miss::Header(name, None) => write!(f, "asks for the header `{name}`"),
            Miss::Query(name, Some(value)) => write!(f, "asks for `{name}={value}` in the query"),
            Miss::Query(name, None) => write!(f, "asks for `{name}` in the query"),
        }
    }
}

impl Conditions {
    /// What a route asks, if anything.
    pub(super) fn of(spec: &RouteSpec) -> Option<Box<Self>> {
        if spec.methods.is_empty() && spec.headers.is_empty() && spec.query.is_empty() {
            return None;
        }
        let mut methods: Vec<Box<str>> = spec.methods.iter().map(|m| m.to_ascii_uppercase().into()).collect();
        methods.sort();
        methods.dedup();
        let mut headers = pairs(&spec.headers, str::to_ascii_lowercase);
        headers.sort();
        let query = pairs(&spec.query, str::to_owned);
        Some(Box::new(Conditions { methods: methods.into(), headers, query }))
    }

    /// Headers and query parameters together, and how many of them ask for a value.
    pub(super) fn weight(&self) -> Weight {
        let pairs = || self.headers.iter().chain(&self.query);
        (pairs().count(), pairs().filter(|(_, value)| value.is_some()).count())
    }

    pub(super) fn names_methods(&self) -> bool {
        !self.methods.is_empty()
    }

    /// Whether some request would find both equally good.
    pub(super) fn collide(&self, other: &Conditions) -> bool {
        let methods_meet = match (&*self.methods, &*other.methods) {
            ([], []) => true,
            (mine, theirs) => mine.iter().any(|method| theirs.contains(method)),
        };
        methods_meet && self.headers == other.headers && self.query == other.query
    }

    pub(super) fn fit(&self, request: &Request<'_>) -> Result<MethodFit, Miss<'_>> {
        let fit = self.fit_method(request.method).ok_or(Miss::Method(&self.methods))?;
        for (name, value) in &self.headers {
            let value = value.as_deref();
            let fits = |found: &[u8]| value.is_none_or(|value| found == value.as_bytes());
            if !(request.header)(name).is_some_and(fits) {
                return Err(Miss::Header(name, value));
            }
        }
        for (name, value) in &self.query {
            let value = value.as_deref();
            if !has_parameter(request.query.unwrap_or(""), name, value) {
                return Err(Miss::Query(name, value));
            }
        }
        Ok(fit)
    }

    fn fit_method(&self, method: &str) -> Option<MethodFit> {
        let names = |method: &str| self.methods.iter().any(|m| **m == *method);
        if self.methods.is_empty() {
            Some(MethodFit::Any)
        } else if names(method) {
            Some(MethodFit::Named)
        } else if method == "HEAD" && names("GET") {
            Some(MethodFit::HeadByGet)
        } else {
            None
        }
    }
}

fn pairs(map: &BTreeMap<String, String>, key: impl Fn(&str) -> String) -> Pairs {
    let value = |value: &str| (value != ANY).then(|| value.into());
    map.iter().map(|(name, wanted)| (key(name).into(), value(wanted))).collect()
}

/// Whether the query has this parameter with this value, among others of its name perhaps.
fn has_parameter(query: &str, name: &str, value: Option<&str>) -> bool {
    parameters(query, name).any(|found| value.is_none_or(|value| found.eq(value.bytes())))
}

/// The values of a parameter, as bytes without their encoding.
pub(super) fn parameters<'q>(
    query: &'q str,
    name: &str,
) -> impl Iterator<Item = impl Iterator<Item = u8> + use<'q>> {
    query.split('&').filter_map(move |pair| {
        let (n, v) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(n).eq(name.bytes()).then(|| decoded(v))
    })
}

/// The bytes of a part of a query as forms write them: `%41` is A, `+` is a space. A `%` that begins nothing stays.
fn decoded<'t>(text: &'t str) -> impl Iterator<Item = u8> + use<'t> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        if first == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        rest = after;
        Some(if first == b'+' { b' ' } else { first })
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_as_forms_write_it() {
        for (query, expected) in [
            ("a=b c", true),
            ("x=1&a=b+c", true),
            ("a=z&a=b%20c", true),
            ("%61=b%20c&", true),
            ("a=b%2", false),
            ("a=b", false),
            ("", false),
            ("aa=b c", false),
        ] {
            assert_eq!(has_parameter(query, "a", Some("b c")), expected, "{query}");
        }
        assert!(has_parameter("debug", "debug", Some("")));
        assert!(has_parameter("a=100%", "a", Some("100%")));
        assert!(has_parameter("a=%zz%4", "a", Some("%zz%4")));
        assert!(has_parameter("b&a=", "a", None) && !has_parameter("b=a", "a", None));
    }
}
