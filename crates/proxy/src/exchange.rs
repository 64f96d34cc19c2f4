//! One request on one connection to a service, up to the head of its answer.

use std::task::{Context, Poll};
use std::time::Duration;

use adapters::http::{Pool, Unreached};
use clusters::{Attempt, Miss, Outcome};
use model::route::RetryOn;
use model::{Code, Failure};
use tokio::time::Instant;
use wire::http1::client::poll_head;
use wire::http1::head::MOST_FIELDS;
use wire::http1::{HeadLimits, Pump, PumpError, RequestHead, ResponseHead};
use wire::{Error, Line, Side};

use crate::client::Client;
use crate::door::{BODY_SETTING, Door};
use crate::{relay, respond, turn};

/// Why an exchange came to nothing.
pub(crate) struct Fault {
    failure: Failure,
    cause: RetryOn,
    pub(crate) sent: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No connection could be made.
    Unreached,
    /// The service closed an idle connection instead of answering.
    Farewell,
    /// It refused or broke.
    Broken,
    /// It broke the protocol.
    Improper,
    /// It took too long.
    Late,
    /// It took no more just now, and did nothing.
    Void,
    /// It has as many connections as it may: nobody's fault.
    Full,
    /// The client did.
    Client,
}

impl Fault {
    /// A fault of the service after the request was sent.
    pub(crate) fn of_service(cause: RetryOn, code: Code, detail: impl Into<String>) -> Self {
        let kind = if code == Code::Timeout { Kind::Late } else { Kind::Broken };
        Fault { failure: Failure::service(code, detail.into()), cause, sent: true, kind }
    }

    pub(crate) fn of_client(failure: Failure) -> Self {
        Fault { failure, cause: RetryOn::Reset, sent: true, kind: Kind::Client }
    }

    /// There is no connection to be had: told as it is, unless another endpoint has one.
    pub(crate) fn of_full(failure: Failure) -> Self {
        Fault { failure, cause: RetryOn::Connect, sent: false, kind: Kind::Full }
    }

    pub(crate) fn unsent(mut self) -> Self {
        self.sent = false;
        self
    }

    /// A request of which a part can no longer be sent anew counts as sent: no other endpoint is asked.
    pub(crate) fn bound_if(mut self, is_bound: bool) -> Self {
        self.sent |= is_bound;
        self
    }

    fn unreached(mut self) -> Self {
        self.kind = Kind::Unreached;
        self.unsent()
    }

    pub(crate) fn is_late(&self) -> bool {
        self.kind == Kind::Late
    }

    pub(crate) fn is_farewell(&self) -> bool {
        self.kind == Kind::Farewell
    }

    /// What is told of it when nobody else is asked.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }

    /// What it means to the try loop.
    pub(crate) fn into_miss(self, attempt: &Attempt) -> Miss {
        let Fault { failure, cause, sent, kind } = self;
        let endpoint = attempt.endpoint();
        let trouble = failure.detail().to_owned();
        let outcome = match kind {
            Kind::Client | Kind::Void | Kind::Full => Outcome::Void,
            Kind::Unreached => Outcome::Unreached(trouble),
            Kind::Late => Outcome::Late(trouble),
            Kind::Improper => Outcome::Broke(trouble),
            Kind::Farewell | Kind::Broken => Outcome::Bad(trouble),
        };
        let failure = if matches!(kind, Kind::Client | Kind::Full) {
            failure
        } else {
            let detail = format!("{}: {}", endpoint.label, failure.detail());
            Failure::service(failure.code(), detail)
                .with_service(attempt.service().name.clone())
                .with_retryable(!sent)
        };
        Miss { failure, cause, sent, outcome, wants_primary: false }
    }
}

/// A line within the attempt's time, and whether it has carried something before. Where connections are limited the
/// attempt may have moved to another endpoint, which had one.
pub(crate) async fn connect(
    client: &mut Client,
    pool: &Pool,
    attempt: &mut Attempt,
) -> Result<(Line, bool), Fault> {
    if let Some(limited) = pool.limited() {
        return Box::pin(turn::line(&mut client.line, limited, attempt)).await;
    }
    client.alarm.set(attempt.connect_deadline().into());
    let mut connecting = Box::pin(pool.line());
    let connected = client.alarm.guard(|cx| connecting.as_mut().poll(cx).map(Ok)).await;
    let line = connected.map_err(|_| of_no_connection())?.map_err(of_unreached)?;
    Ok((line, false))
}

/// Sends the request and takes the head of the answer into `client.response`. The body goes on the way
/// while the answer is awaited; what is left of it goes on while the answer is relayed.
pub(crate) async fn exchange(
    client: &mut Client,
    service: &mut Line,
    door: &Door,
    attempt: &mut Attempt,
) -> Result<(), Fault> {
    let body_timeout = door.options().limits.body_timeout;
    let mark = service.mark();
    let mut patience = Patience::new(attempt, body_timeout, client.request.expects_continue);
    client.alarm.set(attempt.deadline().into());
    loop {
        let stepped = {
            let Client { line, alarm, upload, response, request, .. } = &mut *client;
            let is_head = request.is_head;
            alarm.guard(|cx| poll_exchange(cx, line, service, upload, response, is_head).map(Ok)).await
        };
        match stepped {
            Ok(Ok(Step::Uploaded)) => {
                attempt.asked();
                client.alarm.set(patience.uploaded());
            }
            Ok(Ok(Step::Head)) if matches!(client.response.status, 100 | 102..=199) => {
                patience.interim(client.response.status);
                pass_interim(&mut client.line, &client.request, &client.response);
            }
            Ok(Ok(Step::Head)) => {
                attempt.heard(!relay::is_failure(client.response.status));
                return Ok(());
            }
            // What has left in no part may go elsewhere, if it is still here to go.
            Ok(Err(fault)) => {
                let here = service.stands_at(mark) && client.upload.moved == 0;
                return Err(if here && fault.kind != Kind::Client { fault.unsent() } else { fault });
            }
            Err(_) => client.alarm.set(patience.rung(&client.upload)?),
        }
    }
}

/// How far an exchange has come.
enum Step {
    /// The body of the request is through.
    Uploaded,
    /// The head of an answer is there.
    Head,
}

/// Who is late when the alarm rings. While a body makes progress nobody is; from its last byte on the answer
/// has its share of the time.
struct Patience {
    deadline: Instant,
    share: Duration,
    body_timeout: Duration,
    moved: u64,
    progress: Instant,
    /// The client waits for the service's word before it sends anything.
    awaits_word: bool,
}

impl Patience {
    fn new(attempt: &Attempt, body_timeout: Duration, awaits_word: bool) -> Self {
        let share = attempt.deadline().saturating_duration_since(attempt.began());
        let progress = attempt.began().into();
        Patience { deadline: attempt.deadline().into(), share, body_timeout, moved: 0, progress, awaits_word }
    }

    /// The service has said something that is no answer yet.
    fn interim(&mut self, status: u16) {
        if status == 100 {
            self.awaits_word = false;
            self.progress = Instant::now();
        }
    }

    /// The body is through: until when the answer is awaited.
    fn uploaded(&self) -> Instant {
        // One that was through at once leaves the deadline as it was, near enough.
        self.deadline.max(Instant::now() + self.share)
    }

    /// Until when to wait on, or who was late.
    fn rung(&mut self, upload: &Pump) -> Result<Instant, Fault> {
        let now = Instant::now();
        if upload.moved > self.moved {
            (self.moved, self.progress) = (upload.moved, now);
        }
        if upload.is_done() {
            return Err(late(self.share));
        }
        let of_client = upload.waits_for == Side::Source && !(self.awaits_word && upload.moved == 0);
        let limit = if of_client { self.body_timeout } else { self.share };
        if now.duration_since(self.progress) < limit {
            return Ok(self.progress + limit);
        }
        Err(if of_client {
            let detail = "The body of the request stopped arriving.";
            Fault::of_client(Failure::client(Code::RequestTimeout, detail))
        } else {
            late(limit)
        })
    }
}

fn late(limit: Duration) -> Fault {
    let detail = format!("no answer within {} ms", limit.as_millis());
    Fault::of_service(RetryOn::Timeout, Code::Timeout, detail)
}

/// A try that was given all of its time.
pub(crate) fn of_late(attempt: &Attempt) -> Fault {
    late(attempt.deadline().saturating_duration_since(attempt.began()))
}

fn poll_exchange(
    cx: &mut Context<'_>,
    client: &mut Line,
    service: &mut Line,
    upload: &mut Pump,
    head: &mut ResponseHead,
    to_head: bool,
) -> Poll<Result<Step, Fault>> {
    if client.has_unsent() {
        // An interim answer that the client may be waiting for. Should the client be gone, the answer's own
        // way back will notice.
        let _ = client.poll_flush(cx);
    }
    if upload.is_done() {
        // A failed write shows in what is read next, unless the service has answered before it closed.
        let _ = service.poll_flush(cx);
    } else {
        match upload.poll(cx, client, service) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(Step::Uploaded)),
            Poll::Ready(Err(PumpError { side: Side::Source, error })) => {
                return Poll::Ready(Err(of_upload(error)));
            }
            // A service may answer before it has read everything, and close: its word counts.
            Poll::Ready(Err(PumpError { side: Side::Sink, .. })) | Poll::Pending => {}
        }
    }
    let Poll::Ready(answer) = poll_answer(cx, service, head, to_head) else {
        // A client that has broken its connection waits no more; one that has only said its last still does.
        return match client.poll_broken(cx) {
            Some(error) if upload.is_done() => Poll::Ready(Err(of_upload(error))),
            _ => Poll::Pending,
        };
    };
    Poll::Ready(answer.map(|()| Step::Head).map_err(of_answer))
}

/// Looks for the head of an answer.
pub(crate) fn poll_answer(
    cx: &mut Context<'_>,
    service: &mut Line,
    head: &mut ResponseHead,
    to_head: bool,
) -> Poll<Result<(), Error>> {
    match service {
        Line::Http1(conn) => poll_head(conn, cx, head, OF_SERVICES, to_head),
        Line::Http2(stream) => stream.poll_head(cx, head, OF_SERVICES, to_head),
    }
}

/// Heads of services are larger than those of clients, and come from fewer.
const OF_SERVICES: HeadLimits = HeadLimits { bytes: 256 * 1024, fields: MOST_FIELDS };

fn of_upload(error: Error) -> Fault {
    Fault::of_client(match error {
        Error::BodyTooLarge => respond::body_too_large(BODY_SETTING),
        Error::Malformed(why) => {
            Failure::client(Code::InvalidRequest, format!("The body of the request is not valid: {why}."))
        }
        other => {
            Failure::client(Code::InvalidRequest, format!("The body of the request broke off: {other}."))
        }
    })
}

pub(crate) fn of_answer(error: Error) -> Fault {
    let (kind, detail) = match error {
        Error::Closed => (Kind::Farewell, "closed the connection without an answer".to_owned()),
        Error::Io(error) => (Kind::Farewell, format!("broke the connection: {error}")),
        Error::Truncated => (Kind::Broken, "broke off in the head of its answer".to_owned()),
        Error::HeadTooLarge => (Kind::Broken, "answered with too large a head".to_owned()),
        Error::Reset(_) => (Kind::Broken, format!("gave the request up: {error}")),
        Error::Refused => {
            let failure =
                Failure::service(Code::BadGateway, "refused the request before it did anything of it");
            return Fault { failure, cause: RetryOn::Reset, sent: false, kind: Kind::Void };
        }
        other => (Kind::Improper, format!("did not answer in HTTP: {other}")),
    };
    Fault { failure: Failure::service(Code::BadGateway, detail), cause: RetryOn::Reset, sent: true, kind }
}

/// Interim answers beyond so many bytes that a client has not taken are left out.
const MOST_UNREAD: usize = 16 * 1024;

/// Passes a 1xx on, to a client that can take it. It goes out with the next bytes to the client.
pub(crate) fn pass_interim(client: &mut Line, request: &RequestHead, head: &ResponseHead) {
    // They are optional: a client that does not read them is not owed a heap of them.
    let takes_it = match client {
        Line::Http1(conn) => request.minor == 1 && conn.outbox.len() < MOST_UNREAD,
        Line::Http2(_) => true,
    };
    if takes_it {
        respond::say_interim(client, head);
    }
}

/// No connection could be made: nothing has left.
pub(crate) fn of_unreached(Unreached(error): Unreached) -> Fault {
    Fault::of_service(RetryOn::Connect, Code::BadGateway, format!("cannot connect: {error}")).unreached()
}

/// None could be made in time.
pub(crate) fn of_no_connection() -> Fault {
    Fault::of_service(RetryOn::Connect, Code::Timeout, "no connection in time").unreached()
}

/// The client has gone before there was an answer.
pub(crate) fn of_leaving(error: &Error) -> Fault {
    let detail = format!("The client left before its request was answered: {error}.");
    Fault::of_client(Failure::client(Code::RequestTimeout, detail))
}

/// A stream that could not be opened: nothing has left.
pub(crate) fn of_opening(error: &Error) -> Fault {
    if matches!(error, Error::Unsayable) {
        // The service is not to blame, or whoever sends such heads could have it taken for dead.
        let detail =
            "The service speaks HTTP/2, which cannot carry the path or host of this request as it is.";
        return Fault::of_client(Failure::client(Code::InvalidRequest, detail));
    }
    let detail = format!("cannot open a stream: {error}");
    Fault::of_service(RetryOn::Connect, Code::BadGateway, detail).unreached()
}

/// A service that was asked for what it does not offer. It is well, and whoever asks on must not have it taken for dead.
pub(crate) fn of_no_websocket() -> Fault {
    let detail = "The service takes no WebSocket over HTTP/2, which is all that it speaks.";
    Fault::of_client(Failure::client(Code::InvalidRequest, detail))
}
