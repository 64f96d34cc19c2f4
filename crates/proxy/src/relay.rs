//! The answer's way back: its head, then its body to the last byte or the break.
//!
//! The attempt lives here until then, so that its outcome is settled once, by what really happened.

use std::task::{Context, Poll};
use std::time::Duration;

use clusters::{Attempt, Ending, Outcome, RequestId, Tries};
use model::{Code, Failure};
use tokio::time::Instant;
use wire::http1::{BodyReader, BodyWriter, Framing, Pump, PumpError, ResponseHead};
use wire::{Body, Error, Line, Side};

use crate::admit::{self, Passage};
use crate::client::Client;
use crate::door::{Door, Limits};
use crate::forward::Answer;
use crate::respond::{self, Ends, Extra, grpc};
use crate::{upgrade, websocket};

/// A body of known length must come at this rate at least, while the client reads: 1 KiB in a second.
const LEAST: u64 = 1024;
/// The second is looked at in quarters, so that a body which stops between two looks is noticed as soon.
const TICK: Duration = Duration::from_millis(250);
const TICKS: usize = 4;
/// An answer without a length is looked at less often: it is only its long silences that end it.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// Relays an answer whose head is in `client.response`. An upgrade is agreed on, and left to be carried on by others.
pub(crate) async fn relay(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    answer: Answer,
    id: &RequestId,
) -> Result<(), Failure> {
    let Answer { mut service, attempt, tries } = answer;
    if client.request.upgrade && upgrade::is_agreed(&service, client.response.status) {
        if matches!(service, Line::Http1(_))
            && !websocket::has_understood(&client.request, &client.response, id)
        {
            return Err(broke(
                attempt,
                tries,
                "took a WebSocket with another `Sec-WebSocket-Accept` than its key asks for",
            ));
        }
        let extra = extra(client, passage, &attempt);
        upgrade::agree(client, door, service, attempt, tries, &extra, id);
        return Ok(());
    }
    if client.response.status == 101 {
        return Err(broke(attempt, tries, "switched protocols without being asked"));
    }
    let extra = extra(client, passage, &attempt);
    let mut download = begin(client, &service, door, &extra, id);
    let relayed = relay_body(client, &mut service, &mut download, &door.options().limits).await;
    let failure = failure_told(client, &service, &download);
    settle(client, service, attempt, tries, relayed, failure)
}

/// The service has done what nobody may.
fn broke(attempt: Attempt, mut tries: Tries, what: &str) -> Failure {
    let failure = Failure::service(Code::BadGateway, format!("The service {what}."));
    tries.fail(&failure);
    attempt.end(Outcome::Broke(what.to_owned()));
    failure
}

/// What the route adds to the answer's head: its edits, and the cookie that keeps the client with this endpoint.
fn extra<'p>(client: &Client, passage: &'p Passage, attempt: &Attempt) -> Extra<'p> {
    let cookie = passage.route.affinity().filter(|affinity| affinity.made().is_some()).and_then(|affinity| {
        let load = &attempt.endpoint().load;
        let secure = client.peer.came_by_tls(&client.request);
        admit::asked_by(&client.request, &client.peer, |asker| affinity.cookie_for(load, asker, secure))
    });
    let own = passage.route.affinity().and_then(|affinity| affinity.made());
    let cookie = cookie.filter(|_| !own.is_some_and(|name| sets_cookie(&client.response, name)));
    Extra { edits: passage.route.response_edits(), cookie, remaining: client.remaining }
}

/// Whether the service sets a cookie of this name itself.
fn sets_cookie(response: &ResponseHead, name: &str) -> bool {
    response.fields.iter().any(|(field, value, _)| {
        let set = value.strip_prefix(name.as_bytes());
        field.eq_ignore_ascii_case(b"set-cookie") && set.is_some_and(|rest| rest.starts_with(b"="))
    })
}

/// Says the head and makes the pump of the body.
fn begin(client: &mut Client, service: &Line, door: &Door, extra: &Extra<'_>, id: &RequestId) -> Pump {
    let framing = client.response.framing;
    let (ends, writer) = match (framing, client.request.minor) {
        (Framing::Length(0), _) => (Ends::AtOnce, BodyWriter::Plain),
        (Framing::None | Framing::Length(_), _) => (Ends::AsSaid, BodyWriter::Plain),
        (Framing::Chunked | Framing::UntilClose, 1) => (Ends::Chunked, BodyWriter::Chunked),
        (Framing::Chunked | Framing::UntilClose, _) => (Ends::WithClose, BodyWriter::Plain),
    };
    if ends == Ends::WithClose || door.is_closing() || client.request.upgrade || !client.upload_is_over() {
        // A client that is still sending when its answer is there, or that may have begun to speak another
        // protocol, gets no second request on this connection.
        client.reusable = false;
    }
    // Should the client be gone, moving the body will find it so.
    let _ = respond::say_head(client, extra, id, ends);
    client.answering = true;
    if ends == Ends::WithClose {
        // However this connection ends from here on, it is a break, until the last byte has gone.
        client.set_cut(true);
    }
    let body = match service {
        _ if framing == Framing::None => Body::Empty,
        Line::Http2(_) => Body::Stream(u64::MAX),
        // A body without limit is never too large.
        Line::Http1(_) => BodyReader::new(framing, u64::MAX).map_or(Body::Empty, Body::Wire),
    };
    Pump::new(body, if framing == Framing::None { BodyWriter::Plain } else { writer })
}

/// Moves the body, and what is left of the request's body the other way.
async fn relay_body(
    client: &mut Client,
    service: &mut Line,
    download: &mut Pump,
    limits: &Limits,
) -> Result<(), PumpError> {
    let is_stream = client.response.is_stream();
    let mut watch = Watch::new(&client.response, limits);
    client.alarm.set_after(watch.tick_length());
    loop {
        let Client { line, alarm, upload, .. } = &mut *client;
        let moved = alarm.guard(|cx| poll_both(cx, line, service, upload, download, is_stream).map(Ok)).await;
        match moved {
            Ok(done) => return done,
            Err(_) => watch.tick(upload, download)?,
        }
        client.alarm.set_after(watch.tick_length());
    }
}

fn poll_both(
    cx: &mut Context<'_>,
    client: &mut Line,
    service: &mut Line,
    upload: &mut Pump,
    download: &mut Pump,
    is_stream: bool,
) -> Poll<Result<(), PumpError>> {
    if !upload.is_done()
        && let Poll::Ready(Err(PumpError { side: Side::Source, error })) = upload.poll(cx, client, service)
    {
        // The client broke its request: it is the sink of the answer.
        return Poll::Ready(Err(PumpError { side: Side::Sink, error }));
    }
    if let Poll::Ready(done) = download.poll(cx, service, client) {
        return Poll::Ready(done);
    }
    // A client that leaves meanwhile is noticed by its own word. One that has only said its last still reads,
    // but for streams, which browsers leave that way.
    if upload.is_done() {
        let broken = client.poll_broken(cx);
        let left = is_stream && client.said_its_last();
        if let Some(error) = broken.or(left.then_some(Error::Closed)) {
            return Poll::Ready(Err(PumpError { side: Side::Sink, error }));
        }
    }
    Poll::Pending
}

/// An answer without a length that is no stream by its type must say something in this time.
const SILENT: Duration = Duration::from_secs(60);

/// Looks now and then whether an answer makes progress, and whose doing it is when it does not.
struct Watch {
    has_length: bool,
    /// Without a byte from the service.
    service_timeout: Duration,
    /// Without the client taking one, and without it sending one of its own body.
    write_timeout: Duration,
    body_timeout: Duration,
    moved: u64,
    uploaded: u64,
    sink_waits: u32,
    waited_for: Side,
    progress: Instant,
    /// What came in each of the last ticks in which the client read; shorter when it did not.
    lately: [u64; TICKS],
    ticks_read: usize,
}

impl Watch {
    fn new(response: &ResponseHead, limits: &Limits) -> Self {
        Watch {
            has_length: matches!(response.framing, Framing::Length(_)),
            service_timeout: if response.is_stream() { limits.stream_timeout } else { SILENT },
            write_timeout: limits.write_timeout,
            body_timeout: limits.body_timeout,
            moved: 0,
            uploaded: 0,
            sink_waits: 0,
            waited_for: Side::Source,
            progress: Instant::now(),
            lately: [0; TICKS],
            ticks_read: 0,
        }
    }

    fn tick_length(&self) -> Duration {
        if self.has_length { TICK } else { SLOW_TICK }
    }

    fn tick(&mut self, upload: &Pump, download: &Pump) -> Result<(), PumpError> {
        let now = Instant::now();
        let moved = download.moved - self.moved;
        let waits_for = download.waits_for;
        // All the time, and not only at its end.
        let client_read = download.sink_waits == self.sink_waits
            && waits_for == Side::Source
            && self.waited_for == Side::Source;
        (self.moved, self.sink_waits, self.waited_for) = (download.moved, download.sink_waits, waits_for);
        let uploaded = upload.moved - self.uploaded;
        self.uploaded = upload.moved;
        if moved > 0 || uploaded > 0 || (waits_for == Side::Sink && self.ticks_read > 0) {
            self.progress = now;
        }
        // A service that still takes the request in may answer as slowly as it comes.
        self.ticks_read = if client_read && upload.is_done() { self.ticks_read + 1 } else { 0 };
        self.lately.rotate_left(1);
        self.lately[TICKS - 1] = moved;
        if self.has_length && self.ticks_read >= TICKS && self.lately.iter().sum::<u64>() < LEAST {
            return Err(PumpError { side: Side::Source, error: Error::Trickle });
        }
        // A service that waits for the rest of the request waits for the client.
        let (side, patience) = match (waits_for, upload.is_done(), upload.waits_for) {
            (Side::Sink, ..) => (Side::Sink, self.write_timeout),
            (Side::Source, false, Side::Source) => (Side::Sink, self.body_timeout),
            (Side::Source, ..) => (Side::Source, self.service_timeout),
        };
        if now.duration_since(self.progress) >= patience {
            return Err(PumpError { side, error: Error::TimedOut });
        }
        Ok(())
    }
}

/// Whether an answer of this status says that the endpoint failed.
pub(crate) fn is_failure(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 505)
}

/// What a whole answer says of the endpoint, if it says that it failed.
fn failure_told(client: &Client, service: &Line, download: &Pump) -> Option<String> {
    let response = &client.response;
    if is_failure(response.status) {
        return Some(format!("answered {}", response.status));
    }
    if !grpc::is_call(&client.request.fields) || response.status != 200 {
        return None;
    }
    let ended = grpc::Ended::of(&response.fields, download.body.trailers(service));
    match ended {
        _ if !ended.is_failure() => None,
        grpc::Ended::With(status) => Some(format!("ended a call with grpc-status {status}")),
        grpc::Ended::Silently => Some("ended a call without a status".to_owned()),
    }
}

/// Whether more stands on a connection than the answer that was read.
fn said_more(service: &Line) -> bool {
    matches!(service, Line::Http1(conn) if !conn.inbox.is_empty())
}

/// The last byte has gone, or the answer broke: the outcome, once.
fn settle(
    client: &mut Client,
    service: Line,
    attempt: Attempt,
    tries: Tries,
    relayed: Result<(), PumpError>,
    failure: Option<String>,
) -> Result<(), Failure> {
    let status = client.response.status;
    if relayed.is_ok() && !client.reusable {
        client.set_cut(false);
    }
    match relayed {
        Ok(()) if said_more(&service) && client.response.keep_alive => {
            // More than it said: whatever that is, it is nobody's answer.
            attempt.end(Outcome::Broke("sent more than it said".to_owned()));
            tries.finish(Ending::Success(Some(status)));
            Ok(())
        }
        Ok(()) => {
            if client.upload_is_over()
                && client.response.keep_alive
                && !client.request.upgrade
                && let Some(pool) = attempt.adapter().http()
                && let Line::Http1(conn) = service
            {
                pool.give_back(conn, Instant::now());
            }
            if let Some(failure) = failure {
                attempt.end(Outcome::Bad(failure));
                tries.finish(Ending::Failure(Code::BadGateway, Some(status)));
            } else {
                attempt.end(Outcome::Good);
                tries.finish(Ending::Success(Some(status)));
            }
            Ok(())
        }
        Err(PumpError { side: Side::Source, error: error @ Error::TimedOut }) => {
            let detail = format!("fell silent in the middle of its answer: {error}");
            if client.response.is_stream() {
                // Our own limit for streams that have nothing to say: no fault of the endpoint.
                attempt.end(Outcome::Void);
                tries.finish(Ending::Success(Some(status)));
            } else {
                attempt.end(Outcome::Late(detail.clone()));
                tries.finish(Ending::Failure(Code::Timeout, Some(status)));
            }
            Err(Failure::service(Code::Timeout, detail))
        }
        Err(PumpError { side: Side::Source, error }) => {
            let detail = format!("broke its answer: {error}");
            tracing::warn!(endpoint = %attempt.endpoint().label, %error, "an answer was cut");
            attempt.end(Outcome::Broke(detail.clone()));
            tries.finish(Ending::Failure(Code::BadGateway, Some(status)));
            Err(Failure::service(Code::BadGateway, detail))
        }
        Err(PumpError { side: Side::Sink, error }) => {
            // The client went away or would not read: nothing is said against the endpoint.
            attempt.end(Outcome::Void);
            tries.finish(Ending::Cancelled);
            Err(Failure::client(
                Code::RequestTimeout,
                format!("The client did not take the answer: {error}."),
            ))
        }
    }
}
