//! The answer's way back: its head, then its body to the last byte or the break.
//!
//! The attempt lives here until then, so that its outcome is settled once, by what really happened.

use std::task::{Context, Poll};
use std::time::Duration;

use clusters::{Attempt, Ending, Outcome, RequestId, Tries};
use model::{Code, Failure};
use tokio::time::Instant;
use wire::http1::{BodyReader, BodyWriter, Framing, Pump, PumpError, ResponseHead};
use wire::{Body, Conn, Error, Side};

use crate::client::Client;
use crate::door::{Door, Limits};
use crate::forward::Answer;
use crate::respond::{self, Ends};
use crate::upgrade;

/// A body of known length must come at this rate at least, while the client reads: 1 KiB in a second.
const LEAST: u64 = 1024;
/// The second is looked at in quarters, so that a body which stops between two looks is noticed as soon.
const TICK: Duration = Duration::from_millis(250);
const TICKS: usize = 4;
/// An answer without a length is looked at less often: it is only its long silences that end it.
const SLOW_TICK: Duration = Duration::from_secs(1);

/// Relays an answer whose head is in `client.response`.
pub(crate) async fn relay(
    client: &mut Client,
    door: &Door,
    answer: Answer,
    id: &RequestId,
) -> Result<(), Failure> {
    let Answer { mut service, attempt, mut tries } = answer;
    let status = client.response.status;
    if status == 101 {
        if client.request.upgrade {
            return upgrade::tunnel(client, door, service, attempt, tries, id).await;
        }
        let failure =
            Failure::service(Code::BadGateway, "The service switched protocols without being asked.");
        tries.fail(&failure);
        attempt.end(Outcome::Broke("switched protocols without being asked".to_owned()));
        return Err(failure);
    }
    let mut download = begin(client, door, id);
    let relayed = relay_body(client, &mut service, &mut download, &door.options().limits).await;
    settle(client, service, attempt, tries, relayed)
}

/// Says the head and makes the pump of the body.
fn begin(client: &mut Client, door: &Door, id: &RequestId) -> Pump {
    let framing = client.response.framing;
    let (ends, writer) = match (framing, client.request.minor) {
        (Framing::None | Framing::Length(_), _) => (Ends::AsSaid, BodyWriter::Plain),
        (Framing::Chunked | Framing::UntilClose, 1) => (Ends::Chunked, BodyWriter::Chunked),
        (Framing::Chunked | Framing::UntilClose, _) => (Ends::WithClose, BodyWriter::Plain),
    };
    if ends == Ends::WithClose || door.is_closing() || client.request.upgrade || !client.upload_is_over() {
        // A client that is still sending when its answer is there, or that may have begun to speak another
        // protocol, gets no second request on this connection.
        client.reusable = false;
    }
    respond::say_head(client, id, ends);
    client.answering = true;
    if ends == Ends::WithClose {
        // However this connection ends from here on, it is a break, until the last byte has gone.
        client.conn.socket.reset_on_close(true);
    }
    // A body without limit is never too large.
    let body = BodyReader::new(framing, u64::MAX).map_or(Body::Empty, Body::Wire);
    let body = if framing == Framing::None { Body::Empty } else { body };
    Pump::new(body, if framing == Framing::None { BodyWriter::Plain } else { writer })
}

/// Moves the body, and what is left of the request's body the other way.
async fn relay_body(
    client: &mut Client,
    service: &mut Conn,
    download: &mut Pump,
    limits: &Limits,
) -> Result<(), PumpError> {
    let is_stream = client.response.is_stream();
    let mut watch = Watch::new(&client.response, limits);
    client.alarm.set_after(watch.tick_length());
    loop {
        let Client { conn, alarm, upload, .. } = &mut *client;
        let moved = alarm.guard(|cx| poll_both(cx, conn, service, upload, download, is_stream).map(Ok)).await;
        match moved {
            Ok(done) => return done,
            Err(_) => watch.tick(upload, download)?,
        }
        client.alarm.set_after(watch.tick_length());
    }
}

fn poll_both(
    cx: &mut Context<'_>,
    client: &mut Conn,
    service: &mut Conn,
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

/// The last byte has gone, or the answer broke: the outcome, once.
fn settle(
    client: &mut Client,
    service: Conn,
    attempt: Attempt,
    tries: Tries,
    relayed: Result<(), PumpError>,
) -> Result<(), Failure> {
    let status = client.response.status;
    if relayed.is_ok() && !client.reusable {
        client.conn.socket.reset_on_close(false);
    }
    match relayed {
        Ok(()) if !service.inbox.is_empty() && client.response.keep_alive => {
            // More than it said: whatever that is, it is nobody's answer.
            attempt.end(Outcome::Broke("sent more than it said".to_owned()));
            tries.finish(Ending::Success(Some(status)));
            Ok(())
        }
        Ok(()) => {
            let failed = is_failure(status);
            if client.upload_is_over()
                && client.response.keep_alive
                && !client.request.upgrade
                && let Some(pool) = attempt.adapter().http()
            {
                pool.give_back(service, Instant::now());
            }
            if failed {
                attempt.end(Outcome::Bad(format!("answered {status}")));
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
