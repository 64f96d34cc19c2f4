//! What was done and what was not, where that is easily told wrong: commits of which only half is heard, statements that
//! commit in the middle, rows that cannot be told, statements that hide what they do.

use model::{Code, Origin};
use throome_adapters::sql::{NativeSql, Transaction, TransactionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn anew(adapter: &Arc<dyn Adapter>, table: &str, columns: &str) {
    executed(adapter, &format!("DROP TABLE IF EXISTS {table}")).await.unwrap();
    executed(adapter, &format!("CREATE TABLE {table} ({columns})")).await.unwrap();
}

async fn count(adapter: &Arc<dyn Adapter>, table: &str) -> Value {
    rows(adapter, &format!("SELECT count(*) FROM {table}")).await.unwrap()[0][0].clone()
}

async fn batched(adapter: &Arc<dyn Adapter>, statements: &[Statement]) -> Result<usize, Failure> {
    let results = adapter.sql().unwrap().batch(statements, Default::default(), within(20)).await;
    results.map(|results| results.len())
}

fn native(adapter: &Arc<dyn Adapter>) -> &dyn NativeSql {
    adapter.sql().unwrap().native().unwrap()
}

/// More arguments than a message has room for are their sender's fault, and harm nobody else.
#[tokio::test]
async fn too_many_arguments_are_refused() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    let process = async || rows(&adapter, "SELECT pg_backend_pid()").await.unwrap();
    let before = process().await;
    let args: Vec<_> = (0..65_536).map(|n| Argument::Text(n.to_string().into())).collect();
    let places: Vec<_> = (1..=args.len()).map(|n| format!("${n}::int")).collect();
    let many = asking(&format!("SELECT cardinality(ARRAY[{}])", places.join(",")), &args);
    let sql = adapter.sql().unwrap();
    let statements = [statement("SELECT 1"), many.clone()];
    for failure in [
        asked(&adapter, &many, &arrays()).await.unwrap_err(),
        sql.execute(&many, within(20)).await.unwrap_err(),
        batched(&adapter, &statements).await.unwrap_err(),
        native(&adapter).run(&statements[1..], TransactionOptions::default(), within(20)).await.unwrap_err(),
    ] {
        assert_eq!((failure.code(), failure.origin()), (Code::QueryFailed, Origin::Client), "{failure}");
        assert!(failure.detail().contains("65536 arguments"), "{failure}");
        assert_eq!(process().await, before, "the connection is as it was");
    }
}

/// A write that looks like a read by what stands in a text of it is carried out whole, though its rows are cut.
#[tokio::test]
async fn a_write_behind_a_text_is_no_read() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("max_rows", json!(10))]), server.port);
    anew(&adapter, "behind_text", "n int").await;
    let write = r"WITH a AS (SELECT E'\''), b AS (
        INSERT INTO behind_text SELECT generate_series(1, 300000) RETURNING n) SELECT repeat('x', 100) FROM b";
    let told = adapter.sql().unwrap().query(&statement(write), &arrays(), within(20)).await.unwrap();
    assert!(matches!(told.rest, Rest::End { truncated: true }) && told.first.rows == 10);
    assert_eq!(count(&adapter, "behind_text").await, json!(300_000));
}

/// What commits in the middle and fails then is not to be sent again.
#[tokio::test]
async fn what_was_done_in_part_is_not_sent_again() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[]), server.port);
    anew(&adapter, "in_part", "n int").await;
    for (code, expected) in [
        ("40001", Code::Conflict),
        ("40P01", Code::Conflict),
        ("53100", Code::Overloaded),
        ("53200", Code::Overloaded),
    ] {
        let sql = format!(
            "DO $$ BEGIN INSERT INTO in_part VALUES (1); COMMIT; RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$"
        );
        let failure = executed(&adapter, &sql).await.unwrap_err();
        assert_eq!((failure.code(), failure.retryable()), (expected, false), "{failure}");
        let hint = failure.hint().unwrap_or_default();
        assert!(!hint.contains("nothing was") && !hint.contains("Send"), "{hint}");
    }
    assert_eq!(count(&adapter, "in_part").await, json!(4));
    // One that was cut off may have done a part, too.
    let half = "DO $$ BEGIN INSERT INTO in_part VALUES (2); COMMIT; PERFORM pg_sleep(30); END $$";
    let deadline = Instant::now() + Duration::from_millis(300);
    let failure = adapter.sql().unwrap().execute(&statement(half), deadline).await.unwrap_err();
    assert!(failure.code() == Code::Timeout && failure.detail().contains("may have been"), "{failure}");
    // In a transaction of several nothing commits in the middle, and nothing of it is kept.
    let conflict = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '55P03'; END $$";
    let failure = batched(&adapter, &[statement(conflict)]).await.unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::Conflict, true), "{failure}");
}

/// What a server says of itself when it ends a session, any statement can raise: then it says nothing of the server,
/// and the session goes on.
#[tokio::test]
async fn a_statement_speaks_for_itself_only() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    let process = async || rows(&adapter, "SELECT pg_backend_pid()").await.unwrap();
    let before = process().await;
    let sql = adapter.sql().unwrap();
    for code in ["57P01", "57P03", "57P05", "53300", "08006", "08P01", "58030", "25P03", "XX000", "XX001"] {
        let raise = statement(&format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$"));
        let mut transaction = sql.begin(TransactionOptions::default(), within(10)).await.unwrap();
        let within_one = transaction.execute(&raise, within(10)).await.unwrap_err();
        transaction.rollback().await.unwrap();
        for failure in [
            within_one,
            asked(&adapter, &raise, &arrays()).await.unwrap_err(),
            sql.execute(&raise, within(10)).await.unwrap_err(),
            batched(&adapter, std::slice::from_ref(&raise)).await.unwrap_err(),
            native(&adapter)
                .run(std::slice::from_ref(&raise), TransactionOptions::default(), within(10))
                .await
                .unwrap_err(),
        ] {
            assert_eq!((failure.code(), failure.origin()), (Code::QueryFailed, Origin::Client), "{failure}");
            assert!(!failure.retryable() && failure.native() == Some(("sqlstate", code)), "{failure}");
        }
    }
    // Of what is short at the server it is told so, and that is no fault of the way to it either.
    let full = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$";
    let failure = executed(&adapter, full).await.unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::Overloaded, Origin::Gateway), "{failure}");
    assert!(!failure.retryable(), "{failure}");
    assert_eq!(process().await, before, "the session went on");
}

/// What the server ended while nothing was asked was not kept, whatever is asked next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_server_ended_is_over() {
    let server = Engines::shared().postgres();
    let name = "doubt_ended";
    let adapter = connected(&named(name, &[]), server.port);
    anew(&adapter, "doubt_ended", "n int").await;
    let insert = statement("INSERT INTO doubt_ended VALUES (1)");
    let [mut one, mut other] = [begun(&adapter).await, begun(&adapter).await];
    for transaction in [&mut one, &mut other] {
        transaction.execute(&insert, within(10)).await.unwrap();
    }
    until("both wait", || listed(&server, name, "idle in transaction") == 2).await;
    tell(
        &server,
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"),
    );
    until("they are gone", || listed(&server, name, "%") == 0).await;
    // And until the runtime has heard of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = other.query(&statement("SELECT 1"), &arrays(), within(10)).await.err().unwrap();
    for failure in [one.commit(within(10)).await.unwrap_err(), asked] {
        assert_eq!((failure.code(), failure.origin()), (Code::TransactionEnded, Origin::Client), "{failure}");
        assert_eq!(failure.native(), Some(("sqlstate", "57P01")), "{failure}");
        assert!(!failure.retryable() && !failure.detail().contains("may have been"), "{failure}");
    }
    let again = other.commit(within(10)).await.unwrap_err();
    assert_eq!(again.code(), Code::TransactionEnded, "{again}");
    assert_eq!(count(&adapter, "doubt_ended").await, json!(0));
}

async fn begun(adapter: &Arc<dyn Adapter>) -> Box<dyn Transaction> {
    adapter.sql().unwrap().begin(TransactionOptions::default(), within(10)).await.unwrap()
}

/// A write whose rows cannot be told says that it was carried out.
#[tokio::test]
async fn a_write_that_cannot_be_told_says_so() {
    let server = Engines::shared().postgres();
    let limits = [("max_value", json!("1mb")), ("max_collected", json!("64kb"))];
    let adapter = connected(&service(&limits), server.port);
    anew(&adapter, "untold", "n int").await;
    let write = statement("INSERT INTO untold VALUES (1) RETURNING repeat('x', 2000000)");
    let failure = asked(&adapter, &write, &arrays()).await.unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::TooLarge, false), "{failure}");
    assert!(failure.detail().contains("was carried out"), "{failure}");
    assert_eq!(count(&adapter, "untold").await, json!(1));
    // What only looks has nothing to say of that.
    let failure = rows(&adapter, "SELECT repeat('x', 2000000)").await.unwrap_err();
    assert!(failure.code() == Code::TooLarge && !failure.detail().contains("carried out"), "{failure}");
    let long = [statement("INSERT INTO untold SELECT generate_series(1, 2) RETURNING repeat('x', 50000)")];
    let failure = native(&adapter).run(&long, TransactionOptions::default(), within(20)).await.unwrap_err();
    assert!(failure.code() == Code::TooLarge && failure.detail().contains("was carried out"), "{failure}");
    assert_eq!(count(&adapter, "untold").await, json!(3));
}

/// Several statements of a batch may be outdated at once; in a transaction there is no way back, and it may be sent again.
#[tokio::test]
async fn what_is_outdated_begins_anew() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    anew(&adapter, "outdated", "a int").await;
    let all =
        ["SELECT * FROM outdated", "SELECT * FROM outdated WHERE a > 0", "TABLE outdated"].map(statement);
    batched(&adapter, &all).await.unwrap();
    executed(&adapter, "ALTER TABLE outdated ADD b int").await.unwrap();
    assert_eq!(batched(&adapter, &all).await.unwrap(), 3);
    executed(&adapter, "ALTER TABLE outdated ADD c int").await.unwrap();
    let sql = adapter.sql().unwrap();
    let mut transaction = sql.begin(TransactionOptions::default(), within(10)).await.unwrap();
    let failure = transaction.query(&all[0], &arrays(), within(10)).await.unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::Conflict, true), "{failure}");
    assert_eq!(failure.native(), Some(("sqlstate", "0A000")), "{failure}");
    transaction.rollback().await.unwrap();
    let mut transaction = sql.begin(TransactionOptions::default(), within(10)).await.unwrap();
    transaction.query(&all[0], &arrays(), within(10)).await.unwrap();
    transaction.rollback().await.unwrap();
}

/// The server says that it has committed, and dies: it is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_heard_is_kept() {
    let server = Engines::shared().postgres();
    let straight = connected(&service(&[]), server.port);
    anew(&straight, "heard", "n int").await;
    for last in [Some(&b"E\0\0\0\x1dSFATAL\0VFATAL\0C57P01\0Mbye\0\0"[..]), None] {
        let port = until_commit(server.port, last).await;
        let adapter = connected(&service(&[("sslmode", json!("disable"))]), port);
        let insert = [statement("INSERT INTO heard VALUES (1)")];
        batched(&adapter, &insert).await.unwrap_or_else(|failure| panic!("a batch: {failure}"));
        let mut transaction =
            adapter.sql().unwrap().begin(TransactionOptions::default(), within(10)).await.unwrap();
        transaction.execute(&insert[0], within(10)).await.unwrap();
        transaction.commit(within(10)).await.unwrap_or_else(|failure| panic!("a transaction: {failure}"));
    }
    assert_eq!(count(&straight, "heard").await, json!(4));
}

/// A way to a server that ends behind the first word of a commit, with these as its last.
async fn until_commit(server: u16, last: Option<&'static [u8]>) -> u16 {
    const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            tokio::spawn(async move {
                let ((mut from_near, mut to_near), (mut from_far, mut to_far)) =
                    (near.into_split(), far.into_split());
                let asking = tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
                let mut said = Vec::new();
                while from_far.read_buf(&mut said).await.is_ok_and(|read| read > 0) {
                    let end = said.windows(COMMITTED.len()).position(|part| part == COMMITTED);
                    if let Some(end) = end {
                        to_near.write_all(&said[..end + COMMITTED.len()]).await.unwrap();
                        to_near.write_all(last.unwrap_or_default()).await.unwrap();
                        break;
                    }
                    to_near.write_all(&said).await.unwrap();
                    said.clear();
                }
                drop(to_near);
                asking.abort();
            });
        }
    });
    port
}
