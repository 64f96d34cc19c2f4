//! What the gateway itself says to a client: heads of relayed answers, interim answers, and failures.

use std::io::Write;
use std::task::Poll;

use clusters::RequestId;
use model::{Code, Failure, problem};
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Known, Mask, ResponseHead};

use crate::client::Client;
use crate::door::Door;

/// How the client learns where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// By the length that the service said, or there is none.
    AsSaid,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    WithClose,
}

const OURS: Mask = HOP_BY_HOP.and(Mask::of(&[Known::RequestId]));

/// Says the head of a relayed answer: the service's fields as received, but for those that concern one
/// connection, and the id of the request.
pub(crate) fn say_head(client: &mut Client, id: &RequestId, ends: Ends) {
    let Client { conn, response, request, reusable, .. } = client;
    let out = &mut conn.outbox;
    say_status(response, out);
    let mut without = OURS;
    if response.status == 204 || ends == Ends::Chunked {
        // RFC 9110 8.6: a 204 has no length; a length beside chunks is not ours to pass on either.
        without = without.and(Mask::of(&[Known::ContentLength]));
    }
    response.fields.write(without, out);
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    say(&[b"X-Request-Id: ", id.as_str().as_bytes(), b"\r\n"]);
    if ends == Ends::Chunked {
        say(&[b"Transfer-Encoding: chunked\r\n"]);
    }
    if !*reusable || ends == Ends::WithClose {
        say(&[b"Connection: close\r\n"]);
    } else if request.minor == 0 {
        say(&[b"Connection: keep-alive\r\n"]);
    }
    say(&[b"\r\n"]);
}

/// Says the head of a 101, with what was agreed.
pub(crate) fn say_switch(client: &mut Client, id: &RequestId) {
    let Client { conn, response, .. } = client;
    let out = &mut conn.outbox;
    say_status(response, out);
    response.fields.write(OURS, out);
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    say(&[b"X-Request-Id: ", id.as_str().as_bytes(), b"\r\nConnection: Upgrade\r\n"]);
    for protocol in response.fields.all(Known::Upgrade) {
        say(&[b"Upgrade: ", protocol, b"\r\n"]);
    }
    say(&[b"\r\n"]);
}

/// Says an interim answer (1xx), which has no body and no effect on the connection.
pub(crate) fn say_interim(response: &ResponseHead, out: &mut Vec<u8>) {
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

/// Answers with a failure, as a problem document.
pub(crate) async fn refuse(client: &mut Client, door: &Door, id: &RequestId, failure: &Failure) {
    door.counts().refuse(failure.code());
    let status = problem::status(failure, door.options().timeout_status);
    let body = problem::document(failure, status, id.as_str()).to_string();
    client.answering = true;
    let head_only = client.request.is_head;
    let out = &mut client.conn.outbox;
    // Writing into a vector cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Request-Id: {id}\r\n",
        http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error"),
        problem::CONTENT_TYPE,
        body.len(),
    );
    if let Some(after) = failure.retry_after() {
        let _ = write!(out, "Retry-After: {}\r\n", after.as_secs_f64().ceil());
    }
    if failure.code() == Code::Unauthenticated {
        out.extend_from_slice(b"WWW-Authenticate: Bearer\r\n");
    }
    if door.calls().is_some() {
        // As every answer of the data API has it.
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
    client.reusable &= !door.is_closing();
    if !client.reusable {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
    client.alarm.set_after(door.options().limits.write_timeout);
    let Client { conn, alarm, .. } = client;
    let flushed = alarm.guard(|cx| match conn.poll_flush(cx) {
        Poll::Ready(done) => Poll::Ready(done.map_err(Into::into)),
        Poll::Pending => Poll::Pending,
    });
    if flushed.await.is_err() {
        client.reusable = false;
    }
}

/// `setting` is what allows so much and no more.
pub(crate) fn body_too_large(setting: &str) -> Failure {
    Failure::client(Code::TooLarge, "The body of the request is larger than allowed.")
        .with_hint(format!("`{setting}` sets how large it may be."))
}
