//! Changes that take a while: begun by a command, watched, listed, cancelled.

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded};
use crate::terminal::People;

const RUNNING: &str = r#"{"id":"7","kind":"cluster.create","cluster":"shop","status":"running","created_at":"2026-01-02T03:04:05Z","actor":"api","steps":[{"name":"cache: pull","action":"pull","status":"waiting"}]}"#;

const FAILED: &str = r#"{"id":"8","kind":"cluster.create","cluster":"shop","status":"failed","created_at":"2026-01-02T03:04:05Z","ended_at":"2026-01-02T03:04:09Z","duration_ms":4000,"actor":"api","request_id":"r-1","error":{"code":"timeout","status":504,"title":"The service took too long to answer","detail":"db did not answer within 60 s."},"steps":[{"name":"db: start","service":"db","action":"start","status":"undone","duration_ms":1500},{"name":"db: ready","service":"db","action":"ready","status":"failed","duration_ms":2500,"detail":"db did not answer within 60 s.","log":["FATAL: no space","shutting \u001b[31mdown"]}]}"#;

const GATEWAY: &[Recorded] = &[
    ("POST /api/v1/clusters", 202, RUNNING),
    (
        "GET /api/v1/operations/7/events",
        200,
        concat!(
            "id: 1\nevent: operation\ndata: ",
            r#"{"id":"7","kind":"cluster.create","cluster":"shop","status":"running","steps":[{"name":"cache: pull","action":"pull","status":"waiting"}]}"#,
            "\n\nid: 2\nevent: step\ndata: ",
            r#"{"name":"cache: pull","action":"pull","status":"running","done_bytes":5000000,"total_bytes":9000000}"#,
            "\n\nid: 3\nevent: step\ndata: ",
            r#"{"name":"cache: pull","action":"pull","status":"running","done_bytes":8000000,"total_bytes":9000000}"#,
            "\n\nid: 4\nevent: end\ndata: ",
            r#"{"id":"7","kind":"cluster.create","cluster":"shop","status":"succeeded","steps":[{"name":"cache: pull","action":"pull","status":"done","duration_ms":1200,"done_bytes":9000000,"total_bytes":9000000}]}"#,
            "\n\n",
        ),
    ),
    ("GET /api/v1/clusters/shop", 200, r#"{"id":"shop","name":"Shop","services":{}}"#),
    ("GET /api/v1/operations/7", 200, RUNNING),
    ("GET /api/v1/operations/8", 200, FAILED),
    (
        "GET /api/v1/operations/8/events",
        200,
        concat!(
            "event: end\ndata: ",
            r#"{"id":"8","kind":"cluster.create","cluster":"shop","status":"failed","error":{"code":"timeout","status":504,"title":"The service took too long to answer","detail":"db did not answer within 60 s."},"steps":[{"name":"db: ready","action":"ready","status":"failed","duration_ms":2500,"detail":"no answer","log":["FATAL: no space"]}]}"#,
            "\n\n",
        ),
    ),
    (
        "GET /api/v1/operations/9/events",
        200,
        concat!(
            "event: end\ndata: ",
            r#"{"id":"9","kind":"cluster.create","cluster":"shop","status":"canceled","error":{"code":"conflict","detail":"canceled by api"},"steps":[]}"#,
            "\n\n",
        ),
    ),
    ("DELETE /api/v1/operations/7", 202, RUNNING),
    (
        "GET /api/v1/operations?cluster=shop&status=failed&limit=50",
        200,
        r#"{"operations":[{"id":"8","kind":"cluster.create","cluster":"shop","status":"failed","created_at":"2026-01-02T03:04:05Z","duration_ms":64000,"actor":"api","steps":[{"name":"a","action":"x","status":"done"},{"name":"b","action":"x","status":"failed"}]}],"count":1,"next_cursor":null}"#,
    ),
];

#[test]
fn a_cluster_that_takes_a_while_is_shown_while_it_does() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["cluster", "create", "--name", "Shop"]).ended(0);
    assert_eq!(ran.err, "running  cache: pull\ndone     cache: pull (1.2 s)\ncreated cluster `shop`\n");
    assert_eq!(ran.out, "");
    let ran = gateway.ran(&["cluster", "create", "--name", "Shop", "--quiet", "-o", "name"]).ended(0);
    assert_eq!((ran.err.as_str(), ran.out.as_str()), ("", "shop\n"));
    let shop = "cluster_id: new\nservices: {}\n";
    let ran = gateway.ran_by(&["apply", "-"], shop, People::default()).ended(0);
    assert!(ran.err.ends_with("created cluster `shop`\n") && ran.err.starts_with("running"), "{}", ran.err);

    let person = People { read_err: true, ..People::default() };
    let ran =
        gateway.ran_by(&["cluster", "create", "--name", "Shop", "--color", "never"], "", person).ended(0);
    let pictures: Vec<&str> = ran.err.split("\u{1b}[J").collect();
    assert!(pictures[0].ends_with("\r\u{1b}[2Kwaiting  cache: pull\n"), "{pictures:?}");
    assert!(pictures[1].starts_with("\u{1b}[1A\r\u{1b}[2Krunning  cache: pull"), "{pictures:?}");
    assert!(pictures.iter().any(|picture| picture.contains("8.0 MB of 9.0 MB")), "{pictures:?}");
    assert_eq!(pictures.last().unwrap(), &"created cluster `shop`\n");
    assert!(pictures[pictures.len() - 2].contains("done     cache: pull      1.2 s  9.0 MB"), "{pictures:?}");
}

#[test]
fn one_that_fails_is_told_with_its_last_lines() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["operation", "watch", "8"]).ended(7);
    assert_snapshot!(ran.err, @r"
    failed   db: ready (2.5 s): no answer
    last lines of `db: ready`:
      | FATAL: no space
    error: The service took too long to answer
      why:     db did not answer within 60 s.
      code:    timeout
    ");
    let ran = gateway.ran(&["operation", "watch", "9"]).ended(1);
    assert_snapshot!(ran.err, @"error: the operation `9` was canceled");
    let ran = gateway.ran(&["operation", "watch", "8", "-o", "json"]).ended(7);
    assert!(ran.out.contains(r#""status": "failed""#), "{ran:?}");
    gateway.ran(&["operation", "watch", "none"]).ended(3);
    let ran = gateway.ran(&["operation", "watch", "7", "-q"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
}

#[test]
fn they_are_listed_shown_and_canceled() {
    let gateway = Gateway::new(GATEWAY);
    let list = ["operation", "list", "--status", "failed", "--cluster", "shop", "--no-headers"];
    let ran = gateway.ran(&list).ended(0);
    assert!(ran.out.starts_with("8  cluster.create  shop  -  failed  1/2  "), "{}", ran.out);
    assert!(ran.out.ends_with("  1 m 4 s\n"), "{}", ran.out);
    let ran = gateway.ran(&["operation", "get", "8"]).ended(0);
    assert_snapshot!(ran.out, @r"
    Operation:  8
    Kind:       cluster.create
    Cluster:    shop
    Service:    -
    Status:     failed
    Created:    2026-01-02T03:04:05Z
    Took:       4.0 s
    By:         api
    Why:        db did not answer within 60 s.

    STEP       STATUS  TOOK   DETAIL
    db: start  undone  1.5 s  -
    db: ready  failed  2.5 s  db did not answer within 60 s.

    last lines of `db: ready`:
      | FATAL: no space
      | shutting �[31mdown
    ");
    let ran = gateway.ran(&["operations", "cancel", "7", "-o", "json"]).ended(0);
    assert!(ran.err.contains("`throome operation watch 7`") && ran.out.contains("\"status\": \"running\""));
    gateway.ran(&["operation", "list", "--status", "over"]).ended(2);
}
