//! Single statements: counts, placeholders, refusals, constraints, limits of time.

use std::time::Duration;

use model::{Code, Origin};
use serde_json::json;
use tokio::time::Instant;

use super::{AMPLE, Argument, ENDLESS, QueryOptions, SHORT, Subject, arrays, failed, is, statement, text};

pub(super) async fn run(subject: &Subject) {
    rows_are_counted(subject).await;
    placeholders_are_numbers(subject).await;
    wrong_counts_name_both_numbers(subject).await;
    what_is_no_statement_is_refused(subject).await;
    several_statements_are_refused(subject).await;
    constraints_are_told_apart(subject).await;
    what_only_looks_changes_nothing(subject).await;
    rows_of_a_write(subject).await;
    a_statement_ends_at_its_deadline(subject).await;
    a_caller_that_leaves_frees_the_engine(subject).await;
}

async fn rows_are_counted(subject: &Subject) {
    let table = subject.table("counts");
    assert_eq!(subject.execute(&format!("CREATE TABLE {table} (n INTEGER)"), &[]).await, 0);
    assert_eq!(subject.execute(&format!("INSERT INTO {table} VALUES (1), (2), (3)"), &[]).await, 3);
    assert_eq!(subject.execute(&format!("UPDATE {table} SET n = n + 1 WHERE n > 1"), &[]).await, 2);
    assert_eq!(subject.execute(&format!("UPDATE {table} SET n = 0 WHERE n > 99"), &[]).await, 0);
    // Not the count of the statement before.
    let more = subject.table("counts_more");
    assert_eq!(subject.execute(&format!("CREATE TABLE {more} (n INTEGER)"), &[]).await, 0);
    subject.drop(&more).await;
    assert_eq!(subject.execute(&format!("DELETE FROM {table}"), &[]).await, 3);
    assert!(subject.rows(&format!("SELECT n FROM {table}"), &[]).await.is_empty());
    subject.drop(&table).await;
}

async fn placeholders_are_numbers(subject: &Subject) {
    let table = subject.create("places", "a INTEGER, b INTEGER").await;
    let insert = format!("INSERT INTO {table} (b, a) VALUES ($2, $1)");
    subject.execute(&insert, &[Argument::Integer(10), Argument::Integer(20)]).await;
    assert_eq!(subject.rows(&format!("SELECT a, b FROM {table}"), &[]).await, [json!([10, 20])]);
    let twice = format!("SELECT a FROM {table} WHERE a = $1 OR b = $1 OR b = $2 + $1");
    let args = [Argument::Integer(10), Argument::Integer(1000)];
    assert_eq!(subject.rows(&twice, &args).await, [json!([10])], "one argument may stand in several places");
    subject.drop(&table).await;
}

async fn wrong_counts_name_both_numbers(subject: &Subject) {
    let table = subject.create("wrong_counts", "a INTEGER, b INTEGER").await;
    let sql = format!("INSERT INTO {table} (a, b) VALUES ($1, $2)");
    for given in [0, 1, 3] {
        let failure = subject.fails_to_execute(&sql, &vec![Argument::Integer(1); given]).await;
        is(&failure, Code::QueryFailed);
        let detail = failure.detail();
        assert!(detail.contains('2') && detail.contains(&given.to_string()), "both numbers: {detail}");
        assert_eq!(failure.origin(), Origin::Client, "{failure}");
    }
    assert_eq!(subject.count(&table).await, json!(0));
    subject.drop(&table).await;
}

async fn what_is_no_statement_is_refused(subject: &Subject) {
    let missing = format!("SELECT * FROM {}", subject.table("missing"));
    for sql in ["", "   ", "-- a comment", "/* and */ ;", "SELEKT 1", "SELECT FROM WHERE", missing.as_str()] {
        for failure in [subject.fails_to_query(sql, &[]).await, subject.fails_to_execute(sql, &[]).await] {
            is(&failure, Code::QueryFailed);
            assert_eq!(failure.origin(), Origin::Client, "it is no fault of the engine: {failure}");
            assert!(!failure.retryable() && !failure.detail().is_empty(), "{failure}");
        }
    }
    let failure = subject.fails_to_query("SELEKT 1", &[]).await;
    assert!(failure.native().is_some_and(|(_, code)| !code.is_empty()), "the engine's own code is told");
}

async fn several_statements_are_refused(subject: &Subject) {
    let table = subject.create("several", "n INTEGER").await;
    for sql in [
        format!("INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)"),
        format!("SELECT 1; DROP TABLE {table}"),
    ] {
        for failure in [subject.fails_to_query(&sql, &[]).await, subject.fails_to_execute(&sql, &[]).await] {
            is(&failure, Code::QueryFailed);
            let told = format!("{} {}", failure.detail(), failure.hint().unwrap_or_default());
            assert!(told.contains("batch"), "it says how several are sent: {told}");
        }
    }
    assert_eq!(subject.count(&table).await, json!(0), "nothing of them was run");
    subject.drop(&table).await;
}

async fn constraints_are_told_apart(subject: &Subject) {
    let parent = subject.create("parents", "id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE").await;
    let columns = format!("parent INTEGER REFERENCES {parent} (id), age INTEGER CHECK (age >= 0)");
    let child = subject.create("children", &columns).await;
    let insert = format!("INSERT INTO {parent} (id, name) VALUES ($1, $2)");
    subject.execute(&insert, &[Argument::Integer(1), text("secret-name")]).await;
    for (sql, args) in [
        (insert.clone(), vec![Argument::Integer(1), text("b")]),
        (insert.clone(), vec![Argument::Integer(2), text("secret-name")]),
        (insert.clone(), vec![Argument::Integer(3), Argument::Null]),
        (format!("INSERT INTO {child} VALUES (77, 1)"), vec![]),
        (format!("INSERT INTO {child} VALUES (1, -1)"), vec![]),
    ] {
        let failure = subject.fails_to_execute(&sql, &args).await;
        is(&failure, Code::ConstraintViolation);
        assert_eq!(failure.origin(), Origin::Client, "{failure}");
        assert!(!failure.detail().contains("secret-name"), "values are not told: {failure}");
        assert!(failure.native().is_some(), "the engine's own code is told: {failure}");
    }
    let failure =
        subject.fails_to_execute(&format!("DELETE FROM {parent} WHERE id = 77 OR name = $1"), &[]).await;
    is(&failure, Code::QueryFailed);
    subject.execute(&format!("INSERT INTO {child} VALUES (1, 30)"), &[]).await;
    let failure = subject.fails_to_execute(&format!("DELETE FROM {parent}"), &[]).await;
    is(&failure, Code::ConstraintViolation);
    assert_eq!(subject.count(&parent).await, json!(1));
    subject.drop(&child).await;
    subject.drop(&parent).await;
}

async fn what_only_looks_changes_nothing(subject: &Subject) {
    let table = subject.create("only_looks", "n INTEGER").await;
    let looking = QueryOptions { read_only: true, ..arrays() };
    let insert = statement(&format!("INSERT INTO {table} VALUES (1) RETURNING n"), &[]);
    is(&failed("an insert", subject.sql().query(&insert, &looking, super::ample())).await, Code::QueryFailed);
    let sql = format!("SELECT count(*) FROM {table}");
    assert_eq!(subject.query(&sql, &[], &looking).await.rows, [json!([0])]);
    subject.drop(&table).await;
}

async fn rows_of_a_write(subject: &Subject) {
    let table = subject.create("returning", "n INTEGER, t TEXT").await;
    let insert = format!("INSERT INTO {table} VALUES (1, 'a'), (2, 'b') RETURNING t, n");
    let told = subject.query(&insert, &[], &arrays()).await;
    assert_eq!(told.rows, [json!(["a", 1]), json!(["b", 2])]);
    let change = format!(
        "WITH old AS (SELECT 2 AS m) UPDATE {table} SET t = 'c' WHERE n IN (SELECT m FROM old) RETURNING n"
    );
    assert_eq!(subject.rows(&change, &[]).await, [json!([2])]);
    let plain = subject.query(&format!("DELETE FROM {table}"), &[], &arrays()).await;
    assert!(plain.rows.is_empty() && plain.columns.is_empty(), "a statement without rows has none to give");
    assert_eq!(subject.count(&table).await, json!(0));
    assert_eq!(subject.execute("SELECT 1", &[]).await, 0, "rows that nobody asked for are let go");
    subject.drop(&table).await;
}

async fn a_statement_ends_at_its_deadline(subject: &Subject) {
    let table = subject.create("deadline", "n BIGINT").await;
    let insert = format!("INSERT INTO {table} {ENDLESS}");
    for (sql, writes) in [(ENDLESS, false), (insert.as_str(), true)] {
        let begun = Instant::now();
        let own = statement(sql, &[]);
        let deadline = begun + SHORT;
        let failure = if writes {
            failed(sql, subject.sql().execute(&own, deadline)).await
        } else {
            failed(sql, subject.sql().query(&own, &arrays(), deadline)).await
        };
        is(&failure, Code::Timeout);
        let took = begun.elapsed();
        assert!(took >= SHORT && took < SHORT + Duration::from_secs(2), "it ended after {took:?}");
    }
    assert_eq!(subject.count(&table).await, json!(0), "nothing of it is kept");
    let late = Instant::now().checked_sub(Duration::from_millis(1)).unwrap_or_else(Instant::now);
    let failure =
        failed("late", subject.sql().execute(&statement(&format!("DELETE FROM {table}"), &[]), late)).await;
    assert!(
        matches!(failure.code(), Code::Busy | Code::Timeout),
        "a call that is late already fails: {failure}"
    );
    subject.drop(&table).await;
}

async fn a_caller_that_leaves_frees_the_engine(subject: &Subject) {
    let table = subject.create("leaves", "n BIGINT").await;
    let insert = format!("INSERT INTO {table} {ENDLESS}");
    let tasks: Vec<_> = [ENDLESS.to_owned(), insert]
        .into_iter()
        .map(|sql| {
            let subject = subject.clone();
            tokio::spawn(
                async move { subject.sql().execute(&statement(&sql, &[]), Instant::now() + AMPLE).await },
            )
        })
        .collect();
    tokio::time::sleep(SHORT).await;
    for task in tasks {
        assert!(!task.is_finished(), "it runs for longer than that");
        task.abort();
    }
    let begun = Instant::now();
    subject.execute(&format!("INSERT INTO {table} VALUES (1)"), &[]).await;
    assert_eq!(subject.count(&table).await, json!(1), "nothing of what was left is kept");
    assert!(begun.elapsed() < Duration::from_secs(3), "the next one waited for {:?}", begun.elapsed());
    subject.drop(&table).await;
}
