//! The life of services that the gateway runs, and what they have said.

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded};
use crate::terminal::People;

const BEGUN: &str =
    r#"{"id":"7","kind":"service.restart","cluster":"shop","service":"db","status":"running","steps":[]}"#;

const GATEWAY: &[Recorded] = &[
    ("POST /api/v1/clusters/shop/services/db/restart", 202, BEGUN),
    ("POST /api/v1/clusters/shop/services/db/start", 202, r#"{"id":"8","status":"running","steps":[]}"#),
    (
        "POST /api/v1/clusters/shop/services/db/stop",
        200,
        r#"{"id":"7","kind":"service.stop","cluster":"shop","service":"db","status":"succeeded","steps":[]}"#,
    ),
    ("POST /api/v1/clusters/shop/services/db/drain", 200, r#"{"name":"db"}"#),
    (
        "POST /api/v1/clusters/shop/services/far/restart",
        409,
        r#"{"code":"conflict","status":409,"title":"Conflict","detail":"The gateway does not run `shop/far`: it only connects to it."}"#,
    ),
    (
        "GET /api/v1/operations/7/events",
        200,
        concat!(
            "id: 1\nevent: operation\ndata: ",
            r#"{"id":"7","kind":"service.restart","cluster":"shop","service":"db","status":"running","steps":[{"name":"db: stop","action":"stop","status":"running"},{"name":"db: start","action":"start","status":"waiting"}]}"#,
            "\n\nid: 2\nevent: step\ndata: ",
            r#"{"name":"db: stop","action":"stop","status":"done","duration_ms":1200}"#,
            "\n\nid: 3\nevent: end\ndata: ",
            r#"{"id":"7","kind":"service.restart","cluster":"shop","service":"db","status":"succeeded","steps":[{"name":"db: stop","action":"stop","status":"done","duration_ms":1200},{"name":"db: start","action":"start","status":"done","duration_ms":300,"detail":"at 127.0.0.1:5433"}]}"#,
            "\n\n",
        ),
    ),
    (
        "GET /api/v1/operations/7",
        200,
        r#"{"id":"7","kind":"service.restart","cluster":"shop","service":"db","status":"succeeded","steps":[]}"#,
    ),
    (
        "GET /api/v1/operations/8/events",
        200,
        concat!(
            "event: end\ndata: ",
            r#"{"id":"8","kind":"service.start","cluster":"shop","status":"failed","error":{"code":"provision_failed","status":502,"title":"The service could not be started","detail":"its program has ended with code 1."},"steps":[{"name":"db: start","action":"start","status":"failed","duration_ms":2500,"log":["FATAL: no space"]}]}"#,
            "\n\n",
        ),
    ),
    (
        "GET /api/v1/clusters/shop/services/db/logs",
        200,
        "2026-01-02T03:04:05.678Z Ready to\taccept\n2026-01-02T03:04:06.000Z \u{1b}[31mred\n",
    ),
    (
        "GET /api/v1/clusters/shop/services/db/logs?tail=all&since=10m&follow=true",
        200,
        "2026-01-02T03:04:05.678Z all of it\n",
    ),
    (
        "GET /api/v1/clusters/shop/services/db/logs?tail=2",
        200,
        "2026-01-02T03:04:05.678Z one\n2026-01-02T03:04:0",
    ),
];

#[test]
fn a_restart_is_shown_while_it_is_carried_out() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["service", "restart", "shop/db", "--reason", "a new disk"]).ended(0);
    assert_snapshot!(ran.err, @r"
    running  db: stop
    done     db: stop (1.2 s)
    done     db: start (0.3 s): at 127.0.0.1:5433
    `db` answers again
    ");
    assert_eq!(ran.out, "");
    assert_eq!(
        gateway.seen()[0],
        r#"POST /api/v1/clusters/shop/services/db/restart {"reason":"a new disk"}"#
    );
    let ran = gateway.ran(&["service", "restart", "db", "--cluster", "shop", "-q", "-o", "json"]).ended(0);
    assert!(ran.err.is_empty() && ran.out.contains(r#""status": "succeeded""#), "{ran:?}");
    let ran = gateway.ran(&["service", "stop", "shop/db"]).ended(0);
    assert_eq!(ran.err, "`db` is stopped\n", "what is done already is not followed");
    gateway.ran(&["service", "drain", "shop/db", "--reason", "why"]).ended(0);
    assert!(gateway.seen().iter().any(|seen| seen.ends_with(r#"db/drain {"reason":"why"}"#)));
}

#[test]
fn one_that_is_not_waited_for_is_named() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["service", "restart", "shop/db", "--no-wait", "-o", "name"]).ended(0);
    assert_eq!(ran.err, "`db` is being restarted; `throome operation watch 7` shows how far\n");
    assert_eq!(ran.out, "7\n");
    assert_eq!(gateway.seen().len(), 1, "nobody asks how far it is");
}

#[test]
fn a_start_that_fails_is_told_with_its_last_lines() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["service", "start", "shop/db"]).ended(1);
    assert_snapshot!(ran.err, @r"
    failed   db: start (2.5 s)
    last lines of `db: start`:
      | FATAL: no space
    error: The service could not be started
      why:     its program has ended with code 1.
      code:    provision_failed
    ");
    let ran = gateway.ran(&["service", "restart", "shop/far"]).ended(5);
    assert!(ran.err.contains("it only connects to it"), "{}", ran.err);
    gateway.ran(&["service", "restart", "shop/none"]).ended(3);
    gateway.ran(&["service", "restart", "db"]).ended(2);
}

#[test]
fn what_a_service_has_said_is_printed_as_it_is() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["service", "logs", "shop/db"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("Ready to\taccept\n\u{1b}[31mred\n", ""));
    let person = People { read_out: true, ..People::default() };
    let ran = gateway.ran_by(&["service", "logs", "shop/db", "-t"], "", person).ended(0);
    assert_eq!(
        ran.out,
        "2026-01-02T03:04:05.678Z Ready to\taccept\n2026-01-02T03:04:06.000Z \u{fffd}[31mred\n"
    );
    let line = ["service", "logs", "db", "--cluster", "shop", "-f", "--since", "10m", "-o", "json"];
    let ran = gateway.ran(&line).ended(0);
    assert_eq!(ran.out, "{\"time\":\"2026-01-02T03:04:05.678Z\",\"text\":\"all of it\"}\n");
    gateway.ran(&["service", "logs", "shop/db", "-o", "yaml"]).ended(2);
    gateway.ran(&["service", "logs", "shop/db", "--tail", "many"]).ended(2);
    gateway.ran(&["service", "logs", "shop/none"]).ended(3);
}

#[test]
fn a_log_that_was_cut_off_ends_with_a_failure() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["service", "logs", "shop/db", "--tail", "2"]).ended(6);
    assert_eq!(ran.out, "one\n");
    assert_snapshot!(ran.err, @r"
    error: the log was cut off: this is not all of it
      why:     the log ended in the middle of a line
      fix:     `--since 2026-01-02T03:04:05.678Z` goes on from the last line
      request: r-1
    ");
}
