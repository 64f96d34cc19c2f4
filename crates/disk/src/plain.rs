//! Which statements are so plain that each of their steps is short: they seek rows and read columns. A call of a
//! function or a count of a table is one step, too, and may take minutes.

use rusqlite::Connection;

/// Instructions of SQLite's machine that touch a page or a value, or less. One that is not here is not plain.
const SHORT: &[&str] = &[
    "Add",
    "Affinity",
    "And",
    "BeginSubrtn",
    "BitAnd",
    "BitNot",
    "BitOr",
    "Blob",
    "Cast",
    "Close",
    "Column",
    "Concat",
    "Copy",
    "DecrJumpZero",
    "DeferredSeek",
    "Divide",
    "ElseEq",
    "EndCoroutine",
    "Eq",
    "Explain",
    "FinishSeek",
    "Found",
    "Ge",
    "Gosub",
    "Goto",
    "Gt",
    "Halt",
    "IdxGE",
    "IdxGT",
    "IdxLE",
    "IdxLT",
    "IdxRowid",
    "If",
    "IfNot",
    "IfNotZero",
    "IfPos",
    "Init",
    "InitCoroutine",
    "Int64",
    "IntCopy",
    "Integer",
    "IsNull",
    "IsTrue",
    "IsType",
    "Last",
    "Le",
    "Lt",
    "MakeRecord",
    "Move",
    "Multiply",
    "MustBeInt",
    "Ne",
    "Next",
    "Noop",
    "Not",
    "NotExists",
    "NotFound",
    "NotNull",
    "Null",
    "NullRow",
    "OffsetLimit",
    "Once",
    "OpenRead",
    "Or",
    "Prev",
    "Real",
    "RealAffinity",
    "ReleaseReg",
    "Remainder",
    "ResultRow",
    "Return",
    "Rewind",
    "Rowid",
    "SCopy",
    "SeekGE",
    "SeekGT",
    "SeekHit",
    "SeekLE",
    "SeekLT",
    "SeekRowid",
    "ShiftLeft",
    "ShiftRight",
    "SoftNull",
    "String",
    "String8",
    "Subtract",
    "Transaction",
    "Variable",
    "Yield",
    "ZeroOrNull",
];

/// Whether a statement is plain, by the program that it becomes with the schema of this moment.
pub(crate) fn is_plain(connection: &Connection, sql: &str) -> bool {
    let all_short = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare(&format!("EXPLAIN {sql}"))?;
        let mut program = statement.raw_query();
        while let Some(row) = program.next()? {
            let word = row.get_ref(1)?.as_str().unwrap_or_default();
            if SHORT.binary_search(&word).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    all_short().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_seeks_is_plain_and_what_calls_or_counts_is_not() {
        assert!(SHORT.is_sorted());
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c); CREATE VIEW v AS SELECT count(*) FROM t")
            .unwrap();
        for (sql, plain) in [
            ("SELECT * FROM t WHERE a = ?1", true),
            ("SELECT a, c FROM t WHERE b = $1", true),
            ("SELECT x.b, y.b FROM t x JOIN t y ON y.a = x.c WHERE x.a = 1", true),
            ("SELECT a FROM t WHERE a > ?1 ORDER BY a LIMIT 10", true),
            ("SELECT a || b FROM t", true),
            ("SELECT count(*) FROM t", false),
            ("SELECT * FROM v", false),
            ("SELECT instr(b, c) FROM t WHERE a = 1", false),
            ("SELECT a FROM t WHERE b LIKE 'x%'", false),
            ("SELECT a FROM t ORDER BY c", false),
            ("SELECT randomblob(?1)", false),
            ("SELECT value FROM json_each(?1)", false),
            ("SELECT CASE WHEN ?1 THEN (SELECT count(*) FROM t) END", false),
            ("PRAGMA integrity_check", false),
            ("INSERT INTO t VALUES (1, 2, 3)", false),
            ("SELECT 1; SELECT 2", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_plain(&connection, sql), plain, "{sql}");
        }
    }
}
