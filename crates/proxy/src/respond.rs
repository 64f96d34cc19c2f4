//! What the gateway itself says to a client: heads of relayed answers, interim answers, and failures. How a head is
//! put on the line is `respond/http1.rs` and `respond/http2.rs`; failures of gRPC calls are `respond/grpc.rs`.

pub(crate) mod grpc;
mod http1;
mod http2;

use std::task::Poll;

use clusters::RequestId;
use model::{Code, Failure, problem};
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Known, Mask};
use wire::{Error, Line};

use crate::client::Client;
use crate::door::Door;

/// How the client learns where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// By the length that the service said, or there is none.
    AsSaid,
    /// With the head: the body has no byte.
    AtOnce,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    WithClose,
}

const OURS: Mask = HOP_BY_HOP.and(Mask::of(&[Known::RequestId]));

/// Says the head of a relayed answer: the service's fields as received, but for those that concern one
/// connection, and the id of the request.
pub(crate) fn say_head(client: &mut Client, id: &RequestId, ends: Ends) -> Result<(), Error> {
    let mut without = OURS;
    if client.response.status == 204 || ends == Ends::Chunked {
        // RFC 9110 8.6: a 204 has no length; a length beside chunks is not ours to pass on either.
        without = without.and(Mask::of(&[Known::ContentLength]));
    }
    let Client { line, response, request, reusable, .. } = client;
    match line {
        Line::Http1(conn) => {
            http1::say_head(response, without, ends, id, &mut conn.outbox);
            http1::say_connection(*reusable && ends != Ends::WithClose, request.minor, &mut conn.outbox);
            Ok(())
        }
        Line::Http2(stream) => http2::say_head(stream, response, without, id),
    }
}

/// Says that protocols are switched, with what was agreed.
pub(crate) fn say_switch(client: &mut Client, id: &RequestId) -> Result<(), Error> {
    let Client { line, request, response, .. } = client;
    // No body follows, of whatever length.
    let without = OURS.and(Mask::of(&[Known::ContentLength]));
    match line {
        Line::Http1(conn) => {
            http1::say_switch(request, response, without, id, &mut conn.outbox);
            Ok(())
        }
        Line::Http2(stream) => http2::say_switch(stream, response, without, id),
    }
}

/// Says an interim answer (1xx), which has no body and no effect on the connection.
pub(crate) fn say_interim(client: &mut Client) {
    match &mut client.line {
        Line::Http1(conn) => http1::say_interim(&client.response, &mut conn.outbox),
        Line::Http2(stream) => http2::say_interim(stream, &client.response),
    }
}

/// A failure in words: what is said of it in either protocol.
struct Refusal {
    status: u16,
    /// Seconds.
    retry_after: Option<u64>,
    asks_for_token: bool,
    nosniff: bool,
    body: String,
}

/// Answers with a failure, as a problem document.
pub(crate) async fn refuse(client: &mut Client, door: &Door, id: &RequestId, failure: &Failure) {
    door.counts().refuse(failure.code());
    let status = problem::status(failure, door.options().timeout_status);
    let refusal = Refusal {
        status,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
        retry_after: failure.retry_after().map(|after| after.as_secs_f64().ceil() as u64),
        asks_for_token: failure.code() == Code::Unauthenticated,
        // As every answer of the data API has it.
        nosniff: door.calls().is_some(),
        body: problem::document(failure, status, id.as_str()).to_string(),
    };
    client.answering = true;
    client.reusable &= !door.is_closing();
    let head_only = client.request.is_head;
    match &mut client.line {
        Line::Http1(conn) => {
            http1::refuse(&refusal, id, client.reusable, head_only, &mut conn.outbox);
        }
        Line::Http2(stream) if grpc::is_call(&client.request.fields) => grpc::refuse(stream, failure, id),
        Line::Http2(stream) => http2::refuse(stream, refusal, id, head_only),
    }
    client.alarm.set_after(door.options().limits.write_timeout);
    let Client { line, alarm, .. } = client;
    let flushed = alarm.guard(|cx| match line.poll_flush(cx) {
        Poll::Ready(done) => Poll::Ready(done),
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
