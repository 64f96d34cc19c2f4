//! Streams of messages over real sockets: ends that are told, clients that stop reading or go, and the end of the
//! gateway.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::served::{connect, served};

const SOON: Duration = Duration::from_secs(15);

/// One call on a connection of its own.
fn call(address: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = connect(address);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn at(call: &str) -> String {
    format!("/api/v1/clusters/shop/queue/{call}")
}

fn create_shop(address: SocketAddr) {
    let document =
        json!({ "name": "Shop", "cluster_id": "shop", "services": { "events": { "type": "log" } } });
    let (status, body) = call(address, "POST", "/api/v1/clusters", &document);
    assert_eq!(status, 201, "{body}");
}

fn publish(address: SocketAddr, topic: &str, messages: &[Value]) {
    let (status, body) =
        call(address, "POST", &at("publish"), &json!({ "topic": topic, "messages": messages }));
    assert_eq!(status, 200, "{body}");
}

fn consume(address: SocketAddr, query: &str) -> TcpStream {
    let mut stream = connect(address);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", at(&format!("consume?{query}")));
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Reads until a word has come.
fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(word) {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed before `{word}`: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

/// Everything up to the end, however it ends.
fn read_rest(stream: &mut TcpStream) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 65536]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(all).unwrap()
}

fn wait_for_consumers(address: SocketAddr, topic: &str, count: usize) {
    let deadline = Instant::now() + SOON;
    loop {
        let (_, groups) = call(address, "GET", &at(&format!("groups?topic={topic}")), &Value::Null);
        let found = groups["groups"][0]["consumers"].as_array().map_or(0, Vec::len);
        if found == count {
            return;
        }
        assert!(Instant::now() < deadline, "{groups}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_arrives_before_the_cut_and_a_good_end_is_whole() {
    let served = served(Duration::from_secs(1), |_| {}).await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        create_shop(address);
        publish(address, "t", &[json!({ "message": "a" })]);
        let mut stream = consume(address, "topic=t&group=g");
        read_until(&mut stream, "\"value\":\"a\"");
        assert_eq!(call(address, "DELETE", &at("topics/t"), &Value::Null).0, 200);
        let rest = read_rest(&mut stream);
        assert!(rest.contains("event: error") && rest.contains("\"code\":\"not_found\""), "{rest}");
        assert!(!rest.ends_with("0\r\n\r\n"), "a cut stream does not look whole: {rest}");

        publish(address, "t", &[json!({ "message": "a" })]);
        let mut stream = consume(address, "topic=t&group=g&wait_ms=0&format=ndjson");
        let whole = read_until(&mut stream, "\r\n0\r\n\r\n");
        assert!(whole.contains("\"value\":\"a\""), "{whole}");
    })
    .await
    .unwrap();
    drop(served.close);
    served.done.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_or_takes_nothing_is_let_go() {
    let served = served(Duration::from_secs(1), |options| {
        options.limits.write_timeout = Duration::from_millis(500);
    })
    .await;
    let address = served.address;
    tokio::task::spawn_blocking(move || {
        create_shop(address);
        publish(address, "quiet", &[json!({ "message": "a" })]);
        let mut quiet = consume(address, "topic=quiet&group=g");
        read_until(&mut quiet, "event: message");
        wait_for_consumers(address, "quiet", 1);
        drop(quiet);
        wait_for_consumers(address, "quiet", 0);

        // More than the buffers of a socket hold, and more than its frame.
        let large = json!({ "message": "x".repeat(200_000) });
        for _ in 0..20 {
            publish(address, "t", &vec![large.clone(); 4]);
        }
        let stalled = consume(address, "topic=t&group=g&credit=10000");
        wait_for_consumers(address, "t", 1);
        let mut other = consume(address, "topic=t&group=other&credit=1");
        read_until(&mut other, "event: message");
        // It takes nothing, and is let go.
        wait_for_consumers(address, "t", 0);
        drop(stalled);
    })
    .await
    .unwrap();
    drop(served.close);
    served.done.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_holds_up_nobody_who_stops_the_gateway() {
    let served = served(Duration::from_secs(10), |_| {}).await;
    let address = served.address;
    let mut stream = tokio::task::spawn_blocking(move || {
        create_shop(address);
        publish(address, "t", &[json!({ "message": "a" })]);
        let mut stream = consume(address, "topic=t&group=g");
        read_until(&mut stream, "event: message");
        stream
    })
    .await
    .unwrap();
    let began = Instant::now();
    served.close.send(()).unwrap();
    served.done.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(
        tokio::task::spawn_blocking(move || read_rest(&mut stream)).await.unwrap().ends_with("0\r\n\r\n")
    );
}
