//! Heads as HTTP/2 carries them.

use bytes::Bytes;
use clusters::RequestId;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use policy::Remaining;
use wire::Error;
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Framing, Mask, ResponseHead, date};
use wire::http2::{Stream, only_once};

use super::{Extra, Own};
use crate::websocket;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn response(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

/// An id is made of characters that any field may have.
pub(crate) fn value_of(id: &RequestId) -> HeaderValue {
    only_once(HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static("")))
}

/// A relayed head; with it the stream ends where no body follows.
pub(super) fn say_head(
    stream: &mut Stream,
    head: &ResponseHead,
    without: Mask,
    extra: &Extra<'_>,
    id: &RequestId,
) -> Result<(), Error> {
    let mut response = response(head.status);
    super::to_edited(&head.fields, without, extra.edits, response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, value_of(id));
    if super::lacks_date(&head.fields, extra.edits) {
        add_date(response.headers_mut());
    }
    add_more(extra, response.headers_mut());
    stream.say_response(response, matches!(head.framing, Framing::None | Framing::Length(0)))
}

/// What is ours besides edits.
fn add_more(extra: &Extra<'_>, headers: &mut http::HeaderMap) {
    for (name, number) in extra.remaining.iter().flat_map(Remaining::fields) {
        headers.insert(HeaderName::from_static(name), number.into());
    }
    if let Some(cookie) = extra.cookie.as_deref().and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        headers.append(http::header::SET_COOKIE, cookie);
    }
}

fn add_date(headers: &mut http::HeaderMap) {
    let mut now = Vec::with_capacity(29);
    date::write(&mut now);
    if let Ok(now) = HeaderValue::from_maybe_shared(Bytes::from(now)) {
        headers.insert(http::header::DATE, now);
    }
}

/// A WebSocket was agreed on: in HTTP/2 that is any 2xx (RFC 8441).
pub(super) fn say_switch(
    stream: &mut Stream,
    head: &ResponseHead,
    without: Mask,
    extra: &Extra<'_>,
    id: &RequestId,
) -> Result<(), Error> {
    let mut response = response(200);
    super::to_edited(&head.fields, without, extra.edits, response.headers_mut());
    response.headers_mut().remove(websocket::ACCEPT);
    response.headers_mut().insert(REQUEST_ID, value_of(id));
    add_more(extra, response.headers_mut());
    stream.say_response(response, false)
}

pub(super) fn say_interim(stream: &mut Stream, head: &ResponseHead) {
    let mut response = response(head.status);
    head.fields.to_headers(HOP_BY_HOP, |_| false, response.headers_mut());
    stream.say_interim(response);
}

/// An answer of our own, whole. It is short, and goes as soon as the client lets it.
pub(super) fn say_own(stream: &mut Stream, own: &Own<'_>, id: &RequestId, head_only: bool) {
    let mut response = response(own.status);
    let headers = response.headers_mut();
    for (name, value) in own.fields() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers.insert(REQUEST_ID, value_of(id));
    if own.says_date() {
        add_date(headers);
    }
    let ends = head_only || own.body.is_empty();
    // A client that has given the stream up hears nothing, as it wished.
    if stream.say_response(response, ends).is_ok() && !ends {
        stream.say_last(own.body.clone());
    }
}
