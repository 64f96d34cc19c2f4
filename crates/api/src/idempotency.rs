//! `Idempotency-Key`: a request that comes twice is carried out once, also when the first answer was lost on its
//! way. What is remembered, and for how long, is `store`'s.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::middleware::Next;
use bytes::Bytes;
use clusters::RequestId;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use model::{Code, Failure};
use store::{Claim, Claimed, Fingerprint, KeptAnswer, Store};
use wire::Body;
use wire::body::Frames;

use crate::control::backups::is_upload;
use crate::data::Data;
use crate::door::{Door, Told};
use crate::guard::{Caller, changes};
use crate::stream;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key.
const LONGEST: usize = 255;

/// The largest answer that is kept, in bytes. A larger one is given once.
const LARGEST: usize = 1 << 20;

/// Headers that belong to the answer itself; the others are of the exchange.
const KEPT_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, LOCATION, ETAG];

/// A request with a key.
pub(crate) struct Keyed {
    key: Fingerprint,
    request: Fingerprint,
}

/// What becomes of a key when its request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The answer is given again.
    Keep,
    /// It was done, and its answer is not written down.
    KeepSecret,
    /// Nothing was done: the same key may be sent again.
    Release,
}

/// Work with its answer and what becomes of its key.
pub(crate) type Work = Pin<Box<dyn Future<Output = (Response<Body>, Fate)> + Send>>;

impl Keyed {
    /// The key of a request, if it brings one. A key counts for one caller, method, path and query.
    ///
    /// # Errors
    /// `invalid_request` when it is none, or when there are several.
    pub(crate) fn of(request: &Request<Bytes>, caller: &Caller) -> Result<Option<Self>, Failure> {
        let mut keys = request.headers().get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = keys.next() else { return Ok(None) };
        if keys.next().is_some() {
            let detail = "The request has several `Idempotency-Key` headers.";
            return Err(Failure::client(Code::InvalidRequest, detail));
        }
        // Some clients write it as the quoted string that the draft of the header asks for.
        let key = key.as_bytes();
        let key = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
        if key.is_empty() || key.len() > LONGEST || !key.iter().all(u8::is_ascii_graphic) {
            let detail = format!("An `Idempotency-Key` is 1 to {LONGEST} visible characters of ASCII.");
            return Err(Failure::client(Code::InvalidRequest, detail));
        }
        let (trusted, name) = caller.token().map_or((&b"trusted"[..], ""), |name| (b"token", name));
        let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
        let place = [trusted, name.as_bytes(), request.method().as_str().as_bytes(), asked.as_bytes()];
        let with = |last: &[u8]| Fingerprint::of(&[place[0], place[1], place[2], place[3], last]);
        Ok(Some(Keyed { key: with(key), request: with(request.body()) }))
    }
}

impl Fate {
    /// After a failure: a key is kept unless it is certain that nothing was done.
    pub(crate) fn of(failure: &Failure) -> Self {
        let before_any_effect = matches!(
            failure.code(),
            Code::InvalidRequest
                | Code::InvalidConfig
                | Code::AmbiguousService
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::NotFound
                | Code::TransactionEnded
                | Code::TooLarge
                | Code::UnsupportedAbility
                | Code::UnsupportedCommand
                | Code::NotBuilt
        );
        if before_any_effect || failure.retryable() { Fate::Release } else { Fate::Keep }
    }

    /// After an answer that is not a failure, or tells one in other words and brings its fate. A method that is not
    /// known here is one, too.
    pub(crate) fn of_answer<B>(response: &Response<B>) -> Self {
        if let Some(fate) = response.extensions().get() {
            return *fate;
        }
        if response.status().is_client_error() { Fate::Release } else { Fate::Keep }
    }
}

/// Carries a request out unless it was before. It is carried through also when its client goes away, so that a
/// repeat finds its answer.
///
/// # Errors
/// `idempotency_mismatch`, `in_flight`; `conflict` when it was carried out and its answer is not known.
pub(crate) async fn once(store: &Store, keyed: Keyed, work: Work) -> Result<Response<Body>, Failure> {
    let store = store.clone();
    let done = tokio::spawn(async move {
        match store.claim(keyed.key, keyed.request).await? {
            Claim::First(claimed) => carry_out(claimed, work).await,
            Claim::Done(kept) => Ok(again(kept)),
            known => Err(refusal(&known)),
        }
    });
    done.await.unwrap_or_else(|error| {
        Err(Failure::gateway(Code::Internal, "The gateway could not carry the request out.")
            .with_cause(error))
    })
}

async fn carry_out(claimed: Claimed, work: Work) -> Result<Response<Body>, Failure> {
    let (response, fate) = work.await;
    let written = |written: Result<(), store::Error>| {
        if let Err(error) = written {
            // Its repeat will be told that the outcome is unknown.
            tracing::warn!(%error, "cannot write down what became of a request with an idempotency key");
        }
    };
    if fate == Fate::Release {
        written(claimed.release().await);
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let (body, whole) = gather(body).await?;
    let answer = whole.filter(|_| fate == Fate::Keep).map(|whole| {
        let header = |name: &HeaderName| {
            let value = head.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        KeptAnswer { status, headers: KEPT_HEADERS.iter().filter_map(header).collect(), body: whole.to_vec() }
    });
    written(claimed.keep(status, answer).await);
    Ok(Response::from_parts(head, body))
}

/// Reads a body as far as it may be kept. The second is all of it, if it ended by then.
async fn gather(body: Body) -> Result<(Body, Option<Bytes>), Failure> {
    let (mut frames, first) = match body {
        Body::Full(bytes) => {
            let whole = (bytes.len() <= LARGEST).then(|| bytes.clone());
            return Ok((Body::Full(bytes), whole));
        }
        Body::Frames(frames, first) => (frames, first),
        // Nothing that is relayed comes with a key.
        Body::Empty | Body::Wire(_) | Body::Stream(_) => return Ok((body, Some(Bytes::new()))),
    };
    let mut size = first.len();
    let mut read: VecDeque<Bytes> = Some(first).filter(|first| !first.is_empty()).into_iter().collect();
    while size <= LARGEST {
        match poll_fn(|cx| frames.as_mut().poll_frame(cx)).await {
            Some(Ok(frame)) => {
                size += frame.len();
                read.push_back(frame);
            }
            Some(Err(error)) => {
                return Err(Failure::service(Code::BadGateway, "The answer broke off.").with_cause(error));
            }
            None => {
                let whole: Bytes = read.make_contiguous().concat().into();
                return Ok((Body::Full(whole.clone()), Some(whole)));
            }
        }
    }
    Ok((Body::Frames(Box::pin(Gathered { read, rest: frames }), Bytes::new()), None))
}

/// Frames that were read, and those behind them. None is copied: what is large is counted where it was made.
struct Gathered {
    read: VecDeque<Bytes>,
    rest: Pin<Box<dyn Frames>>,
}

impl Frames for Gathered {
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, wire::Error>>> {
        match self.read.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.rest.as_mut().poll_frame(cx),
        }
    }
}

/// An answer that was given before.
fn again(kept: KeptAnswer) -> Response<Body> {
    let mut response = Response::new(Body::Full(kept.body.into()));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for name in &KEPT_HEADERS {
        let value = kept.headers.iter().find(|(own, _)| own == name.as_str());
        if let Some(value) = value.and_then(|(_, value)| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}

fn refusal(known: &Claim) -> Failure {
    let look = "Look whether it was carried out; to carry it out again, send another key.";
    match known {
        Claim::Mismatch => {
            let detail = "Another request came with this `Idempotency-Key`.";
            Failure::client(Code::IdempotencyMismatch, detail).with_hint("Every new request needs a new key.")
        }
        Claim::InFlight => {
            let detail = "The request with this `Idempotency-Key` is still being carried out.";
            Failure::client(Code::InFlight, detail).with_retry_after(Duration::from_secs(1))
        }
        Claim::DoneUnkept(status) => {
            let detail = format!(
                "The request with this `Idempotency-Key` is done; its answer, of status {status}, was not kept."
            );
            Failure::client(Code::Conflict, detail).with_hint(look)
        }
        Claim::TooMany => {
            let detail = "Too many requests with an `Idempotency-Key` are being carried out.";
            Failure::gateway(Code::Overloaded, detail).with_retry_after(Duration::from_secs(1))
        }
        Claim::Unknown | Claim::First(_) | Claim::Done(_) => {
            let detail = "The request with this `Idempotency-Key` was begun, and the outcome of the first request is unknown.";
            Failure::client(Code::Conflict, detail).with_hint(look)
        }
    }
}

/// Carries a request of the control API on, once if it brings a key and changes something. Calls of the data API
/// look after their keys themselves, at whichever door they come in.
pub(crate) async fn at_the_door(
    door: &Arc<Door>,
    request: axum::extract::Request,
    next: Next,
    id: RequestId,
) -> axum::response::Response {
    let keyed = request.headers().contains_key(IDEMPOTENCY_KEY)
        && changes(request.method())
        && !Data::is_at(request.uri().path())
        && !only_looks(request.uri().path())
        // A file is taken once anyway: its id is in its path.
        && !is_upload(request.method(), request.uri().path());
    if !keyed {
        return next.run(request).await;
    }
    let answer = keyed_at_the_door(door, request, next, id).await;
    answer.unwrap_or_else(|failure| axum::response::IntoResponse::into_response(Told::from(failure)))
}

async fn keyed_at_the_door(
    door: &Arc<Door>,
    request: axum::extract::Request,
    next: Next,
    id: RequestId,
) -> Result<axum::response::Response, Failure> {
    let request = whole(request).await?;
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Stranger);
    let Some(keyed) = Keyed::of(&request, &caller)? else {
        return Ok(next.run(request.map(Into::into)).await);
    };
    let (method, secret) = (request.method().clone(), answers_a_secret(&request));
    let own = Arc::clone(door);
    let work = async move {
        let response = next.run(request.map(Into::into)).await;
        let fate = match response.extensions().get::<Told>() {
            Some(told) => Fate::of(told.failure()),
            None => Fate::of_answer(&response),
        };
        let fate = if secret && fate == Fate::Keep { Fate::KeepSecret } else { fate };
        let (head, body) = own.put_into_words(response, &method, &id).into_parts();
        // What the control API answers to a change is in memory.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        (Response::from_parts(head, Body::Full(body)), fate)
    };
    once(&door.options.guard.store, keyed, Box::pin(work))
        .await
        .map(|response| response.map(|body| stream::carried(body, None)))
}

/// A request whose body the door has read.
async fn whole(request: axum::extract::Request) -> Result<Request<Bytes>, Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|error| {
        Failure::gateway(Code::Internal, "The request could not be read again.").with_cause(error)
    })?;
    Ok(Request::from_parts(head, body.to_bytes()))
}

/// Calls whose method says change, and whose work is looking.
fn only_looks(path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    matches!(
        path.as_slice(),
        ["", "api", "v1", "validate" | "explain"] | ["", "api", "v1", "clusters", _, "plan"]
    )
}

/// A new token is shown once, and written down nowhere.
fn answers_a_secret(request: &Request<Bytes>) -> bool {
    request.method() == Method::POST && request.uri().path() == "/api/v1/tokens"
}
