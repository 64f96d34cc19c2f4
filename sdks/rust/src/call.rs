//! A call: one request that is described first and carried out when awaited. The loop of tries is here;
//! what may be tried again is in `retry`.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Attempt, Client, Token};
use crate::connection::Opened;
use crate::error::{Error, Family};
use crate::operations::Started;
use crate::reply::Reply;
use crate::retry;
use crate::stream::SILENCE;
use crate::upload::{File, Source};

const AGENT: &str = concat!("throome-sdk-rust/", env!("CARGO_PKG_VERSION"));

/// How long one try of a kind of request may take unless the client or the call says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Data,
    Management,
    /// Creating and replacing a cluster wait for what they start.
    Provisioning,
}

impl Patience {
    fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Patience::Data => 10,
            Patience::Management => 30,
            Patience::Provisioning => 120,
        })
    }
}

/// A request as described.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// With its query, without the gateway's prefix.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// Whether carrying it out twice is as good as once.
    pub(crate) repeatable: bool,
    /// A status that is an answer although it says failure: health is told with 503.
    pub(crate) also_answer: Option<u16>,
    pub(crate) patience: Patience,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) if_match: Option<String>,
    /// What tells a repeat from a second request of the same words; the same for every try.
    pub(crate) idempotency_key: Option<String>,
    /// Where a stream that broke is taken up again.
    pub(crate) last_event_id: Option<String>,
    /// Whether an answer may come before the work is done.
    pub(crate) respond_async: bool,
    pub(crate) accept: &'static str,
}

impl Outgoing {
    pub(crate) fn new(method: Method, path: String, patience: Patience) -> Outgoing {
        Outgoing {
            method,
            path,
            body: None,
            repeatable: false,
            also_answer: None,
            patience,
            timeout: None,
            retries: None,
            if_match: None,
            idempotency_key: None,
            last_event_id: None,
            respond_async: false,
            accept: "application/json",
        }
    }

    /// A read: safe to repeat.
    pub(crate) fn get(path: String, patience: Patience) -> Outgoing {
        Outgoing { repeatable: true, ..Outgoing::new(Method::GET, path, patience) }
    }

    /// A POST, which is repeated only when `repeatable` is set after it.
    pub(crate) fn post(path: String, patience: Patience) -> Outgoing {
        Outgoing::new(Method::POST, path, patience)
    }

    /// Marks a POST that only reads.
    pub(crate) fn reads_only(self) -> Outgoing {
        Outgoing { repeatable: true, ..self }
    }

    /// Makes a write safe to repeat: the gateway carries out one of all tries with this key.
    pub(crate) fn once(self, key: String) -> Outgoing {
        Outgoing { repeatable: true, idempotency_key: Some(key), ..self }
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Outgoing {
        let body = serde_json::to_vec(body).expect("our bodies have string keys and no failing serialisers");
        Outgoing { body: Some(body.into()), ..self }
    }
}

/// A request that is sent when it is awaited, and not before.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T> {
    client: Client,
    request: Outgoing,
    decode: fn(&Reply) -> Result<T, Error>,
}

impl<T: DeserializeOwned> Call<T> {
    pub(crate) fn new(client: Client, request: Outgoing) -> Call<T> {
        Call { client, request, decode: Reply::json }
    }
}

impl<T> Call<T> {
    /// A call whose answer is made of the body in a way of its own.
    pub(crate) fn decoded_by<U>(self, decode: fn(&Reply) -> Result<U, Error>) -> Call<U> {
        Call { client: self.client, request: self.request, decode }
    }

    /// Time for one try of this call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(timeout);
        self
    }

    /// How many further tries this call may have.
    pub fn retries(mut self, retries: u32) -> Self {
        self.request.retries = Some(retries);
        self
    }

    /// Carries it out only if the resource still is of this version ([`Reply::etag`]); otherwise
    /// [`Family::Conflict`].
    pub fn if_match(mut self, etag: &str) -> Self {
        self.request.if_match = Some(etag.to_owned());
        self
    }

    /// Asks for an answer at once where the work takes a while: status 202 and an [`Operation`](crate::Operation) in place
    /// of what it is called for. A gateway that has no such answer gives the usual one. [`Call::started`] reads both.
    pub fn respond_async(mut self) -> Self {
        self.request.respond_async = true;
        self
    }

    /// Makes a write safe to repeat: the gateway carries out one of all requests with this key, and answers
    /// the others with what the first was answered. 1 to 255 visible characters; with it, the call is tried
    /// again like a read.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.request = self.request.once(key.to_owned());
        self
    }

    /// Sends it with [`Call::respond_async`]; its answer, or the operation that has begun.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn started(self) -> Result<Started<T>, Error> {
        let decode = self.decode;
        let reply = self.respond_async().reply().await?;
        match reply.operation()? {
            Some(operation) => Ok(Started::Begun(Box::new(operation))),
            None => decode(&reply).map(Started::Done),
        }
    }

    /// Sends it; the body as JSON, every field as the gateway wrote it.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn value(self) -> Result<Value, Error> {
        self.reply().await?.json()
    }

    /// Sends it; the whole answer.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn reply(self) -> Result<Reply, Error> {
        Box::pin(perform(&self.client, &self.request)).await
    }
}

impl<T: Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let reply = perform(&self.client, &self.request).await?;
            (self.decode)(&reply)
        })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {})", self.request.method, path_alone(&self.request.path))
    }
}

/// Tries until there is an answer, an error that stays, or no try left.
async fn perform(client: &Client, request: &Outgoing) -> Result<Reply, Error> {
    client.budget.deposit();
    let mut number = 1;
    loop {
        match attempt(client, request, number).await {
            Ok(reply) => return Ok(reply),
            Err(error) => before_another(client, request, number, error).await?,
        }
        number += 1;
    }
}

/// The same for an answer whose body is read as it comes; only its beginning is tried for.
pub(crate) async fn open(client: &Client, request: &Outgoing) -> Result<(Reply, Incoming), Error> {
    client.budget.deposit();
    let mut number = 1;
    loop {
        match attempt_to_open(client, request, number).await {
            Ok(opened) => return Ok(opened),
            Err(error) => before_another(client, request, number, error).await?,
        }
        number += 1;
    }
}

/// Sends a file as it is read, once. As long as it goes on being taken, nobody's patience ends.
pub(crate) async fn upload(client: &Client, request: &Outgoing, source: Source) -> Result<Reply, Error> {
    let began = Instant::now();
    let head = build(client, request)?;
    let file = File::new(source);
    let taken = file.taken();
    let (mut head, _) = head.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let mut sending =
        std::pin::pin!(client.pool.send_file(&client.settings, Request::from_parts(head, file)));
    let mut before = None;
    let result = loop {
        if let Ok(result) = tokio::time::timeout(SILENCE, &mut sending).await {
            break result.and_then(|reply| judge(reply, None));
        }
        let now = taken.load(Relaxed);
        if before.replace(now) == Some(now) {
            break Err(Error::new(Family::Timeout, format!("nothing was taken for {SILENCE:?}")));
        }
    };
    let result = result.map_err(|error| error.with_attempts(1));
    observe(client, request, 1, began, result.as_ref());
    result
}

/// Waits as long as is due before the next try; the error back where there is none.
async fn before_another(client: &Client, request: &Outgoing, number: u32, error: Error) -> Result<(), Error> {
    let error = error.with_attempts(number);
    let retries = request.retries.unwrap_or(client.settings.retries);
    let again = number <= retries && retry::may_run_again(&error, request.repeatable);
    let Some(wait) = retry::wait(number, error.retry_after()).filter(|_| again) else {
        return Err(error);
    };
    if !client.budget.withdraw() {
        return Err(error);
    }
    tokio::time::sleep(wait).await;
    Ok(())
}

async fn attempt(client: &Client, request: &Outgoing, number: u32) -> Result<Reply, Error> {
    let began = Instant::now();
    let head = build(client, request)?;
    let exchange = client.pool.exchange(&client.settings, head);
    let result = in_time(client, request, exchange).await;
    let result = result.and_then(|reply| judge(reply, request.also_answer));
    observe(client, request, number, began, result.as_ref());
    result
}

async fn attempt_to_open(
    client: &Client,
    request: &Outgoing,
    number: u32,
) -> Result<(Reply, Incoming), Error> {
    let began = Instant::now();
    let head = build(client, request)?;
    let opening = client.pool.open(&client.settings, head);
    let result = match in_time(client, request, opening).await {
        Ok(Opened::Streaming(head, body)) => Ok((head, body)),
        Ok(Opened::Refused(reply)) => Err(Error::from_reply(&reply)),
        Err(error) => Err(error),
    };
    observe(client, request, number, began, result.as_ref().map(|(head, _)| head));
    result
}

/// Gives one try its time.
async fn in_time<T>(
    client: &Client,
    request: &Outgoing,
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let timeout = request.timeout.or(client.settings.timeout).unwrap_or_else(|| request.patience.timeout());
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        // Whether its bytes had left is not known, so they count as gone.
        Err(_) => Err(Error::new(Family::Timeout, format!("no whole answer within {timeout:?}"))),
    }
}

fn observe(client: &Client, request: &Outgoing, number: u32, began: Instant, result: Result<&Reply, &Error>) {
    let Some(observer) = &client.settings.observer else { return };
    let (status, request_id, error) = match result {
        Ok(reply) => (Some(reply.status), reply.request_id(), None),
        Err(error) => (error.status(), error.request_id(), Some(error)),
    };
    let path = path_alone(&request.path);
    let duration = began.elapsed();
    observer(&Attempt { method: &request.method, path, number, duration, status, request_id, error });
}

fn judge(reply: Reply, also_answer: Option<u16>) -> Result<Reply, Error> {
    let problem =
        reply.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"));
    let answer = (200..300).contains(&reply.status) || (also_answer == Some(reply.status) && !problem);
    if answer { Ok(reply) } else { Err(Error::from_reply(&reply)) }
}

fn build(client: &Client, request: &Outgoing) -> Result<Request<Bytes>, Error> {
    let settings = &client.settings;
    if !request.path.starts_with('/') {
        return Err(Error::usage("the path of a request does not begin with `/`", "Write it as /api/v1/…"));
    }
    let address = client.pool.address(settings);
    let mut head = Request::builder()
        .method(request.method.clone())
        .uri(format!("{}{}", address.prefix, request.path))
        .header(HOST, &address.authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, request.accept);
    match &settings.token {
        Token::Absent => {}
        Token::Header(value) => head = head.header(AUTHORIZATION, value),
        Token::Unsendable => {
            return Err(Error::usage(
                "the token holds characters that cannot be sent",
                "Copy it again, without line breaks.",
            ));
        }
    }
    if request.body.is_some() {
        head = head.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let others = [
        ("if-match", &request.if_match),
        ("idempotency-key", &request.idempotency_key),
        ("last-event-id", &request.last_event_id),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            let value = HeaderValue::from_str(value).map_err(|_| {
                Error::usage(&format!("`{name}` holds characters that cannot be sent"), "Use visible ASCII.")
            })?;
            head = head.header(name, value);
        }
    }
    if request.respond_async {
        head = head.header("prefer", HeaderValue::from_static("respond-async"));
    }
    head.body(request.body.clone().unwrap_or_default()).map_err(|_| {
        Error::usage("the path of a request holds characters that cannot be sent", "Escape them.")
    })
}

fn path_alone(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
