//! How failures are told, and the codes they end with.

use std::net::TcpListener;

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded, SHOP};
use super::ran;

#[test]
fn a_failure_says_what_why_fix_code_and_id() {
    let gateway = Gateway::new(SHOP);
    let ran = gateway.ran(&["cluster", "get", "shopp"]).ended(3);
    assert_eq!(ran.out, "");
    assert_snapshot!(ran.err, @r"
    error: Not found
      why:     There is no such thing.
      fix:     `throome cluster list` shows what there is.
      code:    not_found
      request: r-404
    ");
}

#[test]
fn a_gateway_that_is_not_there_is_told_with_the_way_to_start_one() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = ran(&["throome", "--url", &format!("http://{free}"), "status"]).ended(6);
    assert_snapshot!(ran.err.replace(&free.to_string(), "free"), @r"
    error: the gateway cannot be reached
      why:     no connection to http://free: nothing listens there
      fix:     start one with `throome serve`, or say where it is with --url or THROOME_URL
    ");
}

const FAILING: &[Recorded] = &[
    ("GET /api/v1/clusters/invalid", 400, r#"{"code":"invalid_config","detail":"x"}"#),
    ("GET /api/v1/clusters/request", 400, r#"{"code":"invalid_request","detail":"x"}"#),
    (
        "GET /api/v1/clusters/token",
        401,
        r#"{"code":"unauthenticated","title":"No valid credential","detail":"x"}"#,
    ),
    ("GET /api/v1/clusters/role", 403, r#"{"code":"permission_denied","detail":"x"}"#),
    ("GET /api/v1/clusters/conflict", 409, r#"{"code":"conflict","detail":"x"}"#),
    ("GET /api/v1/clusters/etag", 412, r#"{"code":"precondition_failed","detail":"x"}"#),
    ("GET /api/v1/clusters/bug", 500, r#"{"code":"internal","detail":"x"}"#),
    ("GET /api/v1/clusters/open", 503, r#"{"code":"breaker_open","detail":"x"}"#),
    ("GET /api/v1/clusters/slow", 408, r#"{"code":"timeout","detail":"x"}"#),
    ("GET /api/v1/clusters/page", 200, "<html>"),
    (
        "GET /api/v1/clusters/native",
        400,
        r#"{"code":"query_failed","title":"The database refused","detail":"x","service":"db","sqlstate":"42P01"}"#,
    ),
    (
        "GET /api/v1/clusters/user",
        403,
        r#"{"code":"permission_denied","title":"Not allowed","detail":"x","service":"db","sqlstate":"42501"}"#,
    ),
    (
        "GET /api/v1/clusters/which",
        400,
        r#"{"code":"ambiguous_service","detail":"x","hint":"Say which: `?service=cache`."}"#,
    ),
];

#[test]
fn each_failure_has_its_exit_code() {
    let gateway = Gateway::new(FAILING);
    for (id, code) in [
        ("bug", 1),
        ("request", 1),
        ("open", 1),
        ("native", 1),
        ("missing", 3),
        ("token", 4),
        ("role", 4),
        ("conflict", 5),
        ("etag", 5),
        ("page", 6),
        ("slow", 7),
        ("invalid", 8),
    ] {
        gateway.ran(&["cluster", "get", id, "--token", "t"]).ended(code);
    }
    assert!(gateway.ran(&["cluster", "get", "page"]).err.contains("is not a gateway of a version"));
    assert!(gateway.ran(&["cluster", "get", "native"]).err.contains("query_failed (sqlstate 42P01)"));
    let unknown = gateway.ran(&["cluster", "get", "token"]).err;
    assert!(unknown.contains("fix:     give a token with --token or THROOME_TOKEN"), "{unknown}");
    let user = gateway.ran(&["cluster", "get", "user"]).ended(4).err;
    assert!(user.contains("no token changes that") && !user.contains("--token"), "{user}");
    let which = gateway.ran(&["cluster", "get", "which"]).err;
    assert!(which.contains("fix:     say which: --service NAME"), "{which}");
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_way() {
    for (line, told) in [
        (&["throome", "clutser"][..], "similar subcommands exist: "),
        (&["throome", "cluster", "lst"], "list"),
        (&["throome", "cluster", "create"], "--name"),
        (&["throome", "cache", "get", "k"], "--cluster or THROOME_CLUSTER"),
        (&["throome", "status", "--url", "https://gateway", "--ca", "none.pem"], "none.pem cannot be used"),
        (&["throome", "status", "--url", "https://gateway", "--client-cert", "c"], "belong together"),
        (&["throome", "status", "--url", "http://gateway", "--ca", "c"], "write https://gateway"),
        (&["throome", "serve", "--ca", "c"], "--ca is for commands that ask a gateway"),
        (&["throome", "status", "--url", "http://user:canary@gateway"], "give a token instead"),
        (&["throome", "status", "--token", "can\nary"], "cannot be sent"),
        (&["throome", "explain", "GET", "shop.local/x"], "neither a URL nor a path"),
        (&["throome", "--port", "9001", "status"], "belongs to the gateway"),
        (&["throome", "--url", "http://gateway"], "--url is for commands that ask a gateway"),
        (&["throome", "serve", "-o", "json"], "--output is for commands that ask a gateway"),
        (&["throome", "validate", "good.yaml", "--url", "http://gateway"], "and this one asks none"),
        (&["throome-cli", "serve"], "has no gateway in it"),
        (&["throome-cli"], "Usage: throome-cli"),
        (&["throome", "route", "create", "--cluster", "shop"], "--path"),
    ] {
        let ran = ran(line).ended(2);
        assert!(ran.err.contains(told), "{line:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.contains("canary"), "{line:?}");
    }
}

#[test]
fn the_gateway_starts_with_and_without_its_word() {
    for (line, code) in [
        (&["throome"][..], 100),
        (&["throome", "--port", "9001"], 101),
        (&["throome", "serve", "--port", "9001"], 101),
        (&["throome", "serve"], 100),
        (&["throome", "dev"], 110),
    ] {
        ran(line).ended(code);
    }
}

#[test]
fn every_fault_of_every_file_is_told() {
    let ran = ran(&["throome", "validate", "good.yaml", "bad.yaml"]).ended(8);
    assert_snapshot!(format!("{}---\n{}", ran.out, ran.err), @r"
    FILE       RESULT   WHAT          CONTENT
    good.yaml  valid    cluster file  cluster shop: 2 services
    bad.yaml   invalid  -             -
    ---
    error: bad.yaml is not valid
      - bad.yaml:3:5: services.cache.port: `no` is no port (write 1 to 65535)
      - bad.yaml:9:5: services.cache.port: stands twice (write 1 to 65535)
    ");
}

#[test]
fn the_predecessors_commands_ask_the_gateway() {
    let gateway = Gateway::new(SHOP);
    for (line, told) in [
        (&["list-clusters"][..], "shop"),
        (&["get-cluster", "shop"], "round_robin"),
        (&["create-cluster", "--name", "New"], ""),
        (&["delete-cluster", "shop", "--yes"], ""),
    ] {
        let ran = gateway.ran(line).ended(0);
        assert!(ran.out.contains(told), "{line:?}: {}", ran.out);
    }
    let ran = gateway.ran(&["--clusters-dir", "./clusters", "list-clusters"]).ended(0);
    assert!(ran.err.contains("--clusters-dir changes nothing here"), "{}", ran.err);
    let ran = gateway.ran(&["list-clusters", "--clusters-dir", "./clusters"]).ended(0);
    assert!(ran.err.contains("--clusters-dir changes nothing here"), "{}", ran.err);
    super::ran(&["throome-cli", "validate-config", "good.yaml"]).ended(0);
}

#[test]
fn a_token_is_never_printed() {
    let gateway = Gateway::new(SHOP);
    for line in [
        &["status"][..],
        &["status", "-o", "json"],
        &["cluster", "get", "nowhere"],
        &["cluster", "get", "shop", "--debug", "-o", "yaml"],
        &["cluster", "delete", "shop"],
        &["serve"],
        &["--help"],
        &["status", "--tokn", "x"],
    ] {
        let ran = gateway.ran(&[&["--token", "canary"], line].concat());
        assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{line:?}: {ran:?}");
    }
}

#[test]
fn the_table_of_exit_codes_has_them_all() {
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130] {
        assert!(crate::exit::TABLE.split_whitespace().any(|word| word == code.to_string()), "{code}");
    }
}
