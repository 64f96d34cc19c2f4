//! Connections to the gateway, in the clear or by TLS: a few kept open, one exchange at a time on each. Knows nothing of
//! tries.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Address;
use crate::client::Settings;
use crate::error::{Error, Family};
use crate::reply::Reply;
use crate::secured::Security;
use crate::upload::File;

/// Making a connection takes no longer, so that a dead host is known before the whole try is spent.
const CONNECT: Duration = Duration::from_secs(3);
/// An idle connection is not used after this long: the gateway may be closing it just then.
const IDLE: Duration = Duration::from_secs(20);
/// More idle connections than this are closed.
const KEPT: usize = 32;
/// No answer of the API is longer; one that is would fill the application's memory.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

type Sender = SendRequest<Full<Bytes>>;

/// An answer whose beginning is there.
pub(crate) enum Opened {
    /// It says failure, and this is all of it.
    Refused(Reply),
    /// It says success; the body is still to come.
    Streaming(Reply, Incoming),
}

/// The idle connections to one gateway, the most recently used last.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<(Sender, Instant)>>,
    /// The gateway of this machine was found to speak TLS.
    is_secured: AtomicBool,
}

impl Pool {
    /// Where the gateway is, as far as is known.
    pub(crate) fn address<'s>(&self, settings: &'s Settings) -> &'s Address {
        match &settings.secured {
            // Whoever says how TLS is to be spoken wants nothing to be sent without it.
            Some(secured) if self.is_secured.load(Relaxed) || settings.security.is_asked_for() => secured,
            _ => &settings.address,
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(
        &self,
        settings: &Settings,
        request: Request<Bytes>,
    ) -> Result<Reply, Error> {
        let (sender, response) = self.send(settings, request).await?;
        let reply = read(response).await?;
        self.keep(sender);
        Ok(reply)
    }

    /// Sends a request and reads the beginning of the answer; its body, where it says success, is read by
    /// whoever asked. The connection is for this answer alone and closes with it.
    pub(crate) async fn open(&self, settings: &Settings, request: Request<Bytes>) -> Result<Opened, Error> {
        let (sender, response) = self.send(settings, request).await?;
        if !response.status().is_success() {
            let reply = read(response).await?;
            self.keep(sender);
            return Ok(Opened::Refused(reply));
        }
        let (head, body) = response.into_parts();
        let head = Reply { status: head.status.as_u16(), headers: head.headers, body: Bytes::new() };
        Ok(Opened::Streaming(head, body))
    }

    /// Sends a request whose body is read while it is sent, and reads the whole answer. The connection is for this one alone.
    /// Whoever asks first has asked for something else before, so that it is known whether TLS is spoken there.
    pub(crate) async fn send_file(
        &self,
        settings: &Settings,
        request: Request<File>,
    ) -> Result<Reply, Error> {
        let mut sender: SendRequest<File> = connect(self.address(settings), &settings.security).await?;
        match sender.send_request(request).await {
            Ok(response) => read(response).await,
            Err(source) => Err(broken(source)),
        }
    }

    /// Sends a request; what answers in TLS where it was spoken to in the clear is found out.
    async fn send(
        &self,
        settings: &Settings,
        request: Request<Bytes>,
    ) -> Result<(Sender, http::Response<Incoming>), Error> {
        let address = self.address(settings);
        // It may have to be said again, if nobody knows yet whether TLS is spoken there.
        let again = settings.secured.as_ref().filter(|_| !address.secure).map(|_| request.clone());
        let error = match self.send_to(address, settings, request).await {
            Err(error) if !address.secure && error.is_garbled() => error,
            result => return result,
        };
        let spoken = Box::pin(async {
            let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.ok()?;
            settings.security.is_spoken(address, tcp).await.then_some(())
        });
        if !matches!(tokio::time::timeout(CONNECT, spoken).await, Ok(Some(()))) {
            return Err(error);
        }
        let (Some(secured), Some(mut again)) = (&settings.secured, again) else {
            return Err(Error::spoken_to_in_the_clear(address));
        };
        // Whoever speaks TLS has understood nothing of what was said in the clear.
        self.is_secured.store(true, Relaxed);
        again.headers_mut().insert(HOST, secured.authority.clone());
        Box::pin(self.send_to(secured, settings, again)).await
    }

    async fn send_to(
        &self,
        address: &Address,
        settings: &Settings,
        request: Request<Bytes>,
    ) -> Result<(Sender, http::Response<Incoming>), Error> {
        let mut request = request.map(Full::new);
        loop {
            let (mut sender, fresh) = match self.take() {
                Some(sender) => (sender, false),
                None => (connect(address, &settings.security).await?, true),
            };
            // A kept connection that has gone away since fails here, before anything is sent.
            if sender.ready().await.is_err() && !fresh {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    Some(_) => {
                        let source = failed.into_error();
                        let refused =
                            address.secure.then(|| settings.security.broken_by_refusal(&source)).flatten();
                        let unsent = |source| Error::unsent("the connection closed at once", source);
                        return Err(refused.unwrap_or_else(|| unsent(source)));
                    }
                    None => {
                        let source = failed.into_error();
                        let refused =
                            address.secure.then(|| settings.security.broken_by_refusal(&source)).flatten();
                        let error = refused.unwrap_or_else(|| broken(source));
                        return Err(if fresh { error.garbled() } else { error });
                    }
                },
            }
        }
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((sender, since)) = idle.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE);
        if idle.len() < KEPT && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
    }
}

/// What a request may have as its body.
trait Sendable: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static {}

impl Sendable for Full<Bytes> {}
impl Sendable for File {}

async fn connect<B: Sendable>(address: &Address, security: &Security) -> Result<SendRequest<B>, Error> {
    let connecting = Box::pin(async {
        if address.secure {
            // A file that cannot be used is told before anybody is asked.
            security.connector().await?;
        }
        let tcp = dial(address).await?;
        if address.secure { speak(security.greet(address, tcp).await?).await } else { speak(tcp).await }
    });
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(connected) => connected,
        Err(elapsed) => Err(Error::unsent(format!("no connection to {address} within {CONNECT:?}"), elapsed)),
    }
}

async fn dial(address: &Address) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|source| {
        Error::unsent(format!("no connection to {address}: {}", reason(&source)), source)
    })?;
    // Requests are small and written at once; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn speak<B: Sendable, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<SendRequest<B>, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|source| Error::unsent("the connection closed at once", source))?;
    // Its end is seen by the sender; there is nobody else to tell.
    tokio::spawn(connection);
    Ok(sender)
}

/// A few words for what people meet most, without the operating system's error numbers.
fn reason(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        std::io::ErrorKind::TimedOut => "the host does not answer".to_owned(),
        _ => source.to_string(),
    }
}

async fn read(response: http::Response<Incoming>) -> Result<Reply, Error> {
    let (head, body) = response.into_parts();
    let reply = Reply { status: head.status.as_u16(), headers: head.headers, body: Bytes::new() };
    match Limited::new(body, LONGEST_ANSWER).collect().await {
        Ok(body) => Ok(Reply { body: body.to_bytes(), ..reply }),
        Err(source) => {
            let error = if source.is::<LengthLimitError>() {
                Error::unreadable("the answer is longer than 64 MiB", source)
            } else {
                broken(source)
            };
            Err(error.with_request_id(reply.request_id()))
        }
    }
}

pub(crate) fn broken(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source = source.into();
    if source.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
        return Error::unreadable("what answers there does not speak HTTP", source);
    }
    Error::new(Family::Connection, "the connection broke before the whole answer was there").caused_by(source)
}
