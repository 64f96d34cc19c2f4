//! `token`: the token alone on standard output, all that is said of it on standard error.

use serde_json::Value;

use super::gateway::{Gateway, Recorded};

const TOKENS: &[Recorded] = &[
    (
        "POST /api/v1/tokens",
        201,
        r#"{"token":"thr_canary","id":"3","name":"cache","role":"operator","service":"shop/hot","status":"active",
            "created_at":"2026-01-02T03:04:05Z","expires_at":"2026-02-01T03:04:05Z","revoked_at":null,"last_used_at":null}"#,
    ),
    (
        "GET /api/v1/clusters/shop/services/hot",
        200,
        r#"{"name":"hot","type":"beta","status":"HEALTHY","doors":[{"name":"cache","path":"/api/v1/clusters/shop/cache"},
            {"name":"upstash","path":"/api/v1/clusters/shop/services/hot/upstash"},
            {"name":"neon","path":"/api/v1/clusters/shop/services/hot/sql"}]}"#,
    ),
    (
        "GET /api/v1/tokens",
        200,
        r#"{"tokens":[{"id":"1","name":"admin","role":"admin","service":null,"status":"active",
            "created_at":"2026-01-02T03:04:05Z","expires_at":null,"revoked_at":null,"last_used_at":null},
            {"id":"3","name":"ca\u001b[31mche","role":"operator","service":"shop/hot","status":"expired",
            "created_at":"x1","expires_at":"x2","revoked_at":"x3","last_used_at":"x4"}],"count":2,"next_cursor":null}"#,
    ),
    ("DELETE /api/v1/tokens/3", 200, r#"{"id":"3","name":"cache","status":"revoked"}"#),
];

/// The same, of services that keep no keys.
const WEB: &[Recorded] = &[
    (
        "POST /api/v1/tokens",
        201,
        r#"{"token":"thr_canary","id":"4","name":"viewer token","role":"viewer","service":null,"expires_at":null}"#,
    ),
    ("GET /api/v1/clusters/shop/services/hot", 200, r#"{"name":"hot","type":"alpha"}"#),
];

#[test]
fn a_new_token_is_all_that_standard_output_gets() {
    let gateway = Gateway::new(TOKENS);
    let line = ["token", "create", "--service", "shop/hot", "--expires", "30d"];
    let ran = gateway.ran(&line).ended(0);
    assert_eq!(ran.out, "thr_canary\n");
    for said in [
        "created token 3 `cache`, for the data of shop/hot and nothing else, until 2026-02-01T03:04:05Z",
        "shown this once",
        "Authorization: Bearer",
        "THROOME_TOKEN",
        "with the URL http://gateway/api/v1/clusters/shop/services/hot/upstash\n",
        "with the fetch endpoint http://gateway/api/v1/clusters/shop/services/hot/sql\n",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(!ran.err.contains("canary"), "{}", ran.err);
    let debug = gateway.ran(&[&line[..], &["--debug"]].concat()).ended(0);
    assert!(debug.err.contains("debug: POST /api/v1/tokens try 1: 201") && !debug.err.contains("canary"));
    let sent = r#"POST /api/v1/tokens {"service":"shop/hot","expires_in":"30d"}"#;
    assert_eq!(gateway.seen()[0], sent);

    let json = gateway.ran(&[&line[..], &["-o", "json"]].concat()).ended(0);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["token"], "thr_canary");
}

#[test]
fn what_is_asked_for_is_what_is_sent() {
    let gateway = Gateway::new(WEB);
    for (line, sent) in [
        (&["token", "create"][..], "{}"),
        (&["token", "create", "--role", "operator", "--name", "ci"], r#"{"name":"ci","role":"operator"}"#),
        (&["token", "create", "--service", "hot", "--cluster", "shop"], r#"{"service":"shop/hot"}"#),
    ] {
        let ran = gateway.ran(line).ended(0);
        assert_eq!(ran.out, "thr_canary\n");
        assert!(ran.err.contains("with the role viewer, until it is revoked"), "{}", ran.err);
        assert!(!ran.err.contains("upstash"), "{}", ran.err);
        assert!(gateway.seen().contains(&format!("POST /api/v1/tokens {sent}")), "{:#?}", gateway.seen());
    }
    let before = gateway.seen().len();
    for line in [
        &["token", "create", "--service", "hot"][..],
        &["token", "create", "--role", "root"],
        &["token", "create", "-o", "name"],
        &["token", "revoke"],
    ] {
        assert_eq!(gateway.ran(line).ended(2).out, "", "{line:?}");
    }
    assert_eq!(gateway.seen().len(), before, "nothing was asked");
}

#[test]
fn a_service_without_keys_has_no_url_of_that_kind() {
    const OF_WEB: &[Recorded] = &[TOKENS[0], WEB[1]];
    let gateway = Gateway::new(OF_WEB);
    let ran = gateway.ran(&["token", "create", "--service", "shop/hot"]).ended(0);
    assert!(ran.out == "thr_canary\n" && !ran.err.contains("upstash"), "{}", ran.err);
}

#[test]
fn a_list_says_for_what_and_how_long() {
    let gateway = Gateway::new(TOKENS);
    let ran = gateway.ran(&["token", "list"]).ended(0);
    let lines: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["ID", "NAME", "ROLE", "SERVICE", "STATUS", "AGE", "LAST USED", "EXPIRES"]);
    assert_eq!(
        (&lines[1][..5], &lines[1][6..]),
        (&["1", "admin", "admin", "-", "active"][..], &["never", "never"][..])
    );
    assert_eq!(lines[2], ["3", "ca\u{fffd}[31mche", "operator", "shop/hot", "expired", "x1", "x4 ago", "x2"]);
    assert!(gateway.ran(&["token", "list", "-o", "wide"]).ended(0).out.contains("x3"));
    assert_eq!(gateway.ran(&["token", "ls", "-o", "name"]).ended(0).out, "1\n3\n");
    assert_eq!(gateway.ran(&["token", "list", "--cluster", "shop", "-o", "name"]).ended(0).out, "3\n");
    assert_eq!(gateway.ran(&["token", "list", "--cluster", "blog"]).ended(0).err, "no tokens\n");
}

#[test]
fn tokens_are_revoked_by_their_ids() {
    let gateway = Gateway::new(TOKENS);
    let ran = gateway.ran(&["token", "revoke", "3"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "revoked token 3 `cache`\n"));
    let ran = gateway.ran(&["token", "revoke", "3", "9"]).ended(3);
    assert!(ran.err.contains("revoked token 3") && ran.err.contains("  - token 9"), "{}", ran.err);
    let before = gateway.seen().len();
    let ran = gateway.ran(&["token", "revoke", "3", "thr_canary"]).ended(2);
    assert!(ran.err.contains("not its id") && !ran.err.contains("canary"), "{}", ran.err);
    assert_eq!(gateway.seen().len(), before, "a token is sent nowhere");
}
