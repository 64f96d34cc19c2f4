//! What is tried again and what is not, seen from the server.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use throome_sdk::{Client, Family};

use crate::server::{Server, Then};

const FOUND: &str = r#"{"key":"k","found":true,"value":"v"}"#;
const BUSY: &str = r#"{"code":"no_endpoint","status":503,"detail":"Nobody can be asked.","retryable":true,"request_id":"r-1"}"#;

#[tokio::test]
async fn a_refused_connection_is_tried_three_times_whatever_the_call() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{free}")).unwrap();
    let error = client.cluster("shop").cache().set("k", "v").await.unwrap_err();
    assert_eq!((error.family(), error.attempts(), error.retryable()), (Family::Connection, 3, true));
    assert_eq!(error.to_string(), format!("no connection to http://{free}: nothing listens there"));
}

#[tokio::test]
async fn a_read_waits_as_long_as_the_gateway_asks_and_succeeds() {
    let server = Server::new([Then::Answer(503, "retry-after: 1\r\n", BUSY), Then::Answer(200, "", FOUND)]);
    let began = Instant::now();
    let value = server.client().cluster("shop").cache().get_text("k").await.unwrap();
    assert_eq!(value.as_deref(), Some("v"));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(server.seen()[1].connection, 0, "the connection was good and is used again");
}

#[tokio::test]
async fn a_write_that_arrived_is_never_sent_twice() {
    for then in [
        Then::Answer(503, "", BUSY),
        Then::Raw("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"key\":"),
        Then::Raw(""),
    ] {
        let server = Server::new([then.clone()]);
        let error = server.client().cluster("shop").cache().set("k", "v").await.unwrap_err();
        assert_eq!((error.attempts(), server.seen().len()), (1, 1), "{then:?}: {error}");
    }
}

#[tokio::test]
async fn a_read_that_broke_in_its_body_is_read_again() {
    let server = Server::new([
        Then::Raw("HTTP/1.1 200 OK\r\ncontent-length: 50\r\nx-request-id: r-9\r\n\r\n{\"key\":"),
        Then::Answer(200, "", FOUND),
    ]);
    assert!(server.client().cluster("shop").cache().get("k").await.unwrap().is_some());

    let server =
        Server::new([Then::Raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-request-id: r-9\r\n\r\n{")]);
    let error = server.client().with_retries(0).health().await.unwrap_err();
    assert_eq!((error.family(), error.request_id()), (Family::Connection, Some("r-9")));
}

#[tokio::test]
async fn an_open_breaker_and_a_long_wait_fail_at_once() {
    const OPEN: &str = r#"{"code":"breaker_open","status":503,"detail":"Open.","retryable":true}"#;
    for (headers, body) in [("retry-after: 1\r\n", OPEN), ("retry-after: 3600\r\n", BUSY)] {
        let server = Server::new([Then::Answer(503, headers, body)]);
        let error = server.client().cluster("shop").health().await.unwrap_err();
        assert_eq!((error.family(), error.attempts()), (Family::Unavailable, 1));
        assert!(error.retry_after().is_some());
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    const STORED: &str = r#"{"key":"k","stored":true}"#;
    let server = Server::new([Then::AnswerAndClose(STORED), Then::Answer(200, "", STORED)]);
    let cache = server.client().with_retries(0).cluster("shop").cache();
    cache.set("k", "1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    cache.set("k", "2").await.unwrap();
    assert_eq!(server.seen()[1].connection, 1);
}

#[tokio::test]
async fn silence_ends_after_the_time_for_one_try() {
    let silence = || Then::Silence(Duration::from_secs(5));
    let server = Server::new([silence(), silence()]);
    let client = server.client().with_timeout(Duration::from_millis(50)).with_retries(1);
    let error = client.clusters().list().all().await.unwrap_err();
    assert_eq!((error.family(), error.attempts(), server.seen().len()), (Family::Timeout, 2, 2));
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_so() {
    let server = Server::new([Then::Raw("-ERR unknown command 'POST'\r\n")]);
    let error = server.client().cluster("shop").cache().set("k", "v").await.unwrap_err();
    assert_eq!(
        (error.family(), error.detail()),
        (Family::Protocol, "what answers there does not speak HTTP")
    );
}

#[tokio::test]
async fn the_observer_sees_every_try_and_no_secret() {
    let server = Server::new([
        Then::Answer(503, "", BUSY),
        Then::Answer(200, "x-request-id: r-2\r\n", r#"{"found":false}"#),
    ]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&told);
    let client = server.client().with_token("canary").with_observer(move |attempt| {
        let whole = format!("{attempt:?}");
        assert!(!whole.contains("canary"), "{whole}");
        ears.lock().unwrap().push((
            attempt.path.to_owned(),
            attempt.number,
            attempt.status,
            attempt.request_id.map(str::to_owned),
        ));
    });
    let _ = client.cluster("shop").cache().ttl("canary").await.unwrap();
    let path = || "/api/v1/clusters/shop/cache/ttl".to_owned();
    let expected =
        [(path(), 1, Some(503), Some("r-1".to_owned())), (path(), 2, Some(200), Some("r-2".to_owned()))];
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer canary"));
    assert!(!format!("{client:?}").contains("canary"));
}
