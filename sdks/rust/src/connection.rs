//! Connections to the gateway: a few kept open, one exchange at a time on each. Knows nothing of tries.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::address::Address;
use crate::error::{Error, Family};
use crate::reply::Reply;

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
}

impl Pool {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&self, address: &Address, request: Request<Bytes>) -> Result<Reply, Error> {
        let (sender, response) = self.send(address, request).await?;
        let reply = read(response).await?;
        self.keep(sender);
        Ok(reply)
    }

    /// Sends a request and reads the beginning of the answer; its body, where it says success, is read by
    /// whoever asked. The connection is for this answer alone and closes with it.
    pub(crate) async fn open(&self, address: &Address, request: Request<Bytes>) -> Result<Opened, Error> {
        let (sender, response) = self.send(address, request).await?;
        if !response.status().is_success() {
            let reply = read(response).await?;
            self.keep(sender);
            return Ok(Opened::Refused(reply));
        }
        let (head, body) = response.into_parts();
        let head = Reply { status: head.status.as_u16(), headers: head.headers, body: Bytes::new() };
        Ok(Opened::Streaming(head, body))
    }

    async fn send(
        &self,
        address: &Address,
        request: Request<Bytes>,
    ) -> Result<(Sender, http::Response<Incoming>), Error> {
        let mut request = request.map(Full::new);
        loop {
            let (mut sender, fresh) = match self.take() {
                Some(sender) => (sender, false),
                None => (connect(address).await?, true),
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
                        return Err(Error::unsent("the connection closed at once", failed.into_error()));
                    }
                    None => return Err(broken(failed.into_error())),
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

async fn connect(address: &Address) -> Result<Sender, Error> {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(source)) => {
            let why = format!("no connection to {address}: {}", reason(&source));
            return Err(Error::unsent(why, source));
        }
        Err(elapsed) => {
            return Err(Error::unsent(format!("no connection to {address} within {CONNECT:?}"), elapsed));
        }
    };
    // Requests are small and written at once; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
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
