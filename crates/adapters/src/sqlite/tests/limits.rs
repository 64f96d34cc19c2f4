//! Options: each is enforced.

use super::*;

#[tokio::test]
async fn a_service_that_is_read_only_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    let writes = connect(dir.path(), "writes", json!({"path": path}));
    let looks = connect(dir.path(), "looks", json!({"path": path, "read_only": true}));
    execute(&writes, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    for sql in [
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "PRAGMA user_version = 3",
        "INSERT INTO t VALUES (1) RETURNING n",
    ] {
        let failure = execute(&looks, sql, &[]).await.unwrap_err();
        assert_eq!(failure.code(), Code::QueryFailed, "{failure}");
        assert!(failure.detail().contains("read-only"), "{failure}");
        assert!(query(&looks, sql, &[]).await.is_err());
        let batch = looks.sql().unwrap().batch(&[statement(sql, &[])], Default::default(), later()).await;
        assert!(batch.unwrap_err().detail().starts_with("statement 1: The service is read-only"));
        let mut transaction = looks.sql().unwrap().begin(Default::default(), later()).await.unwrap();
        let failure = transaction.execute(&statement(sql, &[]), later()).await.unwrap_err();
        assert!(failure.detail().contains("read-only"), "{failure}");
    }
    execute(&writes, "INSERT INTO t VALUES (7)", &[]).await.unwrap();
    assert_eq!(rows(&looks, "SELECT n FROM t", &[]).await, json!([[7]]), "both stand on one engine");
}

#[tokio::test]
async fn results_are_cut_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i, 'some words of text' FROM n";
    for (options, given) in [(json!({"max_rows": 10}), 10..=10), (json!({"max_result": 1024}), 30..=50)] {
        let db = connect(dir.path(), "db", options);
        let result = query(&db, many, &[]).await.unwrap();
        assert!(matches!(result.rest, Rest::End { truncated: true }));
        assert!(given.contains(&result.first.rows), "{} rows", result.first.rows);
        let batch = [statement(many, &[]), statement(many, &[])];
        let results = db.sql().unwrap().batch(&batch, Default::default(), later()).await.unwrap();
        assert!(
            results
                .iter()
                .all(|result| matches!(result, crate::sql::BatchResult::Rows { truncated: true, .. }))
        );
        execute(&db, "CREATE TABLE IF NOT EXISTS t (n INTEGER, t TEXT)", &[]).await.unwrap();
        execute(&db, "DELETE FROM t", &[]).await.unwrap();
        let written = query(&db, &format!("INSERT INTO t {many} RETURNING n, t"), &[]).await.unwrap();
        assert!(matches!(written.rest, Rest::End { truncated: true }));
        assert_eq!(
            rows(&db, "SELECT count(*) FROM t", &[]).await,
            json!([[100]]),
            "what is cut is the answer alone"
        );
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({"max_statement": "2kb", "max_value": "4kb"}));
    let long = format!("SELECT '{}'", "x".repeat(3000));
    let failure = query(&db, &long, &[]).await.unwrap_err();
    assert_eq!(failure.code(), Code::TooLarge, "{failure}");
    assert!(failure.hint().unwrap().contains("max_statement"));
    for args in [[text(&"x".repeat(5000))], [Argument::Bytes(vec![0; 5000].into())]] {
        let failure = query(&db, "SELECT length($1)", &args).await.unwrap_err();
        assert_eq!(failure.code(), Code::TooLarge, "{failure}");
        assert!(failure.detail().contains("Argument 1 has 5000 bytes"), "{failure}");
    }
    for sql in [
        "SELECT zeroblob(5000)",
        "SELECT hex(zeroblob(3000))",
        "CREATE TABLE t AS SELECT zeroblob(5000) AS b",
    ] {
        let failure = query(&db, sql, &[]).await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (Code::TooLarge, Origin::Client), "{sql}: {failure}");
        assert_eq!(failure.native(), Some(("sqlite", "SQLITE_TOOBIG")));
    }
    let size = [text(&"x".repeat(4000))];
    assert_eq!(rows(&db, "SELECT length($1)", &size).await, json!([[4000]]));
    let other = connect(dir.path(), "other", json!({}));
    assert_eq!(
        rows(&other, "SELECT length(zeroblob(5000))", &[]).await,
        json!([[5000]]),
        "a bound is one service's"
    );
}

#[tokio::test]
async fn a_bound_is_of_the_service_and_not_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    let small = connect(dir.path(), "small", json!({"path": path, "max_value": "4kb"}));
    let large = connect(dir.path(), "large", json!({"path": path}));
    for _ in 0..3 {
        assert_eq!(query(&small, "SELECT zeroblob(5000)", &[]).await.unwrap_err().code(), Code::TooLarge);
        assert_eq!(rows(&large, "SELECT length(zeroblob(5000))", &[]).await, json!([[5000]]));
    }
}

#[tokio::test]
async fn the_idle_limit_is_what_the_service_says() {
    let dir = tempfile::tempdir().unwrap();
    let idle = |options| connect(dir.path(), "db", options).sql().unwrap().idle_limit();
    assert_eq!(idle(json!({})), Duration::from_secs(15));
    assert_eq!(idle(json!({"transaction_idle": "2s"})), Duration::from_secs(2));
}

#[tokio::test]
async fn foreign_keys_are_always_on() {
    let dir = tempfile::tempdir().unwrap();
    for options in [json!({}), json!({"path": ":memory:"})] {
        let db = connect(dir.path(), "db", options);
        execute(&db, "CREATE TABLE a (id INTEGER PRIMARY KEY)", &[]).await.unwrap();
        execute(&db, "CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)", &[])
            .await
            .unwrap();
        assert!(execute(&db, "PRAGMA foreign_keys = OFF", &[]).await.is_err());
        let failure = execute(&db, "INSERT INTO b VALUES (7)", &[]).await.unwrap_err();
        assert_eq!(failure.code(), Code::ConstraintViolation, "{failure}");
        let pair = [statement("INSERT INTO b VALUES (7)", &[]), statement("INSERT INTO a VALUES (7)", &[])];
        db.sql().unwrap().batch(&pair, Default::default(), later()).await.unwrap();
    }
}

/// Statements stay prepared on their connection; long ones would fill the memory.
#[tokio::test]
async fn long_statements_are_run_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    for n in 0..100 {
        let sql = format!("SELECT {n}, length('{}')", "x".repeat(100_000));
        assert_eq!(rows(&db, &sql, &[]).await, json!([[n, 100_000]]));
        assert!(query(&db, &format!("{sql} FROM missing"), &[]).await.is_err());
    }
}
