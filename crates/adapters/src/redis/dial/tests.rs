//! What a connection begins with, against servers that know less than those of today.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::room::Room;
use super::*;

/// A server that gives these answers one after the other, each to a read; and says at last what it was told.
async fn scripted(answers: &'static [&'static str]) -> (Address, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
    let told = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut told = String::new();
        for answer in answers {
            let mut room = [0; 1024];
            let count = stream.read(&mut room).await.unwrap();
            told.push_str(&String::from_utf8_lossy(&room[..count]));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        told
    });
    (address, told)
}

fn dialer() -> Dialer {
    let password = Some(Secret::new("canary"));
    Dialer::new(Login { username: Some("app".into()), password, database: 2 }, None)
}

async fn dial(dialer: &Dialer, address: &Address) -> Result<Link, Refusal> {
    let permit = Room::new(1).take().unwrap();
    dialer.dial(address, Speak::Newest, permit).await
}

#[tokio::test]
async fn the_third_version_says_all_at_once() {
    let (address, told) = scripted(&["%1\r\n+server\r\n+redis\r\n", "+OK\r\n"]).await;
    dial(&dialer(), &address).await.unwrap();
    let told = told.await.unwrap();
    for word in ["HELLO", "AUTH", "app", "canary", "SETNAME", "throome", "SELECT"] {
        assert!(told.contains(word), "{word} in {told}");
    }
}

#[tokio::test]
async fn a_server_without_it_is_spoken_to_in_the_second() {
    let unknown =
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `app`, `canary`, \r\n";
    let answers: &'static [&'static str] = Box::leak(Box::new([unknown, "+OK\r\n", "+OK\r\n", "+OK\r\n"]));
    let (address, told) = scripted(answers).await;
    let dialer = dialer();
    dial(&dialer, &address).await.unwrap();
    assert!(told.await.unwrap().contains("*3\r\n$4\r\nAUTH\r\n$3\r\napp"));
    assert!(dialer.old.load(Relaxed), "the next connection begins with the second");
}

#[tokio::test]
async fn a_server_that_repeats_what_it_was_sent_is_not_quoted() {
    let echo = "-ERR unknown command `AUTH`, with args beginning with: `app`, `canary`, \r\n";
    let answers: &'static [&'static str] = Box::leak(Box::new(["-NOPROTO no\r\n", echo]));
    let (address, _told) = scripted(answers).await;
    let failure = dial(&dialer(), &address).await.err().unwrap().failure();
    assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
    let failure = dial(&dialer(), &address).await.err().unwrap().failure();
    assert_eq!((failure.code(), failure.retryable()), (model::Code::Timeout, true), "{failure}");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_said() {
    let nowhere = Address::new("no-such-host.invalid", 6379);
    let failure = dial(&dialer(), &nowhere).await.err().unwrap().failure();
    assert!(failure.detail().starts_with("no-such-host.invalid:6379: "), "{failure}");
}
