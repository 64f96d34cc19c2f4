//! What a stranger's statement may not do, each with its reason.

use super::deadlines::{LIFE, later, sql};
use super::{numbers, on_disk};
use crate::{Error, Session, SqlResult};

#[tokio::test]
async fn the_guard_says_what_it_refuses() {
    let (dir, disk) = on_disk();
    let other = dir.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    for (text, reason) in [
        ("BEGIN", "`BEGIN` is no statement here"),
        ("COMMIT", "`COMMIT` is no statement here"),
        ("END", "`COMMIT` is no statement here"),
        ("ROLLBACK", "`ROLLBACK` is no statement here"),
        ("SAVEPOINT a", "savepoints need a transaction of their own"),
        ("RELEASE job", "savepoints need a transaction of their own"),
        ("ROLLBACK TO job", "savepoints need a transaction of their own"),
        (attach.as_str(), "another file cannot be attached"),
        ("DETACH main", "another file cannot be attached"),
        ("CREATE TEMP TABLE t (n)", "temporary tables would be shared"),
        ("CREATE VIRTUAL TABLE temp.numbers USING rtree(id, a, b)", "temporary tables would be shared"),
        (
            "CREATE VIRTUAL TABLE temp.numbers USING fts5vocab('main', 't', 'row')",
            "temporary tables would be shared",
        ),
        ("CREATE VIRTUAL TABLE words USING fts5vocab('t', 'row')", "the module `fts5vocab` is not available"),
        ("CREATE VIRTUAL TABLE words USING fts3(a)", "the module `fts3` is not available"),
        ("SELECT count(*) FROM dbstat", "the table `dbstat` is not available"),
        ("INSERT INTO numbers SELECT \"hunter\"", "no such column: \"hunter\""),
        ("PRAGMA journal_mode = DELETE", "`PRAGMA journal_mode` is not available"),
        ("PRAGMA synchronous = OFF", "`PRAGMA synchronous` is not available"),
        ("PRAGMA locking_mode = EXCLUSIVE", "`PRAGMA locking_mode` is not available"),
        ("PRAGMA wal_checkpoint(TRUNCATE)", "`PRAGMA wal_checkpoint` is not available"),
        ("PRAGMA writable_schema = ON", "`PRAGMA writable_schema` is not available"),
        ("PRAGMA defer_foreign_keys = ON", "`PRAGMA defer_foreign_keys` is not available"),
        ("PRAGMA query_only = OFF", "`PRAGMA query_only` is not available"),
        ("PRAGMA foreign_keys = OFF", "`PRAGMA foreign_keys` can be read and not set"),
        ("SELECT load_extension('x')", "extensions are not loaded"),
        ("VACUUM", "cannot VACUUM from within a transaction"),
        ("VACUUM INTO 'copy.db'", "cannot VACUUM from within a transaction"),
    ] {
        for _ in 0..2 {
            let error = disk.write_until(later(), sql(text, 0)).await.unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
            let own = text.to_owned();
            let read = disk.read_until(later(), move |s, _| sql(&own, 0)(s)).await;
            assert!(read.is_err(), "{text}");
        }
    }
    assert!(!other.exists());
    disk.write_until(later(), sql("INSERT INTO numbers VALUES (?1)", 1)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1], "the writer is as it was");
}

/// The words that frame every job are prepared on the same connection; a cache that both share would let
/// these pass.
#[tokio::test]
async fn words_of_the_writer_are_no_strangers_words() {
    let (_dir, disk) = on_disk();
    for text in
        ["BEGIN IMMEDIATE", "COMMIT", "SAVEPOINT job", "ROLLBACK TO job", "RELEASE job", "ROLLBACK", "BEGIN"]
    {
        disk.write(|_| Ok(())).await.unwrap();
        disk.read(|_| Ok(())).await.unwrap();
        let error = disk.write_until(later(), sql(text, 0)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{text}: {error}");
        let text = text.to_owned();
        let error = disk.read_until(later(), move |s, _| sql(&text, 0)(s)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
}

#[tokio::test]
async fn pragmas_that_only_look_are_open() {
    let (_dir, disk) = on_disk();
    for text in [
        "PRAGMA table_info(numbers)",
        "PRAGMA index_list('numbers')",
        "PRAGMA foreign_key_list(parts)",
        "PRAGMA user_version",
        "PRAGMA foreign_keys",
        "SELECT name FROM pragma_table_info('numbers')",
        "PRAGMA integrity_check",
    ] {
        let rows = disk
            .read_until(later(), move |s, _| {
                let count = || -> SqlResult<usize> {
                    let mut statement = s.prepare_cached(text)?;
                    let mut rows = statement.query([])?;
                    let mut count = 0;
                    while rows.next()?.is_some() {
                        count += 1;
                    }
                    Ok(count)
                };
                count().map_err(|error| s.explain(error))
            })
            .await;
        rows.unwrap_or_else(|error: Error| panic!("{text}: {error}"));
    }
    disk.write_until(later(), sql("PRAGMA user_version = 7", 0)).await.unwrap();
    let version: i64 = disk.read(|c| c.query_row("PRAGMA user_version", [], |row| row.get(0))).await.unwrap();
    assert_eq!(version, 7);
}

#[tokio::test]
async fn what_is_no_harm_is_open() {
    let (_dir, disk) = on_disk();
    for text in [
        "CREATE VIRTUAL TABLE texts USING fts5(body)",
        "INSERT INTO texts VALUES ('some words')",
        "CREATE VIRTUAL TABLE places USING rtree(id, least, most)",
        "INSERT INTO places VALUES (1, 2, 3)",
        "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT, z)",
        "CREATE TRIGGER after_a AFTER INSERT ON a BEGIN UPDATE a SET z = new.y WHERE x = new.x; END",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE b RENAME COLUMN y TO yy",
        "ALTER TABLE b ADD COLUMN w DEFAULT 3",
        "ALTER TABLE b DROP COLUMN w",
        "CREATE INDEX i ON b (yy)",
        "INSERT INTO b (yy) VALUES ('x')",
        "CREATE VIEW v AS SELECT * FROM b",
        "ANALYZE",
        "REINDEX",
        "DROP VIEW v",
        "DROP TABLE places",
        "DROP TABLE texts",
        "DROP TABLE b",
    ] {
        disk.write_until(later(), sql(text, 0)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// What was prepared in a transaction is found ready by whoever sends the same words, and passes the guard.
#[tokio::test]
async fn words_of_a_transaction_do_not_outlive_it() {
    let (_dir, disk) = on_disk();
    let words = ["SAVEPOINT job", "INSERT INTO numbers VALUES (7)", "ROLLBACK TO job", "RELEASE job"];
    let mut turn = disk.begin(later()).await.unwrap();
    for text in words {
        turn.run(later(), sql(text, 0)).await.unwrap();
    }
    turn.commit().await.unwrap();
    let mut turn = disk.begin_looking(later(), LIFE).await.unwrap();
    turn.run(later(), sql("SAVEPOINT job", 0)).await.unwrap();
    drop(turn);
    let batch = |s: &Session<'_>| -> Result<usize, Error> {
        sql("INSERT INTO numbers VALUES (8)", 0)(s)?;
        sql("SAVEPOINT job", 0)(s)?;
        sql("INSERT INTO numbers VALUES (8)", 0)(s)
    };
    let error = disk.write_until(later(), batch).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    for _ in 0..3 {
        let read = disk.read_until(later(), |s, _| sql("SAVEPOINT job", 0)(s)).await;
        assert!(matches!(read, Err(Error::Refused { .. })), "{read:?}");
    }
    assert!(disk.read(numbers).await.unwrap().is_empty(), "all or nothing");
}
