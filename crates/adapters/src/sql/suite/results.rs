//! Large results: they stream, wait for their reader, hold nobody else up, and end with their reader.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::super::{HELD_BACK, Rest};
use super::{Argument, QueryOptions, SHORT, Statement, Subject, ample, arrays, passed, read, statement};

/// So many rows of about a thousand bytes each.
fn many(rows: i64) -> Statement {
    let words = "some words, which make this row longer ".repeat(25);
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST($1 AS INTEGER)) \
         SELECT i, '{words}' AS words FROM n"
    );
    statement(&sql, &[Argument::Integer(rows)])
}

pub(super) async fn run(subject: &Subject) {
    a_small_result_comes_at_once(subject).await;
    a_large_result_is_whole(subject).await;
    a_cut_is_said(subject).await;
    slow_readers_hold_nobody_up(subject).await;
    a_reader_that_leaves_ends_the_statement(subject).await;
}

async fn a_small_result_comes_at_once(subject: &Subject) {
    let (select, options) = (many(100), arrays());
    let rows = passed("a small result", subject.sql().query(&select, &options, ample())).await;
    assert!(matches!(rows.rest, Rest::End { truncated: false }), "{:?}", rows.rest);
    assert_eq!(rows.first.rows, 100);
}

async fn a_large_result_is_whole(subject: &Subject) {
    let (select, options) = (many(20_000), arrays());
    let rows = passed("a large result", subject.sql().query(&select, &options, ample())).await;
    assert!(matches!(rows.rest, Rest::Stream(_)), "it does not wait for its end");
    let first = rows.first.json.len();
    assert!((HELD_BACK / 2..HELD_BACK * 2).contains(&first), "{first} bytes are held back");
    let whole = read(rows).await;
    assert_eq!((whole.rows.len(), whole.truncated), (20_000, false));
    assert!(whole.rows.iter().zip(1..).all(|(row, i)| row[0] == json!(i)), "rows come in order, each once");
}

async fn a_cut_is_said(subject: &Subject) {
    for (there, most, given) in [(10, 10, 10), (10, 9, 9), (10, 11, 10), (3000, 2000, 2000), (5, 0, 0)] {
        let options = QueryOptions { max_rows: Some(most), ..arrays() };
        let rows = passed("a cut result", subject.sql().query(&many(there), &options, ample())).await;
        let whole = read(rows).await;
        assert_eq!(whole.rows.len(), given, "{there} rows, at most {most}");
        assert_eq!(whole.truncated, (given as i64) < there, "{there} rows, at most {most}");
    }
}

async fn slow_readers_hold_nobody_up(subject: &Subject) {
    let table = subject.create("slow", "n INTEGER").await;
    let mut slow = Vec::new();
    let (select, options) = (many(5000), arrays());
    for _ in 0..10 {
        slow.push(passed("a large result", subject.sql().query(&select, &options, ample())).await);
    }
    let begun = Instant::now();
    for n in 0..20 {
        subject.execute(&format!("INSERT INTO {table} VALUES ($1)"), &[Argument::Integer(n)]).await;
        assert_eq!(subject.count(&table).await, json!(n + 1));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "others took {:?}", begun.elapsed());
    for rows in slow {
        let whole = read(rows).await;
        assert_eq!((whole.rows.len(), whole.truncated), (5000, false), "and a slow reader gets all of it");
    }
    subject.drop(&table).await;
}

/// More of them than any pool has connections: only those that are freed serve the next ones.
async fn a_reader_that_leaves_ends_the_statement(subject: &Subject) {
    let select = many(2000);
    for _ in 0..100 {
        let options = arrays();
        let rows = passed("a large result", subject.sql().query(&select, &options, ample())).await;
        assert!(matches!(rows.rest, Rest::Stream(_)));
        drop(rows);
    }
    if subject.dialect.readers_wait {
        // Where nothing streams, such a result has no beginning either.
        return;
    }
    // And one that would go on for ever without its reader, between two rows too.
    let endless = statement(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) \
         SELECT i, 'some words, which make this row of the result as long as an ordinary one' FROM n \
         WHERE i < 30000 OR i > 1000000000",
        &[],
    );
    let options = arrays();
    let rows = passed("an endless result", subject.sql().query(&endless, &options, ample())).await;
    let Rest::Stream(mut rest) = rows.rest else { panic!("it has no end") };
    while let Ok(Some(piece)) = tokio::time::timeout(SHORT, rest.recv()).await {
        piece.expect("it goes on");
    }
    drop(rest);
    assert_eq!(subject.rows("SELECT 1", &[]).await, [json!([1])]);
}
