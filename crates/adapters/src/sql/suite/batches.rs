//! Batches: all of their statements, or none.

use std::sync::Arc;

use model::Code;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{BatchResult, Isolation, TransactionOptions};
use super::{
    Argument, ENDLESS, SHORT, Statement, Subject, ample, failed, is, parsed, passed, statement, text,
};

pub(super) async fn run(subject: &Subject) {
    results_come_in_order(subject).await;
    one_that_fails_undoes_all(subject).await;
    a_batch_that_only_looks(subject).await;
    batches_do_not_mix(subject).await;
}

async fn batch(subject: &Subject, statements: &[Statement], options: TransactionOptions) -> Vec<BatchResult> {
    passed("a batch", subject.sql().batch(statements, options, ample())).await
}

fn told(result: &BatchResult) -> Value {
    match result {
        BatchResult::Rows { rows, columns, truncated } => {
            assert!(!columns.is_empty() && !truncated);
            Value::from(parsed(rows))
        }
        BatchResult::Affected(count) => json!(count),
    }
}

async fn results_come_in_order(subject: &Subject) {
    let table = subject.table("batch");
    let statements = [
        statement(&format!("CREATE TABLE {table} (n INTEGER, t TEXT)"), &[]),
        statement(
            &format!("INSERT INTO {table} VALUES ($1, $2), (2, 'b')"),
            &[Argument::Integer(1), text("a")],
        ),
        statement(&format!("SELECT n, t FROM {table} ORDER BY n"), &[]),
        statement(&format!("DELETE FROM {table} WHERE n = $1 RETURNING t"), &[Argument::Integer(2)]),
        statement(&format!("SELECT n FROM {table} WHERE n > 99"), &[]),
    ];
    let results = batch(subject, &statements, TransactionOptions::default()).await;
    let told: Vec<Value> = results.iter().map(told).collect();
    let rows = json!([{"n": 1, "t": "a"}, {"n": 2, "t": "b"}]);
    assert_eq!(told, [json!(0), json!(2), rows, json!([{"t": "b"}]), json!([])]);
    assert!(batch(subject, &[], TransactionOptions::default()).await.is_empty(), "of nothing comes nothing");
    subject.drop(&table).await;
}

async fn one_that_fails_undoes_all(subject: &Subject) {
    let table = subject.create("undone", "n INTEGER PRIMARY KEY").await;
    let insert = |n: &str| statement(&format!("INSERT INTO {table} VALUES ({n})"), &[]);
    for (bad, code) in [(insert("1"), Code::ConstraintViolation), (insert("nonsense("), Code::QueryFailed)] {
        let statements = [insert("1"), insert("2"), bad, insert("3")];
        let failure =
            failed("a batch", subject.sql().batch(&statements, TransactionOptions::default(), ample())).await;
        is(&failure, code);
        assert!(failure.detail().starts_with("statement 3: "), "it says which: {failure}");
        assert_eq!(subject.count(&table).await, json!(0), "none of them is kept");
    }
    for statements in [vec![insert("1"), statement("", &[])], vec![insert("1"), statement("SELECT $1", &[])]]
    {
        let failure =
            failed("a batch", subject.sql().batch(&statements, TransactionOptions::default(), ample())).await;
        is(&failure, Code::QueryFailed);
        assert!(failure.detail().starts_with("statement 2: "), "it says which: {failure}");
    }
    let statements = [insert("1"), statement(ENDLESS, &[])];
    let deadline = Instant::now() + SHORT;
    let failure =
        failed("a batch", subject.sql().batch(&statements, TransactionOptions::default(), deadline)).await;
    is(&failure, Code::Timeout);
    assert!(failure.detail().starts_with("statement 2: "), "it says which: {failure}");
    assert_eq!(subject.count(&table).await, json!(0));
    subject.drop(&table).await;
}

async fn a_batch_that_only_looks(subject: &Subject) {
    let table = subject.create("batch_looks", "n INTEGER").await;
    let looks = TransactionOptions {
        read_only: true,
        isolation: Some(Isolation::RepeatableRead),
        ..TransactionOptions::default()
    };
    let select = statement(&format!("SELECT count(*) AS n FROM {table}"), &[]);
    let results = batch(subject, &[select.clone(), select.clone()], looks).await;
    assert_eq!(results.iter().map(told).collect::<Vec<_>>(), [json!([{"n": 0}]), json!([{"n": 0}])]);
    let insert = statement(&format!("INSERT INTO {table} VALUES (1)"), &[]);
    let failure = failed("a batch", subject.sql().batch(&[select, insert], looks, ample())).await;
    is(&failure, Code::QueryFailed);
    assert!(failure.detail().starts_with("statement 2: "), "it says which: {failure}");
    assert_eq!(subject.count(&table).await, json!(0));
    subject.drop(&table).await;
}

/// Many at once, each reading what it wrote: none sees half of another.
async fn batches_do_not_mix(subject: &Subject) {
    let table = subject.create("mixed", "who INTEGER").await;
    let table: Arc<str> = table.into();
    let isolation = Some(Isolation::Serializable);
    let tasks: Vec<_> = (0..20)
        .map(|who| {
            let (subject, table) = (subject.clone(), Arc::clone(&table));
            tokio::spawn(async move {
                let args = [Argument::Integer(who)];
                let insert = statement(&format!("INSERT INTO {table} VALUES ($1)"), &args);
                let count = statement(&format!("SELECT count(*) AS n FROM {table} WHERE who = $1"), &args);
                let options = TransactionOptions { isolation, ..TransactionOptions::default() };
                let statements = [insert.clone(), insert, count];
                told(&batch(&subject, &statements, options).await[2])
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("it does not panic"), json!([{"n": 2}]));
    }
    assert_eq!(subject.count(&table).await, json!(40));
    subject.drop(&table).await;
}
