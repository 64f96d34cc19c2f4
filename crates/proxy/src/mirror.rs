//! A copy of a request for another service: sent beside it, its answer read and thrown away. The client never waits for it,
//! and never hears of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use clusters::{Access, Attempt, Ending, Miss, Order, Outcome, RequestId, Service, Settled, Shape, Tries};
use model::route::RetryOn;
use model::{Code, Failure};
use wire::body::Next;
use wire::buffer::LARGE;
use wire::http1::client::poll_head;
use wire::http1::{BodyReader, Framing, HeadLimits, RequestHead, ResponseHead};
use wire::{Body, Error, Line};

use crate::admit::Passage;
use crate::answer;
use crate::client::{Client, Peer};
use crate::door::Door;
use crate::forward;

/// The largest body that is copied: it is held until both have it. A longer one, and one whose length nobody said, goes to
/// the service alone.
const MOST_BODY: u64 = 64 * 1024;
/// Copies under way at once, of all cores; a further one is left out.
const MOST: usize = 256;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One of those under way.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = UNDER_WAY.fetch_update(Relaxed, Relaxed, |n| (n < MOST).then_some(n + 1));
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Relaxed);
    }
}

/// Sends a copy to this service. A body that is copied has arrived whole afterwards.
pub(crate) async fn mirror(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    service: &Arc<Service>,
    id: &RequestId,
) -> Result<(), Failure> {
    let copied = match client.request.framing {
        _ if client.request.upgrade || client.request.expects_continue => return Ok(()),
        Framing::None => Bytes::new(),
        Framing::Length(length) if length <= MOST_BODY => {
            let body = answer::collect(client, door).await?;
            client.upload.body = Body::Full(body.clone());
            body
        }
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => return Ok(()),
    };
    let Some(place) = Place::take() else { return Ok(()) };
    let copy = Copy {
        head: client.request.clone(),
        body: copied,
        peer: Arc::clone(&client.peer),
        passage: passage.clone(),
        id: *id,
        response: ResponseHead::default(),
    };
    let (service, activity) = (Arc::clone(service), door.clusters().activity().clone());
    tokio::spawn(async move {
        let _place = place;
        let tries = Tries::begin(service, None, copy.order(), activity);
        copy.send(tries).await;
    });
    Ok(())
}

/// Why a copy was not answered.
enum Lost {
    /// All connections of the service were in use.
    Full,
    Broken(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Lost::Broken(error)
    }
}

impl From<std::io::Error> for Lost {
    fn from(error: std::io::Error) -> Self {
        Lost::Broken(error.into())
    }
}

struct Copy {
    head: RequestHead,
    body: Bytes,
    peer: Arc<Peer>,
    passage: Passage,
    id: RequestId,
    response: ResponseHead,
}

impl Copy {
    fn order(&self) -> Order {
        Order {
            operation: forward::operation(self.head.method()),
            shape: Shape::Route(Arc::clone(&self.passage.route.id)),
            access: Access::Write,
            rerun: false,
            uploads: false,
            patience: Duration::ZERO,
            key: None,
            request_id: self.id,
        }
    }

    /// One try at one endpoint: a copy that is lost is no loss.
    async fn send(mut self, mut tries: Tries) {
        let attempt = match tries.next().await {
            Ok(attempt) => attempt,
            Err(failure) => return tries.fail(&failure),
        };
        let deadline = attempt.deadline().into();
        let asked = tokio::time::timeout_at(deadline, self.ask(&attempt)).await;
        let result = match asked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Lost::Full)) => Err(miss(Code::Overloaded, Outcome::Void)),
            Ok(Err(Lost::Broken(error))) => Err(miss(Code::BadGateway, Outcome::Bad(error.to_string()))),
            Err(_) => Err(miss(Code::Timeout, Outcome::Late("no answer to a copy in time".to_owned()))),
        };
        let status = self.response.status;
        match tries.settle(attempt, result) {
            Ok(Settled::Answer((), attempt)) => {
                attempt.end(Outcome::Good);
                tries.finish(Ending::Success(Some(status)));
            }
            Ok(Settled::Again) => {}
            Err(failure) => tries.fail(&failure),
        }
    }

    async fn ask(&mut self, attempt: &Attempt) -> Result<(), Lost> {
        let endpoint = attempt.endpoint();
        let Some(pool) = endpoint.adapter().http() else { return Err(Lost::Broken(Error::Closed)) };
        let line = pool.line_at_once().await.map_err(|unreached| Error::Io(unreached.0))?;
        // No request waits for a connection that a copy has waited for.
        let mut line = line.ok_or(Lost::Full)?;
        self.passage.say_head(&self.head, &self.peer, &self.id, &endpoint.label, &mut line)?;
        let Line::Http1(conn) = &mut line else { return Ok(self.ask_stream(line).await?) };
        conn.outbox.extend_from_slice(&self.body);
        poll_fn(|cx| conn.poll_flush(cx)).await?;
        let limits = HeadLimits::default();
        loop {
            poll_fn(|cx| poll_head(conn, cx, &mut self.response, limits, self.head.is_head)).await?;
            if self.response.status >= 200 {
                break;
            }
        }
        let (framing, goes_on) = (self.response.framing, self.response.keep_alive);
        let mut body = Body::Wire(BodyReader::new(framing, u64::MAX)?);
        read_on(&mut body, &mut line).await?;
        if let (true, Line::Http1(conn)) = (goes_on, line) {
            pool.give_back(conn, tokio::time::Instant::now());
        }
        Ok(())
    }

    async fn ask_stream(&mut self, mut line: Line) -> Result<(), Error> {
        let Line::Http2(stream) = &mut line else { return Err(Error::Closed) };
        if !self.body.is_empty() {
            stream.say_last(self.body.clone());
        }
        let limits = HeadLimits::default();
        loop {
            poll_fn(|cx| stream.poll_head(cx, &mut self.response, limits, self.head.is_head)).await?;
            if self.response.status >= 200 {
                break;
            }
        }
        read_on(&mut Body::Stream(u64::MAX), &mut line).await
    }
}

/// Reads a body to its end and throws it away.
async fn read_on(body: &mut Body, line: &mut Line) -> Result<(), Error> {
    while let Next::Data(n) = poll_fn(|cx| body.poll_next(cx, line, LARGE)).await? {
        body.consume(line, n);
    }
    Ok(())
}

fn miss(code: Code, outcome: Outcome) -> Miss {
    let failure = Failure::service(code, "A copy of a request was not answered.");
    Miss { failure, cause: RetryOn::Reset, sent: true, outcome, wants_primary: false }
}
