//! What passes, and how it is rewritten on the way.

use throome_proxy::Limits;
use tokio::io::AsyncWriteExt;

use crate::{Act, Service, World, listen};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_is_said_anew_with_what_is_ours_to_say() {
    let service = Service::new(vec![Act::Head, Act::Say(OK)]).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    let answer = world
        .ask(
            "GET /a?b=c HTTP/1.1\r\nHost: Shop.example:8080\r\nX-Mine: 1\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
             X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nTE: gzip\r\n\
             X-Request-Id: r-1\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(answer.contains("X-Request-Id: r-1\r\n") && answer.contains("Connection: close\r\n"), "{answer}");
    assert_eq!(
        service.seen(),
        ["GET /a?b=c HTTP/1.1\r\nHost: Shop.example:8080\r\nX-Mine: 1\r\nX-Forwarded-For: 127.0.0.1\r\n\
          X-Forwarded-Proto: http\r\nX-Forwarded-Host: Shop.example:8080\r\n\
          Forwarded: for=127.0.0.1;host=\"Shop.example:8080\";proto=http\r\nX-Request-Id: r-1\r\n\r\n"]
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn_on_one_connection_each_way() {
    let service = Service::new(vec![Act::Head, Act::Say(OK)]).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer =
        world.ask(&format!("{one}{one}GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert_eq!(service.seen().len(), 3);
}

#[tokio::test]
async fn a_head_is_answered_without_a_body_and_the_next_refusal_has_one() {
    let service =
        Service::new(vec![Act::Head, Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")]).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    let answer =
        world.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    let (first, second) = answer.split_once("\r\n\r\n").unwrap();
    assert!(first.contains("Content-Length: 5"), "{first}");
    assert!(second.starts_with("HTTP/1.1 400") && second.contains("more than one Host"), "{second}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_before_it_sends() {
    let play = vec![Act::Head, Act::Say("HTTP/1.1 100 Continue\r\n\r\n"), Act::Body(5), Act::Say(OK)];
    let service = Service::new(play).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    let mut stream = world.connect().await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(listen(&mut stream, 200).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert!(listen(&mut stream, 200).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_answer_without_an_end_of_its_own_gets_one() {
    let service = Service::new(vec![Act::Head, Act::Say("HTTP/1.1 200 OK\r\n\r\nhello"), Act::Close]).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    let answer = world.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        answer.contains("Transfer-Encoding: chunked") && answer.ends_with("5\r\nhello\r\n0\r\n\r\n"),
        "{answer}"
    );
    let old = world.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(old.contains("Connection: close") && old.ends_with("\r\n\r\nhello"), "{old}");
}

#[tokio::test]
async fn paths_that_two_readers_could_differ_on_never_leave() {
    let service = Service::new(vec![Act::Head, Act::Say(OK)]).await;
    let world = World::new(&[&service], serde_json::json!({}), Limits::default()).await;
    for path in ["/../x", "/a/%2e%2e/b", "/a%2fb", "/a%5Cb", "/a;b", "/a%00"] {
        let answer = world.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert!(service.seen().is_empty());
}
