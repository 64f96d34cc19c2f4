//! Files that say how things shall be: planned, applied, refused with their lines.

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded, SHOP};
use crate::terminal::People;

const PLANNED: &[Recorded] = &[
    ("GET /api/v1/clusters/shop", 200, r#"{"id":"shop","services":{}}"#),
    (
        "POST /api/v1/clusters/shop/plan",
        200,
        r#"{"cluster_id":"shop","changes":true,"steps":[
            {"action":"keep","what":"service","name":"web","detail":""},
            {"action":"create","what":"service","name":"db","detail":"of type gamma"},
            {"action":"delete","what":"route","name":"old","detail":"/old to web"}]}"#,
    ),
    ("PUT /api/v1/clusters/shop", 200, r#"{"id":"shop","name":"Shop"}"#),
    ("GET /api/v1/clusters/same", 200, r#"{"id":"same","services":{}}"#),
    ("POST /api/v1/clusters/same/plan", 200, r#"{"cluster_id":"same","changes":false,"steps":[]}"#),
    (
        "POST /api/v1/clusters",
        400,
        r#"{"title":"The document is not valid","code":"invalid_config","detail":"Two faults.","request_id":"r-7","errors":[
            {"path":"services.db.port","message":"`no` is no port","suggestion":"1 to 65535"},{"path":"name","message":"is missing"}]}"#,
    ),
];

fn piped(gateway: &Gateway, line: &[&str], document: &str) -> super::Ran {
    gateway.ran_by(line, document, People::default())
}

#[test]
fn a_plan_shows_what_would_change_and_says_so_to_scripts() {
    let gateway = Gateway::new(PLANNED);
    let shop = "cluster_id: shop\nservices: {}\n";
    let ran = piped(&gateway, &["plan", "-"], shop).ended(0);
    assert_snapshot!(format!("{}---\n{}", ran.out, ran.err), @r"
    ACTION  WHAT     NAME  DETAIL
    create  service  db    of type gamma
    delete  route    old   /old to web
    ---
    1 to create, 1 to delete
    ");
    piped(&gateway, &["diff", "-", "--exit-code"], shop).ended(8);
    let ran = piped(&gateway, &["plan", "-", "--exit-code"], "cluster_id: same\nservices: {}\n").ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "nothing would change\n"));
    piped(&gateway, &["apply", "-", "--dry-run"], shop).ended(0);
    assert!(
        gateway.seen().iter().all(|line| line.starts_with("POST /api/v1/clusters/s")),
        "{:?}",
        gateway.seen()
    );
}

#[test]
fn a_cluster_that_is_there_is_replaced_and_one_that_is_as_asked_is_left_alone() {
    let gateway = Gateway::new(PLANNED);
    let ran = piped(&gateway, &["apply", "-"], "cluster_id: shop\nservices: {db: {type: gamma}}\n").ended(0);
    assert!(
        ran.err.ends_with("changed cluster `shop`\n") && ran.err.contains("of type gamma"),
        "{}",
        ran.err
    );
    assert_eq!(ran.out, "");
    let put = gateway.seen().pop().unwrap();
    assert_eq!(put, r#"PUT /api/v1/clusters/shop {"cluster_id":"shop","services":{"db":{"type":"gamma"}}}"#);
    let ran = piped(&gateway, &["apply", "-"], "cluster_id: same\nservices: {}\n").ended(0);
    assert_eq!(ran.err, "cluster `same` is as the file says\n");
    assert!(gateway.seen().pop().unwrap().starts_with("POST /api/v1/clusters/same/plan"));
}

#[test]
fn a_refusal_is_told_with_the_lines_of_the_file() {
    let gateway = Gateway::new(PLANNED);
    let ran = piped(&gateway, &["apply", "-"], "cluster_id: new\nservices:\n  db:\n    port: no\n").ended(8);
    assert_snapshot!(ran.err, @r"
    error: The document is not valid
      - standard input:4:11: services.db.port: `no` is no port (1 to 65535)
      - standard input:1:1: name: is missing
      why:     Two faults.
      code:    invalid_config
      request: r-7
    ");
    let ran = piped(&gateway, &["apply", "-"], "a: 1\na: 2\n").ended(8);
    assert!(ran.err.contains("standard input:2:1: "), "{}", ran.err);
    for (document, told) in
        [("", "has no keys"), ("services: {}\n", "add `cluster_id: …`"), ("server: {}\n", "serve --config")]
    {
        let ran = piped(&gateway, &["apply", "-"], document).ended(8);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    gateway.ran(&["apply", "no-such-file.yaml"]).ended(3);
}

#[test]
fn what_is_not_there_yet_is_planned_as_created() {
    let gateway = Gateway::new(&[]);
    let ran = piped(&gateway, &["plan", "-"], "cluster_id: new\nservices: {db: {type: gamma}}\n").ended(0);
    assert_eq!(ran.err, "2 to create\n");
    assert!(ran.out.contains("create  service  db    of type gamma"), "{}", ran.out);
}

#[test]
fn routes_are_created_changed_and_left_alone() {
    let gateway = Gateway::new(SHOP);
    let routes = "routes:\n- {id: api, path: /api/*, service: web, timeout: 10s}\n- {id: made, path: /x, service: web}\n";
    let ran = piped(&gateway, &["plan", "-", "--cluster", "shop"], routes).ended(0);
    assert_eq!((ran.err.as_str(), ran.out.lines().count()), ("1 to create\n", 2));
    let ran = piped(&gateway, &["apply", "-", "--cluster", "shop"], routes).ended(0);
    assert_eq!(ran.err, "route `api` is as the file says\ncreated route `made`\n");
    let changed = "routes: [{id: api, cluster: shop, path: /api/v2/*, service: web}]";
    let ran = piped(&gateway, &["apply", "-", "-o", "name"], changed).ended(0);
    assert_eq!((ran.err.as_str(), ran.out.as_str()), ("changed route `api`\n", "api\n"));
    piped(&gateway, &["apply", "-"], "routes: [{path: /}]").ended(8);
}
