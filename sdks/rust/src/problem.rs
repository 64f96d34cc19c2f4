//! What a gateway says of a failure (RFC 9457), and the family that its code and status belong to.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Family;

/// The fields of a problem document (RFC 9457) that we read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) title: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) hint: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) message: Option<String>,
    /// What else there is, a service's own code among it.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// One fault of a request or document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Where: `services.cache.port`, `routes[2].path`; empty for the whole.
    #[serde(default)]
    pub path: String,
    /// What is wrong.
    #[serde(default)]
    pub message: String,
    /// From 1, where it was read as text.
    #[serde(default)]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(default)]
    pub column: Option<u32>,
    /// What to write instead.
    #[serde(default)]
    pub suggestion: Option<String>,
}

/// By code where a status has several meanings, by status otherwise, so that new codes find a home.
pub(crate) fn family_of(status: u16, code: Option<&str>) -> Family {
    match (code, status) {
        (Some("query_failed" | "command_failed" | "bad_gateway"), _) => Family::Upstream,
        (Some("timeout"), _) => Family::Timeout,
        (_, 401) => Family::Unauthenticated,
        (_, 403) => Family::PermissionDenied,
        (_, 404) => Family::NotFound,
        (_, 408 | 504) => Family::Timeout,
        (_, 409 | 412) => Family::Conflict,
        (_, 429) => Family::RateLimited,
        (_, 400..500) => Family::Validation,
        (_, 502) => Family::Upstream,
        (_, 503) => Family::Unavailable,
        (_, 500..600) => Family::Internal,
        _ => Family::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_by_code_and_status() {
        for (status, code, family) in [
            (400, "invalid_config", Family::Validation),
            (400, "query_failed", Family::Upstream),
            (401, "unauthenticated", Family::Unauthenticated),
            (403, "permission_denied", Family::PermissionDenied),
            (404, "not_found", Family::NotFound),
            (408, "timeout", Family::Timeout),
            (409, "already_exists", Family::Conflict),
            (412, "precondition_failed", Family::Conflict),
            (422, "unsupported_ability", Family::Validation),
            (429, "rate_limited", Family::RateLimited),
            (500, "internal", Family::Internal),
            (502, "bad_gateway", Family::Upstream),
            (503, "breaker_open", Family::Unavailable),
            (504, "timeout", Family::Timeout),
            (418, "of_tomorrow", Family::Validation),
            (302, "of_tomorrow", Family::Protocol),
        ] {
            assert_eq!(family_of(status, Some(code)), family, "{status} {code}");
        }
    }
}
