//! The traffic door on real sockets, before services that say exactly what a test tells them to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod answers;
mod judged;
mod walks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use store::Store;
use tempfile::TempDir;
use throome_proxy::{Door, Limits, Options, serve_core};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A service: what it was sent on each connection, and what it says to each.
struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// One act of a service's answer.
#[derive(Clone)]
enum Act {
    /// Reads until the head is whole.
    Head,
    /// Reads so many bytes more.
    Body(usize),
    Say(&'static str),
    Close,
    /// Closes the first connection that comes so far, and no other.
    CloseFirst,
    /// Says nothing more, and keeps the connection.
    Freeze,
}

impl Service {
    /// A service that plays this on every connection, over and over.
    async fn new(play: Vec<Act>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(act(stream, play.clone(), Arc::clone(&book)));
            }
        });
        Service { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn act(mut stream: TcpStream, play: Vec<Act>, book: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    loop {
        for act in &play {
            match act {
                Act::Head => {
                    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    book.lock().unwrap().push(String::from_utf8_lossy(&read).into_owned());
                    read.clear();
                }
                Act::Body(length) => {
                    while read.len() < *length {
                        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    read.clear();
                }
                Act::Say(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                }
                Act::Close => return,
                Act::CloseFirst if book.lock().unwrap().len() == 1 => return,
                Act::CloseFirst => {}
                Act::Freeze => std::future::pending().await,
            }
        }
    }
}

/// A door before some endpoints.
struct World {
    clusters: clusters::Clusters,
    door: SocketAddr,
    _dir: TempDir,
}

impl World {
    async fn new(services: &[&Service], routing: serde_json::Value, limits: Limits) -> World {
        let dir = TempDir::new().unwrap();
        let store = Store::in_memory().unwrap();
        let options = clusters::Options {
            dir: dir.path().to_owned(),
            store,
            data_dir: dir.path().join(".throome"),
            listeners: Default::default(),
            provisioning: clusters::Provisioning::default(),
        };
        let clusters = clusters::Clusters::open(options).await.unwrap();
        let endpoints: Vec<_> = services
            .iter()
            .map(
                |service| json!({ "host": service.address.ip().to_string(), "port": service.address.port() }),
            )
            .collect();
        let body = json!({
            "cluster_id": "c", "name": "C",
            "services": { "web": { "type": "http", "endpoints": endpoints } },
            "routes": [ { "id": "all", "path": "/*", "service": "web" } ],
            "routing": routing,
            "health": { "enabled": false },
        });
        let by = clusters::By { actor: "api".into(), request_id: None };
        clusters.create(&body, by).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(clusters.clone(), Options { limits, ..Options::default() });
        tokio::spawn(serve_core(listener, door, std::future::pending(), Duration::ZERO));
        World { clusters, door: address, _dir: dir }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.door).await.unwrap()
    }

    /// Says this and reads until the door closes or has said nothing for a second.
    async fn ask(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        listen(&mut stream, 1000).await
    }

    fn facts(&self) -> model::view::ServiceFacts {
        self.clusters.service_facts("c", "web").unwrap()
    }
}

async fn listen(stream: &mut TcpStream, quiet_ms: u64) -> String {
    let mut heard = Vec::new();
    while let Ok(Ok(1..)) =
        tokio::time::timeout(Duration::from_millis(quiet_ms), stream.read_buf(&mut heard)).await
    {}
    String::from_utf8_lossy(&heard).into_owned()
}
