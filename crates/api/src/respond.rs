//! Answers: JSON, and failures as problem documents. Knows `http` types only, so that any door can use it.

use bytes::Bytes;
use clusters::RequestId;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use model::{Code, Failure, problem};
use serde::Serialize;

/// The id of the request, in every answer.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The code of a failure that was answered, left in the answer's extensions for whoever counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused(pub(crate) Code);

/// An answer with a JSON body.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response<Bytes> {
    match serde_json::to_vec(body) {
        Ok(bytes) => with(status, JSON, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            with(StatusCode::INTERNAL_SERVER_ERROR, JSON, Bytes::new())
        }
    }
}

/// An answer of this type.
pub(crate) fn with(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// How failures are told at a door.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    /// HTTP status of `timeout`: 504, or what a setting says.
    pub(crate) timeout_status: u16,
}

impl Telling {
    /// A failure as a problem document.
    pub(crate) fn problem(self, failure: &Failure, id: &RequestId) -> Response<Bytes> {
        let status = problem::status(failure, self.timeout_status);
        Self::problem_with(failure, status, id)
    }

    /// The same for a failure whose status HTTP settles: an unknown method is 405.
    pub(crate) fn problem_with(failure: &Failure, status: u16, id: &RequestId) -> Response<Bytes> {
        let document = problem::document(failure, status, id.as_str()).to_string();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = with(status, HeaderValue::from_static(problem::CONTENT_TYPE), document);
        let headers = response.headers_mut();
        if let Some(after) = failure.retry_after() {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match failure.code() {
            Code::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is never read.
            Code::TooLarge | Code::RequestTimeout => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Refused(failure.code()));
        response
    }

    /// A method that this path does not know; `allow` lists those it does.
    pub(crate) fn wrong_method(
        method: &http::Method,
        allow: &HeaderValue,
        id: &RequestId,
    ) -> Response<Bytes> {
        let known = allow.to_str().unwrap_or_default();
        let failure = Failure::client(Code::InvalidRequest, format!("`{method}` is not known here."))
            .with_hint(format!("This path knows {}.", known.replace(',', ", ")));
        let mut response = Self::problem_with(&failure, 405, id);
        response.headers_mut().insert(ALLOW, allow.clone());
        response
    }
}

/// What every answer carries: the id of its request, and that nobody keeps it unless it says so itself.
pub(crate) fn finish(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// No path leads here.
pub(crate) fn unknown_path(path: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is nothing at `{path}`."))
        .with_hint("`/openapi.json` lists what there is; `/swagger/` shows it.")
}

/// A path that is documented and belongs to a later stage.
pub(crate) fn not_built(path: &str) -> Failure {
    Failure::client(Code::NotBuilt, format!("`{path}` is not built yet."))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::failure::CODES;
    use serde_json::Value;

    use super::*;

    fn told(failure: &Failure, timeout_status: u16) -> Response<Bytes> {
        Telling { timeout_status }.problem(failure, &RequestId::make())
    }

    #[test]
    fn a_failure_has_the_status_and_headers_that_http_wants() {
        let late = Failure::service(Code::Timeout, "Too late.");
        assert_eq!((told(&late, 504).status().as_u16(), told(&late, 408).status().as_u16()), (504, 408));
        let after = |time| {
            let failure = Failure::gateway(Code::BreakerOpen, "No.").with_retry_after(time);
            told(&failure, 504).headers()[RETRY_AFTER].clone()
        };
        assert_eq!(
            (after(Duration::from_millis(1)), after(Duration::from_secs(2))),
            ("1".parse().unwrap(), "2".parse().unwrap())
        );
        let nobody = told(&Failure::client(Code::Unauthenticated, "Who?"), 504);
        assert_eq!(nobody.headers()[WWW_AUTHENTICATE], "Bearer");
        assert!(nobody.headers().get(RETRY_AFTER).is_none());
        let large = told(&Failure::client(Code::TooLarge, "No."), 504);
        assert_eq!(large.headers()[CONNECTION], "close");
    }

    #[test]
    fn the_page_of_a_code_shows_what_is_sent() {
        for row in CODES {
            let path = format!("{}/../../docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), row.name);
            let page = std::fs::read_to_string(&path).unwrap();
            let example = page.split("```http").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
            let (head, body) = example.trim().split_once("\n\n").unwrap();
            let shown: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}"));
            let response =
                told(&Failure::client(row.code, shown["detail"].as_str().unwrap().to_owned()), 504);
            let sent: Value = serde_json::from_slice(response.body()).unwrap();
            for field in ["type", "title", "status", "code", "retryable", "error", "message"] {
                assert_eq!(shown[field], sent[field], "{path}: {field}");
            }
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", response.status().as_u16())), "{path}");
            assert!(head.contains("Content-Type: application/problem+json\n"), "{path}");
            assert!(
                shown["errors"].is_array() && head.ends_with(shown["request_id"].as_str().unwrap()),
                "{path}"
            );
        }
    }
}
