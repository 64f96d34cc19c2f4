//! The probe against servers on loopback that say a few bytes and wait.

use std::sync::{Arc, Mutex};

use model::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::pool::Protocol;
use super::*;
use crate::http::WebSockets;

/// Answers one connection with these pieces, each written by itself; leaves the connection open when it `lingers`.
async fn server(pieces: Vec<Vec<u8>>, lingers: bool) -> (Pool, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let n = socket.read(&mut request).await.unwrap();
        *heard.lock().unwrap() = String::from_utf8_lossy(&request[..n]).into_owned();
        for piece in pieces {
            // A probe that has read enough has left.
            if socket.write_all(&piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if lingers {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    });
    (Pool::of(Address::new("127.0.0.1", port), Protocol::Http1, None, WebSockets::default()).unwrap(), asked)
}

fn wants(body: &str) -> Probe {
    Probe { path: Some("/up".into()), expect: 200..=299, expect_body: Some(body.into()), host: None }
}

async fn check(probe: &Probe, pieces: &[&[u8]], lingers: bool, expected: Result<(), &str>) {
    let (pool, _) = server(pieces.iter().map(|piece| piece.to_vec()).collect(), lingers).await;
    let result = probe.ask(&pool, Duration::from_millis(500)).await;
    match (result, expected) {
        (Ok(()), Ok(())) => {}
        (Err(failure), Err(words)) => assert!(failure.detail().contains(words), "{failure}"),
        (result, expected) => panic!("{result:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn a_body_must_hold_the_text_wherever_it_was_cut() {
    let probe = wants("\"status\":\"ok\"");
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n".as_slice();
    check(&probe, &[length, b"{\"status\":\"ok\"}"], false, Ok(())).await;
    check(&probe, &[length, b"{\"stat", b"us\":\"ok\"}"], false, Ok(())).await;
    let without = "answered 200 without `\"status\":\"ok\"` in its body";
    check(&probe, &[length, b"{\"status\":\"no\"}"], false, Err(without)).await;
    check(&probe, &[b"HTTP/1.1 204 No Content\r\n\r\n"], false, Err("without")).await;
    check(&probe, &[length, b"{\"status\":"], false, Err("GET /up")).await;
    check(&probe, &[b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nok"], false, Err("answered 503")).await;
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    check(&probe, &[chunked, b"8\r\n{\"status\r\n", b"7\r\n\":\"ok\"}\r\n0\r\n\r\n"], false, Ok(())).await;
    let until_close = b"HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ok\"}".as_slice();
    check(&probe, &[until_close], false, Ok(())).await;
}

#[tokio::test]
async fn no_more_of_a_body_is_read_than_is_needed() {
    let endless = |text: &str| {
        let mut body = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        body.extend_from_slice(text.as_bytes());
        body
    };
    // It stands at the beginning of a body that does not end: nobody waits for its end.
    check(&wants("ready"), &[&endless("ready, and more")], true, Ok(())).await;
    // A body that goes on and on without it is left at 64 KiB.
    let long = endless(&"x".repeat(READ));
    check(&wants("ready"), &[&long], true, Err("without `ready`")).await;
    let late = endless(&format!("{}ready", "x".repeat(READ - 4)));
    check(&wants("ready"), &[&late], true, Err("without `ready`")).await;
    // One that says nothing at all is late.
    check(&wants("ready"), &[&endless("")], true, Err("no answer to the probe within 500 ms")).await;
}

#[tokio::test]
async fn the_host_is_the_one_that_is_said() {
    let answer = || vec![b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()];
    let probe = |host: Option<&str>| Probe {
        path: Some("/up".into()),
        expect: 200..=299,
        expect_body: None,
        host: host.map(Into::into),
    };
    let (pool, asked) = server(answer(), false).await;
    probe(Some("shop.example")).ask(&pool, Duration::from_secs(5)).await.unwrap();
    assert!(asked.lock().unwrap().contains("\r\nHost: shop.example\r\n"), "{asked:?}");
    let (pool, asked) = server(answer(), false).await;
    probe(None).ask(&pool, Duration::from_secs(5)).await.unwrap();
    assert!(asked.lock().unwrap().contains(&format!("\r\nHost: {}\r\n", pool.address())), "{asked:?}");
}
