//! The data API: every URL of it on one screen. Plain functions over `http` types, so that any door can
//! carry it; the guard stands before it, at the door.

// What every call passes.
mod ask;
mod door;
mod endless;
mod once;
mod place;
mod room;
pub use door::DataDoor;

// What each ability can be asked.
pub(crate) mod cache;
pub(crate) mod db;
pub(crate) mod neon;
pub(crate) mod queue;
pub(crate) mod upstash;

use std::sync::Arc;

use bytes::Bytes;
use clusters::{Clusters, RequestId};
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use model::Failure;
use store::Store;
use tokio::sync::watch;
use wire::Body;

use crate::guard::Caller;
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::query::Query;
use crate::respond::{self, Telling};
use ask::Target;
use endless::Ends;
use place::{Parts, Place};
use room::Room;

/// Answers calls of the data API. Clones share what is under way.
#[derive(Clone)]
pub struct Data {
    clusters: Clusters,
    store: Store,
    transactions: db::Transactions,
    room: Room,
    telling: Telling,
    /// Whether answers without an end are to end.
    closing: Arc<watch::Sender<bool>>,
}

/// What a call answers: a body that is whole, or one that comes frame by frame.
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// One call. Which path means it, and with which methods, is in [`CALLS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Get,
    Set,
    Delete,
    Incr,
    Expire,
    Ttl,
    Scan,
    Key,
    Command,
    Pipeline,
    MultiExec,
    Query,
    Execute,
    Batch,
    Begin,
    Commit,
    Rollback,
    Publish,
    Topics,
    Topic,
    Consume,
    Ack,
    Groups,
    Group,
    Reset,
    Upstash,
    Neon,
}

/// Paths below `/api/v1/clusters/{id}/`, and their methods as `Allow` lists them. A `*` takes the rest of a path.
const CALLS: &[(&str, &str, Call)] = &[
    ("cache/get", "POST", Call::Get),
    ("cache/set", "POST", Call::Set),
    ("cache/delete", "POST", Call::Delete),
    ("cache/incr", "POST", Call::Incr),
    ("cache/expire", "POST", Call::Expire),
    ("cache/ttl", "GET,HEAD", Call::Ttl),
    ("cache/keys", "GET,HEAD", Call::Scan),
    ("cache/keys/{key*}", "GET,HEAD,PUT,DELETE", Call::Key),
    ("cache/command", "POST", Call::Command),
    ("cache/pipeline", "POST", Call::Pipeline),
    ("cache/multi-exec", "POST", Call::MultiExec),
    ("db/query", "POST", Call::Query),
    ("db/execute", "POST", Call::Execute),
    ("db/batch", "POST", Call::Batch),
    ("db/transactions", "POST", Call::Begin),
    ("db/transactions/{tx}/commit", "POST", Call::Commit),
    ("db/transactions/{tx}/rollback", "POST", Call::Rollback),
    ("queue/publish", "POST", Call::Publish),
    ("queue/topics", "GET,HEAD,POST", Call::Topics),
    ("queue/topics/{topic}", "GET,HEAD,DELETE", Call::Topic),
    ("queue/consume", "GET", Call::Consume),
    ("queue/ack", "POST", Call::Ack),
    ("queue/groups", "GET,HEAD", Call::Groups),
    ("queue/groups/{group}", "DELETE", Call::Group),
    ("queue/groups/{group}/reset", "POST", Call::Reset),
    ("services/{name}/sql", "POST", Call::Neon),
    ("services/{name}/upstash", "POST", Call::Upstash),
    ("services/{name}/upstash/{command*}", "GET,HEAD,POST,PUT", Call::Upstash),
];

/// One call with what it is about.
struct Asked<'r> {
    call: Call,
    target: Target<'r>,
    query: Query<'r>,
    request: &'r Request<Bytes>,
    parts: Parts<'r>,
}

impl Data {
    /// Calls on the services of these clusters. `timeout_status` is the HTTP status of code `timeout`.
    #[must_use]
    pub fn new(clusters: Clusters, store: Store, timeout_status: u16) -> Self {
        let transactions = db::Transactions::default();
        let (telling, closing) = (Telling { timeout_status }, Arc::default());
        Data { clusters, store, transactions, room: Room::default(), telling, closing }
    }

    /// Ends the answers that have no end of their own, so that doors can close.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Ends every transaction that is open, for good, and says how many there were: whoever asks next asks another process.
    #[must_use]
    pub fn end_transactions(&self) -> usize {
        self.transactions.end()
    }

    /// The same with its bounds in reach of a test: room for so many bytes of larger answers, and transactions
    /// that are open for so long at most.
    #[cfg(test)]
    pub(crate) fn bounded(self, larger: usize, life: std::time::Duration) -> Self {
        Data { room: Room::of(larger, larger), transactions: db::Transactions::of_life(life), ..self }
    }

    /// Bytes of answers that nobody has read yet.
    #[cfg(test)]
    pub(crate) fn bytes_held(&self) -> usize {
        self.room.held()
    }

    /// Whether a path is one of the data API.
    #[must_use]
    pub fn is_at(path: &str) -> bool {
        Place::of(path).is_some()
    }

    /// Whether a GET at this path does something: a stream takes its messages from whoever else reads with its group.
    pub(crate) fn has_effects(path: &str) -> bool {
        let found = Place::of(path).and_then(|place| place.find(CALLS));
        found.is_some_and(|(call, ..)| call == Call::Consume)
    }

    /// Whether the client of this path may send its token as the password of a connection string.
    pub(crate) fn takes_connection_string(path: &str) -> bool {
        let found = Place::of(path).and_then(|place| place.find(CALLS));
        found.is_some_and(|(call, ..)| call == Call::Neon)
    }

    /// Answers one call, whose body has arrived whole. Every answer carries the id; failures are problem
    /// documents. An answer to HEAD has the body that GET would have: the door leaves it out.
    pub(crate) async fn call(
        &self,
        request: Request<Bytes>,
        caller: Caller,
        id: RequestId,
    ) -> Response<Body> {
        let caller = &caller;
        let looks = matches!(*request.method(), Method::GET | Method::HEAD);
        // Each future on the way is moved by whoever waits for it: what most calls pass is kept flat.
        let answer = if request.headers().contains_key(IDEMPOTENCY_KEY) {
            Box::pin(self.once(request, caller, id)).await
        } else {
            self.dispatch(&request, caller, id).await
        };
        let answer = match answer {
            Ok(response) if room::counts(response.body()) => Box::pin(self.held(response, looks)).await,
            answer => answer,
        };
        let mut response =
            answer.unwrap_or_else(|failure| self.telling.problem(&failure, &id).map(Body::Full));
        respond::finish(response.headers_mut(), &id);
        response
    }

    /// A whole answer, counted until its last byte has gone. `looks` says that the call can be sent again.
    async fn held(&self, response: Response<Body>, looks: bool) -> Answer {
        let (head, body) = response.into_parts();
        let body = match body {
            Body::Full(bytes) => {
                Body::Full(self.room.hold_one(bytes).await.map_err(|full| full.with_retryable(looks))?)
            }
            body => body,
        };
        Ok(Response::from_parts(head, body))
    }

    async fn dispatch(&self, request: &Request<Bytes>, caller: &Caller, id: RequestId) -> Answer {
        let path = request.uri().path();
        let unknown = || respond::unknown_path(path);
        let place = Place::of(path).ok_or_else(unknown)?;
        let (call, methods, parts) = place.find(CALLS).ok_or_else(unknown)?;
        let method = request.method();
        if *method == Method::OPTIONS {
            let mut response = respond::empty(StatusCode::NO_CONTENT).map(Body::Full);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            return Ok(response);
        }
        if !methods.split(',').any(|known| known == method.as_str()) {
            let allow = HeaderValue::from_static(methods);
            return Ok(Telling::wrong_method(method, &allow, &id).map(Body::Full));
        }
        let cluster = place.cluster().ok_or_else(unknown)?;
        let mut query = Query::of(request.uri());
        // Doors for other clients name the service in their path, and Upstash's has a query language of its own.
        let service = match call {
            Call::Upstash | Call::Neon => Some(parts.text(0)?),
            _ => query.text("service"),
        };
        let (clusters, room) = (&self.clusters, &self.room);
        let target = Target { clusters, room, caller, cluster: &cluster, service: service.as_deref(), id };
        match call {
            // What is asked most stands here; the others would only make its future larger.
            Call::Get => {
                query.done()?;
                whole(cache::get(&target, request.body()).await)
            }
            Call::Set => {
                query.done()?;
                whole(cache::set(&target, request.body()).await)
            }
            _ => Box::pin(self.further(Asked { call, target, query, request, parts })).await,
        }
    }

    async fn further(&self, asked: Asked<'_>) -> Answer {
        let Asked { call, target, query, request, parts } = asked;
        let (method, body): (_, &[u8]) = (request.method(), request.body());
        match call {
            Call::Get => whole(cache::get(&target, body).await),
            Call::Set => whole(cache::set(&target, body).await),
            Call::Delete => whole(cache::delete(&target, query, body).await),
            Call::Incr => whole(cache::incr(&target, query, body).await),
            Call::Expire => whole(cache::expire(&target, query, body).await),
            Call::Ttl => whole(cache::ttl(&target, query).await),
            Call::Scan => whole(cache::keys::scan(&target, query).await),
            Call::Key => {
                let key = parts.bytes(0)?;
                whole(match *method {
                    Method::PUT => cache::keys::put(&target, query, &key, request).await,
                    Method::DELETE => cache::keys::delete(&target, query, &key).await,
                    _ => cache::keys::get(&target, query, &key).await,
                })
            }
            Call::Command => whole(upstash::command(&target, query, request).await),
            Call::Pipeline => whole(upstash::pipeline(&target, query, request).await),
            Call::MultiExec => whole(upstash::multi_exec(&target, query, request).await),
            Call::Upstash => whole(upstash::door(&target, request, &parts).await),
            Call::Neon => whole(neon::sql(&target, query, request).await),
            Call::Query | Call::Execute | Call::Batch => {
                db::run(&target, &self.transactions, call, query, body).await
            }
            Call::Begin => whole(db::begin(&target, &self.transactions, query, body).await),
            Call::Commit | Call::Rollback => {
                let (tx, keep) = (parts.text(0)?, call == Call::Commit);
                whole(db::end(&target, &self.transactions, query, body, &tx, keep).await)
            }
            Call::Publish => whole(queue::publish(&target, query, request).await),
            Call::Topics if *method == Method::POST => whole(queue::create_topic(&target, query, body).await),
            Call::Topics => whole(queue::topics(&target, query).await),
            Call::Topic if *method == Method::DELETE => {
                whole(queue::delete_topic(&target, query, &parts.text(0)?).await)
            }
            Call::Topic => whole(queue::topic(&target, query, &parts.text(0)?).await),
            Call::Consume => {
                let closing = self.closing.subscribe();
                let ends = Ends::of(closing, &self.store, target.caller, request.headers());
                let streaming = queue::consume(&target, query, request.headers()).await?;
                Ok(streaming.map(|body| endless::until(body, ends)))
            }
            Call::Ack => whole(queue::ack(&target, query, body).await),
            Call::Groups => whole(queue::groups(&target, query).await),
            Call::Group => whole(queue::delete_group(&target, query, &parts.text(0)?).await),
            Call::Reset => whole(queue::reset_group(&target, query, body, &parts.text(0)?).await),
        }
    }
}

/// An answer whose body is whole.
fn whole(answer: Result<Response<Bytes>, Failure>) -> Answer {
    answer.map(|response| response.map(Body::Full))
}

/// Every path of it, as a document writes it.
#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = String> {
    CALLS.iter().map(|(path, ..)| format!("/api/v1/clusters/{{id}}/{}", path.replace('*', "")))
}
