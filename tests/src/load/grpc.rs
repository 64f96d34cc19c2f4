//! A client of gRPC over HTTP/2, by the crate h2, that makes many calls at once on one connection.

use std::cell::RefCell;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::{Ending, is_own};

/// Who calls; the connection is made when it is first needed, and anew when it is over.
pub(super) struct Caller {
    door: SocketAddr,
    host: String,
    connection: RefCell<Option<SendRequest<Bytes>>>,
}

/// What is asked: one message, `body`.
const MESSAGE: &[u8] = b"\0\0\0\0\x04body";
/// Before a message of 2,048 bytes.
const PREFIX: &[u8] = b"\0\0\0\x08\0";

impl Caller {
    pub(super) fn new(door: SocketAddr, host: &str) -> Caller {
        Caller { door, host: host.to_owned(), connection: RefCell::default() }
    }

    /// Makes a call and says how it ended.
    pub(super) async fn shoot(&self, id: &str) -> Ending {
        self.call(id).await.unwrap_or_else(|why| Ending::Nothing { why })
    }

    async fn call(&self, id: &str) -> Result<Ending, String> {
        let mut connection = self.open().await?;
        let request = Request::post(format!("http://{}/load", self.host))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-shot", id)
            .body(())
            .unwrap();
        let (answer, mut send) = connection.send_request(request, false).map_err(in_words)?;
        send.send_data(Bytes::from_static(MESSAGE), true).map_err(in_words)?;
        let (head, mut body) = answer.await.map_err(in_words)?.into_parts();
        if let Some(ending) = failed(&head.headers) {
            return Ok(ending);
        }
        let mut message = Vec::new();
        while let Some(part) = body.data().await {
            let Ok(part) = part else { return Ok(Ending::Cut) };
            let _ = body.flow_control().release_capacity(part.len());
            message.extend_from_slice(&part);
        }
        // A call that ends without a status has failed for every client.
        let Ok(Some(trailers)) = body.trailers().await else { return Ok(Ending::Cut) };
        if let Some(ending) = failed(&trailers) {
            return Ok(ending);
        }
        let field =
            |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let own = message.strip_prefix(PREFIX).is_some_and(|body| is_own(body, id));
        if !own || field("x-shot") != id || !trailers.contains_key("grpc-status") {
            return Ok(Ending::Wrong { what: format!("{head:?} {trailers:?} {} bytes", message.len()) });
        }
        Ok(Ending::Good { service: field("x-service").to_owned() })
    }

    /// The connection, once it takes a call.
    async fn open(&self) -> Result<SendRequest<Bytes>, String> {
        let kept = self.connection.borrow().clone();
        if let Some(kept) = kept
            && let Ok(ready) = kept.ready().await
        {
            return Ok(ready);
        }
        let stream = TcpStream::connect(self.door).await.map_err(in_words)?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = h2::client::handshake(stream).await.map_err(in_words)?;
        tokio::task::spawn_local(connection);
        *self.connection.borrow_mut() = Some(sender.clone());
        sender.ready().await.map_err(in_words)
    }
}

/// How a call ended whose fields say that it failed.
fn failed(fields: &HeaderMap) -> Option<Ending> {
    let field = |name: &str| fields.get(name)?.to_str().ok();
    let status: u16 = field("grpc-status")?.parse().ok()?;
    let code = field("grpc-message").unwrap_or_default().to_owned();
    (status != 0).then_some(Ending::Failed { status, code })
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
