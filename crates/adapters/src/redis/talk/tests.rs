//! One connection with a server that says what a test wants: order, callers that leave, what breaks when.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::link::Link;
use super::super::room::Room;
use super::*;

fn pair(buffer: usize) -> (Arc<Link>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    (Arc::new(Link::new(ours, Room::new(1).take().unwrap())), theirs)
}

fn get(key: &str) -> Cmd {
    let mut get = cmd("GET");
    get.arg(key);
    get
}

fn asked(link: &Arc<Link>, key: &str) -> tokio::task::JoinHandle<Result<Value, Broke>> {
    let (link, get) = (Arc::clone(link), get(key));
    tokio::spawn(async move { link.ask(&get, &mut Space::of(1000)).await })
}

/// Waits until the server has heard of this.
async fn hears(server: &mut DuplexStream, what: &str) {
    let mut heard = String::new();
    while !heard.contains(what) {
        let mut room = [0; 512];
        let count = server.read(&mut room).await.unwrap();
        assert_ne!(count, 0, "{what} never came");
        heard.push_str(&String::from_utf8_lossy(&room[..count]));
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

#[tokio::test]
async fn each_has_its_own_answer_also_when_others_leave() {
    let (link, mut server) = pair(4096);
    let first = asked(&link, "first");
    hears(&mut server, "first").await;
    let leaves = asked(&link, "leaves");
    hears(&mut server, "leaves").await;
    leaves.abort();
    let mut both = redis::Pipeline::new();
    both.add_command(get("third")).add_command(get("fourth"));
    let pipeline = tokio::spawn({
        let link = Arc::clone(&link);
        async move { link.ask_all(&both, &mut Space::of(1000)).await }
    });
    hears(&mut server, "fourth").await;
    server.write_all(b"$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n-ERR no\r\n").await.unwrap();
    assert_eq!(first.await.unwrap(), Ok(text("1")));
    let answers = pipeline.await.unwrap().unwrap();
    assert_eq!(answers[0], text("3"));
    assert!(matches!(&answers[1], Value::ServerError(refusal) if refusal.code() == "ERR"));
    assert!(link.usable());
}

#[tokio::test]
async fn what_never_left_is_told_from_what_may_have() {
    let (link, server) = pair(16);
    let begun = asked(&link, "the first, of which a part is written");
    tokio::task::yield_now().await;
    let large = asked(&link, &"x".repeat(WRITE));
    let outside = asked(&link, "behind it");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(server);
    assert!(begun.await.unwrap().unwrap_err().sent);
    assert!(!large.await.unwrap().unwrap_err().sent);
    assert!(!outside.await.unwrap().unwrap_err().sent);
    assert!(!link.usable());
    assert!(!asked(&link, "too late").await.unwrap().unwrap_err().sent);
}

#[tokio::test]
async fn who_waits_behind_what_is_too_large_is_answered() {
    let (link, mut server) = pair(1 << 16);
    let large = asked(&link, "large");
    hears(&mut server, "large").await;
    let behind = asked(&link, "behind");
    hears(&mut server, "behind").await;
    server.write_all(&[b"$5000\r\n", &[b'x'; 5000][..], b"\r\n$1\r\n1\r\n"].concat()).await.unwrap();
    assert_eq!(large.await.unwrap(), Ok(too_large()));
    assert_eq!(behind.await.unwrap(), Ok(text("1")));
    assert!(link.usable(), "all of it was read");
}

#[tokio::test]
async fn what_is_too_large_and_kept_nobody_waiting_is_not_read() {
    let (link, mut server) = pair(1 << 16);
    let large = asked(&link, "large");
    hears(&mut server, "large").await;
    server.write_all(b"*1000000\r\n").await.unwrap();
    assert_eq!(large.await.unwrap(), Ok(too_large()));
    assert!(!link.usable(), "the next one finds another connection");
    let mut room = [0; 8];
    let end = tokio::time::timeout(Duration::from_secs(1), server.read(&mut room)).await;
    assert_eq!(end.expect("it is closed").unwrap(), 0);
}

#[tokio::test]
async fn the_answers_of_a_pipeline_share_their_space() {
    let (link, mut server) = pair(1 << 16);
    let mut four = redis::Pipeline::new();
    for key in ["a", "b", "c", "d"] {
        four.add_command(get(key));
    }
    let pipeline = tokio::spawn({
        let link = Arc::clone(&link);
        async move {
            let mut space = Space::of(1000);
            (link.ask_all(&four, &mut space).await, space)
        }
    });
    hears(&mut server, "d\r\n").await;
    let of = |size: usize| [format!("${size}\r\n").into_bytes(), vec![b'x'; size], b"\r\n".to_vec()].concat();
    server.write_all(&[of(600), of(600), of(300), of(600)].concat()).await.unwrap();
    let (answers, mut space) = pipeline.await.unwrap();
    let fits = |answer: &Value| matches!(answer, Value::BulkString(_));
    assert_eq!(answers.unwrap().iter().map(fits).collect::<Vec<_>>(), [true, false, true, false]);
    assert!(space.take(100) && !space.take(1));
}

#[tokio::test]
async fn a_server_that_hangs_up_says_why() {
    let (link, mut server) = pair(4096);
    server.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!link.usable());
    let (link, mut server) = pair(4096);
    let waits = asked(&link, "k");
    hears(&mut server, "k").await;
    server.write_all(b"nonsense\r\n").await.unwrap();
    let broke = waits.await.unwrap().unwrap_err();
    assert!(broke.sent && broke.why.contains("protocol"), "{broke:?}");
}
