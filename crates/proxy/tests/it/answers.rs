//! A door whose requests are answered and not routed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use model::{Code, Failure};
use store::Store;
use throome_proxy::{Answering, Calls, Door, Limits, Options, serve_core};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::Body;
use wire::body::Frames;

use crate::listen;

/// Answers by path: `/echo` the body, `/no` a refusal, `/frames` three frames, `/cut` one and a break,
/// `/endless` one and then nothing, `/slow` never.
#[derive(Default)]
struct Answers {
    dropped: Arc<AtomicBool>,
}

struct Pieces {
    left: VecDeque<Option<Bytes>>,
    endless: bool,
    dropped: Arc<AtomicBool>,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.dropped.store(true, Relaxed);
    }
}

impl Frames for Pieces {
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, wire::Error>>> {
        match self.left.pop_front() {
            Some(Some(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(None) => Poll::Ready(Some(Err(wire::Error::Truncated))),
            None if self.endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Calls for Answers {
    fn admit(&self, head: &mut http::request::Parts) -> Result<(), Failure> {
        match head.uri.path() {
            "/no" => Err(Failure::client(Code::Unauthenticated, "Who?")),
            _ => Ok(()),
        }
    }

    fn call(&self, request: http::Request<Bytes>, _: clusters::RequestId) -> Answering<'_> {
        Box::pin(async move {
            let pieces = |left: Vec<Option<Bytes>>, endless| {
                let dropped = Arc::clone(&self.dropped);
                Body::Frames(Box::pin(Pieces { left: left.into(), endless, dropped }), Bytes::new())
            };
            let large = Bytes::from(vec![b'#'; 100_000]);
            let mut response = http::Response::new(match request.uri().path() {
                "/frames" => pieces(vec![Some("one".into()), Some(large), Some("three".into())], false),
                "/cut" => pieces(vec![Some("one".into()), None], false),
                "/endless" => pieces(vec![Some("data: 1\n\n".into())], true),
                "/slow" => {
                    let _guard =
                        Pieces { left: [].into(), endless: true, dropped: Arc::clone(&self.dropped) };
                    std::future::pending().await
                }
                _ => Body::Full(request.into_body()),
            });
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            response
        })
    }
}

async fn door(limits: Limits) -> (SocketAddr, Arc<AtomicBool>) {
    let dir = tempfile::TempDir::new().unwrap();
    let options = clusters::Options {
        dir: dir.path().to_owned(),
        store: Store::in_memory().unwrap(),
        data_dir: dir.path().join(".throome"),
        listeners: Default::default(),
        provisioning: clusters::Provisioning::default(),
    };
    let clusters = clusters::Clusters::open(options).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Answers::default();
    let dropped = Arc::clone(&answers.dropped);
    let options = Options { limits, body_setting: "a.setting", ..Options::default() };
    let door = Door::answering(clusters, options, Arc::new(answers));
    tokio::spawn(serve_core(listener, door, std::future::pending(), Duration::ZERO));
    (address, dropped)
}

async fn say(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    listen(&mut stream, 300).await
}

#[tokio::test]
async fn bodies_come_and_go_whole() {
    let (address, _) = door(Limits { body: 1000, ..Limits::default() }).await;
    let echo = say(address, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(echo.starts_with("HTTP/1.1 200 OK\r\ndate: ") && echo.ends_with("\r\n\r\nhello"), "{echo}");
    assert!(echo.contains("content-length: 5\r\n"), "{echo}");
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let two = say(address, &format!("{chunked}GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(two.matches("HTTP/1.1 200").count(), 2, "{two}");
    assert!(two.contains("\r\n\r\nabcdeHTTP/1.1"), "{two}");
    let head = say(address, "HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(head.contains("content-length: 2\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for large in [
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n".to_owned(),
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}",
            "x".repeat(2000)
        ),
    ] {
        let refused = say(address, &large).await;
        assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("`a.setting`"), "{refused}");
    }
    let no = say(address, "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n").await;
    assert!(no.starts_with("HTTP/1.1 401") && no.contains("www-authenticate: Bearer"), "{no}");
    assert!(no.contains("x-content-type-options: nosniff\r\n"), "{no}");
    let expects = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(expects.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    assert!(listen(&mut stream, 300).await.ends_with("\r\n\r\nhi"));
}

#[tokio::test]
async fn frames_are_chunks_and_a_break_is_never_an_end() {
    let (address, _) = door(Limits::default()).await;
    let whole = say(address, "GET /frames HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        whole.contains("transfer-encoding: chunked\r\n") && whole.contains("\r\n3\r\none\r\n"),
        "{:.400}",
        whole
    );
    assert!(whole.contains("\r\n186a0\r\n###") && whole.ends_with("\r\n5\r\nthree\r\n0\r\n\r\n"));
    assert_eq!(whole.matches('#').count(), 100_000);
    let old = say(address, "GET /frames HTTP/1.0\r\n\r\n").await;
    assert!(old.contains("connection: close\r\n") && old.ends_with("three") && !old.contains("chunked"));
    let cut = say(address, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(cut.contains("3\r\none\r\n") && !cut.contains("\r\n0\r\n\r\n"), "{cut}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /cut HTTP/1.0\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let reset = stream.read_to_end(&mut all).await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset, "{}", String::from_utf8_lossy(&all));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_answer_along() {
    for request in ["GET /endless HTTP/1.1\r\nHost: a\r\n\r\n", "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let (address, dropped) = door(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!dropped.load(Relaxed), "{request}");
        // With something unread the system closes by a reset.
        stream.write_all(b"").await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if dropped.load(Relaxed) {
                break;
            }
        }
        assert!(dropped.load(Relaxed), "{request}");
    }
}
