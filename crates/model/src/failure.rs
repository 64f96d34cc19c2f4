//! What went wrong: a code from one table, whose fault it is, whether a second try is safe, and why.
//!
//! Every crate turns its own error into a [`Failure`] at its edge; doors turn a failure into their
//! protocol. `docs/errors/<code>.md` has a page for each code, and a test that none is missing.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::check::Problem;

/// A row of the table of codes: its name on the wire, its HTTP and gRPC status, and a title for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The variant this row describes.
    pub code: Code,
    /// `snake_case` name, as in `code` of a problem document and in `docs/errors/`.
    pub name: &'static str,
    /// HTTP status.
    pub status: u16,
    /// gRPC status number (grpc/status.proto).
    pub grpc: u8,
    /// A few words, the same for every occurrence.
    pub title: &'static str,
}

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $grpc:literal $title:literal;)*) => {
        /// What kind of failure it is. The table in this file is the only place that says what each means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Code { $(#[doc = $title] $variant),* }

        /// Every code, in the order of the enum.
        pub const CODES: &[CodeRow] = &[
            $(CodeRow { code: Code::$variant, name: $name, status: $status, grpc: $grpc, title: $title }),*
        ];
    };
}

// gRPC numbers: 3 INVALID_ARGUMENT, 4 DEADLINE_EXCEEDED, 5 NOT_FOUND, 6 ALREADY_EXISTS, 7 PERMISSION_DENIED,
// 8 RESOURCE_EXHAUSTED, 9 FAILED_PRECONDITION, 10 ABORTED, 12 UNIMPLEMENTED, 13 INTERNAL, 14 UNAVAILABLE,
// 16 UNAUTHENTICATED.
codes! {
    InvalidRequest      "invalid_request"      400 3  "The request is not valid";
    InvalidConfig       "invalid_config"       400 3  "The document is not valid";
    AmbiguousService    "ambiguous_service"    400 3  "Several services could answer";
    QueryFailed         "query_failed"         400 9  "The database refused the statement";
    CommandFailed       "command_failed"       400 9  "The service refused the command";
    ConstraintViolation "constraint_violation" 409 6  "A constraint was violated";
    Unauthenticated     "unauthenticated"      401 16 "No valid credential";
    PermissionDenied    "permission_denied"    403 7  "Not allowed";
    NotFound            "not_found"            404 5  "Not found";
    TransactionEnded    "transaction_ended"    404 5  "The transaction is over";
    RequestTimeout      "request_timeout"      408 4  "The request took too long to arrive";
    Conflict            "conflict"             409 10 "In conflict with the present state";
    AlreadyExists       "already_exists"       409 10 "Already exists";
    InFlight            "in_flight"            409 10 "The same request is still being carried out";
    PreconditionFailed  "precondition_failed"  412 9  "Changed since it was read";
    TooLarge            "too_large"            413 8  "Too large";
    UnsupportedAbility  "unsupported_ability"  422 12 "The service has no such ability";
    UnsupportedCommand  "unsupported_command"  422 12 "The service has no such command";
    NotBuilt            "not_built"            422 12 "Not built yet";
    IdempotencyMismatch "idempotency_mismatch" 422 3  "The idempotency key was used with another body";
    RateLimited         "rate_limited"         429 8  "Too many requests";
    HeadersTooLarge     "headers_too_large"    431 8  "The head of the request is too large";
    Internal            "internal"             500 13 "A fault of the gateway";
    BadGateway          "bad_gateway"          502 14 "The service broke the protocol or the connection";
    ProvisionFailed     "provision_failed"     502 14 "A service could not be run";
    NoEndpoint          "no_endpoint"          503 14 "No endpoint can be asked";
    BreakerOpen         "breaker_open"         503 14 "The breaker is open";
    Overloaded          "overloaded"           503 14 "Too much at once";
    Busy                "busy"                 503 14 "Busy";
    Draining            "draining"             503 14 "Draining";
    Timeout             "timeout"              504 4  "The service took too long to answer";
}

impl Code {
    /// This code's row of the table.
    #[must_use]
    pub fn row(self) -> &'static CodeRow {
        &CODES[self as usize]
    }

    /// Name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The code of that name on the wire, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Code> {
        CODES.iter().find(|row| row.name == name).map(|row| row.code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose doing a failure is. Only a failure of the service counts against an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The client asked for something wrong, or went away.
    Client,
    /// Our own decision or fault: a limit, a missing route, a bug.
    Gateway,
    /// The service behind us refused, broke or was too slow.
    Service,
}

/// What went wrong. One pointer wide, so that a `Result` of it stays small on the hot path.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    origin: Origin,
    retryable: bool,
    wants_primary: bool,
    of_part: bool,
    detail: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    service: Option<Arc<str>>,
    native: Option<(&'static str, String)>,
    engine: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    problems: Vec<Problem>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure that names its origin. `detail` says what happened, in one sentence without secrets.
    pub fn new(code: Code, origin: Origin, detail: impl Into<Cow<'static, str>>) -> Self {
        Failure(Box::new(Inner {
            code,
            origin,
            retryable: matches!(
                code,
                Code::RequestTimeout
                    | Code::InFlight
                    | Code::RateLimited
                    | Code::NoEndpoint
                    | Code::BreakerOpen
                    | Code::Overloaded
                    | Code::Busy
                    | Code::Draining
            ),
            wants_primary: false,
            of_part: false,
            detail: detail.into(),
            hint: None,
            service: None,
            native: None,
            engine: Vec::new(),
            retry_after: None,
            problems: Vec::new(),
            cause: None,
        }))
    }

    /// The client's fault.
    pub fn client(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Origin::Client, detail)
    }

    /// Our decision or our fault.
    pub fn gateway(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Origin::Gateway, detail)
    }

    /// The service's fault: counts against the endpoint.
    pub fn service(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Origin::Service, detail)
    }

    /// A document or a body with these problems in it.
    #[must_use]
    pub fn invalid(code: Code, problems: Vec<Problem>) -> Self {
        Self::client(code, "").with_problems(problems)
    }

    /// The same, told by these problems.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.0.detail = match problems.as_slice() {
            [] => "The document is not valid.".into(),
            [one] => one.to_string().into(),
            [first, rest @ ..] => format!("{first} (and {} more)", rest.len()).into(),
        };
        self.0.problems = problems;
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The service it happened on.
    #[must_use]
    pub fn with_service(mut self, service: Arc<str>) -> Self {
        self.0.service = Some(service);
        self
    }

    /// The service's own code: field name (`sqlstate`, `redis`, `kafka`, `grpc`) and value.
    #[must_use]
    pub fn with_native(mut self, field: &'static str, value: impl Into<String>) -> Self {
        self.0.native = Some((field, value.into()));
        self
    }

    /// What else the engine said of it, by the engine's own names, for clients that speak its language.
    #[must_use]
    pub fn with_engine_words(mut self, words: Vec<(&'static str, String)>) -> Self {
        self.0.engine = words;
        self
    }

    /// Says whether the same request may be sent again as it is.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Says that a server refused because it only reads, and did nothing: a primary may be asked.
    #[must_use]
    pub fn with_primary_wanted(mut self) -> Self {
        self.0.wants_primary = true;
        self
    }

    /// Says that it is of a part of the endpoint only, such as one node of several: the others serve on, and nothing
    /// is said against the whole.
    #[must_use]
    pub fn with_part(mut self) -> Self {
        self.0.of_part = true;
        self
    }

    /// When to come back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// What lies underneath, for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whose doing it is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Whether the same request may be sent again as it is.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether a server refused because it only reads, and did nothing.
    #[must_use]
    pub fn wants_primary(&self) -> bool {
        self.0.wants_primary
    }

    /// Whether it is of a part of the endpoint only, such as one node of several.
    #[must_use]
    pub fn is_of_part(&self) -> bool {
        self.0.of_part
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The service it happened on.
    #[must_use]
    pub fn service_name(&self) -> Option<&Arc<str>> {
        self.0.service.as_ref()
    }

    /// The service's own code, with the field it is told in.
    #[must_use]
    pub fn native(&self) -> Option<(&'static str, &str)> {
        self.0.native.as_ref().map(|(field, value)| (*field, value.as_str()))
    }

    /// What else the engine said of it, by the engine's own names.
    #[must_use]
    pub fn engine_words(&self) -> &[(&'static str, String)] {
        &self.0.engine
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Every fault of the document, when that is what failed.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_at_its_own_row_and_reads_back() {
        for (index, row) in CODES.iter().enumerate() {
            assert_eq!(row.code as usize, index);
            assert_eq!(Code::from_name(row.name), Some(row.code));
            assert!((400..=599).contains(&row.status), "{}", row.name);
        }
    }

    #[test]
    fn every_code_has_its_page() {
        let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        for row in CODES {
            let page = format!("{pages}/{}.md", row.name);
            let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{page}: {e}"));
            assert!(text.contains(&row.status.to_string()), "{page} does not name its HTTP status");
        }
    }
}
