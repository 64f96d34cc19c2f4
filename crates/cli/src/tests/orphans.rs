//! What no cluster asks for.

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded};
use crate::terminal::People;

const GATEWAY: &[Recorded] = &[
    (
        "GET /api/v1/orphans?limit=1000",
        200,
        r#"{"orphans":[
            {"provisioner":"alpha","cluster":"old","service":"db","type":"beta","state":"data kept","has_data":true,"gateway":"g1","own":true},
            {"provisioner":"alpha","cluster":"theirs","service":"db","state":"running","has_data":true,"gateway":"g2","own":false,"port":5433}],
            "count":2,"unseen":[{"provisioner":"gamma","detail":"It is away."}]}"#,
    ),
    ("DELETE /api/v1/orphans/alpha/old/db", 200, r#"{"id":"alpha/old/db","deleted":true}"#),
    (
        "DELETE /api/v1/orphans/alpha/theirs/db",
        409,
        r#"{"code":"conflict","title":"Conflict","detail":"`alpha/theirs/db` was made by another gateway, `g2`, which may use it."}"#,
    ),
    ("DELETE /api/v1/orphans/alpha/theirs/db?keep_data=true&force=true", 200, r#"{"deleted":true}"#),
];

#[test]
fn they_are_listed_with_whose_they_are() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["orphan", "list", "-o", "wide"]).ended(0);
    assert_snapshot!(ran.out, @r"
    ORPHAN           TYPE  STATE      MADE BY       DATA  PORT
    alpha/old/db     beta  data kept  this gateway  yes   -
    alpha/theirs/db  -     running    g2            yes   5433
    ");
    assert_eq!(ran.err, "`gamma` could not be asked: It is away.\n");
    let ran = gateway.ran(&["orphans", "ls", "-q", "-o", "name"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("alpha/old/db\nalpha/theirs/db\n", ""));
}

#[test]
fn one_is_taken_away_when_somebody_says_so() {
    let gateway = Gateway::new(GATEWAY);
    let person = People { type_input: true, ..People::default() };
    let ran = gateway.ran_by(&["orphan", "delete", "alpha/old/db"], "alpha/old/db\n", person).ended(0);
    assert!(
        ran.err.starts_with("This removes `alpha/old/db` (data kept, made by this gateway) with its data.")
    );
    assert!(ran.err.ends_with("removed `alpha/old/db`\n"), "{}", ran.err);
    gateway.ran(&["orphan", "delete", "alpha/old/db"]).ended(2);
    gateway.ran(&["orphan", "delete", "alpha/none/db"]).ended(3);
    gateway.ran(&["orphan", "delete", "db", "--yes"]).ended(2);
    let ran = gateway.ran(&["orphan", "rm", "alpha/theirs/db", "--yes"]).ended(5);
    assert!(ran.err.contains("another gateway"), "{}", ran.err);
    let line = ["orphan", "remove", "alpha/theirs/db", "--yes", "--force", "--keep-data"];
    gateway.ran(&line).ended(0);
    let deletions = gateway.seen().into_iter().filter(|line| line.starts_with("DELETE")).count();
    assert_eq!(deletions, 3);
}
