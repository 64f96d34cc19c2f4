//! Callers who mean harm: crowds, wide rows, statements that were quick once.

use super::*;
use crate::sql::{BatchResult, Piece};

const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
                    SELECT i, '0123456789012345678901234567890123456789012345678901234567890123456789' FROM n";

#[tokio::test]
async fn clients_that_do_not_read_leave_the_database_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (n INTEGER)", &[]).await.unwrap();
    let (mut unread, mut looking) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        unread.push(query(&db, MANY, &[]).await.unwrap());
        assert!(matches!(unread.last().unwrap().rest, Rest::Stream(_)));
    }
    let read_only = crate::sql::TransactionOptions { read_only: true, ..Default::default() };
    for _ in 0..8 {
        looking.push(db.sql().unwrap().begin(read_only, later()).await.unwrap());
    }
    let soon = Instant::now() + Duration::from_millis(100);
    let failure = db.sql().unwrap().begin(read_only, soon).await.err().unwrap();
    assert_eq!((failure.code(), failure.origin()), (Code::Busy, Origin::Gateway), "{failure}");
    let failure = query(&db, MANY, &[]).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Busy, Origin::Gateway), "{failure}");
    assert!(failure.retry_after().is_some() && failure.retryable());
    for n in 0..50 {
        execute(&db, "INSERT INTO t VALUES ($1)", &[Argument::Integer(n)]).await.unwrap();
        assert_eq!(rows(&db, "SELECT count(*) FROM t", &[]).await, json!([[n + 1]]));
        db.probe(Duration::from_secs(5)).await.unwrap();
    }
    unread.clear();
    looking.clear();
}

#[tokio::test]
async fn a_result_that_takes_too_long_to_read_is_cut_and_never_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({"max_result_time": "1s"}));
    let Rest::Stream(mut rest) = query(&db, MANY, &[]).await.unwrap().rest else { panic!("it streams") };
    tokio::time::sleep(Duration::from_millis(2000)).await;
    let mut ended = false;
    while let Some(piece) = rest.recv().await {
        ended |= matches!(piece, Ok(Piece::End { .. }));
    }
    assert!(!ended, "a cut result must not be taken for a whole one");
    let read_only = crate::sql::TransactionOptions { read_only: true, ..Default::default() };
    let mut looks = db.sql().unwrap().begin(read_only, later()).await.unwrap();
    looks.execute(&statement("SELECT 1", &[]), later()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1600)).await;
    let failure = looks.execute(&statement("SELECT 1", &[]), later()).await.unwrap_err();
    assert_eq!(failure.code(), Code::TransactionEnded, "{failure}");
}

#[tokio::test]
async fn a_row_is_measured_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({"max_result": "1mb", "max_value": "2mb"}));
    for wide in [
        "SELECT zeroblob(400000), zeroblob(400000)",
        "SELECT printf('%.*c', 600000, 'a'), printf('%.*c', 600000, 'a')",
        "SELECT replace(printf('%.*c', 200000, 'a'), 'a', char(1))",
    ] {
        let failure = query(&db, wide, &[]).await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (Code::TooLarge, Origin::Client), "{wide}: {failure}");
        assert!(failure.hint().unwrap().contains("max_result"), "{failure}");
        assert_eq!(execute(&db, wide, &[]).await.unwrap(), 0, "its effect alone is no answer");
    }
    let names = format!("WITH x AS (SELECT 1 AS {}) SELECT * FROM x a, x b, x c", "a".repeat(500_000));
    let failure = query(&db, &names, &[]).await.unwrap_err();
    assert_eq!(failure.code(), Code::TooLarge, "{failure}");
    assert!(failure.detail().contains("A row of the result"), "{failure}");
    let two = "SELECT zeroblob(500000) AS b UNION ALL SELECT zeroblob(500000)";
    let result = query(&db, two, &[]).await.unwrap();
    assert!(matches!(result.rest, Rest::End { truncated: true }) && result.first.rows == 1);
}

#[tokio::test]
async fn results_that_are_held_whole_have_a_bound_together() {
    let dir = tempfile::tempdir().unwrap();
    let options = json!({"max_collected": "100kb"});
    let db = connect(dir.path(), "db", options.clone());
    let thirty = statement("SELECT printf('%.*c', 30000, 'a')", &[]);
    let batch: Vec<_> = (0..6).map(|_| thirty.clone()).collect();
    let results = db.sql().unwrap().batch(&batch, Default::default(), later()).await.unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| match result {
            BatchResult::Rows { rows, truncated, .. } => (rows.rows, *truncated),
            BatchResult::Affected(_) => panic!("rows are asked for"),
        })
        .collect();
    assert_eq!(told, [(1, false), (1, false), (1, false), (0, true), (0, true), (0, true)]);
    let mut transaction = db.sql().unwrap().begin(Default::default(), later()).await.unwrap();
    let held = transaction.query(&statement(MANY, &[]), &QueryOptions::default(), later()).await.unwrap();
    assert!(held.first.json.len() <= 100 << 10 && matches!(held.rest, Rest::End { truncated: true }));
    drop(transaction);
    assert!(matches!(query(&db, MANY, &[]).await.unwrap().rest, Rest::Stream(_)), "one that streams is long");
    let memory = connect(dir.path(), "memory", json!({"path": ":memory:", "max_collected": "100kb"}));
    let held = query(&memory, MANY, &[]).await.unwrap();
    assert!(held.first.json.len() <= 100 << 10 && matches!(held.rest, Rest::End { truncated: true }));
}

#[tokio::test]
async fn a_statement_that_is_refused_leaves_nothing_in_its_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({"max_collected": "10kb"}));
    execute(&db, "CREATE TABLE t (n)", &[]).await.unwrap();
    let mut transaction = db.sql().unwrap().begin(Default::default(), later()).await.unwrap();
    for (sql, code) in [
        ("INSERT INTO t VALUES (cast(x'fe' AS text)) RETURNING n", Code::QueryFailed),
        ("INSERT INTO t VALUES (zeroblob(20000)) RETURNING n", Code::TooLarge),
    ] {
        let failure =
            transaction.query(&statement(sql, &[]), &QueryOptions::default(), later()).await.unwrap_err();
        assert_eq!(failure.code(), code, "{failure}");
    }
    let kept = statement("INSERT INTO t VALUES (7) RETURNING n", &[]);
    transaction.query(&kept, &QueryOptions::default(), later()).await.unwrap();
    transaction.commit(later()).await.unwrap();
    assert_eq!(rows(&db, "SELECT n FROM t", &[]).await, json!([[7]]));
}

/// What was quick once may be slow, or another statement by now.
#[tokio::test]
async fn what_was_quick_once_is_right_whatever_it_becomes() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)", &[]).await.unwrap();
    execute(&db, "INSERT INTO t VALUES (1, zeroblob(10)), (2, zeroblob(100000))", &[]).await.unwrap();
    let slow = "SELECT length(randomblob($1)), n FROM t WHERE n = 1";
    for _ in 0..20 {
        rows(&db, slow, &[Argument::Integer(1)]).await;
    }
    assert_eq!(rows(&db, slow, &[Argument::Integer(16_000_000)]).await, json!([[16_000_000, 1]]));
    let plain = "SELECT n, b FROM t WHERE n = $1";
    for _ in 0..20 {
        assert_eq!(rows(&db, plain, &[Argument::Integer(1)]).await[0][0], json!(1));
    }
    let wide = rows(&db, plain, &[Argument::Integer(2)]).await;
    assert_eq!(
        wide[0][1].as_str().unwrap().len(),
        133_336,
        "what is too large for a glance is read elsewhere"
    );
    execute(&db, "CREATE VIEW v AS SELECT n FROM t", &[]).await.unwrap();
    let viewed = "SELECT n FROM v WHERE n < $1 LIMIT 1";
    for _ in 0..20 {
        assert_eq!(rows(&db, viewed, &[Argument::Integer(2)]).await, json!([[1]]));
    }
    execute(&db, "DROP VIEW v", &[]).await.unwrap();
    execute(&db, "CREATE VIEW v AS SELECT count(*) AS n FROM t", &[]).await.unwrap();
    for _ in 0..20 {
        assert_eq!(rows(&db, viewed, &[Argument::Integer(3)]).await, json!([[2]]));
    }
}

#[tokio::test]
async fn what_seeks_is_run_on_the_spot_and_what_calls_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let slot = super::super::FILES.slot(&dir.path().join("data.db"), disk::Disk::open);
    let options = super::super::options::of(&ServiceSpec::of_kind("sqlite")).unwrap();
    let db = Arc::new(super::super::adapter::SqliteAdapter::new(slot, &options));
    let shared: Arc<dyn Adapter> = db.clone();
    execute(&shared, "CREATE TABLE t (n INTEGER PRIMARY KEY, b TEXT)", &[]).await.unwrap();
    execute(&shared, "INSERT INTO t VALUES (1, 'one')", &[]).await.unwrap();
    let (seeks, calls) = ("SELECT n, b FROM t WHERE n = $1", "SELECT length(b) FROM t WHERE n = $1");
    let mut in_a_row = 0;
    for _ in 0..2000 {
        for sql in [seeks, calls] {
            rows(&shared, sql, &[Argument::Integer(1)]).await;
        }
        assert!(!db.is_quick(calls));
        // A glance that fails has to show anew that it is quick.
        in_a_row = if db.is_quick(seeks) { in_a_row + 1 } else { 0 };
        if in_a_row == 20 {
            return;
        }
    }
    panic!("a look at one row never becomes a glance");
}
