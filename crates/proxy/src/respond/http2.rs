//! Heads as HTTP/2 carries them.

use clusters::RequestId;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::header::{HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use model::problem;
use wire::Error;
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Framing, Mask, ResponseHead};
use wire::http2::Stream;

use super::Refusal;
use crate::websocket;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn response(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

/// An id is made of characters that any field may have.
pub(super) fn value_of(id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""))
}

/// A relayed head; with it the stream ends where no body follows.
pub(super) fn say_head(
    stream: &mut Stream,
    head: &ResponseHead,
    without: Mask,
    id: &RequestId,
) -> Result<(), Error> {
    let mut response = response(head.status);
    head.fields.to_headers(without, response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, value_of(id));
    stream.say_response(response, matches!(head.framing, Framing::None | Framing::Length(0)))
}

/// A WebSocket was agreed on: in HTTP/2 that is any 2xx (RFC 8441).
pub(super) fn say_switch(
    stream: &mut Stream,
    head: &ResponseHead,
    without: Mask,
    id: &RequestId,
) -> Result<(), Error> {
    let mut response = response(200);
    head.fields.to_headers(without, response.headers_mut());
    response.headers_mut().remove(websocket::ACCEPT);
    response.headers_mut().insert(REQUEST_ID, value_of(id));
    stream.say_response(response, false)
}

pub(super) fn say_interim(stream: &mut Stream, head: &ResponseHead) {
    let mut response = response(head.status);
    head.fields.to_headers(HOP_BY_HOP, response.headers_mut());
    stream.say_interim(response);
}

/// A failure, whole. It is short, and goes as soon as the client lets it.
pub(super) fn refuse(stream: &mut Stream, refusal: Refusal, id: &RequestId, head_only: bool) {
    let mut response = response(refusal.status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
    headers.insert(CONTENT_LENGTH, refusal.body.len().into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, value_of(id));
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if refusal.asks_for_token {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if refusal.nosniff {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    // A client that has given the stream up hears nothing, as it wished.
    if stream.say_response(response, head_only).is_ok() && !head_only {
        stream.say_last(refusal.body.into());
    }
}
