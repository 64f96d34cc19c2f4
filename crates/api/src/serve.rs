//! The control door's own accept loop: bounded connections, TLS where it is asked for, a deadline for heads, and a
//! graceful end.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};

use wire::Socket;
use wire::tls::Refused;

use crate::door::Door;
use crate::{Options, router_of};

/// The largest head of a request that is read.
const HEAD: usize = 64 << 10;

/// How long accepting rests when the system has no descriptor or memory for a connection.
const REST: Duration = Duration::from_millis(50);

/// Serves the control door until `closing` ends; then takes no new connection, lets requests under way finish
/// for at most `grace`, and returns. `closing` says for how long an idle connection may bring one more request, whose answer
/// says that it is the last.
///
/// # Errors
/// The listener cannot be used at all. A connection that fails ends by itself.
pub async fn serve(
    listener: std::net::TcpListener,
    options: Options,
    closing: impl Future<Output = Duration>,
    grace: Duration,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(options.limits.connections));
    let door = Arc::new(Door::new(options));
    let router = router_of(&door);
    let (close, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut closing = pin!(closing);
    let patience = loop {
        // A connection beyond the cap waits in the system's queue, not here.
        let accepting = async {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        tokio::select! {
            patience = &mut closing => break patience,
            Some(_) = connections.join_next() => {}
            accepted = accepting => match accepted {
                Ok((stream, permit)) => {
                    let service = TowerToHyperService::new(router.clone());
                    let (door, closed) = (Arc::clone(&door), closed.clone());
                    // From now on, not from its first turn: whoever waits for the last of them must not miss one.
                    let open = Counted::new(&door);
                    connections.spawn(async move {
                        let (_permit, _open) = (permit, open);
                        converse(stream, service, &door, closed).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(REST).await;
                }
            },
        }
    };
    // Whoever may ask once more is served by the program that takes this one's place: the gateway does not stop.
    if patience.is_zero() {
        door.close();
    }
    door.part();
    drop(listener);
    let all = async {
        let gone = async { while connections.join_next().await.is_some() {} };
        // Those who ask once more meanwhile are told in their answers.
        let _ = timeout(patience, gone).await;
        drop(close);
        while connections.join_next().await.is_some() {}
    };
    if timeout(grace, all).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "requests were still under way when the time to finish was over"
        );
    }
    Ok(())
}

async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    door: &Door,
    mut closed: watch::Receiver<()>,
) {
    let limits = &door.options.limits;
    let greeted = tokio::select! {
        greeted = secure(stream, door) => greeted,
        _ = closed.changed() => return,
    };
    let Some(socket) = greeted else { return };
    let peek = socket.peek();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout)
        .max_buf_size(HEAD)
        .serve_connection(Progress::new(TokioIo::new(socket), limits.write_timeout), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = closed.changed() => {
            // A request that has just come is answered, and its answer ends the connection.
            if !peek.is_ok_and(|peek| peek.has_unread()) {
                connection.as_mut().graceful_shutdown();
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the control door ended early");
    }
}

/// Greets a client by TLS where the door has it; one that is not let in is counted.
async fn secure(stream: TcpStream, door: &Door) -> Option<Socket> {
    let Some(tls) = &door.options.tls else { return Some(Socket::new(stream)) };
    wire::socket::refine(&stream);
    let greeting = Box::pin(tls.accept(stream));
    let counts = door.clusters().control();
    match timeout(door.options.limits.read_timeout, greeting).await {
        Ok(Ok(socket)) => return Some(socket),
        Ok(Err((why, error))) => {
            tracing::debug!(reason = why.name(), %error, "a handshake of the control door came to nothing");
            counts.not_let_in(why);
        }
        Err(_) => counts.not_let_in(Refused::TimedOut),
    }
    None
}

/// Counts a connection as open while it lives.
struct Counted(Arc<Door>);

impl Counted {
    fn new(door: &Arc<Door>) -> Self {
        door.clusters().control().connections.fetch_add(1, Relaxed);
        Counted(Arc::clone(door))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clusters().control().connections.fetch_sub(1, Relaxed);
    }
}

/// A connection whose writes fail when the peer takes nothing for so long.
struct Progress<T> {
    io: T,
    limit: Duration,
    alarm: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<T> Progress<T> {
    fn new(io: T, limit: Duration) -> Self {
        Progress { io, limit, alarm: Box::pin(sleep(limit)), waiting: false }
    }

    fn watch<R>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.waiting = false;
            return poll;
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.alarm.as_mut().reset(Instant::now() + self.limit);
        }
        self.alarm.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: Read + Unpin> Read for Progress<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Progress<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, poll)
    }
}
