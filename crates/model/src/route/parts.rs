//! What a route may say of what answers, and of what happens on the way there and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// The schemes of an address, in clear and by TLS.
pub const SCHEMES: [&str; 2] = ["http", "https"];

/// One service of a `split`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpec {
    /// Which.
    pub service: String,
    /// Its share against the others'; 0 gets nothing.
    #[serde(default = "one")]
    pub weight: u32,
}

/// `mirror` of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MirrorSpec {
    /// Which service.
    pub service: String,
    /// The share of requests that it gets, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

/// `redirect` of a route: `to`, or the parts of the address that change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedirectSpec {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Where to: an address or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Another port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Default for RedirectSpec {
    fn default() -> Self {
        RedirectSpec { status: 307, to: None, scheme: None, host: None, port: None, path: None }
    }
}

/// `respond` of a route or of its `fallback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RespondSpec {
    /// From 200 to 599.
    pub status: u16,
    /// What is said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// What kind of text that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl Default for RespondSpec {
    fn default() -> Self {
        RespondSpec { status: 200, body: String::new(), content_type: None }
    }
}

/// `request_headers` and `response_headers` of a route: removed first, then set, then added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadersSpec {
    /// Put beside those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Put in place of those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Taken out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// `affinity` of a route: just one of `cookie`, `header`, `query` and `address`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AffinitySpec {
    /// The name of a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// How long the cookie lasts that the gateway makes; left out, until the browser closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Whether the gateway makes the cookie; otherwise the service does.
    #[serde(skip_serializing_if = "is_true")]
    pub make: bool,
    /// The name of a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The name of a query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "is_false")]
    pub address: bool,
}

impl Default for AffinitySpec {
    fn default() -> Self {
        AffinitySpec { cookie: None, ttl: None, make: true, header: None, query: None, address: false }
    }
}

/// `fallback` of a route: just one of `service` and `respond`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FallbackSpec {
    /// Another service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A fixed answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<RespondSpec>,
}

fn one() -> u32 {
    1
}

fn all() -> f64 {
    1.0
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_true(value: &bool) -> bool {
    *value
}
