//! Where statements end, and where they do not.

use super::*;

fn texts(text: &str) -> (Vec<&str>, Option<&str>) {
    let cut = cut(text);
    (cut.ended.iter().map(|statement| statement.text).collect(), cut.rest.map(|rest| rest.text))
}

#[test]
fn semicolons_end_statements_where_nothing_hides_them() {
    for (text, ended, rest) in [
        ("", &[][..], None),
        (" ; ;\n;", &[], None),
        ("SELECT 1", &[], Some("SELECT 1")),
        ("SELECT 1;", &["SELECT 1"], None),
        ("a;b ; c", &["a", "b"], Some("c")),
        (
            "SELECT ';', 'it''s; ok', \"a;\"\"b\", `;`; x",
            &["SELECT ';', 'it''s; ok', \"a;\"\"b\", `;`"],
            Some("x"),
        ),
        ("SELECT E'a\\';b', e'\\\\'; x", &["SELECT E'a\\';b', e'\\\\'"], Some("x")),
        ("SELECT 'a\\'; x", &["SELECT 'a\\'"], Some("x")),
        ("SELECT name'x;y';", &["SELECT name'x;y'"], None),
        ("-- no; none\nSELECT 1 -- one;\n;", &["SELECT 1"], None),
        ("/* a; */ SELECT /* b; */ 1 /* c; */;", &["SELECT /* b; */ 1"], None),
        ("SELECT $$a;b$$, $t$;$$;$t$; x", &["SELECT $$a;b$$, $t$;$$;$t$"], Some("x")),
        ("SELECT $1, $2; x", &["SELECT $1, $2"], Some("x")),
        ("SELECT a$b$; SELECT $b$;", &["SELECT a$b$"], Some("SELECT $b$;")),
        ("SELECT 'open; x", &[], Some("SELECT 'open; x")),
        ("SELECT 1-1; -- end", &["SELECT 1-1"], None),
        ("SELECT 'ß'; 商;", &["SELECT 'ß'", "商"], None),
        ("BEGIN; INSERT; END;", &["BEGIN", "INSERT", "END"], None),
        ("SELECT CASE WHEN 1 THEN 2 END; x", &["SELECT CASE WHEN 1 THEN 2 END"], Some("x")),
        ("CREATE TABLE trigger_log (a); x", &["CREATE TABLE trigger_log (a)"], Some("x")),
    ] {
        assert_eq!(texts(text), (ended.to_vec(), rest), "{text}");
    }
}

#[test]
fn bodies_of_triggers_are_one_piece() {
    let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN\n UPDATE b SET n = CASE WHEN n > 1 THEN 0 ELSE n END;\n DELETE FROM c;\nEND";
    assert_eq!(texts(&format!("{trigger};\nSELECT 1;")), (vec![trigger, "SELECT 1"], None));
    assert_eq!(texts(&trigger[..trigger.len() - 4]).0, [""; 0]);
    let function =
        "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END; $$ LANGUAGE plpgsql";
    assert_eq!(texts(&format!("{function};")), (vec![function], None));
    let calling = "create trigger t before update on a execute function f()";
    assert_eq!(texts(&format!("{calling}; x")), (vec![calling], Some("x")));
}

#[test]
fn statements_know_their_lines_and_an_open_comment_is_known() {
    let found = cut("-- head\nSELECT 1;\n\n/* two\nlines */ SELECT\n 2; SELECT 3");
    let lines: Vec<usize> = found.ended.iter().map(|statement| statement.line).collect();
    assert_eq!((lines, found.rest.map(|rest| rest.line)), (vec![2, 5], Some(6)));
    assert!(cut("SELECT 1; /* still").in_comment && !cut("/* done */").in_comment);
}

#[test]
fn words_are_those_at_the_top() {
    let found: Vec<String> =
        words("with x as (insert into y returning 'z') /* no */ Update \"w\" set a = 1").collect();
    assert_eq!(found, ["WITH", "X", "AS", "UPDATE", "SET", "A"]);
}

#[test]
fn nothing_is_lost_and_nothing_panics() {
    let alphabet = ["'", "\"", "$", "$a$", ";", "--", "/*", "*/", "\n", "x", "E'", "\\", "é", "BEGIN", " "];
    let mut seed = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(alphabet[usize::try_from(seed >> 33).unwrap() % alphabet.len()]);
        }
        let found = cut(&text);
        let last = found.rest.iter();
        for statement in found.ended.iter().chain(last) {
            assert!(text.contains(statement.text) && !statement.text.trim().is_empty(), "{text}");
        }
    }
}
