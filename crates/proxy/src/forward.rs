//! The try loop of a request: endpoint after endpoint, until one answers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use adapters::http::Pool;
use clusters::{Access, Attempt, Miss, Order, Outcome, RequestId, Service, Settled, Shape, Tries};
use model::route::RetryOn;
use model::{Code, Failure, Origin};
use policy::{Progress, Work, may_rerun};
use wire::Line;
use wire::http1::Framing;

use crate::admit::Passage;
use crate::client::Client;
use crate::door::Door;
use crate::exchange::{self, Fault};
use crate::hedge;
use crate::respond::grpc;
use crate::websocket;

/// The head of an answer, with all that its body needs.
pub(crate) struct Answer {
    pub(crate) service: Line,
    pub(crate) attempt: Attempt,
    pub(crate) tries: Tries,
}

/// A connection that was used so lately is taken for a request that may not run twice; an older one may be
/// closed by the service at the very moment the request is sent.
const FRESH: Duration = Duration::from_secs(2);

/// Asks one endpoint of the service after the other until one answers. The head of the answer is in `client.response`.
pub(crate) async fn forward(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    service: &Arc<Service>,
    id: &RequestId,
) -> Result<Answer, Failure> {
    let order = order(client, door, passage, id);
    let rerun = order.rerun;
    let activity = door.clusters().activity().clone();
    let mut tries = Tries::begin(Arc::clone(service), Some(Arc::clone(&passage.route)), order, activity);
    if let Some(limit) = grpc::timeout(&client.request.fields) {
        tries.end_within(limit);
    }
    loop {
        let mut attempt = next(client, &mut tries).await.map_err(|failure| fail(&mut tries, failure))?;
        let may_hedge = !client.request.expects_continue && !client.request.upgrade;
        let hedge = tries.hedge_at(&attempt).filter(|_| may_hedge);
        let mut result = if let Some(at) = hedge {
            // Rare, and as large as all the rest.
            let asked = Box::pin(hedge::ask(client, passage, id, &mut tries, attempt, at)).await;
            let (answered, result) = asked.map_err(|failure| fail(&mut tries, failure))?;
            attempt = answered;
            result
        } else {
            ask(client, door, passage, id, &mut attempt, rerun).await
        };
        if result.is_ok() && tries.rather_again(client.response.status) {
            let detail = format!("answered {}", client.response.status);
            result =
                Err(Fault::of_service(RetryOn::GatewayError, Code::BadGateway, detail).into_miss(&attempt));
        }
        if client.upload.moved > 0 {
            // What was passed on of the body is gone: nobody else can be asked the whole.
            let bound = |miss: Miss| Miss { sent: true, failure: miss.failure.with_retryable(false), ..miss };
            result = result.map_err(bound);
        }
        let result = match result {
            // All endpoints were looked at for a connection: there is no other to try.
            Err(miss) if miss.failure.code() == Code::Overloaded => {
                return Err(fail(&mut tries, miss.failure));
            }
            result => result,
        };
        let asked = Arc::clone(attempt.endpoint());
        match tries.settle(attempt, result) {
            Ok(Settled::Answer(service, attempt)) => return Ok(Answer { service, attempt, tries }),
            Ok(Settled::Again) => tracing::debug!(request_id = %id, endpoint = %asked.label, "trying again"),
            Err(failure) => return Err(fail(&mut tries, failure)),
        }
    }
}

/// The next attempt, for which a service with a limit may have to be waited: a client that leaves meanwhile waits no more.
async fn next(client: &mut Client, tries: &mut Tries) -> Result<Attempt, Failure> {
    let line = &mut client.line;
    let mut next = pin!(tries.next());
    poll_fn(|cx| {
        if let Poll::Ready(next) = next.as_mut().poll(cx) {
            return Poll::Ready(next);
        }
        match line.poll_broken(cx) {
            Some(error) => {
                let detail = format!("The client left before its request was sent: {error}.");
                Poll::Ready(Err(Failure::client(Code::RequestTimeout, detail)))
            }
            None => Poll::Pending,
        }
    })
    .await
}

/// Whether the request may be sent once more after all of it has left. So may the GET that asks for a WebSocket: nothing
/// follows it until it is agreed on.
pub(crate) fn may_repeat(client: &Client) -> bool {
    // A body that has been passed on is gone, whatever the method.
    let has_body = client.request.framing != Framing::None;
    may_rerun(Work::Http(client.request.method()), Progress::Sent) && !has_body
}

fn order(client: &Client, door: &Door, passage: &Passage, id: &RequestId) -> Order {
    let method = client.request.method();
    let fields = &client.request.fields;
    // A call of gRPC takes as long as its client says; one that says nothing may be a stream that waits.
    let is_endless =
        grpc::is_call(fields) && grpc::timeout(fields).is_none() && passage.route.spec.timeout.is_none();
    let safe = may_rerun(Work::Http(method), Progress::Sent);
    Order {
        operation: operation(method),
        shape: Shape::Route(Arc::clone(&passage.route.id)),
        access: if safe { Access::Read } else { Access::Write },
        rerun: may_repeat(client),
        uploads: client.request.framing != Framing::None,
        patience: if is_endless { door.options().limits.stream_timeout } else { Duration::ZERO },
        key: passage.key,
        request_id: *id,
    }
}

/// The method as metrics and activity name it: from a fixed list, since clients may send anything.
pub(crate) fn operation(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// The operation ends with this failure: written down before it is told. What the client did is no failure of
/// the service; such an operation ends as one that was given up.
fn fail(tries: &mut Tries, failure: Failure) -> Failure {
    if failure.origin() != Origin::Client {
        tries.fail(&failure);
    }
    failure
}

/// A service of which no request can be asked.
pub(crate) fn unable(attempt: &Attempt) -> Miss {
    let failure = Failure::gateway(
        Code::UnsupportedAbility,
        format!("`{}` does not answer HTTP requests.", attempt.service().path()),
    );
    Miss { failure, cause: RetryOn::Connect, sent: true, outcome: Outcome::Void, wants_primary: false }
}

/// One try: a connection, the request on it, the head of the answer.
async fn ask(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    id: &RequestId,
    attempt: &mut Attempt,
    rerun: bool,
) -> Result<Line, Miss> {
    let Some(pool) = attempt.adapter().http() else { return Err(unable(attempt)) };
    if client.request.upgrade
        && let Err(failure) = pool.websockets().admit(client.request.fields.get("origin"))
    {
        let outcome = Outcome::Void;
        return Err(Miss { failure, cause: RetryOn::Connect, sent: true, outcome, wants_primary: false });
    }
    let now = tokio::time::Instant::from_std(Instant::now());
    client.upload.restart();
    let mut unsent = Vec::new();
    let mut reused = pool.reuse(if rerun { Duration::MAX } else { FRESH }, now);
    loop {
        let (mut service, was_reused) = match reused.take() {
            Some(conn) => (Line::Http1(conn), true),
            None => {
                let endpoint = Arc::clone(attempt.endpoint());
                let Some(pool) = endpoint.adapter().http() else { return Err(unable(attempt)) };
                let connected = exchange::connect(client, pool, attempt).await;
                // What of the body was taken out of the client's connection goes with these bytes or nowhere:
                // another endpoint would be told of a body that never comes.
                let is_bound = client.upload.moved > 0;
                connected.map_err(|fault| fault.bound_if(is_bound).into_miss(attempt))?
            }
        };
        if client.request.upgrade
            && let Line::Http2(stream) = &service
        {
            websocket::check_key(&client.request)
                .map_err(|failure| Fault::of_client(failure).into_miss(attempt))?;
            if !stream.offers_websocket().await {
                return Err(exchange::of_no_websocket().into_miss(attempt));
            }
        }
        if !unsent.is_empty() && matches!(service, Line::Http2(_)) {
            // What of the body stands there in the words of HTTP/1 cannot be said in those of HTTP/2.
            let fault = Fault::of_service(RetryOn::Reset, Code::BadGateway, "changed its protocol");
            return Err(fault.into_miss(attempt));
        }
        match &mut service {
            Line::Http1(conn) if !unsent.is_empty() => conn.outbox = std::mem::take(&mut unsent),
            line => passage
                .say_head(&client.request, &client.peer, id, &attempt.endpoint().label, line)
                .map_err(|error| exchange::of_opening(&error).into_miss(attempt))?,
        }
        let mark = service.mark();
        match exchange::exchange(client, &mut service, door, attempt).await {
            Ok(()) => return Ok(service),
            // A service may close an idle connection whenever it likes. That is no failure of its own, and
            // what may run again is sent again at once on a new connection.
            Err(fault) if was_reused && fault.is_farewell() && service.stands_at(mark) => {
                // The very bytes that were to go, with what they hold of the body: none has left.
                if let Line::Http1(conn) = &mut service {
                    unsent = std::mem::take(&mut conn.outbox);
                }
            }
            Err(fault) if was_reused && fault.is_farewell() && rerun => {}
            Err(fault) => {
                if fault.is_late() {
                    Pool::doubt(&service);
                }
                return Err(fault.into_miss(attempt));
            }
        }
    }
}
