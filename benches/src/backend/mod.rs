//! The service behind the proxies: reads HTTP/1.1 requests, pipelined or not, and gives fixed answers, as fast as
//! one core does. It is no general server: it understands Content-Length bodies and nothing else. Beside it stand an
//! echo of WebSocket messages, events for all who listen, and methods of gRPC on a port of their own.

pub mod events;
pub mod grpc;
pub mod websocket;

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer heads are refused by closing: nothing measured here sends more.
const LARGEST_HEAD: usize = 64 * 1024;

/// The fixed answers, made once.
#[derive(Debug)]
struct Answers {
    small: Bytes,
    large: Bytes,
    listeners: events::Listeners,
}

/// Serves until the task is dropped. `/64k` answers 64 KiB, `/headers` the request's own head, `/events` what all
/// listeners are told, and every other path 200 bytes; WebSockets are echoed. Must run inside a `LocalSet`, since all
/// connections share one thread's answers.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let listeners = events::Listeners::default();
    tokio::task::spawn_local(listeners.clone().tell());
    let (small, large) = (whole_answer(&[b'x'; 200]), whole_answer(&[b'x'; 64 * 1024]));
    let answers = Rc::new(Answers { small, large, listeners });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Rc::clone(&answers);
        tokio::task::spawn_local(async move {
            // A client that goes away in the middle is its own business: the connection ends with it.
            let _ = converse(stream, &answers).await;
        });
    }
}

async fn converse(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut input = BytesMut::with_capacity(16 * 1024);
    // Bytes of a request body that are still to come and to be dropped.
    let mut unread_body = 0usize;
    loop {
        let dropped = unread_body.min(input.len());
        let _ = input.split_to(dropped);
        unread_body -= dropped;
        if unread_body == 0
            && let Some(end) = memchr::memmem::find(&input, b"\r\n\r\n")
        {
            let head = input.split_to(end + 4);
            if path(&head) == events::PATH {
                return answers.listeners.take(stream).await;
            }
            if let Some(accepted) = websocket::accepted(&head) {
                stream.write_all(accepted).await?;
                return websocket::echo(stream, input).await;
            }
            unread_body = content_length(&head);
            stream.write_all(&answer_to(&head, answers)).await?;
            continue;
        }
        if input.len() > LARGEST_HEAD {
            return Ok(());
        }
        input.reserve(4096);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

fn answer_to(head: &[u8], answers: &Answers) -> Bytes {
    match path(head) {
        b"/64k" => answers.large.clone(),
        b"/headers" => whole_answer(head),
        _ => answers.small.clone(),
    }
}

fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .filter(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .find_map(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
        .unwrap_or(0)
}

fn whole_answer(body: &[u8]) -> Bytes {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat().into()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::client::{Connection, get};

    /// Runs the backend on its own thread, for as long as the test process lives.
    fn start() -> SocketAddr {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                serve(listener).await.unwrap();
            });
        });
        receiver.recv().unwrap()
    }

    #[test]
    fn paths_have_their_sizes_on_one_connection() {
        let address = start();
        let mut connection = Connection::open(address).unwrap();
        for (path, size) in [("/200b", 200), ("/64k", 65_536), ("/any/thing", 200), ("/64k", 65_536)] {
            let answer = connection.exchange(&get(address, path)).unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, size), "{path}");
        }
    }

    #[test]
    fn a_request_body_is_dropped_and_not_taken_for_a_request() {
        let address = start();
        let mut connection = Connection::open(address).unwrap();
        let post =
            b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 28\r\n\r\nGET /64k HTTP/1.1\r\nHost: x\r\n";
        let answer = connection.exchange(post).unwrap();
        assert_eq!(answer.body.len(), 200);
        let head = connection.exchange(&get(address, "/headers")).unwrap();
        assert_eq!(head.body, get(address, "/headers"));
    }
}
