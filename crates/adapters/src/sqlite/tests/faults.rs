//! Files: where they may be, who shares them, and what their faults are called.

use std::fs;

use super::*;

#[tokio::test]
async fn the_file_is_where_the_service_is_at_home_or_where_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    db.probe(Duration::from_secs(30)).await.unwrap();
    assert!(home(dir.path(), "db").dir.join("data.db").exists());
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("deeper/mine.db");
    connect(dir.path(), "other", json!({"path": path})).probe(Duration::from_secs(30)).await.unwrap();
    assert!(path.exists());
    for wrong in
        ["gateway/store.db", "gateway/services/shop/db/data.db", "gateway/services/shop/other/../db/data.db"]
    {
        let failure =
            try_connect(dir.path(), "third", json!({"path": dir.path().join(wrong)})).err().unwrap();
        assert_eq!(failure.code(), Code::InvalidConfig, "{wrong}: {failure}");
    }
}

#[tokio::test]
async fn a_changed_service_finds_what_the_one_before_kept() {
    let dir = tempfile::tempdir().unwrap();
    for options in [json!({}), json!({"path": ":memory:"})] {
        let before = connect(dir.path(), "db", options.clone());
        execute(&before, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
        let mut changed = options;
        changed["max_rows"] = json!(5);
        let after = connect(dir.path(), "db", changed);
        execute(&after, "INSERT INTO t VALUES (1)", &[]).await.unwrap();
        assert_eq!(rows(&before, "SELECT n FROM t", &[]).await, json!([[1]]), "both stand on one engine");
        drop(before);
        assert_eq!(rows(&after, "SELECT n FROM t", &[]).await, json!([[1]]));
        after.close().await.unwrap();
        let failure = query(&after, "SELECT n FROM t", &[]).await.unwrap_err();
        assert_eq!(failure.code(), Code::Draining, "{failure}");
        assert!(after.probe(Duration::from_secs(1)).await.is_err());
    }
    let again = connect(dir.path(), "db", json!({}));
    assert_eq!(
        rows(&again, "SELECT n FROM t", &[]).await,
        json!([[1]]),
        "a file that was closed is opened again"
    );
    let memory = connect(dir.path(), "db", json!({"path": ":memory:"}));
    assert!(query(&memory, "SELECT n FROM t", &[]).await.is_err(), "memory is gone with its service");
}

#[tokio::test]
async fn one_of_two_services_on_a_file_may_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    let [one, two] = ["one", "two"].map(|name| connect(dir.path(), name, json!({"path": path})));
    execute(&one, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    one.close().await.unwrap();
    assert!(execute(&one, "INSERT INTO t VALUES (1)", &[]).await.is_err());
    assert_eq!(execute(&two, "INSERT INTO t VALUES (2)", &[]).await.unwrap(), 1);
    two.close().await.unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["shared.db"], "the last one closes it in good order");
}

#[tokio::test]
async fn health_says_what_is_wrong_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("x.db");
    fs::write(&path, "dear diary, ".repeat(1000)).unwrap();
    let db = connect(dir.path(), "db", json!({"path": path}));
    for failure in [
        db.probe(Duration::from_secs(30)).await.unwrap_err(),
        execute(&db, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap_err(),
    ] {
        assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
        assert!(failure.detail().contains("is not a database"), "{failure}");
    }
    fs::remove_file(&path).unwrap();
    db.probe(Duration::from_secs(30)).await.unwrap();
    execute(&db, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    let inside = elsewhere.path().join("x.db/y.db");
    let failure =
        connect(dir.path(), "odd", json!({"path": inside})).probe(Duration::from_secs(30)).await.unwrap_err();
    assert_eq!(failure.code(), Code::BadGateway, "{failure}");
    assert!(failure.detail().contains("File exists"), "{failure}");
}

#[tokio::test]
async fn damage_is_told_by_whoever_meets_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)", &[]).await.unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, zeroblob(3000) FROM n";
    execute(&db, fill, &[]).await.unwrap();
    db.close().await.unwrap();
    let db = connect(dir.path(), "db", json!({}));
    db.probe(Duration::from_secs(30)).await.unwrap();
    // After the check, as a failing disk would.
    let file = home(dir.path(), "db").dir.join("data.db");
    let mut bytes = fs::read(&file).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    fs::write(&file, bytes).unwrap();
    for failure in [
        query(&db, "SELECT sum(length(b)) FROM t", &[]).await.unwrap_err(),
        execute(&db, "UPDATE t SET b = NULL", &[]).await.unwrap_err(),
    ] {
        assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
        assert!(failure.detail().contains("put a backup in its place"), "{failure}");
    }
}

#[tokio::test]
async fn a_full_disk_is_no_fault_of_the_endpoint() {
    let failure = super::super::failure::of(&disk::Error::Full { path: "data.db".into() });
    assert_eq!(
        (failure.code(), failure.origin(), failure.retryable()),
        (Code::Overloaded, Origin::Gateway, true)
    );
    assert_eq!(failure.native(), Some(("sqlite", "SQLITE_FULL")));
    assert!(failure.detail().starts_with("No space is left for `data.db`"), "{failure}");
}
