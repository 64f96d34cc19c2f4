//! What a service held, in files that come and go.

use throome_sdk::{Family, Started};

use crate::server::{Server, Then};

const BACKUP: &str = r#"{"id":"b1","cluster":"shop","service":"db","kind":"alpha","format":"dump","origin":"backup","bytes":5,
    "sha256":"aa","created_at":"2026-01-02T03:04:05Z","new":1}"#;
const LIST: &str = r#"{"backups":[{"id":"b2","origin":"upload"},{"id":"b1"}],"count":2}"#;
const ENDED: &str =
    r#"{"id":"7","kind":"service.backup","cluster":"shop","service":"db","status":"succeeded"}"#;
const BEGUN: &str =
    r#"{"id":"8","kind":"service.restore","cluster":"shop","service":"db","status":"running"}"#;

#[tokio::test]
async fn they_are_made_listed_put_back_and_deleted() {
    let server = Server::new([
        Then::Answer(200, "", LIST),
        Then::Answer(200, "", BACKUP),
        Then::Answer(200, "", ENDED),
        Then::Answer(202, "", BEGUN),
        Then::Answer(200, "", ENDED),
        Then::Answer(200, "", r#"{"id":"b1","deleted":true}"#),
    ]);
    let services = server.client().cluster("shop").services();
    let backups = services.backups("db");
    let list = backups.list().all().await.unwrap();
    assert_eq!((list.len(), &*list[0].id, &*list[0].origin), (2, "b2", "upload"));
    let one = backups.get("b1").await.unwrap();
    assert_eq!((&*one.format, one.bytes, &*one.sha256), ("dump", 5, "aa"));
    assert_eq!(backups.create().await.unwrap().status, "succeeded");
    let Started::Begun(begun) = backups.restore("b1", Some("old/db")).started().await.unwrap() else {
        panic!()
    };
    assert_eq!(begun.kind, "service.restore");
    services.because("a slip").backups("a/b").restore("b1", None).await.unwrap();
    backups.delete("b1").await.unwrap();
    let seen = server.seen();
    let said: Vec<(&str, &str)> = seen.iter().map(|seen| (&*seen.line, &*seen.body)).collect();
    let base = "/api/v1/clusters/shop/services";
    let expected = [
        (format!("GET {base}/db/backups"), ""),
        (format!("GET {base}/db/backups/b1"), ""),
        (format!("POST {base}/db/backups"), ""),
        (format!("POST {base}/db/restore"), r#"{"backup":"b1","from":"old/db"}"#),
        (format!("POST {base}/a%2Fb/restore"), r#"{"backup":"b1","reason":"a slip"}"#),
        (format!("DELETE {base}/db/backups/b1"), ""),
    ];
    assert_eq!(said, expected.each_ref().map(|(line, body)| (&**line, *body)));
}

#[tokio::test]
async fn a_file_comes_whole_or_says_that_it_does_not() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 6\r\n\r\n";
    let server = Server::new([
        Then::Raw(format!("{head}abcdef").leak()),
        Then::Raw(format!("{head}abc").leak()),
        Then::Answer(404, "", r#"{"code":"not_found","status":404}"#),
    ]);
    let backups = server.client().cluster("shop").services().backups("db");
    let mut file = backups.download("b1").await.unwrap();
    assert_eq!(file.length(), Some(6));
    let mut whole = Vec::new();
    while let Some(piece) = file.next().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole, b"abcdef");
    let mut file = backups.download("b1").await.unwrap();
    let error = loop {
        match file.next().await {
            Ok(piece) => assert!(piece.is_some(), "what was cut looks whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.family(), Family::Connection);
    assert_eq!(backups.download("none").await.unwrap_err().family(), Family::NotFound);
}

#[tokio::test]
async fn a_file_is_sent_as_it_is_read_and_once() {
    let server = Server::new([
        Then::Answer(200, "", LIST),
        Then::Answer(201, "", BACKUP),
        Then::Answer(200, "", LIST),
        Then::Answer(409, "", r#"{"code":"conflict","status":409,"detail":"It is there."}"#),
        Then::Answer(404, "", r#"{"code":"not_found","status":404}"#),
        Then::Answer(200, "", LIST),
    ]);
    let backups = server.client().cluster("shop").services().backups("db");
    let text = "x".repeat(200_000);
    let kept = backups.upload("b1", std::io::Cursor::new(text.clone().into_bytes())).await.unwrap();
    assert_eq!(kept.id, "b1");
    let refused = backups.upload("b1", &b"short"[..]).await.unwrap_err();
    assert_eq!((refused.family(), refused.attempts()), (Family::Conflict, 1));
    let missing = backups.upload("b1", &b"short"[..]).await.unwrap_err();
    assert_eq!(missing.family(), Family::NotFound, "nothing was sent");
    // A source that fails breaks the request off.
    let broken = backups.upload("b1", Broken).await.unwrap_err();
    assert_eq!(broken.family(), Family::Connection);
    let seen = server.seen();
    assert_eq!(seen[1].line, "PUT /api/v1/clusters/shop/services/db/backups/b1/file");
    assert_eq!(seen[1].header("content-type"), Some("application/octet-stream"));
    assert!(seen[1].body == text, "all of it has come");
    assert_eq!(seen.len(), 6, "{:?}", server.lines());
}

/// A file on a disk that cannot be read.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("the disk")))
    }
}
