//! Ours against SQLite's own, which a bare connection has.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rusqlite::Connection;

use super::replace_slow;

fn ours() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    replace_slow(&connection, &Arc::new(AtomicUsize::new(1_000_000))).unwrap();
    connection
}

fn told(connection: &Connection, call: &str) -> String {
    let sql = format!("SELECT typeof({call}) || ' ' || quote({call})");
    connection.query_row(&sql, [], |row| row.get(0)).unwrap_or_else(|error| format!("fails: {error}"))
}

#[test]
fn they_mean_what_sqlite_means() {
    let (ours, own) = (ours(), Connection::open_in_memory().unwrap());
    let values = [
        "NULL",
        "''",
        "'a'",
        "'ab'",
        "'abcabc'",
        "'xxabcxx'",
        "'ä'",
        "'aäbä'",
        "'€uro€'",
        "x''",
        "x'61'",
        "x'6162'",
        "x'80'",
        "x'a4'",
        "'12'",
        "12",
        "-7",
        "1.5",
        "1e20",
        "0.1",
        "char(0)",
        "'a' || char(0) || 'b'",
        "CAST(x'ff61' AS TEXT)",
        "CAST(x'a4' AS TEXT)",
        "'{\"a\":1,\"b\":{\"c\":2}}'",
        "'{\"a\":null}'",
        "'[1]'",
        "' x '",
        "'6A 6B'",
    ];
    for a in values {
        for b in values {
            let mut calls = vec![];
            for name in ["instr", "trim", "ltrim", "rtrim", "unhex", "json_patch", "jsonb_patch"] {
                calls.push(format!("{name}({a}, {b})"));
            }
            for c in ["NULL", "''", "'yy'", "7", "2.5", "x'61'"] {
                calls.push(format!("replace({a}, {b}, {c})"));
            }
            calls.push(format!("json_array(json_patch({a}, {b}))"));
            for call in calls {
                assert_eq!(told(&ours, &call), told(&own, &call), "{call}");
            }
        }
    }
}

#[test]
fn what_grows_too_large_is_refused_before_it_is_made() {
    let error = told(&ours(), "replace(printf('%.*c', 1000, 'a'), 'a', printf('%.*c', 10000, 'b'))");
    assert!(error.contains("too big"), "{error}");
    let error = told(&ours(), "json_patch(printf('%.*c', 100000, '1'), printf('%.*c', 100000, '1'))");
    assert!(error.contains("too big"), "{error}");
}

#[test]
fn schemas_may_call_them() {
    let ours = ours();
    ours.pragma_update(None, "trusted_schema", false).unwrap();
    ours.execute_batch(
        "CREATE TABLE t (a TEXT CHECK (instr(a, 'x') = 0), b TEXT AS (replace(a, 'b', 'c')));
         CREATE INDEX i ON t (trim(a, 'z'));
         CREATE VIEW v AS SELECT instr(a, 'b') FROM t;
         INSERT INTO t (a) VALUES ('abz');",
    )
    .unwrap();
    assert_eq!(told(&ours, "(SELECT b FROM t WHERE trim(a, 'z') = 'ab')"), "text 'acz'");
    ours.execute("INSERT INTO t (a) VALUES ('x')", []).unwrap_err();
}
