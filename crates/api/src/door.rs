//! What every request of the control door passes: its id, the guard, its body, and one form of failure.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use clusters::{By, Clusters, RequestId};
use http_body_util::BodyExt;
use model::{Code, Failure, problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Options;
use crate::body::is_plain;
use crate::compat;
use crate::control::backups;
use crate::data::Data;
use crate::guard::{Caller, Open, changes};
use crate::idempotency;
use crate::respond::{self, Refused, Telling, X_REQUEST_ID};

/// What the handlers of the control door share.
pub(crate) struct Door {
    pub(crate) options: Options,
    pub(crate) data: Data,
    telling: Telling,
    /// The gateway stops.
    pub(crate) closing: AtomicBool,
    /// No new connections are taken here, and each answer is the last of its own.
    parting: AtomicBool,
    /// The store did not answer when it was last looked at, and that was said.
    pub(crate) store_failed: AtomicBool,
    /// Streams without an end end when this says so.
    closed: watch::Sender<bool>,
    /// Places of streams: half of the connections, so that whoever looks at the gateway still gets in.
    pub(crate) streams: Arc<Semaphore>,
}

/// A failure on its way to [`pass`], which puts it into words.
#[derive(Clone)]
pub(crate) struct Told(Arc<Failure>);

/// What handlers answer.
pub(crate) type Answer = Result<Response, Told>;

impl Told {
    pub(crate) fn failure(&self) -> &Failure {
        &self.0
    }
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        Told(Arc::new(failure))
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(self);
        response
    }
}

impl Door {
    pub(crate) fn new(options: Options) -> Self {
        let data = options.data.clone();
        let telling = Telling { timeout_status: options.timeout_status };
        let streams = Arc::new(Semaphore::new((options.limits.connections / 2).max(1)));
        let (closing, parting) = (AtomicBool::new(false), AtomicBool::new(false));
        let closed = watch::Sender::new(false);
        let store_failed = AtomicBool::new(false);
        Door { options, data, telling, closing, parting, store_failed, closed, streams }
    }

    pub(crate) fn clusters(&self) -> &Clusters {
        &self.options.clusters
    }

    /// No new connection is taken, and streams end.
    pub(crate) fn part(&self) {
        self.parting.store(true, Relaxed);
        self.closed.send_replace(true);
        self.data.close();
    }

    /// The gateway stops, and says so to whoever asks how it is.
    pub(crate) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Says when the door closes.
    /// A place for a stream. Whoever gets none is told what he can do instead.
    pub(crate) fn place_among_streams(&self, instead: &'static str) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let detail = "Streams have taken their share of the control door's connections.";
            Failure::gateway(Code::Overloaded, detail).with_hint(instead)
        })
    }

    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(crate) fn is_metrics(&self, path: &str) -> bool {
        self.options.metrics_path.as_deref() == Some(path)
    }

    fn open(&self, path: &str) -> Open {
        let health = matches!(path, "/health" | "/api/v1/health");
        let metrics = self.options.guard.public_metrics && self.is_metrics(path);
        if health || metrics { Open::ToAll } else { Open::No }
    }

    /// Collects the body within its limits.
    async fn body(&self, body: Body) -> Result<Bytes, Failure> {
        let limits = &self.options.limits;
        let said = usize::try_from(axum::body::HttpBody::size_hint(&body).lower()).unwrap_or(usize::MAX);
        if said > limits.body {
            return Err(too_large(limits.body));
        }
        match tokio::time::timeout(limits.body_deadline, collect(body, limits.body, limits.read_timeout))
            .await
        {
            Ok(collected) => collected,
            Err(_) => Err(too_late()),
        }
    }

    /// An answer that says nothing for itself: a failure to put into words, or a refusal of the router's own.
    pub(crate) fn put_into_words(&self, mut response: Response, method: &Method, id: &RequestId) -> Response {
        if let Some(Told(failure)) = response.extensions_mut().remove::<Told>() {
            if failure.code() == Code::Internal {
                let cause = std::error::Error::source(&*failure).map(ToString::to_string).unwrap_or_default();
                tracing::error!(request_id = %id, error = %failure, cause, "failed");
            }
            return self.telling.problem(&failure, id).map(Body::from);
        }
        let said =
            response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == problem::CONTENT_TYPE);
        if said || !response.status().is_client_error() {
            return response;
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allow = response.headers().get(header::ALLOW).cloned();
            let allow = allow.unwrap_or(HeaderValue::from_static(""));
            if method == Method::OPTIONS {
                // No other origin is ever allowed anything: there is nothing else to say.
                let mut response = respond::empty(StatusCode::NO_CONTENT);
                response.headers_mut().insert(header::ALLOW, allow);
                return response.map(Body::from);
            }
            return Telling::wrong_method(method, &allow, id).map(Body::from);
        }
        // What is left is a part of the path that is no text.
        let failure = Failure::client(Code::InvalidRequest, "The path of the request cannot be read.");
        self.telling.problem(&failure, id).map(Body::from)
    }
}

/// The walk of every request through the door.
pub(crate) async fn pass(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let id = RequestId::take_or_make(request.headers().get(X_REQUEST_ID).map(HeaderValue::as_bytes));
    let method = request.method().clone();
    let in_envelope = compat::is_at(request.uri().path());
    let response = match enter(&door, request, id).await {
        Ok(request) => unless_it_panics(idempotency::at_the_door(&door, request, next, id)).await,
        Err(failure) => Told::from(failure).into_response(),
    };
    let mut response = door.put_into_words(response, &method, &id);
    if in_envelope {
        response = compat::enveloped(response).await;
    }
    respond::finish(response.headers_mut(), &id);
    if door.parting.load(Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(Refused(code)) = response.extensions().get::<Refused>() {
        door.clusters().control().refuse(*code);
    }
    response
}

async fn enter(door: &Door, request: Request, id: RequestId) -> Result<Request, Failure> {
    let (mut head, body) = request.into_parts();
    let caller = door.options.guard.check(&head, door.open(head.uri.path()))?;
    if let Some(name) = caller.token()
        && changes(&head.method)
        && !Data::is_at(head.uri.path())
    {
        // The event of a change has the same id: this line says whose token it was. Calls on data have no event.
        tracing::info!(token = %name, request_id = %id, method = %head.method, path = head.uri.path(), "asked");
    }
    is_plain(&head.headers)?;
    let body = if backups::is_upload(&head.method, head.uri.path()) {
        body
    } else {
        Body::from(door.body(body).await?)
    };
    head.extensions.insert(by(&caller, id));
    head.extensions.insert(caller);
    head.extensions.insert(id);
    Ok(Request::from_parts(head, body))
}

async fn collect(mut body: Body, most: usize, read_timeout: Duration) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    loop {
        let Ok(frame) = tokio::time::timeout(read_timeout, body.frame()).await else {
            return Err(too_late());
        };
        let Some(frame) = frame else { return Ok(whole.freeze()) };
        let frame = frame.map_err(|error| {
            Failure::client(Code::InvalidRequest, "The body of the request broke off.").with_cause(error)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > most {
            return Err(too_large(most));
        }
        whole.extend_from_slice(&data);
    }
}

/// A handler that panics fails one request, and says so; nothing it had locked is trusted again by its locks.
async fn unless_it_panics(work: impl Future<Output = Response>) -> Response {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => {
            let failure = Failure::gateway(Code::Internal, "The gateway could not carry the request out.")
                .with_hint("The log of the gateway has the reason. It is a bug: please report it.");
            Poll::Ready(Told::from(failure).into_response())
        }
    })
    .await
}

/// Who changes something, for the history: the name of a token, where one was brought.
fn by(caller: &Caller, id: RequestId) -> By {
    let actor = caller.token().map_or("api".into(), |name| format!("token:{name}").into());
    By { actor, request_id: Some(id.to_string()) }
}

fn too_large(most: usize) -> Failure {
    Failure::client(Code::TooLarge, format!("The body of the request is larger than {most} bytes."))
        .with_hint("Send less at once.")
}

fn too_late() -> Failure {
    Failure::client(Code::RequestTimeout, "The body of the request did not arrive in time.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_one_request() {
        let mut response = unless_it_panics(async { panic!("a test") }).await;
        let Told(failure) = response.extensions_mut().remove::<Told>().unwrap();
        assert_eq!(failure.code(), Code::Internal);
        assert!(!failure.detail().contains("a test"), "what went wrong inside stays inside");
    }
}
