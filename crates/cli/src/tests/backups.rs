//! What services hold, in files.

use insta::assert_snapshot;

use super::gateway::{Gateway, Recorded};
use crate::terminal::People;

const BACKUP: &str = r#"{"id":"b1","cluster":"shop","service":"db","kind":"alpha","format":"dump","origin":"backup","bytes":6,"sha256":"aa11","created_at":"x"}"#;
const DONE: &str =
    r#"{"id":"7","kind":"service.backup","cluster":"shop","service":"db","status":"succeeded","steps":[]}"#;

const GATEWAY: &[Recorded] = &[
    (
        "GET /api/v1/clusters/shop/services/db/backups",
        200,
        r#"{"backups":[{"id":"b2","kind":"alpha","format":"dump","origin":"upload","bytes":9000000,"sha256":"bb","created_at":"y"},
            {"id":"b1","kind":"alpha","format":"dump","origin":"backup","bytes":6,"sha256":"aa11","created_at":"x"}],"count":2}"#,
    ),
    ("GET /api/v1/clusters/shop/services/new/backups", 200, r#"{"backups":[],"count":0}"#),
    ("GET /api/v1/clusters/shop/services/db/backups/b1", 200, BACKUP),
    ("GET /api/v1/clusters/shop/services/db/backups/b1/file", 200, "abcdef"),
    ("POST /api/v1/clusters/shop/services/db/backups", 200, DONE),
    ("POST /api/v1/clusters/shop/services/db/restore", 200, DONE),
    ("GET /api/v1/operations/7", 200, DONE),
    ("DELETE /api/v1/clusters/shop/services/db/backups/b1", 200, r#"{"id":"b1","deleted":true}"#),
];

#[test]
fn they_are_listed_and_shown() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["backup", "list", "shop/db", "-o", "wide"]).ended(0);
    assert_snapshot!(ran.out, @r"
    ID  FORMAT  BYTES    ORIGIN  AGE  KIND   CREATED  SHA256
    b2  dump    9000000  upload  y    alpha  y        bb
    b1  dump    6        backup  x    alpha  x        aa11
    ");
    let ran = gateway.ran(&["backups", "ls", "db", "--cluster", "shop", "-o", "name"]).ended(0);
    assert_eq!(ran.out, "b2\nb1\n");
    let ran = gateway.ran(&["backup", "get", "shop/db", "b1"]).ended(0);
    assert_snapshot!(ran.out, @r"
    Backup:   b1
    Of:       shop/db
    Kind:     alpha
    Format:   dump
    Origin:   backup
    Bytes:    6
    SHA-256:  aa11
    Created:  x
    ");
    let ran = gateway.ran(&["backup", "list", "shop/new"]).ended(0);
    assert_eq!(ran.err, "no backups yet; `throome backup create shop/new` makes one\n");
}

#[test]
fn they_are_made_put_back_and_removed() {
    let gateway = Gateway::new(GATEWAY);
    let ran = gateway.ran(&["backup", "create", "shop/db", "--reason", "weekly"]).ended(0);
    assert_eq!(ran.err, "`db` is backed up\n");
    let person = People { type_input: true, ..People::default() };
    let line = ["backup", "restore", "shop/db", "b1", "--from", "old/db"];
    let ran = gateway.ran_by(&line, "db\n", person).ended(0);
    assert_snapshot!(ran.err, @r"
    This removes all that `db` holds, and puts what the backup `b1` of `old/db` has in its place.
    Type `db` to go on, anything else to leave it: `db` holds what the backup `b1` has
    ");
    gateway.ran(&["backup", "restore", "shop/db", "b1"]).ended(2);
    gateway.ran(&["backup", "restore", "shop/none", "b1", "--yes"]).ended(3);
    gateway.ran(&["backup", "delete", "shop/db", "none"]).ended(3);
    let ran = gateway.ran(&["backup", "delete", "shop/db", "b1", "--yes"]).ended(0);
    assert_eq!(ran.err, "removed the backup `b1`\n");
    let changes: Vec<String> = gateway.seen().into_iter().filter(|line| !line.starts_with("GET")).collect();
    let base = "/api/v1/clusters/shop/services";
    let expected = [
        format!(r#"POST {base}/db/backups {{"reason":"weekly"}}"#),
        format!(r#"POST {base}/db/restore {{"backup":"b1","from":"old/db"}}"#),
        format!(r#"POST {base}/none/restore {{"backup":"b1"}}"#),
        format!("DELETE {base}/db/backups/b1"),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_file_is_written_whole_and_over_nothing() {
    let gateway = Gateway::new(GATEWAY);
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("db.dump");
    let place = place.to_str().unwrap();
    let ran = gateway.ran(&["backup", "download", "shop/db", "b1", place]).ended(0);
    assert_eq!(ran.err, format!("wrote 6 bytes into {place}\n"));
    assert_eq!(std::fs::read(place).unwrap(), b"abcdef");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is beside it");
    let ran = gateway.ran(&["backup", "download", "shop/db", "b1", place]).ended(5);
    assert!(ran.err.contains("is there already"), "{}", ran.err);
    let ran = gateway.ran(&["backup", "download", "shop/db", "b1", "-"]).ended(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("abcdef", ""));
    gateway.ran(&["backup", "download", "shop/db", "none", place]).ended(3);
    let ran = gateway.ran(&["backup", "upload", "shop/db", "/nowhere/db.dump"]).ended(2);
    assert!(ran.err.contains("cannot read `/nowhere/db.dump`"), "{}", ran.err);
}
