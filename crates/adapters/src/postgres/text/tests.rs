//! What a look at a statement's text tells, and what it is not fooled by.

use std::sync::Arc;

use model::Code;

use super::*;

const LONGEST: u64 = 1000;

fn statement(sql: &str) -> Statement {
    Statement { query: sql.into(), args: Arc::new([]) }
}

fn look(sql: &str) -> Look {
    check(&statement(sql), LONGEST, false, Place::Alone).unwrap_or_else(|failure| panic!("{sql}: {failure}"))
}

fn refused(sql: &str, place: Place) -> Option<Code> {
    check(&statement(sql), LONGEST, false, place).err().map(|failure| failure.code())
}

#[test]
fn what_is_no_statement_is_refused() {
    for sql in ["", " \n", ";", "-- words", "/* a /* nested */ one */ ;", "a\0b", &"x".repeat(1001)] {
        assert!(refused(sql, Place::Alone).is_some(), "{sql}");
    }
    for sql in ["(SELECT 1)", "ä", "1", "/* a */ SELECT 1 -- b"] {
        assert_eq!(refused(sql, Place::Alone), None, "{sql}");
    }
}

#[test]
fn transactions_are_not_begun_and_ended_by_text() {
    for sql in [
        "BEGIN",
        "begin;",
        "START TRANSACTION",
        "/* */ COMMIT",
        "end",
        "ABORT",
        "ROLLBACK",
        "rollback and chain",
        "PREPARE TRANSACTION 'x'",
        "-- a\rCOMMIT\nWORK",
    ] {
        for place in [Place::Alone, Place::Within, Place::WithinReadOnly] {
            assert_eq!(refused(sql, place), Some(Code::QueryFailed), "{sql}");
        }
    }
    assert_eq!(refused("ROLLBACK TO SAVEPOINT a", Place::Alone), Some(Code::QueryFailed));
    for sql in ["ROLLBACK TO SAVEPOINT a", "ROLLBACK WORK TO a", "SAVEPOINT a", "RELEASE a"] {
        assert_eq!(refused(sql, Place::Within), None, "{sql}");
    }
    for sql in ["COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'", "PREPARE x AS SELECT 1", "SELECT 'BEGIN'"] {
        assert_eq!(refused(sql, Place::Alone), None, "{sql}");
    }
}

#[test]
fn read_only_stays_so() {
    for sql in [
        "SET TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "set transaction_read_only = off",
        "RESET transaction_read_only",
        "SET \"transaction_read_only\" TO off",
        "SET LOCAL U&\"transaction\\005fread_only\" TO off",
    ] {
        assert_eq!(refused(sql, Place::WithinReadOnly), Some(Code::QueryFailed), "{sql}");
        assert_eq!(refused(sql, Place::Within), None, "{sql}");
    }
    for sql in
        ["SHOW transaction_read_only", "SET LOCAL a.user = 1", "SELECT set_config('a.user', '1', true)"]
    {
        assert_eq!(refused(sql, Place::WithinReadOnly), None, "{sql}");
    }
}

#[test]
fn the_administrators_words_are_not_let_through() {
    for sql in ["ALTER SYSTEM SET a = 1", "-- x\nalter /* y */ system reset all", "COPY t FROM PROGRAM 'id'"]
    {
        assert_eq!(refused(sql, Place::Alone), Some(Code::PermissionDenied), "{sql}");
        assert!(check(&statement(sql), LONGEST, true, Place::Alone).is_ok(), "{sql}");
    }
    let hidden = [r"COPY (SELECT E'\'') TO PROGRAM 'id'", r"COPY (SELECT '\'') TO PROGRAM 'id'"];
    assert_eq!(hidden.map(|sql| refused(sql, Place::Alone)), [Some(Code::PermissionDenied); 2]);
    for sql in ["COPY t FROM STDIN", "copy t to stdout", "COPY (SELECT 1) TO STDOUT"] {
        assert_eq!(refused(sql, Place::Alone), Some(Code::QueryFailed), "{sql}");
    }
    for sql in ["ALTER TABLE system ADD x int", "COPY program FROM '/tmp/x'", "SELECT 'COPY t FROM PROGRAM'"]
    {
        let is_a_table = sql.starts_with("COPY program");
        assert_eq!(
            refused(sql, Place::Alone).is_some(),
            is_a_table,
            "caution refuses a table of that name: {sql}"
        );
    }
}

#[test]
fn what_only_looks_seems_so() {
    for (sql, looks) in [
        ("SELECT 1", true),
        (" (select 1)", true),
        ("VALUES (1)", true),
        ("WITH a AS (SELECT 'insert') SELECT * FROM a", true),
        ("SELECT \"update\" FROM a -- delete", true),
        ("SELECT $$ DELETE $$, $a$ INTO $$ $a$, $1", true),
        ("WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a", false),
        (r"SELECT E'\\', e'it\'s DELETE', 'a\', 'INSERT'", true),
        (r"WITH a AS (SELECT E'\''), b AS (DELETE FROM c RETURNING *) SELECT ''", false),
        ("WITH a AS (SELECT E'a''\\''), b AS (DELETE FROM c RETURNING *) SELECT ''", false),
        ("WITH a AS (SELECT E'a' -- b\n  '\\''), b AS (DELETE FROM c RETURNING *) SELECT ''", false),
        ("SELECT 1 INTO a", false),
        ("INSERT INTO a SELECT 1", false),
        ("UPDATE a SET b = 1 RETURNING b", false),
        ("FETCH a", false),
    ] {
        assert_eq!(look(sql).seems_to_look, looks, "{sql}");
    }
}

#[test]
fn what_may_change_the_session_is_seen() {
    for (sql, changes) in [
        ("SELECT 1", false),
        ("SET LOCAL a = 1", false),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", false),
        ("CREATE TABLE a (b int)", false),
        ("DECLARE a CURSOR FOR SELECT 1", false),
        ("UPDATE a SET temp = 1", false),
        ("SELECT pg_advisory_xact_lock(1)", false),
        ("EXPLAIN SELECT 1", false),
        ("SET search_path = x", true),
        ("set session authorization bob", true),
        ("LISTEN a", true),
        ("PREPARE a AS SELECT 1", true),
        ("CREATE TEMP TABLE a (b int)", true),
        ("create temporary view a as select 1", true),
        ("CREATE TABLE pg_temp.a (b int)", true),
        ("SELECT 1 INTO TEMP a", true),
        ("DECLARE a CURSOR WITH HOLD FOR SELECT 1", true),
        ("SELECT pg_advisory_lock(1)", true),
        ("SELECT pg_try_advisory_lock_shared(1)", true),
        (r#"SELECT U&"pg_adv\0069sory_lock"(1)"#, true),
        ("EXPLAIN ANALYZE CREATE TEMP TABLE a AS SELECT 1", true),
        (r"SELECT E'\'' INTO TEMP a -- '", true),
        ("SELECT \"set_config\"('a.b', 'c', false)", true),
        ("DO $$ BEGIN END $$", true),
        ("CALL a()", true),
    ] {
        assert_eq!(look(sql).changes_session, changes, "{sql}");
    }
}

#[test]
fn what_may_commit_in_the_middle_is_seen() {
    for (sql, in_parts) in [
        ("CALL a()", true),
        ("DO $$ BEGIN COMMIT; END $$", true),
        ("DO 'begin call a(); end'", true),
        ("DO LANGUAGE plpython3u $$ plpy.commit() $$", true),
        ("DO $$ BEGIN PERFORM a(); END $$", false),
        ("SELECT 'COMMIT'", false),
    ] {
        assert_eq!(look(sql).in_parts, in_parts, "{sql}");
    }
}
