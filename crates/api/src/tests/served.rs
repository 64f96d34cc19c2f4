//! The door with real sockets: heads that come slowly, many connections, and the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::options;
use crate::{Options, serve};

pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) close: oneshot::Sender<()>,
    pub(super) done: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

pub(super) async fn served(grace: Duration, change: impl FnOnce(&mut Options)) -> Served {
    let (mut options, dir) = options().await;
    change(&mut options);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (close, closed) = oneshot::channel();
    let closing = async move {
        drop(closed.await);
        Duration::ZERO
    };
    let done = tokio::spawn(serve(listener, options, closing, grace));
    Served { address, close, done, _dir: dir }
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn health(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with('}') {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_and_ends_when_told() {
    let served = served(Duration::from_secs(5), |_| {}).await;
    let address = served.address;
    let mut stream = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        assert!(health(&mut stream).starts_with("HTTP/1.1 200 OK"));
        assert!(health(&mut stream).contains("\"status\":\"healthy\""), "the connection stays");
        stream
    })
    .await
    .unwrap();
    let began = Instant::now();
    served.close.send(()).unwrap();
    served.done.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "an idle connection holds nobody up");
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "and is closed");
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_head_is_cut_off_and_a_slow_request_when_the_time_is_over() {
    let served = served(Duration::from_millis(200), |options| {
        options.limits.read_timeout = Duration::from_millis(300);
    })
    .await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(b"GET /health HTTP/1.1\r\nHos").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
        // A head that is too large.
        let mut stream = connect(address);
        let mut head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Large: ".to_vec();
        head.resize(100 << 10, b'a');
        let _ = stream.write_all(&head);
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    })
    .await
    .unwrap();
    // A body that does not come holds the end up for the grace and no longer.
    let stalled = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream
            .write_all(b"POST /api/v1/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            .unwrap();
        stream
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    served.close.send(()).unwrap();
    served.done.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_cap_wait() {
    let served = served(Duration::from_millis(100), |options| options.limits.connections = 1).await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let mut first = connect(address);
        assert!(health(&mut first).contains("control 1"));
        let mut second = connect(address);
        second.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        second.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(second.read(&mut [0; 10]).is_err(), "nobody answers yet");
        drop(first);
        second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = [0; 12];
        second.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    })
    .await
    .unwrap();
    drop(served.close);
    served.done.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_leave_room_for_whoever_looks() {
    let (mut options, _dir) = options().await;
    options.limits.connections = 4;
    let gateway = crate::router(options);
    let ask = async |method: &str, path: &str, body: &'static str| {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(axum::body::Body::from(body))
            .unwrap();
        tower::ServiceExt::oneshot(gateway.clone(), request).await.unwrap()
    };
    let made = r#"{"name":"Shop","cluster_id":"shop","services":{"queue":{"type":"log","path":":memory:"}}}"#;
    assert_eq!(ask("POST", "/api/v1/clusters", made).await.status(), 201);
    let publish = r#"{"topic":"t","message":"m"}"#;
    assert_eq!(ask("POST", "/api/v1/clusters/shop/queue/publish", publish).await.status(), 200);
    let consume = "/api/v1/clusters/shop/queue/consume?topic=t&group=g";
    let (first, second) = (ask("GET", consume, "").await, ask("GET", consume, "").await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(ask("GET", consume, "").await.status(), 503);
    assert_eq!(ask("GET", "/health", "").await.status(), 200);
    drop(first);
    assert_eq!(ask("GET", consume, "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_is_let_go() {
    let served = served(Duration::from_millis(100), |options| {
        options.limits.write_timeout = Duration::from_millis(300);
    })
    .await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        let mut stalled = connect(address);
        // More than any socket buffer holds.
        let ask = b"GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for _ in 0..20 {
            stalled.write_all(ask).unwrap();
        }
        // While it takes nothing, the door lets go of it: it finds the beginning of its answers and no more.
        std::thread::sleep(Duration::from_secs(1));
        let (mut found, mut buffer) = (0, vec![0; 1 << 20]);
        while let Ok(n @ 1..) = stalled.read(&mut buffer) {
            found += n;
        }
        assert!(found < 20 * 1_500_000, "all was kept for it");
        let mut other = connect(address);
        assert!(health(&mut other).contains("control 1"));
    })
    .await
    .unwrap();
    drop(served.close);
    served.done.await.unwrap().unwrap();
}
