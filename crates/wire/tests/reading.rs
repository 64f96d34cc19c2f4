//! Heads of requests as they come over a socket: in any parts, with what follows, and too large.

use std::time::Duration;

use throome_wire::http1::server::read_head;
use throome_wire::http1::{HeadLimits, RequestHead};
use throome_wire::{Alarm, Error};
use tokio::io::AsyncWriteExt;

use crate::requests::{LINES, facts, refusal};
use crate::support::{listener, pair, run};

/// What `read_head` makes of bytes that a client sends in these parts, and what it leaves in the inbox.
async fn over_a_socket(listener: &tokio::net::TcpListener, parts: &[&[u8]]) -> (String, usize) {
    let (mut conn, mut peer) = pair(listener).await;
    let (mut head, mut alarm) = (RequestHead::default(), Alarm::default());
    let limit = Duration::from_secs(5);
    let reading = read_head(&mut conn, &mut head, HeadLimits::default(), &mut alarm, limit);
    let writing = async {
        for part in parts {
            // Refused early, the rest may find nobody.
            let _ = peer.write_all(part).await;
            tokio::task::yield_now().await;
        }
    };
    let (read, ()) = tokio::join!(reading, writing);
    match read {
        Ok(()) => (facts(&head), conn.inbox.len()),
        Err(Error::Malformed(_)) => ("!".to_owned(), 0),
        Err(error) => (refusal(&error), 0),
    }
}

#[test]
fn parts_on_a_socket_make_no_difference() {
    run(async {
        let listener = listener().await;
        for (bytes, want) in LINES {
            let want = if want.starts_with('!') { "!" } else { want };
            let bytes = bytes.as_bytes();
            for cut in 0..bytes.len() {
                let (said, left) = over_a_socket(&listener, &[&bytes[..cut], &bytes[cut..]]).await;
                assert_eq!((said.as_str(), left), (want, 0), "{} cut at {cut}", bytes.escape_ascii());
            }
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            let (said, _) = over_a_socket(&listener, &each).await;
            assert_eq!(said, want, "{} byte by byte", bytes.escape_ascii());
        }
    });
}

#[test]
fn what_follows_a_head_stays_where_it_is() {
    run(async {
        let listener = listener().await;
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
        let (said, left) = over_a_socket(&listener, &[head.as_bytes(), b"GET /next"]).await;
        assert_eq!(said, "GET / host=a 1.1 none keep");
        assert!(left == 9 || left == 0, "{left}");
        let together = [head.as_bytes(), b"GET /next"].concat();
        let (_, left) = over_a_socket(&listener, &[&together]).await;
        assert_eq!(left, 9);
        let bomb = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(70_000));
        let (said, _) = over_a_socket(&listener, &[bomb.as_bytes()]).await;
        assert_eq!(said, "! HeadTooLarge");
    });
}
