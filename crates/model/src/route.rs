//! A route: what it matches, and what answers then.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Strategy;
use crate::span::Span;

mod parts;

pub use parts::{
    AffinitySpec, FallbackSpec, HeadersSpec, MirrorSpec, PartSpec, RedirectSpec, RespondSpec, SCHEMES,
};

/// What the listener at `proxy.host` and `proxy.port` is called.
pub const MAIN_LISTENER: &str = "main";

/// The name of a segment that stands for any one: `:name` or `{name}`, which say the same.
#[must_use]
pub fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix(':').or_else(|| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A route as asked, in a cluster file or by the API. Just one of `service`, `split`, `redirect` and `respond` is there.
///
/// There may be tens of thousands: what few of them say is kept apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Unique in the gateway; made from cluster and path when left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The cluster of the service. In a cluster file it is that cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The service that answers; empty where something else does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The one listener on which it answers; left out, every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Box<str>>,
    /// The host it answers for, or all below one (`*.example.com`); left out, every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `/exact`, `/with/:name` or `/with/{name}`, or `/prefix/*`, which also matches `/prefix`.
    pub path: String,
    /// Methods; left out, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Headers that must be there with these values; `*` is any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that must be there with these values; `*` is any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Takes what stands before `*` off the path that the service sees.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strip_prefix: bool,
    /// The path that the service sees, in place of the one asked for; `*` and `:name` stand for what they matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Time for all tries together; left out, the cluster's `routing.timeout_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How often and when another try is made; left out, the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<RetrySpec>>,
    /// How an endpoint is picked; left out, the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How much each client may ask; left out, there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitSpec>,
    /// Whether it takes part.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Several services by weight, in place of `service`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<PartSpec>,
    /// A service that gets copies of its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Box<MirrorSpec>>,
    /// Sends the client elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Box<RedirectSpec>>,
    /// A fixed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Box<RespondSpec>>,
    /// Headers changed on the way to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<Box<HeadersSpec>>,
    /// Headers changed on the way to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<Box<HeadersSpec>>,
    /// What keeps a client with one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Box<AffinitySpec>>,
    /// What answers when the service cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<FallbackSpec>>,
}

impl RouteSpec {
    /// A route of this path that says nothing else yet.
    #[must_use]
    pub fn of_path(path: impl Into<String>) -> Self {
        RouteSpec {
            id: String::new(),
            cluster: String::new(),
            service: String::new(),
            listener: None,
            host: None,
            path: path.into(),
            methods: Vec::new(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            strip_prefix: false,
            rewrite: None,
            timeout: None,
            retry: None,
            strategy: None,
            rate_limit: None,
            enabled: true,
            split: Vec::new(),
            mirror: None,
            redirect: None,
            respond: None,
            request_headers: None,
            response_headers: None,
            affinity: None,
            fallback: None,
        }
    }

    /// Every service that it names, with the path of the key that does.
    #[must_use]
    pub fn services(&self) -> Vec<(String, &str)> {
        let mut named: Vec<(String, &str)> = Vec::new();
        if !self.service.is_empty() {
            named.push(("service".to_owned(), &self.service));
        }
        for (index, part) in self.split.iter().enumerate() {
            named.push((format!("split[{index}].service"), &part.service));
        }
        if let Some(mirror) = &self.mirror {
            named.push(("mirror.service".to_owned(), &mirror.service));
        }
        if let Some(service) = self.fallback.as_ref().and_then(|fallback| fallback.service.as_ref()) {
            named.push(("fallback.service".to_owned(), service));
        }
        named
    }

    /// Where it leads, in words: `web`, `web 95, canary 5`, `redirect 307`, `answer 404`.
    #[must_use]
    pub fn leads(&self) -> String {
        if let Some(redirect) = &self.redirect {
            format!("redirect {}", redirect.status)
        } else if let Some(respond) = &self.respond {
            format!("answer {}", respond.status)
        } else if self.split.is_empty() {
            self.service.clone()
        } else {
            let parts = self.split.iter().map(|part| format!("{} {}", part.service, part.weight));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// `rate_limit` of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitSpec {
    /// How many requests each client may send in `per`.
    pub requests: u32,
    /// The time of `requests`.
    #[serde(default = "second")]
    pub per: Span,
    /// How many of them at once; left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// What tells one client from another: `client`, its address, or `header:NAME`.
    #[serde(default)]
    pub key: LimitKey,
}

/// What tells one client from another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LimitKey {
    /// Its address.
    #[default]
    Client,
    /// What it says in this header; where it says nothing, its address.
    Header(String),
}

impl FromStr for LimitKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "client" => Ok(LimitKey::Client),
            Some(("header", name)) if is_token(name) => Ok(LimitKey::Header(name.to_ascii_lowercase())),
            _ => Err("must be `client` or `header:NAME`".to_owned()),
        }
    }
}

impl TryFrom<String> for LimitKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> String {
        match key {
            LimitKey::Client => "client".to_owned(),
            LimitKey::Header(name) => format!("header:{name}"),
        }
    }
}

/// `retry` of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetrySpec {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Time for one try; left out, a share of what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try: Option<Span>,
    /// What leads to another try, among what may run again at all.
    pub on: Vec<RetryOn>,
    /// When a second try is made beside a first that takes long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeSpec>,
}

/// `hedge` of `retry`: a second try beside the first, of another endpoint; the first answer counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HedgeSpec {
    /// How long the first may take until then.
    pub after: Span,
}

impl Default for RetrySpec {
    fn default() -> Self {
        RetrySpec { attempts: 3, per_try: None, on: RetryOn::ALL.to_vec(), hedge: None }
    }
}

/// What leads to another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The connection could not be made.
    Connect,
    /// The connection broke before an answer began.
    Reset,
    /// The try took too long.
    Timeout,
    /// The service answered 502, 503 or 504.
    GatewayError,
}

impl RetryOn {
    /// All of them: the default.
    pub const ALL: [RetryOn; 4] = [RetryOn::Connect, RetryOn::Reset, RetryOn::Timeout, RetryOn::GatewayError];
}

fn second() -> Span {
    Span(Duration::from_secs(1))
}

/// A token of RFC 9110, which names of headers are.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn yes() -> bool {
    true
}

fn is_default(value: &bool) -> bool {
    !*value
}
