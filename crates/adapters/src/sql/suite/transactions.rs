//! Interactive transactions: seen by nobody before the commit, gone with their holder.

use std::time::Duration;

use model::Code;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{Isolation, Transaction, TransactionOptions};
use super::{
    AMPLE, Argument, ENDLESS, QueryOptions, SHORT, Subject, ample, arrays, failed, is, passed, read,
    statement,
};

pub(super) async fn run(subject: &Subject) {
    what_is_committed_stays(subject).await;
    what_is_rolled_back_or_dropped_is_gone(subject).await;
    a_statement_that_fails_is_told(subject).await;
    others_who_write_wait(subject).await;
    a_transaction_that_only_looks(subject).await;
    a_holder_that_vanishes_frees_the_engine(subject).await;
    a_large_result_does_not_hold_up_the_next_statement(subject).await;
}

async fn begin(subject: &Subject, options: TransactionOptions) -> Box<dyn Transaction> {
    passed("begin", subject.sql().begin(options, ample())).await
}

async fn execute(transaction: &mut Box<dyn Transaction>, sql: &str, args: &[Argument]) -> u64 {
    passed(sql, transaction.execute(&statement(sql, args), ample())).await
}

async fn rows(transaction: &mut Box<dyn Transaction>, sql: &str) -> Vec<Value> {
    let (statement, options) = (statement(sql, &[]), arrays());
    let rows = passed(sql, transaction.query(&statement, &options, ample())).await;
    read(rows).await.rows
}

async fn what_is_committed_stays(subject: &Subject) {
    let table = subject.create("committed", "n INTEGER").await;
    let all = [None, Some(Isolation::ReadUncommitted), Some(Isolation::ReadCommitted)];
    for isolation in all.into_iter().chain([Some(Isolation::RepeatableRead), Some(Isolation::Serializable)]) {
        let mut transaction =
            begin(subject, TransactionOptions { isolation, ..TransactionOptions::default() }).await;
        let insert = format!("INSERT INTO {table} VALUES ($1)");
        assert_eq!(execute(&mut transaction, &insert, &[Argument::Integer(1)]).await, 1);
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(rows(&mut transaction, &count).await, [json!([1])], "it sees what it did");
        if !subject.dialect.readers_wait {
            assert_eq!(subject.count(&table).await, json!(0), "others do not, before it is committed");
        }
        passed("commit", transaction.commit(ample())).await;
        assert_eq!(subject.count(&table).await, json!(1));
        assert_eq!(subject.execute(&format!("DELETE FROM {table}"), &[]).await, 1);
    }
    subject.drop(&table).await;
}

async fn what_is_rolled_back_or_dropped_is_gone(subject: &Subject) {
    let table = subject.create("rolled_back", "n INTEGER").await;
    let insert = format!("INSERT INTO {table} VALUES (1)");
    let mut transaction = begin(subject, TransactionOptions::default()).await;
    execute(&mut transaction, &insert, &[]).await;
    passed("rollback", transaction.rollback()).await;
    assert_eq!(subject.count(&table).await, json!(0));
    let mut transaction = begin(subject, TransactionOptions::default()).await;
    execute(&mut transaction, &insert, &[]).await;
    drop(transaction);
    assert_eq!(subject.execute(&insert, &[]).await, 1, "whoever writes next does not wait for it");
    assert_eq!(subject.count(&table).await, json!(1));
    subject.drop(&table).await;
}

async fn a_statement_that_fails_is_told(subject: &Subject) {
    let table = subject.create("fails_within", "n INTEGER PRIMARY KEY").await;
    let mut transaction = begin(subject, TransactionOptions::default()).await;
    execute(&mut transaction, &format!("INSERT INTO {table} VALUES (1)"), &[]).await;
    let again = statement(&format!("INSERT INTO {table} VALUES (1)"), &[]);
    is(&failed("a double", transaction.execute(&again, ample())).await, Code::ConstraintViolation);
    for word in ["COMMIT", "ROLLBACK", "BEGIN"] {
        let failure = failed(word, transaction.execute(&statement(word, &[]), ample())).await;
        is(&failure, Code::QueryFailed);
    }
    // Engines differ in what is left of it; none keeps anything without a commit.
    drop(transaction);
    assert_eq!(subject.count(&table).await, json!(0));
    for word in ["COMMIT", "ROLLBACK", "BEGIN"] {
        is(&subject.fails_to_execute(word, &[]).await, Code::QueryFailed);
    }
    subject.drop(&table).await;
}

async fn others_who_write_wait(subject: &Subject) {
    let table = subject.create("waits", "id INTEGER PRIMARY KEY, n INTEGER").await;
    subject.execute(&format!("INSERT INTO {table} VALUES (1, 0)"), &[]).await;
    let change = format!("UPDATE {table} SET n = n + 1 WHERE id = 1");
    let mut holder = begin(subject, TransactionOptions::default()).await;
    execute(&mut holder, &change, &[]).await;
    if !subject.dialect.readers_wait {
        let seen = subject.rows(&format!("SELECT n FROM {table}"), &[]).await;
        assert_eq!(seen, [json!([0])], "who only looks does not wait");
    }
    let begun = Instant::now();
    let impatient = failed("a write", subject.sql().execute(&statement(&change, &[]), begun + SHORT)).await;
    let took = begun.elapsed();
    if subject.dialect.one_writer {
        is(&impatient, Code::Busy);
        assert!(impatient.retryable() && impatient.retry_after().is_some(), "it may come again: {impatient}");
        let second = subject.sql().begin(TransactionOptions::default(), Instant::now() + SHORT);
        is(&failed("a second one", second).await, Code::Busy);
    } else {
        assert!(matches!(impatient.code(), Code::Busy | Code::Timeout), "{impatient}");
    }
    assert!(took >= SHORT && took < SHORT + Duration::from_secs(2), "it waited for {took:?}");
    let patient = {
        let (subject, change) = (subject.clone(), change.clone());
        tokio::spawn(async move { subject.execute(&change, &[]).await })
    };
    tokio::time::sleep(SHORT).await;
    assert!(!patient.is_finished(), "it waits for the holder");
    passed("commit", holder.commit(ample())).await;
    assert_eq!(patient.await.expect("it does not panic"), 1);
    assert_eq!(
        subject.cell(&format!("SELECT n FROM {table}"), &[]).await,
        json!(2),
        "the impatient one did nothing"
    );
    subject.drop(&table).await;
}

async fn a_transaction_that_only_looks(subject: &Subject) {
    let table = subject.create("looks_within", "n INTEGER").await;
    let options = TransactionOptions {
        read_only: true,
        isolation: Some(Isolation::RepeatableRead),
        ..TransactionOptions::default()
    };
    let mut transaction = begin(subject, options).await;
    let count = format!("SELECT count(*) FROM {table}");
    assert_eq!(rows(&mut transaction, &count).await, [json!([0])]);
    let insert = statement(&format!("INSERT INTO {table} VALUES (1)"), &[]);
    is(&failed("an insert", transaction.execute(&insert, ample())).await, Code::QueryFailed);
    drop(transaction);
    assert_eq!(subject.count(&table).await, json!(0));
    subject.drop(&table).await;
}

async fn a_holder_that_vanishes_frees_the_engine(subject: &Subject) {
    let table = subject.create("vanishes", "n BIGINT").await;
    let holder = {
        let (subject, table) = (subject.clone(), table.clone());
        tokio::spawn(async move {
            let mut transaction = begin(&subject, TransactionOptions::default()).await;
            execute(&mut transaction, &format!("INSERT INTO {table} VALUES (1)"), &[]).await;
            let endless = format!("INSERT INTO {table} {ENDLESS}");
            transaction.execute(&statement(&endless, &[]), Instant::now() + AMPLE).await
        })
    };
    tokio::time::sleep(SHORT).await;
    assert!(!holder.is_finished());
    // As a task that panics, or whose client goes, drops all that it holds.
    holder.abort();
    let begun = Instant::now();
    subject.execute(&format!("INSERT INTO {table} VALUES (2)"), &[]).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "the next one waited for {:?}", begun.elapsed());
    assert_eq!(subject.rows(&format!("SELECT n FROM {table}"), &[]).await, [json!([2])]);
    // An endless statement within ends at its deadline, and later calls say what became of the transaction.
    let mut transaction = begin(subject, TransactionOptions::default()).await;
    let endless = statement(&format!("INSERT INTO {table} {ENDLESS}"), &[]);
    is(&failed("endless", transaction.execute(&endless, Instant::now() + SHORT)).await, Code::Timeout);
    let insert = statement(&format!("INSERT INTO {table} VALUES (3)"), &[]);
    if let Err(failure) = transaction.execute(&insert, ample()).await {
        assert!(matches!(failure.code(), Code::TransactionEnded | Code::QueryFailed), "{failure}");
        is(&failed("commit", transaction.commit(ample())).await, Code::TransactionEnded);
    }
    subject.drop(&table).await;
}

async fn a_large_result_does_not_hold_up_the_next_statement(subject: &Subject) {
    let mut transaction = begin(subject, TransactionOptions::default()).await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) \
                SELECT i, 'some words to fill a line of the result' AS words FROM n";
    let (select, options) = (statement(many, &[]), QueryOptions::default());
    let large = passed("many rows", transaction.query(&select, &options, ample())).await;
    assert_eq!(
        rows(&mut transaction, "SELECT 1").await,
        [json!([1])],
        "though nobody has read the first result"
    );
    let large = read(large).await;
    assert_eq!((large.rows.len(), large.truncated), (30_000, false));
    passed("rollback", transaction.rollback()).await;
}
