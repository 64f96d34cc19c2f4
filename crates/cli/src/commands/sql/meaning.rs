//! What a statement is for: rows, an effect, or the beginning or end of a transaction, which is a call of
//! its own. Only its first words are looked at; whether it is right, the database says.

use sdk::TransactionOptions;

use super::split::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It has rows.
    Query,
    /// It changes something and says how much.
    Execute,
    Begin(TransactionOptions),
    Commit,
    Rollback,
}

impl Meaning {
    pub(super) fn of(statement: &str) -> Meaning {
        let words: Vec<String> = words(statement).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Meaning::Begin(options(&words)),
            ["COMMIT" | "END"] | ["COMMIT" | "END", "TRANSACTION" | "WORK"] => Meaning::Commit,
            ["ROLLBACK" | "ABORT"] | ["ROLLBACK" | "ABORT", "TRANSACTION" | "WORK"] => Meaning::Rollback,
            ["INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE", ..] => changing(&words),
            ["WITH", ..] => {
                let main = words.iter().find(|word| VERBS.contains(word));
                if main.is_some_and(|verb| !matches!(*verb, "SELECT" | "VALUES" | "TABLE")) {
                    changing(&words)
                } else {
                    Meaning::Query
                }
            }
            [
                "CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "REINDEX" | "ANALYZE" | "VACUUM" | "GRANT"
                | "REVOKE" | "COMMENT",
                ..,
            ] => Meaning::Execute,
            _ => Meaning::Query,
        }
    }
}

const VERBS: &[&str] = &["SELECT", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"];

fn changing(words: &[&str]) -> Meaning {
    if words.contains(&"RETURNING") { Meaning::Query } else { Meaning::Execute }
}

fn options(words: &[&str]) -> TransactionOptions {
    let mut options = TransactionOptions::default();
    if let Some(at) = words.iter().position(|word| *word == "LEVEL") {
        let level: Vec<String> = words[at + 1..]
            .iter()
            .take(if matches!(words.get(at + 1), Some(&"SERIALIZABLE")) { 1 } else { 2 })
            .map(|word| word.to_ascii_lowercase())
            .collect();
        options = options.isolation(&level.join("_"));
    }
    if words.windows(2).any(|pair| pair == ["READ", "ONLY"]) {
        options = options.read_only();
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_first_words() {
        let begin = TransactionOptions::default;
        for (statement, meaning) in [
            ("select 1", Meaning::Query),
            ("(SELECT 1) UNION (SELECT 2)", Meaning::Query),
            ("/* x */ values (1)", Meaning::Query),
            ("EXPLAIN INSERT INTO t VALUES (1)", Meaning::Query),
            ("pragma table_info(t)", Meaning::Query),
            ("insert into t values ('returning')", Meaning::Execute),
            ("insert into t values (1) returning id", Meaning::Query),
            ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", Meaning::Query),
            ("WITH x AS (SELECT 1) UPDATE t SET a = 1", Meaning::Execute),
            ("WITH x AS (SELECT 1) DELETE FROM t RETURNING *", Meaning::Query),
            ("create table t (a)", Meaning::Execute),
            ("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", Meaning::Execute),
            ("begin", Meaning::Begin(begin())),
            ("BEGIN IMMEDIATE TRANSACTION", Meaning::Begin(begin())),
            (
                "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
                Meaning::Begin(begin().isolation("serializable").read_only()),
            ),
            ("begin isolation level repeatable read", Meaning::Begin(begin().isolation("repeatable_read"))),
            ("start slave", Meaning::Query),
            ("commit work", Meaning::Commit),
            ("END", Meaning::Commit),
            ("rollback", Meaning::Rollback),
            ("ROLLBACK TO SAVEPOINT a", Meaning::Query),
            ("nonsense", Meaning::Query),
        ] {
            assert_eq!(Meaning::of(statement), meaning, "{statement}");
        }
    }
}
