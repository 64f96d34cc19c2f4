//! Who is at fault when something goes wrong, and what follows for the endpoint.

use std::time::{Duration, Instant};

use serde_json::json;
use throome_proxy::Limits;
use tokio::io::AsyncWriteExt;

use crate::{Act, Service, World, listen};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn short() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        body_timeout: 3 * second,
        stream_timeout: 2 * second,
        write_timeout: second,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_trial_that_becomes_a_stream_does_not_hold_the_breaker() {
    // It breaks its first answer, and is well from then on, with answers that never end.
    let play = vec![Act::Head, Act::CloseFirst, Act::Say(STREAM), Act::Freeze];
    let service = Service::new(play).await;
    let breaker = json!({ "reset_timeout": "100ms", "failure_threshold": 1, "trials": 1 });
    let world = World::new(&[&service], json!({ "circuit_breaker": breaker }), short()).await;
    world.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    assert!(world.facts().reason.contains("closed the connection"), "{}", world.facts().reason);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.facts().breaker, "half-open");
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = world.connect().await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert!(listen(&mut stream, 300).await.starts_with("HTTP/1.1 200"));
        streams.push(stream);
    }
    assert_eq!(world.facts().breaker, "closed");
}

#[tokio::test]
async fn a_silent_service_costs_a_post_no_more_than_its_time() {
    let service = Service::new(vec![Act::Head, Act::Freeze]).await;
    let world = World::new(&[&service], json!({ "timeout_ms": 400 }), short()).await;
    let began = Instant::now();
    let answer =
        world.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(
        began.elapsed() < Duration::from_millis(2300),
        "{:?} with the wait for the close",
        began.elapsed()
    );
}

#[tokio::test]
async fn an_upload_that_takes_longer_than_the_timeout_is_nobodys_fault() {
    let service = Service::new(vec![Act::Head, Act::Body(4), Act::Say(OK)]).await;
    let world = World::new(&[&service], json!({ "timeout_ms": 300 }), short()).await;
    let mut stream = world.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(b"x").await.unwrap();
    }
    assert!(listen(&mut stream, 500).await.starts_with("HTTP/1.1 200"));
    assert_eq!(world.facts().verdict, "serving");
}

#[tokio::test]
async fn a_service_that_never_says_100_is_late_and_not_its_client() {
    let service = Service::new(vec![Act::Head, Act::Freeze]).await;
    let world = World::new(&[&service], json!({ "timeout_ms": 300 }), short()).await;
    let answer =
        world.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_slowly_cannot_set_an_endpoint_aside() {
    let play = vec![
        Act::Head,
        Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        Act::Body(3),
        Act::Say("done"),
    ];
    let (service, other) = (Service::new(play.clone()).await, Service::new(play).await);
    let world = World::new(&[&service, &other], json!({}), short()).await;
    let mut stream = world.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let answer = listen(&mut stream, 500).await;
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(world.facts().rotation, "in");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_and_its_endpoint_set_aside() {
    let slow = vec![Act::Head, Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345"), Act::Freeze];
    let (service, other) = (Service::new(slow.clone()).await, Service::new(slow).await);
    let world = World::new(&[&service, &other], json!({}), short()).await;
    let began = Instant::now();
    let mut stream = world.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let answer = listen(&mut stream, 3000).await;
    assert!(answer.ends_with("12345"), "what came is passed on: {answer}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let facts = world.facts();
    assert_eq!(facts.rotation, "ejected");
    assert!(facts.reason.contains("too slowly"), "{}", facts.reason);
}

#[tokio::test]
async fn a_stream_with_nothing_to_say_is_ended_and_no_fault() {
    let play = vec![Act::Head, Act::Say(STREAM), Act::Say("3\r\nabc\r\n"), Act::Freeze];
    let (service, other) = (Service::new(play.clone()).await, Service::new(play).await);
    let world = World::new(&[&service, &other], json!({}), short()).await;
    let mut stream = world.connect().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let answer = listen(&mut stream, 4000).await;
    assert!(answer.ends_with("3\r\nabc\r\n"), "it is cut, not ended as if whole: {answer}");
    assert_eq!(world.facts().rotation, "in");
}

#[tokio::test]
async fn a_cut_answer_never_ends_as_if_whole() {
    let play = vec![
        Act::Head,
        Act::Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Act::Close,
    ];
    let service = Service::new(play).await;
    let world = World::new(&[&service], json!({}), short()).await;
    let answer = world.ask(GET).await;
    assert!(answer.ends_with("5\r\nhello\r\n"), "{answer}");
    // An HTTP/1.0 client knows the end by the close alone: it gets a reset.
    let mut stream = world.connect().await;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let ended = loop {
        match tokio::io::AsyncReadExt::read_buf(&mut stream, &mut read).await {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error.kind()),
        }
    };
    assert_eq!(ended, Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_service_that_says_more_than_it_announced_is_set_aside() {
    let play = vec![
        Act::Head,
        Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nstranger"),
    ];
    let (service, other) = (Service::new(play.clone()).await, Service::new(play).await);
    let world = World::new(&[&service, &other], json!({}), short()).await;
    let answer = world.ask(GET).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(world.facts().rotation, "ejected");
}

#[tokio::test]
async fn a_get_goes_to_another_endpoint_when_one_breaks_before_its_answer() {
    let broken = Service::new(vec![Act::Head, Act::Close]).await;
    let fine = Service::new(vec![Act::Head, Act::Say(OK)]).await;
    let world = World::new(&[&broken, &fine], json!({}), short()).await;
    for _ in 0..4 {
        assert!(
            world
                .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }
    let posted =
        world.ask("POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let twice = [&broken, &fine].iter().flat_map(|s| s.seen()).filter(|seen| seen.contains("/once")).count();
    assert_eq!(twice, 1, "a POST whose bytes have left is sent once, whatever came of it: {posted}");
}
