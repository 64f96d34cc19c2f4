//! Heads as HTTP/1.1 writes them.

use std::io::Write;

use clusters::RequestId;
use policy::Remaining;
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Mask, RequestHead, ResponseHead, date};

use super::{Ends, Extra, Own};
use crate::websocket;

/// All of a relayed head but for the word on the connection.
pub(super) fn say_head(
    response: &ResponseHead,
    without: Mask,
    extra: &Extra<'_>,
    ends: Ends,
    id: &RequestId,
    out: &mut Vec<u8>,
) {
    say_status(response, out);
    super::write_edited(&response.fields, without, extra.edits, out);
    say_more(extra, out);
    if super::lacks_date(&response.fields, extra.edits) {
        say_date(out);
    }
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    say(&[b"X-Request-Id: ", id.as_str().as_bytes(), b"\r\n"]);
    match ends {
        Ends::Chunked => say(&[b"Transfer-Encoding: chunked\r\n"]),
        // HTTP/2 needs no length where nothing follows.
        Ends::AtOnce if response.length.is_none() => say(&[b"Content-Length: 0\r\n"]),
        Ends::AsSaid | Ends::AtOnce | Ends::WithClose => {}
    }
}

/// What is ours besides edits.
fn say_more(extra: &Extra<'_>, out: &mut Vec<u8>) {
    for (name, number) in extra.remaining.iter().flat_map(Remaining::fields) {
        // Writing into a vector cannot fail.
        let _ = write!(out, "{name}: {number}\r\n");
    }
    if let Some(cookie) = &extra.cookie {
        for part in [b"set-cookie: ", cookie.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

fn say_date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    date::write(out);
    out.extend_from_slice(b"\r\n");
}

/// What becomes of the connection, and the end of the head.
pub(super) fn say_connection(goes_on: bool, minor: u8, out: &mut Vec<u8>) {
    let word: &[u8] = match (goes_on, minor) {
        (false, _) => b"Connection: close\r\n\r\n",
        (true, 0) => b"Connection: keep-alive\r\n\r\n",
        (true, _) => b"\r\n",
    };
    out.extend_from_slice(word);
}

/// A 101, with what was agreed.
pub(super) fn say_switch(
    request: &RequestHead,
    response: &ResponseHead,
    without: Mask,
    extra: &Extra<'_>,
    id: &RequestId,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    super::write_edited(&response.fields, without, extra.edits, out);
    say_more(extra, out);
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    say(&[b"X-Request-Id: ", id.as_str().as_bytes(), b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"]);
    if let Some(key) = request.fields.get(websocket::KEY)
        && response.fields.get(websocket::ACCEPT).is_none()
    {
        // A service of HTTP/2 was told no key.
        say(&[b"Sec-WebSocket-Accept: ", websocket::accept(key).as_bytes(), b"\r\n"]);
    }
    say(&[b"\r\n"]);
}

pub(super) fn say_interim(response: &ResponseHead, out: &mut Vec<u8>) {
    say_status(response, out);
    response.fields.write(HOP_BY_HOP, out);
    out.extend_from_slice(b"\r\n");
}

fn say_status(response: &ResponseHead, out: &mut Vec<u8>) {
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    let status = response.status;
    let status = [digit(status / 100), digit(status / 10), digit(status)];
    for part in [b"HTTP/1.1 ", &status[..], b" ", response.reason(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// An answer of our own, whole.
pub(super) fn say_own(own: &Own<'_>, id: &RequestId, reusable: bool, head_only: bool, out: &mut Vec<u8>) {
    let reason = http::StatusCode::from_u16(own.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    // Writing into a vector cannot fail.
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", own.status);
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    for (name, value) in own.fields() {
        say(&[name, b": ", &value, b"\r\n"]);
    }
    say(&[b"x-request-id: ", id.as_str().as_bytes(), b"\r\n"]);
    if own.says_date() {
        say_date(out);
    }
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    if !reusable {
        say(&[b"connection: close\r\n"]);
    }
    say(&[b"\r\n"]);
    if !head_only {
        say(&[&own.body]);
    }
}
