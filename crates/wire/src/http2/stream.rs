//! One exchange on an HTTP/2 connection: a head and a body each way, with trailers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};

use super::client::{Opening, Place};
use super::head;
use crate::error::Error;
use crate::http1::{Framing, HeadLimits, ResponseHead};

/// Frames that are smaller are gathered, up to about as much.
const SMALL_FRAME: usize = 4 << 10;

/// One stream.
pub struct Stream {
    state: State,
    /// What the peer sends; `None` until its head is there.
    incoming: Option<RecvStream>,
    /// The frame under way, or several small ones that came at once.
    frame: Bytes,
    /// What came behind it.
    behind: Option<Behind>,
    /// The peer's trailers, each with its line end, once its body is over.
    trailers: Vec<u8>,
    is_read: bool,
    /// To a service: where it has its place.
    place: Option<Place>,
    /// Bytes of the peer's body that were used.
    taken: u64,
    /// How many there are, where its head says so.
    announced: Option<u64>,
    /// To a service: its head was the whole request.
    was_bodiless: bool,
}

/// What comes next of the peer's body, when that was looked for already.
enum Behind {
    Frame(Bytes),
    Failed(h2::Error),
    /// Nothing but trailers.
    End,
}

enum State {
    /// To a service: nothing was said yet.
    Opening(Opening),
    /// From a client: no final answer was said yet.
    Asked(SendResponse<Bytes>),
    /// To a service: the request is under way, and its answer awaited.
    Awaiting(ResponseFuture, SendStream<Bytes>),
    /// A body goes out.
    Sending(SendStream<Bytes>),
    /// All was said.
    Said(Option<SendStream<Bytes>>, Option<ResponseFuture>),
    /// Said in a way that failed.
    Broken,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Stream {
    fn new(state: State, incoming: Option<RecvStream>) -> Self {
        Stream {
            state,
            incoming,
            frame: Bytes::new(),
            behind: None,
            trailers: Vec::new(),
            is_read: false,
            place: None,
            taken: 0,
            announced: None,
            was_bodiless: false,
        }
    }

    /// What a client has asked.
    pub(super) fn asked(body: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Stream::new(State::Asked(respond), Some(body))
    }

    /// One that is over.
    #[must_use]
    pub fn gone() -> Self {
        Stream::new(State::Broken, None)
    }

    /// What a service is about to be asked.
    #[must_use]
    pub fn opening(opening: Opening) -> Self {
        Stream::new(State::Opening(opening), None)
    }

    /// Whether a service that nothing was said to yet takes WebSockets over HTTP/2.
    pub async fn offers_websocket(&self) -> bool {
        match &self.state {
            State::Opening(opening) => opening.offers_websocket().await,
            _ => false,
        }
    }

    /// Opens no further stream on its connection.
    pub fn retire_connection(&self) {
        if let Some(place) = &self.place {
            place.retire_connection();
        }
    }

    /// Whether anything was said to a service.
    pub(crate) fn was_opened(&self) -> bool {
        !matches!(self.state, State::Opening(_))
    }

    // What comes.

    /// Looks for bytes of the peer's body; `Ok(0)` is its end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        if self.incoming.is_none() {
            return Poll::Ready(Ok(0));
        }
        while self.frame.is_empty() {
            if self.is_read {
                return Poll::Ready(Ok(0));
            }
            match ready!(self.poll_behind(cx)) {
                Behind::Frame(frame) => {
                    self.frame = frame;
                    self.gather(cx);
                }
                // It has said all of its answer and wants no more of the request (RFC 9113 8.1). That the stream ended before
                // is forgotten by then, so that what was announced is compared with what came. Of a request without a body there
                // is no more to be unwanted: such an answer was cut, whatever the reason it gives.
                Behind::Failed(error) if is_contented(&error) => {
                    if self.was_bodiless || self.announced.is_some_and(|length| self.taken < length) {
                        return Poll::Ready(Err(Error::Truncated));
                    }
                    self.is_read = true;
                }
                Behind::Failed(error) => return Poll::Ready(Err(error.into())),
                Behind::End => {
                    // Trailers may be waited for.
                    self.behind = Some(Behind::End);
                    let Some(incoming) = &mut self.incoming else { return Poll::Ready(Ok(0)) };
                    if let Some(trailers) = ready!(incoming.poll_trailers(cx))? {
                        head::write_trailers(&trailers, &mut self.trailers)?;
                    }
                    self.is_read = true;
                }
            }
        }
        Poll::Ready(Ok(self.frame.len()))
    }

    /// What comes next.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<Behind> {
        if let Some(behind) = self.behind.take() {
            return Poll::Ready(behind);
        }
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(Behind::End) };
        Poll::Ready(match ready!(incoming.poll_data(cx)) {
            Some(Ok(frame)) => Behind::Frame(frame),
            Some(Err(error)) => Behind::Failed(error),
            None => Behind::End,
        })
    }

    /// Small frames that came at once go on as one: each by itself costs more than the copy.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let mut gathered = BytesMut::new();
        while self.frame.len().max(gathered.len()) < SMALL_FRAME {
            let Poll::Ready(behind) = self.poll_behind(cx) else { break };
            match behind {
                Behind::Frame(frame) if frame.len() < SMALL_FRAME => {
                    if gathered.is_empty() {
                        gathered.reserve(2 * SMALL_FRAME);
                        gathered.extend_from_slice(&self.frame);
                    }
                    gathered.extend_from_slice(&frame);
                }
                other => {
                    self.behind = Some(other);
                    break;
                }
            }
        }
        if !gathered.is_empty() {
            self.frame = gathered.freeze();
        }
    }

    /// Looks whether the peer's body, of which there is nothing by its word, is over.
    pub fn poll_nothing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.poll_frame(cx))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(Error::Malformed("a body that is longer than was said"))),
        }
    }

    /// The bytes that stand ready.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Takes `n` of them, and lets the peer send as many more.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        self.taken += n as u64;
        if let Some(incoming) = &mut self.incoming {
            // It fails only when more is released than came.
            let _ = incoming.flow_control().release_capacity(n);
        }
        self.frame.split_to(n)
    }

    /// Bytes of the peer's body that were used so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the peer's body is over, as far as is known without waiting.
    #[must_use]
    pub fn is_read(&self) -> bool {
        let ended = || self.incoming.as_ref().is_none_or(RecvStream::is_end_stream);
        let nothing_else = matches!(self.behind, None | Some(Behind::End));
        self.frame.is_empty() && (self.is_read || (nothing_else && ended()))
    }

    /// The peer's trailers, each with its line end, once its body is over.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Whether the peer has given the exchange up.
    pub(crate) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        let reset = match &mut self.state {
            State::Asked(respond) => respond.poll_reset(cx),
            State::Awaiting(_, send) | State::Sending(send) | State::Said(Some(send), _) => {
                send.poll_reset(cx)
            }
            State::Opening(_) | State::Said(None, _) | State::Broken => return None,
        };
        match reset {
            Poll::Ready(Ok(reason)) => Some(Error::Reset(reason.into())),
            Poll::Ready(Err(error)) => Some(error.into()),
            Poll::Pending => None,
        }
    }

    // What goes.

    /// Says a request to a service. `ends` says that it has no body.
    ///
    /// # Errors
    /// When the connection takes no more streams, or the head cannot be said.
    pub fn say_request(&mut self, request: Request<()>, ends: bool) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Opening(opening) => {
                let (answer, send, place) = opening.send(request, ends)?;
                self.place = Some(place);
                self.was_bodiless = ends;
                self.state =
                    if ends { State::Said(Some(send), Some(answer)) } else { State::Awaiting(answer, send) };
                Ok(())
            }
            _ => Err(Error::Malformed("a second request on a stream")),
        }
    }

    /// Looks for the head of the service's answer.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
        limits: HeadLimits,
        to_head: bool,
    ) -> Poll<Result<(), Error>> {
        let (State::Awaiting(answer, _) | State::Said(_, Some(answer))) = &mut self.state else {
            return Poll::Ready(Err(Error::Malformed("an answer that was not asked for")));
        };
        if let Poll::Ready(Some(interim)) = answer.poll_informational(cx) {
            let (parts, ()) = interim?.into_parts();
            return Poll::Ready(head.take_http2(&parts, true, limits, to_head));
        }
        let (parts, body) = ready!(Pin::new(answer).poll(cx))?.into_parts();
        if let Some(place) = &self.place {
            place.hear();
        }
        let taken = head.take_http2(&parts, body.is_end_stream(), limits, to_head);
        self.announced = if head.framing == Framing::None { None } else { head.length };
        self.incoming = Some(body);
        self.state = match std::mem::replace(&mut self.state, State::Broken) {
            State::Awaiting(_, send) => State::Sending(send),
            State::Said(send, _) => State::Said(send, None),
            other => other,
        };
        Poll::Ready(taken)
    }

    /// Says an interim answer to a client.
    pub fn say_interim(&mut self, response: Response<()>) {
        if let State::Asked(respond) = &mut self.state {
            // It is optional, and a connection that fails says so elsewhere.
            let _ = respond.send_informational(response);
        }
    }

    /// Says that the body of the request is welcome.
    pub fn say_continue(&mut self) {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::CONTINUE;
        self.say_interim(response);
    }

    /// Says the head of an answer to a client. `ends` says that it has no body.
    ///
    /// # Errors
    /// When the client has given the stream up.
    pub fn say_response(&mut self, response: Response<()>, ends: bool) -> Result<(), Error> {
        let State::Asked(respond) = &mut self.state else {
            return Err(Error::Malformed("a second answer on a stream"));
        };
        let send = respond.send_response(response, ends)?;
        self.state = if ends { State::Said(Some(send), None) } else { State::Sending(send) };
        Ok(())
    }

    /// How much of `wanted` bytes the peer has room for; never 0.
    ///
    /// # Errors
    /// When the peer has given the stream up.
    pub fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<Result<usize, Error>> {
        let (State::Awaiting(_, send) | State::Sending(send)) = &mut self.state else {
            return Poll::Ready(Err(Error::Closed));
        };
        send.reserve_capacity(wanted);
        loop {
            if send.capacity() > 0 {
                return Poll::Ready(Ok(send.capacity().min(wanted)));
            }
            match ready!(send.poll_capacity(cx)) {
                Some(room) => drop(room?),
                None => return Poll::Ready(Err(Error::Closed)),
            }
        }
    }

    /// Sends bytes of the body, for which there is room; `last` says that nothing follows.
    ///
    /// # Errors
    /// When the peer has given the stream up.
    pub fn send(&mut self, data: Bytes, last: bool) -> Result<(), Error> {
        let (State::Awaiting(_, send) | State::Sending(send)) = &mut self.state else {
            return Err(Error::Closed);
        };
        send.send_data(data, last)?;
        if last {
            self.said();
        }
        Ok(())
    }

    /// Sends a short body whole; it waits here until the peer takes it.
    pub fn say_last(&mut self, data: Bytes) {
        // A peer that has given the stream up hears nothing.
        let _ = self.send(data, true);
    }

    /// Says that the body is over, with its trailers; nothing when that was said already.
    ///
    /// # Errors
    /// When the peer has given the stream up.
    pub fn end(&mut self, trailers: &[u8]) -> Result<(), Error> {
        let (State::Awaiting(_, send) | State::Sending(send)) = &mut self.state else {
            return Ok(());
        };
        if trailers.is_empty() {
            send.send_data(Bytes::new(), true)?;
        } else {
            send.send_trailers(head::read_trailers(trailers))?;
        }
        self.said();
        Ok(())
    }

    fn said(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Broken) {
            State::Awaiting(answer, send) => State::Said(Some(send), Some(answer)),
            State::Sending(send) => State::Said(Some(send), None),
            other => other,
        };
    }

    /// Whether the peer has given the exchange up, as far as is known without waiting.
    pub fn is_given_up(&mut self) -> bool {
        self.poll_broken(&mut Context::from_waker(std::task::Waker::noop())).is_some()
    }

    /// Refuses a request of which nothing was done.
    pub fn refuse(&mut self) {
        if let State::Asked(respond) = &mut self.state {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    }

    /// Gives the exchange up, so that what was said of it is never taken for the whole.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::Asked(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            State::Awaiting(_, send) | State::Sending(send) => send.send_reset(Reason::INTERNAL_ERROR),
            State::Opening(_) | State::Said(..) | State::Broken => {}
        }
    }
}

/// Whether the peer has reset the stream without any fault: it needs nothing more.
fn is_contented(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// What a client reads of an answer whose frames have all come before it looks: its pieces, and its trailers.
    async fn read(frames: &'static [&'static [u8]], cut: bool) -> (Vec<Bytes>, Result<Vec<u8>, Error>) {
        let (here, there) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(there).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            for frame in frames {
                send.send_data(Bytes::from_static(frame), false).unwrap();
            }
            if cut {
                // What stands before a reset is not sent any more.
                let flushed = tokio::time::timeout(Duration::from_millis(50), connection.accept()).await;
                assert!(flushed.is_err());
                send.send_reset(Reason::INTERNAL_ERROR);
            } else {
                let trailers = [(http::header::ETAG, http::HeaderValue::from_static("x"))];
                send.send_trailers(trailers.into_iter().collect()).unwrap();
            }
            while connection.accept().await.is_some() {}
        });
        let (mut ask, connection) = h2::client::handshake(here).await.unwrap();
        tokio::spawn(connection);
        let (answer, _) = ask.send_request(Request::new(()), true).unwrap();
        let body = answer.await.unwrap().into_body();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut stream = Stream::new(State::Broken, Some(body));
        let mut pieces = Vec::new();
        loop {
            match poll_fn(|cx| stream.poll_frame(cx)).await {
                Ok(0) => return (pieces, Ok(stream.trailers.clone())),
                Ok(n) => pieces.push(stream.take(n)),
                Err(error) => return (pieces, Err(error)),
            }
        }
    }

    #[tokio::test]
    async fn small_frames_that_came_at_once_are_one_piece() {
        const LARGE: &[u8] = &[7; 10_000];
        type Pieces = &'static [&'static [u8]];
        const CASES: [(Pieces, Pieces); 4] = [
            (&[b"one", b"two", b"three"], &[b"onetwothree"]),
            (&[b"one"], &[b"one"]),
            (&[b"one", LARGE, b"two", b"three"], &[b"one", LARGE, b"twothree"]),
            (&[], &[]),
        ];
        for (frames, expected) in CASES {
            let (pieces, trailers) = read(frames, false).await;
            assert_eq!(pieces, expected);
            assert_eq!(trailers.unwrap(), b"etag: x\r\n");
        }
    }

    #[tokio::test]
    async fn what_came_before_a_break_is_read_before_it() {
        let (pieces, end) = read(&[b"one", b"two"], true).await;
        assert_eq!(pieces, [b"onetwo".as_slice()]);
        assert!(matches!(end, Err(Error::Reset(_))), "{end:?}");
    }
}
