//! As much of the language as must be known before a statement is prepared: its first word, and whether another
//! statement follows. Whatever counts is SQLite's own reading of it; this only chooses a way and finds words.

/// The first word, in the spelling of the text; empty when there is none.
pub(super) fn first_word(sql: &str) -> &str {
    let Some(begin) = next(sql, 0, Skip::Semicolons) else { return "" };
    let rest = &sql[begin..];
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    &rest[..end]
}

/// Whether nothing stands in it but blanks, comments and semicolons.
pub(super) fn is_empty(sql: &str) -> bool {
    next(sql, 0, Skip::Semicolons).is_none()
}

/// Whether it begins like a statement that only looks. `WITH` may turn out to write.
pub(super) fn seems_to_look(sql: &str) -> bool {
    let word = first_word(sql);
    ["SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"].iter().any(|looks| word.eq_ignore_ascii_case(looks))
}

/// Whether another statement follows the first. The body of a trigger has semicolons of its own, so of a trigger
/// this says no.
pub(super) fn has_several(sql: &str) -> bool {
    let begin = next(sql, 0, Skip::Semicolons);
    if begin.is_some_and(|begin| is_trigger(&sql[begin..])) {
        return false;
    }
    let mut at = begin;
    while let Some(place) = at {
        if sql.as_bytes()[place] == b';' {
            return next(sql, place, Skip::Semicolons).is_some();
        }
        at = next(sql, token_end(sql, place), Skip::Blanks);
    }
    false
}

fn is_trigger(sql: &str) -> bool {
    let mut words = sql.split_ascii_whitespace().map(str::to_ascii_uppercase);
    words.next().as_deref() == Some("CREATE") && words.take(2).any(|word| word == "TRIGGER")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Blanks,
    Semicolons,
}

/// Where the next token begins, from here on.
fn next(sql: &str, from: usize, skip: Skip) -> Option<usize> {
    let bytes = sql.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => at += 1,
            b';' if skip == Skip::Semicolons => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = behind(sql, at + 2, "\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = behind(sql, at + 2, "*/"),
            _ => return Some(at),
        }
    }
    None
}

/// Where the token that begins here ends. Only quotes matter: what they hold is no end of a statement.
fn token_end(sql: &str, begin: usize) -> usize {
    let close = match sql.as_bytes()[begin] {
        b'\'' => "'",
        b'"' => "\"",
        b'`' => "`",
        b'[' => "]",
        // A doubled quote is read as two texts side by side, which comes to the same.
        _ => return begin + sql[begin..].chars().next().map_or(1, char::len_utf8),
    };
    behind(sql, begin + 1, close)
}

/// Behind the next occurrence of this, or the end.
fn behind(sql: &str, from: usize, what: &str) -> usize {
    sql[from..].find(what).map_or(sql.len(), |found| from + found + what.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found_behind_comments() {
        for (sql, word) in [
            ("SELECT 1", "SELECT"),
            ("  -- why\n /* how */ insert into x", "insert"),
            (";; update x", "update"),
            ("(SELECT 1)", ""),
            ("-- nothing", ""),
            ("/* open", ""),
            ("", ""),
        ] {
            assert_eq!(first_word(sql), word, "{sql}");
        }
        for empty in ["", "  ", ";", "-- only words", "/* a */ ; -- b"] {
            assert!(is_empty(empty), "{empty}");
        }
        assert!(!is_empty("(SELECT 1)") && !is_empty("ä"));
    }

    #[test]
    fn a_second_statement_is_found() {
        for (sql, several) in [
            ("SELECT 1", false),
            ("SELECT 1;", false),
            ("SELECT 1; -- and nothing more\n ;", false),
            ("SELECT ';'; ", false),
            ("SELECT 'it''s; so', \"a;b\", [c;d], `e;f` /* ; */ -- ;", false),
            ("SELECT 1; SELECT 2", true),
            ("SELECT 'ä;'; DROP TABLE x", true),
            ("; SELECT 1; ; x", true),
            ("CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; END", false),
            ("create temp trigger t AFTER INSERT ON x BEGIN DELETE FROM y; END", false),
            ("SELECT 'open", false),
        ] {
            assert_eq!(has_several(sql), several, "{sql}");
        }
    }

    #[test]
    fn what_seems_to_look() {
        for (sql, looks) in [
            ("select 1", true),
            ("WITH x AS (SELECT 1) DELETE FROM y", true),
            ("INSERT INTO x", false),
            ("", false),
        ] {
            assert_eq!(seems_to_look(sql), looks, "{sql}");
        }
    }
}
