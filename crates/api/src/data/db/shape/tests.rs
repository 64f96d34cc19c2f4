//! Shapes as a table, and that no value is ever in one.

use super::{LONGEST, shape};

#[test]
fn words_stay_and_values_go() {
    for (sql, expected) in [
        ("", ""),
        ("  \n ", ""),
        ("SELECT 1", "SELECT ?"),
        (
            "select * from t where a = $1 and b=?2 and c in (?, ?)",
            "select * from t where a = $1 and b=?2 and c in (?, ?)",
        ),
        ("SELECT\n\t a ,b\r\n FROM  t ;", "SELECT a ,b FROM t ;"),
        ("SELECT 'it''s', -1.5e-3, 0xFF, 1e6, .5, 1_000", "SELECT ?, -?, ?, ?, .?, ?"),
        ("SELECT a1, t2.c3 FROM t2", "SELECT a1, t2.c3 FROM t2"),
        ("SELECT x'00ff', X'', b'01', N'a', E'a\\'b' || 'c'", "SELECT ?, ?, ?, ?, ? || ?"),
        ("SELECT DATE '2026-01-01'", "SELECT DATE ?"),
        ("SELECT DATE'2026-01-01'", "SELECT DATE?"),
        ("SELECT 1-- the rest\n, 2", "SELECT ? , ?"),
        ("/* who: me */ SELECT/**/a", "SELECT a"),
        ("SELECT 1 --", "SELECT ?"),
        ("SELECT \"Order\".\"user id\", `b` FROM \"Order\"", "SELECT ?.\"user id\", `b` FROM \"Order\""),
        // A text in double quotes is a name only where no value can stand.
        ("SELECT * FROM t WHERE token = \"hunter2\"", "SELECT * FROM t WHERE token = ?"),
        ("select a from t union select \"hunter2\"", "select a from t union select ?"),
        ("INSERT INTO \"t\" (\"a\") VALUES (\"hunter2\")", "INSERT INTO \"t\" (?) VALUES (?)"),
        (
            "update \"t\" set a = \"hunter2\" from /* x */ \"u\" join\n\"v\"",
            "update \"t\" set a = ? from \"u\" join \"v\"",
        ),
        (
            "CREATE TABLE \"t\" AS SELECT 1 AS \"one\" FROM (SELECT 2 FROM \"u\") AS \"x y\"",
            "CREATE TABLE \"t\" AS SELECT ? AS \"one\" FROM (SELECT ? FROM \"u\") AS \"x y\"",
        ),
        ("DELETE FROM main.\"t\" WHERE a IS \"hunter2\"", "DELETE FROM main.\"t\" WHERE a IS ?"),
        ("SELECT a IS DISTINCT FROM \"hunter2\" FROM \"t\"", "SELECT a IS DISTINCT FROM ? FROM \"t\""),
        ("SELECT trim('x' FROM \"hunter2\") FROM \"t\"", "SELECT trim(? FROM ?) FROM \"t\""),
        ("SELECT \"hunter2\" AS a, \"b\"\"c\" FROM \"d\"\"e\"", "SELECT ? AS a, ? FROM ?"),
        ("SELECT a FROM t, \"hunter2\"", "SELECT a FROM t, ?"),
        ("SELECT \"a\"\"b'c\", 'd'", "SELECT ?, ?"),
        ("SELECT $$it's$$, $tag$ $$ 'x' $tag$, $1", "SELECT ?, ?, $1"),
        ("SELECT \"col1\" , 1e+5 ,x'00' AS  a ", "SELECT ? , ? ,? AS a"),
        ("SELECT $name, :name, @name", "SELECT $name, :name, @name"),
        ("SELECT a::text, b->>'k', c @> '{\"a\": 1}'", "SELECT a::text, b->>?, c @> ?"),
        ("SELECT a[1], [my col] FROM t", "SELECT a[?], [my col] FROM t"),
        ("SELECT ARRAY['a','b'], array[$1]", "SELECT ARRAY[?,?], array[$1]"),
        ("SELECT größe FROM tabelle WHERE ort = 'Zürich'", "SELECT größe FROM tabelle WHERE ort = ?"),
        ("INSERT INTO t VALUES (1,'a',NULL,TRUE)", "INSERT INTO t VALUES (?,?,NULL,TRUE)"),
        ("SELECT 'a'\0'b'", "SELECT ? ?"),
        // What has no end, or ends in two ways, takes the rest with it.
        ("SELECT a, 'secret", "SELECT a, ?…"),
        ("SELECT 'a\\', secret --'", "SELECT ?…"),
        ("SELECT \"secret", "SELECT ?…"),
        ("SELECT $$secret", "SELECT ?…"),
        ("SELECT 1 /* secret", "SELECT ?…"),
        ("SELECT 1 /* a /* b */ 'secret' */", "SELECT ?…"),
        ("SELECT [it's], 'secret'", "SELECT [?…"),
        ("SELECT E'a\\", "SELECT ?…"),
    ] {
        assert_eq!(shape(sql), expected, "{sql}");
    }
}

#[test]
fn a_shape_has_its_length() {
    let exact = "ä".repeat(LONGEST);
    assert_eq!(shape(&exact), exact);
    let cut = shape(&format!("{exact}ä"));
    assert_eq!((cut.chars().count(), cut.ends_with("ä…")), (LONGEST, true));
    let many = format!("SELECT {}", "1, ".repeat(100_000));
    assert_eq!(shape(&many).chars().count(), LONGEST);
    let long_value = format!("SELECT '{}', b", "x".repeat(1 << 20));
    assert_eq!(shape(&long_value), "SELECT ?…");
}

/// Statements of many pieces in a fixed order of chance: the marker stands in values only.
#[test]
fn no_value_is_ever_in_a_shape() {
    let words = [
        "SELECT",
        " ",
        ",",
        "a",
        "(",
        ")",
        "[b]",
        "\"c\"",
        "--x\n",
        "/*y*/",
        "$1",
        "?",
        "=",
        "::text",
        "\n",
        "ARRAY[",
        "]",
        "DISTINCT FROM",
        "FROM (",
    ];
    let values = [
        "\"SECRET\"",
        "\"it\"\"s SECRET\"",
        "'SECRET'",
        "'it''s SECRET'",
        "E'\\'SECRET'",
        "x'SECRET'",
        "$$SECRET$$",
        "$t$SECRET'$t$",
        "'SECRET\\'",
        "'\\SECRET'",
        "''",
    ];
    let mut state = 1_u64;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    for _ in 0..20_000 {
        let mut sql = String::new();
        for _ in 0..next(12) {
            // A word right before a dollar would take it in.
            match next(3) {
                0 => sql.extend([" ", values[next(values.len())]]),
                _ => sql.push_str(words[next(words.len())]),
            }
            sql.push_str(["", " "][next(2)]);
        }
        assert!(!shape(&sql).contains("SECRET"), "{sql}: {}", shape(&sql));
    }
}
