//! A request that is answered here: its head as `http` types, its body whole, the answer said in our own HTTP/1, or on
//! a stream.

mod streamed;

use std::future::poll_fn;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use clusters::RequestId;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use model::{Code, Failure};
use tokio::time::Instant;
use wire::body::{Frames, Next};
use wire::buffer::LARGE;
use wire::http1::date;
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Known, RequestHead};
use wire::{Body, Conn, Error, Line};

use crate::calls::{Answering, Calls};
use crate::client::Client;
use crate::door::Door;
use crate::respond;

/// Carries one request from its head to the last byte of its answer. A failure that comes back was not
/// answered yet, unless `client.answering` says so.
pub(crate) async fn answer(
    client: &mut Client,
    door: &Door,
    calls: &dyn Calls,
    id: &RequestId,
) -> Result<(), Failure> {
    let mut head = head_of(&client.request)?;
    calls.admit(&mut head)?;
    let body = collect(client, door).await?;
    let response = while_client_waits(client, calls.call(Request::from_parts(head, body), *id)).await?;
    say(client, door, response).await
}

/// The head in the types that handlers read.
fn head_of(request: &RequestHead) -> Result<Parts, Failure> {
    let unreadable =
        |_| Failure::client(Code::InvalidRequest, "The head of the request cannot be read.".to_owned());
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(request.method().as_bytes()).map_err(|e| unreadable(e.to_string()))?;
    let target = request.path_and_query();
    let uri = if request.is_absolute() {
        format!("http://{}{target}", request.host().unwrap_or_default()).parse::<Uri>()
    } else {
        target.parse()
    };
    head.uri = uri.map_err(|e| unreadable(e.to_string()))?;
    head.headers = HeaderMap::with_capacity(request.fields.len());
    for (name, value, known) in request.fields.iter() {
        // The length is that of the body, which comes whole.
        if HOP_BY_HOP.has(known) || known == Known::ContentLength {
            continue;
        }
        let value = HeaderValue::from_bytes(value).map_err(|e| unreadable(e.to_string()))?;
        let name = match known {
            Known::Host => HOST,
            Known::ContentType => CONTENT_TYPE,
            _ => HeaderName::from_bytes(name).map_err(|e| unreadable(e.to_string()))?,
        };
        head.headers.append(name, value);
    }
    Ok(head)
}

/// The body of the request, whole.
async fn collect(client: &mut Client, door: &Door) -> Result<Bytes, Failure> {
    if client.upload_is_over() {
        return Ok(Bytes::new());
    }
    let limits = &door.options().limits;
    let Client { line, alarm, upload, request, .. } = client;
    if request.expects_continue {
        match line {
            Line::Http1(conn) => conn.outbox.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Line::Http2(stream) => stream.say_continue(),
        }
        request.expects_continue = false;
    }
    let mut whole = BytesMut::new();
    let end = Instant::now() + limits.body_timeout * 2;
    loop {
        alarm.set((Instant::now() + limits.body_timeout).min(end));
        let next = alarm.guard(|cx| {
            if line.has_unsent() {
                ready!(line.poll_flush(cx))?;
            }
            upload.body.poll_next(cx, line, LARGE)
        });
        match next.await {
            Ok(Next::End) => return Ok(whole.freeze()),
            Ok(Next::Data(n)) => {
                whole.extend_from_slice(upload.body.ready(line, n));
                upload.body.consume(line, n);
            }
            Err(error) => return Err(of_body(&error, door)),
        }
    }
}

fn of_body(error: &Error, door: &Door) -> Failure {
    match error {
        Error::BodyTooLarge => respond::body_too_large(door.options().body_setting),
        Error::TimedOut => {
            Failure::client(Code::RequestTimeout, "The body of the request did not arrive in time.")
        }
        other => {
            Failure::client(Code::InvalidRequest, format!("The body of the request broke off: {other}."))
        }
    }
}

/// Waits for the answer, and lets go of it when the client breaks its connection. One that has only said its
/// last still reads.
async fn while_client_waits(
    client: &mut Client,
    mut answering: Answering<'_>,
) -> Result<Response<Body>, Failure> {
    let line = &mut client.line;
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Ok(response)),
        Poll::Pending => match line.poll_broken(cx) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        },
    });
    answered.await.map_err(|error| {
        // Nobody reads what would be said now.
        client.answering = true;
        gone(&error)
    })
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Length(usize),
    Chunked,
    WithClose,
}

/// Says an answer, to its last byte.
async fn say(client: &mut Client, door: &Door, response: Response<Body>) -> Result<(), Failure> {
    let (head, body) = response.into_parts();
    if matches!(client.line, Line::Http2(_)) {
        return streamed::say(client, door, head, body).await;
    }
    let has_body = !client.request.is_head && !matches!(head.status.as_u16(), 204 | 304);
    let ends = match (&body, client.request.minor) {
        (Body::Full(bytes), _) => Ends::Length(bytes.len()),
        (Body::Frames(..), 1) => Ends::Chunked,
        (Body::Frames(..), _) => Ends::WithClose,
        (Body::Empty | Body::Wire(_) | Body::Stream(_), _) => Ends::Length(0),
    };
    let close = head.headers.get(CONNECTION).is_some_and(|value| value == "close");
    if close || ends == Ends::WithClose || door.is_closing() || !client.upload_is_over() {
        client.reusable = false;
    }
    say_head(client, &head, ends);
    client.answering = true;
    let write_timeout = door.options().limits.write_timeout;
    match body {
        Body::Full(bytes) if has_body => {
            let mut sending = Sending::of(&bytes, b"");
            guarded(client, write_timeout, |cx, conn| sending.poll(cx, conn)).await.map_err(|e| gone(&e))
        }
        Body::Frames(frames, first) if has_body => {
            if ends == Ends::WithClose {
                // However this connection ends from here on, it is a break, until the last byte has gone.
                client.set_cut(true);
            }
            let endless = is_endless(&head.headers);
            let sent = send_frames(client, door, frames, first, ends, endless).await;
            if sent.is_ok() {
                client.set_cut(false);
            }
            sent
        }
        _ => {
            let mut sending = Sending::of(&[], b"");
            guarded(client, write_timeout, |cx, conn| sending.poll(cx, conn)).await.map_err(|e| gone(&e))
        }
    }
}

fn say_head(client: &mut Client, head: &http::response::Parts, ends: Ends) {
    let Client { line: Line::Http1(conn), request, reusable, .. } = client else { return };
    let out = &mut conn.outbox;
    let status = head.status;
    // Writing into a vector cannot fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\ndate: ", status.as_str(), status.canonical_reason().unwrap_or(""));
    date::write(out);
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != CONNECTION) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    match ends {
        // RFC 9110 8.6: a 204 has no length.
        Ends::Length(_) if status == http::StatusCode::NO_CONTENT => {}
        Ends::Length(length) => drop(write!(out, "content-length: {length}\r\n")),
        Ends::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Ends::WithClose => {}
    }
    if !*reusable {
        out.extend_from_slice(b"connection: close\r\n");
    } else if request.minor == 0 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether an answer goes on until somebody leaves.
pub(super) fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/x-ndjson")
}

async fn send_frames(
    client: &mut Client,
    door: &Door,
    mut frames: Pin<Box<dyn Frames>>,
    mut first: Bytes,
    ends: Ends,
    endless: bool,
) -> Result<(), Failure> {
    let write_timeout = door.options().limits.write_timeout;
    let (after, last): (&[u8], &[u8]) =
        if ends == Ends::Chunked { (b"\r\n", b"0\r\n\r\n") } else { (b"", b"") };
    loop {
        let frame = match std::mem::take(&mut first) {
            bytes if !bytes.is_empty() => Some(bytes),
            _ => next_frame(client, &mut frames, endless).await?,
        };
        let Some(bytes) = frame else {
            let mut sending = Sending::of(&[], last);
            return guarded(client, write_timeout, |cx, conn| sending.poll(cx, conn))
                .await
                .map_err(|e| gone(&e));
        };
        if bytes.is_empty() {
            continue;
        }
        if ends == Ends::Chunked
            && let Line::Http1(conn) = &mut client.line
        {
            let _ = write!(conn.outbox, "{:x}\r\n", bytes.len());
        }
        let mut sending = Sending::of(&bytes, after);
        guarded(client, write_timeout, |cx, conn| sending.poll(cx, conn)).await.map_err(|e| gone(&e))?;
    }
}

/// The next frame, however long it takes: whoever brings frames keeps the stream alive.
pub(super) async fn next_frame(
    client: &mut Client,
    frames: &mut Pin<Box<dyn Frames>>,
    endless: bool,
) -> Result<Option<Bytes>, Failure> {
    let line = &mut client.line;
    poll_fn(|cx| {
        if let Poll::Ready(frame) = frames.as_mut().poll_frame(cx) {
            return Poll::Ready(frame.transpose().map_err(|error| {
                Failure::service(Code::BadGateway, format!("The answer broke off: {error}."))
            }));
        }
        if line.has_unsent()
            && let Poll::Ready(Err(error)) = line.poll_flush(cx)
        {
            return Poll::Ready(Err(gone(&error)));
        }
        let broken = line.poll_broken(cx);
        // Browsers leave an event stream by saying their last.
        let left = endless && line.said_its_last();
        match broken.or(left.then_some(Error::Closed)) {
            Some(error) => Poll::Ready(Err(gone(&error))),
            None => Poll::Pending,
        }
    })
    .await
}

/// Bytes on their way behind what the outbox holds.
struct Sending<'b> {
    data: &'b [u8],
    after: &'b [u8],
}

impl<'b> Sending<'b> {
    fn of(data: &'b [u8], after: &'b [u8]) -> Self {
        Sending { data, after }
    }

    /// Ready when all is sent. Small bodies go with the head in one write.
    fn poll(&mut self, cx: &mut Context<'_>, conn: &mut Conn) -> Poll<Result<bool, Error>> {
        /// Copying so few bytes costs less than telling the kernel of two places.
        const SMALL: usize = 2 * 1024;
        if self.data.len() <= SMALL {
            conn.outbox.extend_from_slice(self.data);
            conn.outbox.extend_from_slice(self.after);
            (self.data, self.after) = (&[], &[]);
        }
        let sent = ready!(conn.poll_send(cx, self.data, self.after))?;
        let of_data = sent.min(self.data.len());
        self.data = &self.data[of_data..];
        self.after = &self.after[sent - of_data..];
        if self.data.is_empty() && !self.after.is_empty() {
            // A few bytes that say where a chunk ends go with what follows.
            conn.outbox.extend_from_slice(self.after);
            self.after = &[];
        }
        Poll::Ready(Ok(self.data.is_empty() && !conn.has_unsent()))
    }
}

/// Polls until it is done; the alarm rings when the client takes nothing for so long.
async fn guarded(
    client: &mut Client,
    limit: std::time::Duration,
    mut work: impl FnMut(&mut Context<'_>, &mut Conn) -> Poll<Result<bool, Error>>,
) -> Result<(), Error> {
    loop {
        client.alarm.set_after(limit);
        let Client { line: Line::Http1(conn), alarm, .. } = &mut *client else { return Ok(()) };
        if alarm.guard(|cx| work(cx, conn)).await? {
            return Ok(());
        }
    }
}

/// The client left, or would not read.
pub(super) fn gone(error: &Error) -> Failure {
    Failure::client(Code::RequestTimeout, format!("The client did not take the answer: {error}."))
}
