//! The rules of this kind beyond the contract of the ability: SQLite's own values, options, files and failures.

mod faults;
mod hostile;
mod limits;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Code, EndpointSpec, Failure, Origin, Role, ServiceSpec};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::SQLITE;
use crate::sql::{Argument, QueryOptions, Rest, RowShape, Rows, Statement};
use crate::{Adapter, Driver, Home};

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn home(dir: &Path, service: &str) -> Home {
    Home {
        cluster: "shop".into(),
        service: service.into(),
        dir: dir.join("gateway/services/shop").join(service),
    }
}

fn try_connect(dir: &Path, service: &str, options: Value) -> Result<Arc<dyn Adapter>, Failure> {
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let mut spec = ServiceSpec::of_kind("sqlite");
    spec.options = options.as_object().unwrap().clone();
    SQLITE.connect(&endpoint, &spec, &home(dir, service))
}

fn connect(dir: &Path, service: &str, options: Value) -> Arc<dyn Adapter> {
    try_connect(dir, service, options).unwrap()
}

fn statement(sql: &str, args: &[Argument]) -> Statement {
    Statement { query: sql.into(), args: args.into() }
}

async fn execute(adapter: &Arc<dyn Adapter>, sql: &str, args: &[Argument]) -> Result<u64, Failure> {
    adapter.sql().unwrap().execute(&statement(sql, args), later()).await
}

async fn query(adapter: &Arc<dyn Adapter>, sql: &str, args: &[Argument]) -> Result<Rows, Failure> {
    let options = QueryOptions { shape: RowShape::Arrays, ..QueryOptions::default() };
    adapter.sql().unwrap().query(&statement(sql, args), &options, later()).await
}

/// The rows of a result that is small.
async fn rows(adapter: &Arc<dyn Adapter>, sql: &str, args: &[Argument]) -> Value {
    let rows = query(adapter, sql, args).await.unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    assert!(matches!(rows.rest, Rest::End { truncated: false }));
    serde_json::from_slice(&[b"[", rows.first.json.as_slice(), b"]"].concat()).unwrap()
}

fn text(value: &str) -> Argument {
    Argument::Text(value.into())
}

#[tokio::test]
async fn values_are_told_by_the_type_that_their_column_declares() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    for (declared, value, told) in [
        ("BOOLEAN", "1", json!(true)),
        ("boolean", "0", json!(false)),
        ("BOOLEAN", "2", json!(2)),
        ("BOOLEAN", "'yes'", json!("yes")),
        ("JSON", "'{\"a\": [1, null]}'", json!({"a": [1, null]})),
        ("JSON", "'not json'", json!("not json")),
        ("JSON", "'{} {}'", json!("{} {}")),
        ("TEXT", "'{\"a\": 1}'", json!("{\"a\": 1}")),
        ("NUMERIC(20, 4)", "12.5", json!("12.5")),
        ("DECIMAL", "7", json!("7")),
        ("DECIMAL", "'abc'", json!("abc")),
        ("DATETIME", "'2026-01-31 12:00:00.25'", json!("2026-01-31T12:00:00.25Z")),
        ("TIMESTAMP", "'tomorrow'", json!("tomorrow")),
        ("TEXT", "'2026-01-31 12:00:00'", json!("2026-01-31 12:00:00")),
        ("UUID", "'5f1c'", json!("5f1c")),
        ("BLOB", "x'00ff10'", json!("AP8Q")),
        ("REAL", "9e999", json!("Infinity")),
        ("REAL", "-9e999", json!("-Infinity")),
        ("REAL", "3", json!(3.0)),
        ("INTEGER", "9007199254740993", json!("9007199254740993")),
        ("TEXT", "NULL", json!(null)),
        ("", "1", json!(1)),
    ] {
        execute(&db, &format!("CREATE TABLE t (v {declared})"), &[]).await.unwrap();
        execute(&db, &format!("INSERT INTO t VALUES ({value})"), &[]).await.unwrap();
        assert_eq!(rows(&db, "SELECT v FROM t", &[]).await, json!([[told]]), "{declared} {value}");
        execute(&db, "DROP TABLE t", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn columns_are_called_as_declared_and_expressions_by_their_first_value() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({"path": ":memory:"}));
    execute(&db, "CREATE TABLE t (a VARCHAR(80), b NUMERIC (20,4), c)", &[]).await.unwrap();
    execute(&db, "INSERT INTO t VALUES ('x', 1, 2)", &[]).await.unwrap();
    let result = query(&db, "SELECT a, b, c, a || 'y', 1.5, NULL, x'00', 1 FROM t", &[]).await.unwrap();
    let kinds: Vec<&str> = result.columns.iter().map(|column| column.kind.as_str()).collect();
    assert_eq!(kinds, ["varchar", "numeric", "integer", "text", "real", "null", "blob", "integer"]);
}

#[tokio::test]
async fn arguments_keep_their_type() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    for (argument, kind, told) in [
        (Argument::Null, "null", json!(null)),
        (Argument::Bool(true), "integer", json!(1)),
        (Argument::Integer(i64::MIN), "integer", json!(i64::MIN.to_string())),
        (Argument::Number("1.0".into()), "real", json!(1.0)),
        (Argument::Number("-25e-1".into()), "real", json!(-2.5)),
        (text("a\0b"), "text", json!("a\u{0}b")),
        (text(""), "text", json!("")),
        (Argument::Bytes(Bytes::new()), "blob", json!("")),
        (Argument::Bytes(Bytes::from_static(b"\xff\0")), "blob", json!("/wA=")),
        (Argument::Json("{\"a\":1}".into()), "text", json!("{\"a\":1}")),
    ] {
        let told_type = rows(&db, "SELECT typeof($1), $1", std::slice::from_ref(&argument)).await;
        assert_eq!(told_type, json!([[kind, told]]), "{argument:?}");
    }
}

#[tokio::test]
async fn placeholders_of_three_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    let numbers = |count: i64| (1..=count).map(Argument::Integer).collect::<Vec<_>>();
    for (sql, args, told) in [
        ("SELECT $2, $1, $2", numbers(2), json!([[2, 1, 2]])),
        ("SELECT $10 + $2", numbers(10), json!([[12]])),
        ("SELECT ?, ?", numbers(2), json!([[1, 2]])),
        ("SELECT ?2, ?1", numbers(2), json!([[2, 1]])),
        ("SELECT ?2, ?", numbers(3), json!([[2, 3]])),
        ("SELECT '$1', \"?1\" FROM (SELECT 1 AS \"?1\")", vec![], json!([["$1", 1]])),
    ] {
        assert_eq!(rows(&db, sql, &args).await, told, "{sql}");
    }
    for (sql, given, reason) in [
        ("SELECT $1", 0, "has 1 placeholder and 0 arguments were given"),
        ("SELECT $2", 1, "has 2 placeholders and 1 argument was given"),
        ("SELECT ?", 2, "has 1 placeholder and 2 arguments were given"),
        ("SELECT 1", 1, "has 0 placeholders and 1 argument was given"),
        ("SELECT $1, ?", 2, "mixes `$1` with `?`"),
        ("SELECT :name", 1, "`:name` is not known"),
        ("SELECT @name", 1, "`@name` is not known"),
        ("SELECT $name", 1, "`$name` is not known"),
        ("SELECT $0", 1, "`$0` is not known"),
        ("SELECT $1::text", 1, "CAST($1 AS integer)"),
        ("SELECT $99999999999", 1, "is not known"),
    ] {
        let failure = query(&db, sql, &numbers(given)).await.unwrap_err();
        assert_eq!(failure.code(), Code::QueryFailed, "{sql}: {failure}");
        assert!(failure.detail().contains(reason), "{sql}: {failure}");
    }
}

#[tokio::test]
async fn refusals_say_why_and_what_instead() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (n INTEGER) STRICT", &[]).await.unwrap();
    for (sql, reason, native) in [
        ("SELECT * FROM missing", "no such table: missing", "SQLITE_ERROR"),
        ("SELECT ähm FROM t", "no such column: ähm (at character 8)", "SQLITE_ERROR"),
        (
            "INSERT INTO t VALUES ('word')",
            "cannot store TEXT value in INTEGER column t.n",
            "SQLITE_CONSTRAINT_DATATYPE",
        ),
        ("ATTACH 'x.db' AS x", "nother file cannot be attached", ""),
        ("PRAGMA journal_mode = OFF", "`PRAGMA journal_mode` is not available", ""),
        ("SELECT 1\0; DROP TABLE t", "a NUL character", ""),
        ("SELECT CAST(x'ff' AS TEXT) AS odd", "`odd` has text that is not UTF-8", ""),
        ("VACUUM", "cannot VACUUM", "SQLITE_ERROR"),
        ("SELECT abs(-9223372036854775808)", "integer overflow", "SQLITE_ERROR"),
    ] {
        for failure in
            [query(&db, sql, &[]).await.err(), execute(&db, sql, &[]).await.err()].into_iter().flatten()
        {
            assert_eq!(
                (failure.code(), failure.origin()),
                (Code::QueryFailed, Origin::Client),
                "{sql}: {failure}"
            );
            assert!(failure.detail().contains(reason), "{sql}: {failure}");
            assert_eq!(failure.native().map_or("", |(_, code)| code), native, "{sql}: {failure}");
        }
        assert!(query(&db, sql, &[]).await.is_err(), "{sql}");
    }
    assert_eq!(rows(&db, "SELECT count(*) FROM t", &[]).await, json!([[0]]));
}

#[tokio::test]
async fn constraints_name_themselves_and_no_values() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER CONSTRAINT grown CHECK (age > 17))", &[])
        .await
        .unwrap();
    execute(&db, "INSERT INTO t VALUES (1, 'secret', 20)", &[]).await.unwrap();
    for (sql, named, native) in [
        ("INSERT INTO t VALUES (1, 'b', 20)", "t.id", "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO t VALUES (2, 'secret', 20)", "t.name", "SQLITE_CONSTRAINT_UNIQUE"),
        ("INSERT INTO t VALUES (2, 'b', 3)", "grown", "SQLITE_CONSTRAINT_CHECK"),
    ] {
        let failure = execute(&db, sql, &[]).await.unwrap_err();
        assert_eq!(failure.code(), Code::ConstraintViolation, "{failure}");
        assert!(failure.detail().contains(named) && !failure.detail().contains("secret"), "{failure}");
        assert_eq!(failure.native(), Some(("sqlite", native)));
    }
}

#[tokio::test]
async fn a_schema_that_changes_is_seen_by_statements_that_were_prepared() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (a INTEGER)", &[]).await.unwrap();
    execute(&db, "INSERT INTO t VALUES (1)", &[]).await.unwrap();
    for _ in 0..5 {
        assert_eq!(rows(&db, "SELECT * FROM t", &[]).await, json!([[1]]));
    }
    execute(&db, "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'new'", &[]).await.unwrap();
    let result = query(&db, "SELECT * FROM t", &[]).await.unwrap();
    assert_eq!(result.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rows(&db, "SELECT * FROM t", &[]).await, json!([[1, "new"]]));
}

#[tokio::test]
async fn a_statement_that_was_quick_and_is_not_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let db = connect(dir.path(), "db", json!({}));
    execute(&db, "CREATE TABLE t (n INTEGER PRIMARY KEY)", &[]).await.unwrap();
    let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
                 SELECT count(*), (SELECT count(*) FROM t) FROM n";
    for n in 1..=50 {
        execute(&db, "INSERT INTO t VALUES ($1)", &[Argument::Integer(n)]).await.unwrap();
        assert_eq!(
            rows(&db, count, &[Argument::Integer(10)]).await,
            json!([[10, n]]),
            "each sees what is there now"
        );
    }
    for _ in 0..3 {
        assert_eq!(rows(&db, count, &[Argument::Integer(100_000)]).await, json!([[100_000, 50]]));
        assert_eq!(rows(&db, count, &[Argument::Integer(10)]).await, json!([[10, 50]]));
    }
    let begun = Instant::now();
    let endless = [Argument::Integer(i64::MAX)];
    let deadline = begun + Duration::from_millis(100);
    let asked = statement(count, &endless);
    let failure = db.sql().unwrap().query(&asked, &QueryOptions::default(), deadline).await.unwrap_err();
    assert_eq!(failure.code(), Code::Timeout, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}
