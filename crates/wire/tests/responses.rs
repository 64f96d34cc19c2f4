//! Heads of responses: how a body ends by status, method and version, and what is refused.

use std::time::Duration;

use throome_wire::http1::client::poll_head;
use throome_wire::http1::{Framing, HeadLimits, ResponseHead};
use throome_wire::{Alarm, Error};
use tokio::io::AsyncWriteExt;

use crate::requests::refusal;
use crate::support::{listener, pair, run};

fn facts(head: &ResponseHead) -> String {
    let framing = match head.framing {
        Framing::None => "none".to_owned(),
        Framing::Length(n) => format!("length={n}"),
        Framing::Chunked => "chunked".to_owned(),
        Framing::UntilClose => "until-close".to_owned(),
    };
    let keep = if head.keep_alive { " keep" } else { "" };
    let reason = String::from_utf8_lossy(head.reason());
    format!("{} {reason:?} 1.{} {framing}{keep}", head.status, head.minor)
}

fn judge(bytes: &[u8], to_head: bool) -> String {
    let mut head = ResponseHead::default();
    match head.parse(bytes, HeadLimits::default(), to_head) {
        Ok(Some(length)) => {
            assert_eq!(length, bytes.len());
            facts(&head)
        }
        Ok(None) => "…".to_owned(),
        Err(error) => refusal(&error),
    }
}

fn check(to_head: bool, rows: &[(&str, &str)]) {
    for (bytes, want) in rows {
        assert_eq!(judge(bytes.as_bytes(), to_head), *want, "{bytes:?}");
        for cut in 0..bytes.len() {
            let part = judge(&bytes.as_bytes()[..cut], to_head);
            let fits = part == "…" || (part.starts_with('!') && want.starts_with('!'));
            assert!(fits, "{bytes:?} cut at {cut}: {part}");
        }
    }
}

const ROWS: &[(&str, &str)] = &[
    // RFC 9112 4: the reason is optional in practice, the version and three digits are not.
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", r#"200 "OK" 1.1 length=3 keep"#),
    ("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n", r#"200 "" 1.1 length=3 keep"#),
    ("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", r#"200 "" 1.1 length=3 keep"#),
    ("HTTP/1.1 200 Not bad, is it\r\nContent-Length: 0\r\n\r\n", r#"200 "Not bad, is it" 1.1 length=0 keep"#),
    ("HTTP/1.1 20 OK\r\n\r\n", "! a status that is not three digits"),
    ("HTTP/1.1 2000 OK\r\n\r\n", "! a status that is not three digits"),
    ("HTTP/1.1 2x0 OK\r\n\r\n", "! a status that is not three digits"),
    ("HTTP/1.1 099 Low\r\n\r\n", "! a status below 100"),
    ("HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n", r#"999 "High" 1.1 length=0 keep"#),
    ("HTTP/2.0 200 OK\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("ICY 200 OK\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("HTTP/1.1  200 OK\r\n\r\n", "! a status that is not three digits"),
    ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "! an empty line before a response"),
    ("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "! a line end without CR"),
    ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", "! a field name that is not a token"),
    ("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", "! a field name that is not a token"),
    ("HTTP/1.1 200 O\0K\r\n\r\n", "! a status that is not three digits"),
    // RFC 9112 6.3: how the body ends.
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", r#"200 "OK" 1.1 chunked keep"#),
    ("HTTP/1.1 200 OK\r\n\r\n", r#"200 "OK" 1.1 until-close"#),
    ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", r#"200 "OK" 1.1 until-close"#),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "! Transfer-Encoding beside Content-Length",
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "! a Transfer-Encoding other than chunked"),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "! Transfer-Encoding in HTTP/1.0"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "! more than one Content-Length"),
    ("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "! a Content-Length that is not a number"),
    // Bodiless statuses: what claims a body all the same is not asked again.
    ("HTTP/1.1 204 No Content\r\n\r\n", r#"204 "No Content" 1.1 none keep"#),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", r#"204 "No Content" 1.1 none keep"#),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", r#"204 "No Content" 1.1 none"#),
    ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", r#"204 "No Content" 1.1 none"#),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", r#"304 "Not Modified" 1.1 none keep"#),
    ("HTTP/1.1 304 Not Modified\r\n\r\n", r#"304 "Not Modified" 1.1 none keep"#),
    ("HTTP/1.1 100 Continue\r\n\r\n", r#"100 "Continue" 1.1 none keep"#),
    ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", r#"103 "Early Hints" 1.1 none keep"#),
    (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        r#"101 "Switching Protocols" 1.1 none keep"#,
    ),
    ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", r#"100 "Continue" 1.1 none"#),
    // RFC 9112 9.3, by version.
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", r#"200 "OK" 1.1 length=3"#),
    ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", r#"200 "OK" 1.0 length=3"#),
    (
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n",
        r#"200 "OK" 1.0 length=3 keep"#,
    ),
    ("HTTP/1.0 200 OK\r\n\r\n", r#"200 "OK" 1.0 until-close"#),
];

#[test]
fn answers() {
    check(false, ROWS);
}

#[test]
fn answers_to_head_have_no_body() {
    check(
        true,
        &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", r#"200 "OK" 1.1 none keep"#),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", r#"200 "OK" 1.1 none keep"#),
            ("HTTP/1.1 200 OK\r\n\r\n", r#"200 "OK" 1.1 none keep"#),
            ("HTTP/1.0 200 OK\r\n\r\n", r#"200 "OK" 1.0 none"#),
        ],
    );
    let mut head = ResponseHead::default();
    head.parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HeadLimits::default(), true).unwrap();
    assert_eq!(head.length, Some(3), "the length is still told to the client");
}

#[test]
fn a_reason_that_is_not_ascii_is_left_out() {
    let mut head = ResponseHead::default();
    let bytes = b"HTTP/1.1 200 sch\xf6n\r\nContent-Length: 0\r\n\r\n";
    assert!(matches!(head.parse(bytes, HeadLimits::default(), false), Ok(Some(_))));
    assert_eq!(head.reason(), b"");
}

#[test]
fn event_streams_are_known_by_their_type() {
    for (value, is) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("text/event-strea", false),
        ("text/html", false),
    ] {
        let mut head = ResponseHead::default();
        let bytes = format!("HTTP/1.1 200 OK\r\nContent-Type: {value}\r\n\r\n");
        head.parse(bytes.as_bytes(), HeadLimits::default(), false).unwrap();
        assert_eq!(head.is_stream(), is, "{value}");
    }
}

/// What `poll_head` makes of bytes that a service sends in these parts before it closes.
async fn over_a_socket(listener: &tokio::net::TcpListener, parts: &[&[u8]]) -> String {
    let (mut conn, mut peer) = pair(listener).await;
    let (mut head, mut alarm) = (ResponseHead::default(), Alarm::default());
    alarm.set_after(Duration::from_secs(5));
    let reading = alarm.guard(|cx| poll_head(&mut conn, cx, &mut head, HeadLimits::default(), false));
    let writing = async {
        for part in parts {
            let _ = peer.write_all(part).await;
            tokio::task::yield_now().await;
        }
        drop(peer);
    };
    let (read, ()) = tokio::join!(reading, writing);
    match read {
        Ok(()) => facts(&head),
        Err(Error::Malformed(_)) => "!".to_owned(),
        Err(error) => refusal(&error),
    }
}

#[test]
fn parts_on_a_socket_make_no_difference() {
    run(async {
        let listener = listener().await;
        for (bytes, want) in ROWS {
            let want = if want.starts_with('!') { "!" } else { want };
            let bytes = bytes.as_bytes();
            for cut in (0..bytes.len()).step_by(3) {
                let said = over_a_socket(&listener, &[&bytes[..cut], &bytes[cut..]]).await;
                assert_eq!(said, want, "{} cut at {cut}", bytes.escape_ascii());
            }
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(over_a_socket(&listener, &each).await, want, "{} byte by byte", bytes.escape_ascii());
        }
        assert_eq!(over_a_socket(&listener, &[]).await, "! Closed");
        assert_eq!(over_a_socket(&listener, &[b"HTTP/1.1 200 OK\r\n"]).await, "! Truncated");
    });
}
