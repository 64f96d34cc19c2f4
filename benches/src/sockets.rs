//! Thousands of WebSockets, both ends of them: a service that holds what comes, clients that wait for its word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::backend::websocket::{KEY, accepted};

/// Opened at once.
const TOGETHER: usize = 50;
/// A text of a hundred bytes, in a frame.
const TEXT: usize = 100;

/// Both ends.
#[derive(Debug)]
pub struct Sockets {
    clients: Vec<TcpStream>,
    services: Vec<TcpStream>,
    arrivals: UnboundedReceiver<TcpStream>,
}

impl Sockets {
    /// The service, which listens there from now on and answers whatever asks for no WebSocket with 200.
    pub async fn listen(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (opened, arrivals) = unbounded_channel();
        tokio::spawn(accept(listener, opened));
        Ok(Self { clients: Vec::new(), services: Vec::new(), arrivals })
    }

    /// Opens more through a proxy, until there are so many.
    pub async fn open(&mut self, proxy: SocketAddr, count: usize) -> anyhow::Result<()> {
        while self.clients.len() < count {
            let mut opening = JoinSet::new();
            for _ in 0..TOGETHER.min(count - self.clients.len()) {
                opening.spawn(open(proxy));
            }
            while let Some(opened) = opening.join_next().await {
                self.clients.push(opened??);
            }
        }
        while self.services.len() < count {
            self.services.push(self.arrivals.recv().await.context("the service is gone")?);
        }
        Ok(())
    }

    /// The microseconds from the first byte of a message to all clients until the last of them has heard it.
    pub async fn broadcast(&mut self) -> anyhow::Result<u128> {
        let frame: Arc<[u8]> = [&[0x81, TEXT as u8][..], &[b'b'; TEXT]].concat().into();
        let mut hearing = JoinSet::new();
        for mut client in self.clients.drain(..) {
            let frame = Arc::clone(&frame);
            hearing.spawn(async move {
                let mut heard = [0; TEXT + 2];
                client.read_exact(&mut heard).await?;
                ensure!(heard[..] == frame[..], "another message was heard");
                Ok(client)
            });
        }
        tokio::task::yield_now().await;
        let began = Instant::now();
        for service in &mut self.services {
            service.write_all(&frame).await?;
        }
        while let Some(heard) = hearing.join_next().await {
            self.clients.push(heard??);
        }
        Ok(began.elapsed().as_micros())
    }

    /// Lets go of all.
    pub fn close(&mut self) {
        self.clients.clear();
        self.services.clear();
    }
}

async fn accept(listener: TcpListener, opened: UnboundedSender<TcpStream>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let opened = opened.clone();
        tokio::spawn(async move {
            while let Ok(head) = read_head(&mut stream).await {
                let Some(answer) = accepted(&head) else {
                    let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(plain).await.is_err() {
                        return;
                    }
                    continue;
                };
                if stream.write_all(answer).await.is_ok() {
                    // Nobody is left to take it when the program ends.
                    let _ = opened.send(stream);
                }
                return;
            }
        });
    }
}

async fn open(proxy: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let asked = format!(
        "GET /ws HTTP/1.1\r\nHost: {proxy}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await?;
    let head = read_head(&mut stream).await?;
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "no upgrade: {:?}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// A head to its end, beyond which nothing is sent yet.
async fn read_head(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read_buf(&mut head).await?;
        ensure!(read > 0, "closed after {:?}", String::from_utf8_lossy(&head));
    }
    Ok(head)
}
