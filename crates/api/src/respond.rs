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
    pub(crate) fn wrong_method(method: &http::Method, allow: &HeaderValue, id: &RequestId) -> Response<Bytes> {
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
