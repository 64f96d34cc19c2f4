//! What went wrong, in one type: a family to branch on, and what the gateway said about it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::address::Address;
use crate::problem::{Document, FieldError, family_of};
use crate::reply::Reply;

/// Why a call failed. One pointer wide.
pub struct Error(Box<Inner>);

struct Inner {
    family: Family,
    detail: String,
    hint: Option<String>,
    status: Option<u16>,
    problem: Document,
    /// The document as it came, for fields that we do not know.
    raw: Option<Value>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    attempts: u32,
    never_sent: bool,
    for_good: bool,
    garbled: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of failure it is, for the code that handles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// The gateway could not be reached, or the connection broke.
    Connection,
    /// Nothing answered in time: neither us nor, told by the gateway, the service.
    Timeout,
    /// The request is wrong; [`Error::fields`] has every place. Without a status it never left: the URL,
    /// the token or the path cannot be used.
    Validation,
    /// No credential, or one that is not valid.
    Unauthenticated,
    /// The credential does not allow it.
    PermissionDenied,
    /// There is no such cluster, service or route.
    NotFound,
    /// It exists already, has changed since, or is in use.
    Conflict,
    /// Too many requests.
    RateLimited,
    /// Nobody can answer now: no endpoint, an open breaker, too much at once.
    Unavailable,
    /// The service behind the gateway refused or broke; [`Error::native`] has its code.
    Upstream,
    /// A fault of the gateway.
    Internal,
    /// What answered is not a gateway of a version that we understand.
    Protocol,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.0.family
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The gateway's code: `not_found`, `breaker_open` …; each has a page in its documentation.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.problem.code.as_deref()
    }

    /// A few words, the same for every failure of this code.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.0.problem.title.as_deref()
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// HTTP status, when there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The id under which the gateway logged the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Whether the gateway says that the same request may be sent again as it is.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.problem.retryable || self.0.never_sent
    }

    /// When to come back, if the gateway said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// How many tries were made; 0 when the request could not even be written.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The service it happened on.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.0.problem.service.as_deref()
    }

    /// The service's own code: the name that its kind gives it, such as `sqlstate`, and its value.
    #[must_use]
    pub fn native(&self) -> Option<(&str, String)> {
        self.service()?;
        // It is the member that no failure of the gateway's own has: each kind of service names its own.
        let own = |(name, _): &(&String, &Value)| !["type", "status", "error"].contains(&name.as_str());
        self.0.problem.other.iter().filter(own).find_map(|(name, value)| match value {
            Value::String(code) => Some((name.as_str(), code.clone())),
            Value::Number(code) => Some((name.as_str(), code.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
    }

    /// Every fault of the request or document, when that is what failed.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.0.problem.errors
    }

    /// The problem document as it came.
    #[must_use]
    pub fn problem(&self) -> Option<&Value> {
        self.0.raw.as_ref()
    }
}

/// Making them.
impl Error {
    pub(crate) fn new(family: Family, detail: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            family,
            detail: detail.into(),
            hint: None,
            status: None,
            problem: Document::default(),
            raw: None,
            request_id: None,
            retry_after: None,
            attempts: 0,
            never_sent: false,
            for_good: false,
            garbled: false,
            source: None,
        }))
    }

    /// The caller gave something that cannot be used.
    pub(crate) fn usage(detail: &str, hint: &str) -> Error {
        let mut error = Error::new(Family::Validation, detail);
        error.0.hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        error
    }

    /// The gateway speaks TLS, and its URL does not say so.
    pub(crate) fn spoken_to_in_the_clear(address: &Address) -> Error {
        let authority = address.authority.to_str().unwrap_or(&address.host);
        Error::usage(
            &format!("no connection to {address}: what listens there speaks TLS"),
            &format!("Write the URL as https://{authority}{}.", address.prefix),
        )
        .of(Family::Connection)
        .for_good()
    }

    /// The first answer on a connection was none that could be read: perhaps another protocol is spoken there.
    pub(crate) fn garbled(mut self) -> Error {
        self.0.garbled = true;
        self
    }

    pub(crate) fn is_garbled(&self) -> bool {
        self.0.garbled
    }

    /// The same, of another family.
    pub(crate) fn of(mut self, family: Family) -> Error {
        self.0.family = family;
        self
    }

    /// Another try would end the same way.
    pub(crate) fn for_good(mut self) -> Error {
        self.0.for_good = true;
        self
    }

    pub(crate) fn is_for_good(&self) -> bool {
        self.0.for_good
    }

    /// No byte of the request left.
    pub(crate) fn unsent(
        detail: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        let mut error = Error::new(Family::Connection, detail).caused_by(source);
        error.0.never_sent = true;
        error
    }

    pub(crate) fn unreadable(detail: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(Family::Protocol, detail).caused_by(source)
    }

    /// An answer that says failure.
    pub(crate) fn from_reply(reply: &Reply) -> Error {
        let mut error = Error::of_document(reply.status, serde_json::from_slice(&reply.body).ok());
        error.0.request_id = error.0.request_id.take().or_else(|| reply.request_id().map(str::to_owned));
        error.0.retry_after = reply
            .header("retry-after")
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs);
        error
    }

    /// A problem document inside a body: of one message of several, or of a stream that ends with it.
    pub(crate) fn from_problem(problem: &Value) -> Error {
        let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        Error::of_document(status.unwrap_or(500), Some(problem.clone()))
    }

    fn of_document(status: u16, raw: Option<Value>) -> Error {
        let problem: Document =
            raw.clone().and_then(|raw| serde_json::from_value(raw).ok()).unwrap_or_default();
        let mut error = Error::new(family_of(status, problem.code.as_deref()), String::new());
        error.0.detail = None
            .or(problem.detail.clone())
            .or(problem.message.clone())
            .or(problem.title.clone())
            .unwrap_or_else(|| format!("the gateway answered with status {status}"));
        error.0.hint = problem.hint.clone();
        error.0.status = Some(status);
        // What no request has asked for has none, and fails all the same.
        error.0.request_id = problem.request_id.clone().filter(|id| !id.is_empty());
        error.0.problem = problem;
        error.0.raw = raw;
        error
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_request_id(mut self, id: Option<&str>) -> Error {
        self.0.request_id = id.map(str::to_owned);
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Error {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn never_sent(&self) -> bool {
        self.0.never_sent
    }

    #[cfg(test)]
    pub(crate) fn for_test(status: u16, code: &str, retryable: bool) -> Error {
        let mut error = Error::new(family_of(status, Some(code)), code);
        error.0.status = Some(status);
        error.0.problem = Document { code: Some(code.to_owned()), retryable, ..Document::default() };
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())?;
        match (self.code(), self.request_id()) {
            (Some(code), Some(id)) => write!(f, " ({code}, request {id})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("family", &self.0.family)
            .field("detail", &self.0.detail)
            .field("code", &self.code())
            .field("status", &self.0.status)
            .field("request_id", &self.0.request_id)
            .field("attempts", &self.0.attempts)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
