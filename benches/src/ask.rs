//! One question whose answer is read in full, by the library for it where that is HTTP/2: what contestants are checked with
//! before load that only looks at lengths.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::crowd::wire::{Secure, Wire};
use crate::speak::{Script, Talker};

/// Nobody needs longer for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A whole answer of HTTP/2.
#[derive(Debug)]
pub struct Whole {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// One exchange as it will be under load.
pub fn exchange(address: SocketAddr, secure: Option<&Secure>, script: &Script) -> anyhow::Result<()> {
    block_on(async {
        let (mut wire, mut talker): (Wire, Talker) = Wire::begin(address, secure, script).await?;
        Ok(wire.exchange(&mut talker).await?)
    })
}

/// A GET over HTTP/1.1, and the body of its answer, which must be a success of a length that is said.
pub fn http1(address: SocketAddr, secure: Option<&Secure>, path: &str) -> anyhow::Result<Vec<u8>> {
    block_on(async {
        let mut wire = Wire::connect(address, secure).await?;
        wire.output.extend_from_slice(&crate::client::get(address, path));
        wire.send().await?;
        loop {
            wire.receive().await?;
            let Some(end) = memchr::memmem::find(&wire.input, b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&wire.input[..end]).to_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "{path} answers {head:?}");
            let length = head.split_once("content-length:").context("an answer without Content-Length")?.1;
            let length: usize = length.lines().next().unwrap_or_default().trim().parse()?;
            if wire.input.len() >= end + 4 + length {
                return Ok(wire.input[end + 4..end + 4 + length].to_vec());
            }
        }
    })
}

/// A request of HTTP/2 and its whole answer: a GET, or a call of gRPC where there is a body.
pub fn http2(
    address: SocketAddr,
    secure: Option<&Secure>,
    path: &str,
    body: Option<Bytes>,
) -> anyhow::Result<Whole> {
    block_on(async {
        let scheme = if secure.is_some() { "https" } else { "http" };
        let mut request = Request::builder()
            .method(if body.is_some() { Method::POST } else { Method::GET })
            .uri(format!("{scheme}://{address}{path}"));
        if body.is_some() {
            request = request.header("content-type", "application/grpc").header("te", "trailers");
        }
        let request = request.body(())?;
        match secure {
            None => converse(tokio::net::TcpStream::connect(address).await?, request, body).await,
            Some(secure) => converse(secure.connect(address).await?, request, body).await,
        }
    })
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    request: Request<()>,
    body: Option<Bytes>,
) -> anyhow::Result<Whole> {
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::task::spawn_local(connection);
    let (answer, mut sending) = client.ready().await?.send_request(request, body.is_none())?;
    if let Some(body) = body {
        sending.send_data(body, true)?;
    }
    let (head, mut receiving) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = receiving.data().await {
        let data = data?;
        receiving.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = receiving.trailers().await?.unwrap_or_default();
    Ok(Whole { status: head.status.as_u16(), headers: head.headers, body, trailers })
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("no answer within {} s", PATIENCE.as_secs()),
        }
    })
}
