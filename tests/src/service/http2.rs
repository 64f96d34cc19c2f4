//! The same service over HTTP/2 in the clear, by the crate h2, also as a service of gRPC: answers in messages and trailers.

use std::cell::Cell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::answer::LOAD;
use crate::journal::Journal;
use crate::mode::{Mode, Modes};

/// What all connections have in common.
#[derive(Clone)]
struct Shared {
    name: String,
    is_grpc: bool,
    modes: Arc<Modes>,
    journal: Arc<Journal>,
}

/// How a connection is to end before its client wants it to.
#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
    Garbage,
}

/// What the answers of a connection say to it.
#[derive(Default)]
struct Line {
    end: Cell<Option<End>>,
    told: Notify,
}

impl Line {
    fn end(&self, how: End) {
        self.end.set(Some(how));
        self.told.notify_one();
    }
}

pub(crate) fn accept(
    listener: TcpListener,
    name: &str,
    is_grpc: bool,
    modes: &Arc<Modes>,
    journal: &Arc<Journal>,
) {
    let shared =
        Shared { name: name.to_owned(), is_grpc, modes: Arc::clone(modes), journal: Arc::clone(journal) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let stream = stream.into_std().unwrap();
            if shared.modes.get() == Mode::ResetOnAccept {
                shared.journal.note("reset", "-", "-");
                crate::reset(&stream);
                continue;
            }
            shared.journal.note("accepted", "-", "-");
            tokio::task::spawn_local(serve(stream, shared.clone()));
        }
    });
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, shared: Shared) {
    let _ = stream.set_nodelay(true);
    let mut raw = stream.try_clone().unwrap();
    let Ok(mut connection) = h2::server::handshake(tokio::net::TcpStream::from_std(stream).unwrap()).await
    else {
        return;
    };
    let line = Rc::new(Line::default());
    loop {
        tokio::select! {
            () = line.told.notified() => break,
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => {
                    let (line, shared) = (Rc::clone(&line), shared.clone());
                    tokio::task::spawn_local(answer(request, respond, line, shared));
                }
                Some(Err(_)) | None => return,
            },
        }
    }
    match line.end.get() {
        Some(End::Reset) => crate::reset(&raw),
        Some(End::Garbage) => drop(raw.write_all(b"It is a lovely day, is it not?\r\n\r\n")),
        Some(End::Close) | None => {}
    }
}

async fn answer(request: Request<RecvStream>, respond: SendResponse<Bytes>, line: Rc<Line>, shared: Shared) {
    let (head, mut body) = request.into_parts();
    let probe = matches!(head.uri.path(), "/healthz" | "/grpc.health.v1.Health/Check");
    let id = head.headers.get("x-shot").and_then(|id| id.to_str().ok()).unwrap_or("-").to_owned();
    let method = head.method.to_string();
    if !probe {
        shared.journal.note("read", &method, &id);
    }
    if shared.modes.get() == Mode::ResetOnAccept {
        return line.end(End::Reset);
    }
    while let Some(part) = body.data().await {
        let Ok(part) = part else { return };
        let _ = body.flow_control().release_capacity(part.len());
    }
    if !probe {
        shared.journal.note("done", &method, &id);
    }
    let mode = shared.modes.get();
    // Whoever asked may be gone.
    let _ = if probe {
        say_health(respond, mode == Mode::Sick, shared.is_grpc)
    } else {
        say_load(respond, mode, &id, &line, &shared).await
    };
}

fn say_health(mut respond: SendResponse<Bytes>, sick: bool, is_grpc: bool) -> Result<(), h2::Error> {
    if !is_grpc {
        let status = if sick { 500 } else { 200 };
        respond.send_response(Response::builder().status(status).body(()).unwrap(), true)?;
        return Ok(());
    }
    let mut send = respond.send_response(grpc_head().body(()).unwrap(), false)?;
    // A HealthCheckResponse: 1 is SERVING, 2 is not.
    send.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, if sick { 2 } else { 1 }]), false)?;
    send.send_trailers(grpc_status("0"))
}

fn grpc_head() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}

fn grpc_status(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))])
}

/// An answer whose every byte the load knows.
async fn say_load(
    mut respond: SendResponse<Bytes>,
    mode: Mode,
    id: &str,
    line: &Line,
    shared: &Shared,
) -> Result<(), h2::Error> {
    let body = Bytes::from(format!("{id} ").repeat(LOAD / (id.len() + 1) + 1)[..LOAD].to_owned());
    match mode {
        Mode::Late => tokio::time::sleep(Duration::from_secs(2)).await,
        Mode::Slow => tokio::time::sleep(Duration::from_millis(50)).await,
        Mode::Eat | Mode::HalfClose => {
            line.end(End::Close);
            return Ok(());
        }
        Mode::Garbage => {
            line.end(End::Garbage);
            return Ok(());
        }
        Mode::Fail if shared.is_grpc => {
            let head = grpc_head().header("grpc-status", "14").header("grpc-message", "failed");
            respond.send_response(head.body(()).unwrap(), true)?;
            return Ok(());
        }
        Mode::Fail => {
            let head = Response::builder().status(500).header("content-length", "6");
            let mut send = respond.send_response(head.body(()).unwrap(), false)?;
            return send.send_data(Bytes::from_static(b"failed"), true);
        }
        _ => {}
    }
    let mut head = if shared.is_grpc {
        grpc_head()
    } else if mode == Mode::CloseInChunks {
        Response::builder()
    } else {
        Response::builder().header("content-length", LOAD)
    };
    head = head.header("x-service", &shared.name).header("x-shot", id);
    let mut send = respond.send_response(head.body(()).unwrap(), false)?;
    if shared.is_grpc {
        send.send_data(Bytes::copy_from_slice(&[0, 0, 0, 8, 0]), false)?;
    }
    say_body(send, mode, body, line, shared.is_grpc).await
}

async fn say_body(
    mut send: SendStream<Bytes>,
    mode: Mode,
    body: Bytes,
    line: &Line,
    is_grpc: bool,
) -> Result<(), h2::Error> {
    let half = body.slice(..LOAD / 2);
    let a_moment = tokio::time::sleep(Duration::from_millis(5));
    match mode {
        Mode::ResetInBody => {
            send.send_data(half, false)?;
            a_moment.await;
            send.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        Mode::CloseInBody | Mode::CloseInChunks => {
            send.send_data(half, false)?;
            a_moment.await;
            line.end(End::Close);
            Ok(())
        }
        Mode::Trickle => {
            for at in (0..LOAD).step_by(10) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                send.send_data(body.slice(at..LOAD.min(at + 10)), false)?;
            }
            send.send_data(Bytes::new(), true)
        }
        // It ends as if it were whole: of gRPC with neither all of its message nor a status.
        Mode::Short => send.send_data(body.slice(..LOAD - 100), true),
        Mode::Long if !is_grpc => {
            send.send_data(body, false)?;
            send.send_data(Bytes::from_static(b"more than was said"), true)
        }
        _ if is_grpc => {
            send.send_data(body, false)?;
            send.send_trailers(grpc_status("0"))
        }
        _ => send.send_data(body, true),
    }
}
