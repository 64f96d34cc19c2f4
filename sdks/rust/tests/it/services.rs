//! The life of a service that the gateway runs, and what it has said.

use throome_sdk::{Data, Family, LogOptions, Started, Tail};

use crate::server::{Server, Then};

const ENDED: &str =
    r#"{"id":"7","kind":"service.restart","cluster":"shop","service":"db","status":"succeeded"}"#;
const BEGUN: &str = r#"{"id":"8","kind":"service.stop","cluster":"shop","service":"db","status":"running"}"#;

#[tokio::test]
async fn it_is_restarted_stopped_and_started_for_a_reason() {
    let server = Server::new([
        Then::Answer(200, "", ENDED),
        Then::Answer(202, "", BEGUN),
        Then::Answer(200, "", ENDED),
        Then::Answer(200, "", r#"{"name":"db"}"#),
        Then::Answer(503, "", r#"{"code":"busy","retryable":false}"#),
    ]);
    let services = server.client().cluster("shop").services();
    assert_eq!(services.restart("db").await.unwrap().kind, "service.restart");
    let Started::Begun(begun) = services.stop("db").started().await.unwrap() else { panic!() };
    assert_eq!((begun.id.as_str(), begun.has_ended()), ("8", false));
    let because = services.because("a new disk");
    assert_eq!(because.start("a/b").await.unwrap().status, "succeeded");
    because.drain("db").await.unwrap();
    assert_eq!(because.restart("db").await.unwrap_err().attempts(), 1, "it may have been restarted");
    let seen = server.seen();
    let base = "POST /api/v1/clusters/shop/services";
    assert_eq!((&*seen[0].line, &*seen[0].body), (&*format!("{base}/db/restart"), ""));
    assert_eq!(
        (&*seen[1].line, seen[1].header("prefer")),
        (&*format!("{base}/db/stop"), Some("respond-async"))
    );
    assert_eq!(
        (&*seen[2].line, &*seen[2].body),
        (&*format!("{base}/a%2Fb/start"), r#"{"reason":"a new disk"}"#)
    );
    assert_eq!(
        (&*seen[3].line, &*seen[3].body),
        (&*format!("{base}/db/drain"), r#"{"reason":"a new disk"}"#)
    );
}

#[tokio::test]
async fn what_no_cluster_asks_for_is_listed_and_taken_away() {
    let list = r#"{"orphans":[{"provisioner":"p","cluster":"old","service":"db","type":"beta","state":"data kept","has_data":true,
        "gateway":"g","own":true,"new":1}],"count":1,"unseen":[{"provisioner":"q","detail":"away"}]}"#;
    let server = Server::new([list, "{}", "{}", "{}"].map(|body| Then::Answer(200, "", body)));
    let orphans = server.client().orphans();
    let list = orphans.list().await.unwrap();
    assert_eq!((&*list.orphans[0].state, list.orphans[0].own), ("data kept", true));
    assert_eq!(list.unseen[0].detail, "away");
    assert_eq!(orphans.list_after("p/old/db").await.unwrap().next_cursor, None);
    orphans.delete("p", "old", "a/b", Data::Remove).await.unwrap();
    orphans.forced().delete("p", "old", "db", Data::Keep).await.unwrap();
    let lines = [
        "GET /api/v1/orphans?limit=1000",
        "GET /api/v1/orphans?limit=1000&cursor=p%2Fold%2Fdb",
        "DELETE /api/v1/orphans/p/old/a%2Fb",
        "DELETE /api/v1/orphans/p/old/db?keep_data=true&force=true",
    ];
    assert_eq!(server.lines(), lines);
}

fn raw(body: &str) -> Then {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-request-id: r-7\r\ntransfer-encoding: chunked\r\n";
    Then::Raw(format!("{head}\r\n{body}").leak())
}

fn piece(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn what_it_has_said_comes_line_by_line() {
    let all = format!(
        "{}{}0\r\n\r\n",
        piece("2026-01-02T03:04:05.678Z Ready to\taccept\n2026-01-02T03:04:06.000Z \n2026-01-"),
        piece("02T03:04:07.000Z last\n")
    );
    let server = Server::new([raw(&all), raw("0\r\n\r\n")]);
    let services = server.client().cluster("shop").services();
    let mut lines = services.logs("db", &LogOptions::default()).await.unwrap();
    let first = lines.next().await.unwrap().unwrap();
    assert_eq!((&*first.time, &*first.text), ("2026-01-02T03:04:05.678Z", "Ready to\taccept"));
    assert_eq!(lines.next().await.unwrap().unwrap().text, "");
    assert_eq!(lines.next().await.unwrap().unwrap().text, "last");
    assert!(lines.next().await.unwrap().is_none());
    let mut options = LogOptions::default();
    (options.tail, options.since, options.follow) = (Some(Tail::All), Some("10m".to_owned()), true);
    assert!(services.logs("a/b", &options).await.unwrap().next().await.unwrap().is_none());
    let lines = [
        "GET /api/v1/clusters/shop/services/db/logs",
        "GET /api/v1/clusters/shop/services/a%2Fb/logs?tail=all&since=10m&follow=true",
    ];
    assert_eq!(server.lines(), lines);
}

#[tokio::test]
async fn what_was_cut_off_does_not_look_whole() {
    let line = "2026-01-02T03:04:05Z one\n";
    let in_a_line = format!("{}{}0\r\n\r\n", piece(line), piece("2026-01-02T03:04:06Z tw"));
    let server = Server::new([
        raw(&piece(line)),
        raw(&in_a_line),
        Then::Answer(
            409,
            "",
            r#"{"code":"conflict","status":409,"detail":"The gateway does not run `shop/db`."}"#,
        ),
    ]);
    let services = server.client().cluster("shop").services();
    for _ in 0..2 {
        let mut lines = services.logs("db", &LogOptions::default()).await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap().text, "one");
        let error = lines.next().await.unwrap_err();
        assert_eq!((error.family(), error.request_id()), (Family::Connection, Some("r-7")));
    }
    let refused = services.logs("db", &LogOptions::default()).await.unwrap_err();
    assert_eq!((refused.family(), refused.code()), (Family::Conflict, Some("conflict")));
}
