//! What the gateway itself says to a client: heads of relayed answers, interim answers, and failures. How a head is
//! put on the line is `respond/http1.rs` and `respond/http2.rs`; failures of gRPC calls are `respond/grpc.rs`.

pub(crate) mod grpc;
mod http1;
mod http2;

mod own;

use std::time::Instant;

use bytes::Bytes;
use clusters::{Fixed, HeaderEdits, Leads, RequestId};
use http::{HeaderName, HeaderValue};
use model::{Code, Failure, problem};
use policy::Remaining;
use wire::http1::fields::{Fields, HOP_BY_HOP};
use wire::http1::{Known, Mask, ResponseHead};
use wire::{Error, Line};

use crate::admit::Passage;
use crate::client::Client;
use crate::door::Door;
use crate::server;
use own::Own;

pub(crate) use http2::{REQUEST_ID, value_of};

/// What is said besides what a service has said.
pub(crate) struct Extra<'r> {
    pub(crate) edits: Option<&'r HeaderEdits>,
    /// A `Set-Cookie` of ours.
    pub(crate) cookie: Option<String>,
    /// What the client may still ask.
    pub(crate) remaining: Option<Remaining>,
}

/// The fields as received, changed as the route has it.
pub(crate) fn write_edited(fields: &Fields, without: Mask, edits: Option<&HeaderEdits>, out: &mut Vec<u8>) {
    let Some(edits) = edits else { return fields.write(without, out) };
    fields.write_but(without, |name| edits.drops(name), out);
    for (name, value) in edits.lines() {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// The same for HTTP/2.
pub(crate) fn to_edited(
    fields: &Fields,
    without: Mask,
    edits: Option<&HeaderEdits>,
    headers: &mut http::HeaderMap,
) {
    fields.to_headers(without, |name| edits.is_some_and(|edits| edits.drops(name)), headers);
    for (name, value) in edits.into_iter().flat_map(HeaderEdits::lines) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}

/// Whether nobody has said when the answer was made, which is ours to say then (RFC 9110 6.6.1).
fn lacks_date(fields: &Fields, edits: Option<&HeaderEdits>) -> bool {
    fields.all(Known::Date).next().is_none() && !edits.is_some_and(|edits| edits.speaks_of(b"date"))
}

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
pub(crate) fn say_head(
    client: &mut Client,
    extra: &Extra<'_>,
    id: &RequestId,
    ends: Ends,
) -> Result<(), Error> {
    let mut without = OURS;
    if client.response.status == 204 || ends == Ends::Chunked {
        // RFC 9110 8.6: a 204 has no length; a length beside chunks is not ours to pass on either.
        without = without.and(Mask::of(&[Known::ContentLength]));
    }
    let Client { line, response, request, reusable, .. } = client;
    match line {
        Line::Http1(conn) => {
            http1::say_head(response, without, extra, ends, id, &mut conn.outbox);
            http1::say_connection(*reusable && ends != Ends::WithClose, request.minor, &mut conn.outbox);
            Ok(())
        }
        Line::Http2(stream) => http2::say_head(stream, response, without, extra, id),
    }
}

/// Says that protocols are switched, with what was agreed.
pub(crate) fn say_switch(client: &mut Client, extra: &Extra<'_>, id: &RequestId) -> Result<(), Error> {
    let Client { line, request, response, .. } = client;
    // No body follows, of whatever length.
    let without = OURS.and(Mask::of(&[Known::ContentLength]));
    match line {
        Line::Http1(conn) => {
            http1::say_switch(request, response, without, extra, id, &mut conn.outbox);
            Ok(())
        }
        Line::Http2(stream) => http2::say_switch(stream, response, without, extra, id),
    }
}

/// Says an interim answer (1xx), which has no body and no effect on the connection.
pub(crate) fn say_interim(client: &mut Line, response: &ResponseHead) {
    match client {
        Line::Http1(conn) => http1::say_interim(response, &mut conn.outbox),
        Line::Http2(stream) => http2::say_interim(stream, response),
    }
}

/// Answers with a failure, as a problem document.
pub(crate) async fn refuse(client: &mut Client, door: &Door, id: &RequestId, failure: &Failure) {
    door.counts().refuse(failure.code());
    if let Line::Http2(stream) = &mut client.line
        && grpc::is_call(&client.request.fields)
    {
        client.answering = true;
        return grpc::refuse(stream, failure, id);
    }
    let status = problem::status(failure, door.options().timeout_status);
    let body = problem::document(failure, status, id.as_str()).to_string();
    let mut own = Own::new(status, Some(problem::CONTENT_TYPE), body.into());
    own.add("cache-control", "no-store");
    if let Some(after) = failure.retry_after() {
        own.add("retry-after", format!("{}", after.as_secs_f64().ceil()));
    }
    if failure.code() == Code::Unauthenticated {
        own.add("www-authenticate", "Bearer");
    }
    if door.calls().is_some() {
        // As every answer of the data API has it.
        own.add("x-content-type-options", "nosniff");
    }
    say_own(client, door, own, id).await;
}

/// Sends the client elsewhere.
pub(crate) async fn redirect(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    status: u16,
    location: &str,
    id: &RequestId,
) -> Result<(), Failure> {
    let mut own = Own::new(status, None, Bytes::new());
    own.add("location", location.to_owned());
    own.edits = passage.route.response_edits();
    say_of_route(client, door, passage, own, id).await;
    Ok(())
}

/// Answers what the route always answers.
pub(crate) async fn fixed(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    id: &RequestId,
) -> Result<(), Failure> {
    match &passage.route.leads {
        Leads::Fixed(fixed) => fixed_as(client, door, passage, fixed, id).await,
        Leads::Service(_) | Leads::Split(_) | Leads::Redirect(_) => Ok(()),
    }
}

/// Answers this.
pub(crate) async fn fixed_as(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    fixed: &Fixed,
    id: &RequestId,
) -> Result<(), Failure> {
    let is_call = matches!(client.line, Line::Http2(_)) && grpc::is_call(&client.request.fields);
    let mut own = match is_call {
        true => grpc::fixed(fixed.status, &fixed.body),
        false => Own::new(fixed.status, fixed.content_type.as_deref(), fixed.body.clone()),
    };
    own.edits = passage.route.response_edits();
    say_of_route(client, door, passage, own, id).await;
    Ok(())
}

/// An answer without a service, counted with its route.
async fn say_of_route(client: &mut Client, door: &Door, passage: &Passage, own: Own<'_>, id: &RequestId) {
    let began = Instant::now();
    passage.route.meter.begin();
    say_own(client, door, own, id).await;
    passage.route.meter.end(began.elapsed(), None, 0);
}

async fn say_own(client: &mut Client, door: &Door, mut own: Own<'_>, id: &RequestId) {
    client.answering = true;
    for (name, number) in client.remaining.iter().flat_map(Remaining::fields) {
        own.add(name, number.to_string());
    }
    if !client.upload_is_over() && !client.request.expects_continue {
        // Whether its body is worth reading to its end is seen afterwards, and that the connection goes on is said now.
        client.reusable &= server::drained(client).await;
    }
    client.reusable &= !door.is_closing() && client.upload_is_over();
    let head_only = client.request.is_head;
    match &mut client.line {
        Line::Http1(conn) => http1::say_own(&own, id, client.reusable, head_only, &mut conn.outbox),
        Line::Http2(stream) => http2::say_own(stream, &own, id, head_only),
    }
    client.alarm.set_after(door.options().limits.write_timeout);
    let Client { line, alarm, .. } = client;
    if alarm.guard(|cx| line.poll_flush(cx)).await.is_err() {
        client.reusable = false;
    }
}

/// `setting` is what allows so much and no more.
pub(crate) fn body_too_large(setting: &str) -> Failure {
    Failure::client(Code::TooLarge, "The body of the request is larger than allowed.")
        .with_hint(format!("`{setting}` sets how large it may be."))
}
