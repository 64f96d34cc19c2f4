//! Thousands of WebSockets through a gateway, both ends of them: `throome-e2e-service crowd DOOR PORT COUNT` is a service on
//! that port that accepts every WebSocket and holds it, and the clients, who hold theirs.
//!
//! It answers each line of its input: `open` opens all, the first of them alone for `open first`; `broadcast` has the
//! service say one message to each and says in how many microseconds all had heard it.

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Opened at once.
const TOGETHER: usize = 100;
/// A text of a hundred bytes.
const TEXT: usize = 100;

pub(crate) fn run(door: SocketAddr, port: u16, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (accepted, mut arrivals) = unbounded_channel();
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port))).unwrap();
    runtime.spawn(accept(listener, accepted));
    let (mut clients, mut services) = (Vec::new(), Vec::new());
    crate::say("ready");
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "open first" => runtime.block_on(open(door, 1, &mut clients)),
            "open" => runtime.block_on(open(door, count, &mut clients)),
            "broadcast" => {
                let micros = runtime.block_on(broadcast(&mut clients, &mut services, &mut arrivals));
                crate::say(&micros.to_string());
                continue;
            }
            other => panic!("{other}?"),
        }
        crate::say("ok");
    }
}

async fn accept(listener: TcpListener, accepted: UnboundedSender<TcpStream>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let accepted = accepted.clone();
        tokio::spawn(async move {
            read_head(&mut stream).await;
            let agreed =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(agreed.as_bytes()).await.unwrap();
            accepted.send(stream).unwrap();
        });
    }
}

/// Opens as many as are missing.
async fn open(door: SocketAddr, count: usize, clients: &mut Vec<TcpStream>) {
    while clients.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..TOGETHER.min(count - clients.len()) {
            opening.spawn(async move {
                let mut stream = TcpStream::connect(door).await.unwrap();
                let asked = "GET /ws HTTP/1.1\r\nHost: crowd.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                stream.write_all(asked.as_bytes()).await.unwrap();
                let head = read_head(&mut stream).await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                stream
            });
        }
        clients.append(&mut opening.join_all().await);
    }
}

/// A head to its end, beyond which nothing is sent yet.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0, "closed after {}", head.escape_ascii());
    }
    String::from_utf8(head).unwrap()
}

/// Until the last client has heard, to the byte, what the service says to all of them.
async fn broadcast(
    clients: &mut Vec<TcpStream>,
    services: &mut Vec<TcpStream>,
    arrivals: &mut UnboundedReceiver<TcpStream>,
) -> u128 {
    while services.len() < clients.len() {
        services.push(arrivals.recv().await.unwrap());
    }
    let frame: Arc<[u8]> = [&[0x81, u8::try_from(TEXT).unwrap()][..], &[b'b'; TEXT]].concat().into();
    let mut hearing = JoinSet::new();
    for mut client in clients.drain(..) {
        let frame = Arc::clone(&frame);
        hearing.spawn(async move {
            let mut heard = [0; TEXT + 2];
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard[..], &frame[..]);
            client
        });
    }
    tokio::task::yield_now().await;
    let began = Instant::now();
    for service in services.iter_mut() {
        service.write_all(&frame).await.unwrap();
    }
    clients.append(&mut hearing.join_all().await);
    began.elapsed().as_micros()
}
