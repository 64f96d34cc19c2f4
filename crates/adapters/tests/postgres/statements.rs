//! Statements: kept prepared, refused in words, and cut where they are too long.

use model::{Code, Origin};
use throome_adapters::sql::{BatchResult, TransactionOptions};

use super::*;

/// A statement that is kept prepared goes on working when its tables change.
#[tokio::test]
async fn what_is_prepared_follows_its_tables() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    executed(&adapter, "DROP TABLE IF EXISTS changing").await.unwrap();
    executed(&adapter, "CREATE TABLE changing (a int)").await.unwrap();
    executed(&adapter, "INSERT INTO changing VALUES (1)").await.unwrap();
    let all = "SELECT * FROM changing";
    assert_eq!(rows(&adapter, all).await.unwrap(), [json!([1])]);
    for (change, expected) in [
        ("ALTER TABLE changing ADD b text DEFAULT 'x'", json!([1, "x"])),
        ("ALTER TABLE changing ALTER a TYPE numeric", json!(["1", "x"])),
        ("ALTER TABLE changing DROP a", json!(["x"])),
        ("DEALLOCATE ALL", json!(["x"])),
        ("DISCARD ALL", json!(["x"])),
    ] {
        executed(&adapter, change).await.unwrap();
        assert_eq!(
            rows(&adapter, all).await.unwrap_or_else(|f| panic!("{change}: {f}")),
            [expected],
            "{change}"
        );
        let read_only = QueryOptions { read_only: true, ..arrays() };
        asked(&adapter, &statement(all), &read_only).await.unwrap();
    }
    executed(&adapter, "ALTER TABLE changing ADD c int DEFAULT 7").await.unwrap();
    let batch =
        adapter.sql().unwrap().batch(&[statement(all), statement(all)], Default::default(), within(10)).await;
    assert!(
        matches!(&batch.unwrap()[1], BatchResult::Rows { rows, .. } if rows.json == br#"{"b":"x","c":7}"#)
    );
    executed(&adapter, "DROP TABLE changing").await.unwrap();
    assert_eq!(rows(&adapter, all).await.unwrap_err().native(), Some(("sqlstate", "42P01")));
}

/// No more statements stay prepared than said, and none that nobody knows any more.
#[tokio::test]
async fn what_stays_prepared_is_bounded() {
    let server = Engines::shared().postgres();
    let options = [("pool", json!({"max_connections": 1})), ("statement_cache", json!(5))];
    let adapter = connected(&service(&options), server.port);
    for n in 0..30 {
        rows(&adapter, &format!("SELECT {n}")).await.unwrap();
        rows(&adapter, &format!("SELECT nonsense_{n}")).await.unwrap_err();
    }
    let count = rows(&adapter, "SELECT count(*) FROM pg_prepared_statements").await.unwrap();
    assert!((1..=6).contains(&count[0][0].as_u64().unwrap()), "{count:?}");
}

#[tokio::test]
async fn failures_have_their_codes() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[]), server.port);
    let mut reader = service(&[]);
    reader.username = Some(secrets::POSTGRES_READER.0.to_owned());
    reader.password = Some(Secret::new(secrets::POSTGRES_READER.1));
    let reader = connected(&reader, server.port);
    executed(&adapter, "CREATE TABLE IF NOT EXISTS coded (n int PRIMARY KEY)").await.unwrap();
    executed(&adapter, "INSERT INTO coded VALUES (1) ON CONFLICT DO NOTHING").await.unwrap();
    for (who, sql, code, native) in [
        (&adapter, "SELEC 1", Code::QueryFailed, "42601"),
        (&adapter, "SELECT 1; SELECT 2", Code::QueryFailed, "42601"),
        (&adapter, "SELECT 1/0", Code::QueryFailed, "22012"),
        (&adapter, "SELECT nothing", Code::QueryFailed, "42703"),
        (&adapter, "INSERT INTO coded VALUES (1)", Code::ConstraintViolation, "23505"),
        (&adapter, "SELECT pg_read_file('/etc/passwd')", Code::PermissionDenied, "42501"),
        (&reader, "CREATE TABLE not_mine (n int)", Code::PermissionDenied, "42501"),
        (&adapter, "LOCK TABLE coded NOWAIT", Code::QueryFailed, "25P01"),
        (
            &adapter,
            "DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = '40001'; END $$",
            Code::Conflict,
            "40001",
        ),
        (
            &adapter,
            "DO $$ BEGIN RAISE EXCEPTION 'mine' USING HINT = 'do otherwise'; END $$",
            Code::QueryFailed,
            "P0001",
        ),
    ] {
        let failure = executed(who, sql).await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (code, Origin::Client), "{sql}: {failure}");
        assert_eq!(failure.native(), Some(("sqlstate", native)), "{sql}: {failure}");
        assert_eq!(failure.retryable(), code == Code::Conflict, "{sql}: {failure}");
        let words = failure.engine_words();
        assert!(
            words.contains(&("code", native.to_owned())) && words.contains(&("severity", "ERROR".to_owned()))
        );
    }
    let failure =
        executed(&adapter, "DO $$ BEGIN RAISE EXCEPTION 'x' USING HINT = 'do otherwise'; END $$").await;
    assert_eq!(failure.unwrap_err().hint(), Some("do otherwise"), "the server's advice is passed on");
    let failure = executed(&adapter, "SELECT 'ä' +\n nothing FROM coded").await.unwrap_err();
    assert!(failure.detail().contains("(at character 15)"), "where it is wrong: {failure}");
    executed(&adapter, "SET statement_timeout = 1").await.unwrap();
    let failure = rows(&adapter, "SELECT pg_read_binary_file('x')").await.unwrap_err();
    assert_eq!(failure.code(), Code::PermissionDenied, "the setting went with its statement: {failure}");
}

#[tokio::test]
async fn arguments_are_told_by_their_number() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[]), server.port);
    let sql = "SELECT $1::int + $2::int";
    let failure = asked(&adapter, &asking(sql, &[Argument::Integer(1), Argument::Bool(true)]), &arrays())
        .await
        .unwrap_err();
    assert_eq!((failure.code(), failure.origin()), (Code::QueryFailed, Origin::Client), "{failure}");
    assert!(failure.detail().starts_with("Argument $2 "), "{failure}");
    let told = asked(&adapter, &asking(sql, &[Argument::Integer(1), Argument::Integer(2)]), &arrays())
        .await
        .unwrap();
    assert_eq!(told, [json!([3])], "the connection is as it was");
    let many: Vec<_> = (0..65_535).map(Argument::Integer).collect();
    let places: Vec<_> = (1..=many.len()).map(|n| format!("${n}::int")).collect();
    let sum = format!("SELECT cardinality(ARRAY[{}])", places.join(","));
    assert_eq!(asked(&adapter, &asking(&sum, &many), &arrays()).await.unwrap(), [json!([65_535])]);
}

/// Types that nobody has met yet are asked for, also where nothing stays prepared.
#[tokio::test]
async fn new_types_are_learned() {
    let server = Engines::shared().postgres();
    for cache in [0, 10] {
        let adapter = connected(&service(&[("statement_cache", json!(cache))]), server.port);
        let batch = [
            statement("DROP TYPE IF EXISTS mood, point_in_mood CASCADE"),
            statement("CREATE TYPE mood AS ENUM ('sad', 'glad')"),
            asking("SELECT $1::mood AS one, ARRAY[$1::mood, NULL] AS more", &[Argument::Text("glad".into())]),
        ];
        let results = adapter.sql().unwrap().batch(&batch, Default::default(), within(10)).await.unwrap();
        let BatchResult::Rows { rows, columns, .. } = &results[2] else { panic!("it has rows") };
        assert_eq!(rows.json, br#"{"one":"glad","more":["glad",null]}"#);
        assert_eq!(columns.iter().map(|column| column.kind.as_str()).collect::<Vec<_>>(), ["mood", "mood[]"]);
        let list = asking("SELECT $1::mood[]", &[Argument::Json(r#"["sad", null]"#.into())]);
        assert_eq!(asked(&adapter, &list, &arrays()).await.unwrap(), [json!([["sad", null]])]);
    }
}

#[tokio::test]
async fn copy_is_refused_and_harms_nobody() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("pool", json!({"max_connections": 1}))]), server.port);
    executed(&adapter, "CREATE TABLE IF NOT EXISTS copied (n int)").await.unwrap();
    for sql in ["COPY copied FROM STDIN", "COPY copied TO STDOUT", "COPY (SELECT 1) TO STDOUT"] {
        let failure = executed(&adapter, sql).await.unwrap_err();
        assert_eq!((failure.code(), failure.origin()), (Code::QueryFailed, Origin::Client), "{failure}");
        assert_eq!(rows(&adapter, "SELECT 1").await.unwrap(), [json!([1])]);
    }
    for sql in ["ALTER SYSTEM SET work_mem = '1MB'", "COPY copied FROM PROGRAM 'echo 1'"] {
        let failure = executed(&adapter, sql).await.unwrap_err();
        assert_eq!(failure.code(), Code::PermissionDenied, "{failure}");
        assert!(
            failure.native().is_none() && failure.hint().is_some_and(|hint| hint.contains("allow_admin"))
        );
    }
    let allowing = connected(&service(&[("allow_admin", json!(true))]), server.port);
    let failure = executed(&allowing, "ALTER SYSTEM SET work_mem = '1MB'").await.unwrap_err();
    assert_eq!(failure.native(), Some(("sqlstate", "42501")), "the server decides then: {failure}");
}

#[tokio::test]
async fn results_are_cut_as_said() {
    let server = Engines::shared().postgres();
    let limits = [("max_rows", json!(10)), ("max_result", json!("4kb")), ("max_value", json!("8kb"))];
    let name = "statements_cut";
    let adapter = connected(&named(name, &limits), server.port);
    let cut = async |sql: &str| {
        let told = adapter.sql().unwrap().query(&statement(sql), &arrays(), within(10)).await.unwrap();
        let Rest::End { truncated } = told.rest else { panic!("it is small") };
        (told.first.rows, truncated)
    };
    assert_eq!(cut("SELECT generate_series(1, 10)").await, (10, false));
    assert_eq!(cut("SELECT generate_series(1, 11)").await, (10, true));
    assert_eq!(cut("SELECT generate_series(1, 1000000000)").await, (10, true), "the server is told to stop");
    until("it has stopped", || listed(&server, name, "active") == 0).await;
    assert_eq!(cut("SELECT repeat('x', 1000) FROM generate_series(1, 5)").await, (4, true));
    // What writes is done whole, though its rows are cut.
    executed(&adapter, "DROP TABLE IF EXISTS cut").await.unwrap();
    executed(&adapter, "CREATE TABLE cut (n int)").await.unwrap();
    assert_eq!(cut("INSERT INTO cut SELECT generate_series(1, 500) RETURNING n").await, (10, true));
    assert_eq!(rows(&adapter, "SELECT count(*) FROM cut").await.unwrap(), [json!([500])]);
    let failure = rows(&adapter, "SELECT repeat('x', 2000000)").await.unwrap_err();
    assert_eq!(failure.code(), Code::TooLarge, "{failure}");
    let long = asking("SELECT $1::text", &[Argument::Text("x".repeat(9000).into())]);
    assert_eq!(asked(&adapter, &long, &arrays()).await.unwrap_err().code(), Code::TooLarge);
    assert_eq!(rows(&adapter, "SELECT 1").await.unwrap(), [json!([1])]);
}

#[tokio::test]
async fn a_read_only_service_stays_so() {
    let server = Engines::shared().postgres();
    let owner = connected(&service(&[]), server.port);
    executed(&owner, "CREATE TABLE IF NOT EXISTS guarded (n int)").await.unwrap();
    let adapter = connected(&service(&[("read_only", json!(true))]), server.port);
    for sql in [
        "INSERT INTO guarded VALUES (1)",
        "CREATE TABLE more (n int)",
        "DELETE FROM guarded",
        "TRUNCATE guarded",
    ] {
        for failure in [executed(&adapter, sql).await.unwrap_err(), rows(&adapter, sql).await.unwrap_err()] {
            assert_eq!(
                (failure.code(), failure.wants_primary()),
                (Code::QueryFailed, false),
                "{sql}: {failure}"
            );
        }
    }
    for way_out in [
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET \"transaction_read_only\" TO off",
        "-- a\rCOMMIT\nWORK",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; END $$",
    ] {
        let batch = [statement(way_out), statement("INSERT INTO guarded VALUES (1)")];
        adapter.sql().unwrap().batch(&batch, Default::default(), within(10)).await.unwrap_err();
        let mut transaction = adapter.sql().unwrap().begin(Default::default(), within(10)).await.unwrap();
        let _ = transaction.execute(&batch[0], within(10)).await;
        transaction.execute(&batch[1], within(10)).await.unwrap_err();
    }
    executed(&adapter, "SET default_transaction_read_only = off").await.unwrap();
    executed(&adapter, "INSERT INTO guarded VALUES (1)").await.unwrap_err();
    assert_eq!(rows(&owner, "SELECT count(*) FROM guarded").await.unwrap(), [json!([0])]);
}

/// A transaction that has failed says so when it is to be kept, and savepoints lead out of it.
#[tokio::test]
async fn a_failed_transaction_is_not_kept() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[]), server.port);
    executed(&adapter, "DROP TABLE IF EXISTS failed").await.unwrap();
    executed(&adapter, "CREATE TABLE failed (n int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let begin =
        async || adapter.sql().unwrap().begin(TransactionOptions::default(), within(10)).await.unwrap();
    let mut transaction = begin().await;
    transaction.execute(&statement("INSERT INTO failed VALUES (1)"), within(10)).await.unwrap();
    transaction.execute(&statement("SELECT 1/0"), within(10)).await.unwrap_err();
    let failure = transaction.execute(&statement("SELECT 1"), within(10)).await.unwrap_err();
    assert_eq!(failure.native(), Some(("sqlstate", "25P02")), "{failure}");
    let failure = transaction.commit(within(10)).await.unwrap_err();
    assert_eq!(failure.code(), Code::TransactionEnded, "{failure}");
    let mut transaction = begin().await;
    for (sql, passes) in [
        ("INSERT INTO failed VALUES (2)", true),
        ("SAVEPOINT a", true),
        ("SELECT 1/0", false),
        ("ROLLBACK TO a", true),
        ("INSERT INTO failed VALUES (3)", true),
    ] {
        assert_eq!(transaction.execute(&statement(sql), within(10)).await.is_ok(), passes, "{sql}");
    }
    transaction.commit(within(10)).await.unwrap();
    assert_eq!(rows(&adapter, "SELECT n FROM failed ORDER BY n").await.unwrap(), [json!([2]), json!([3])]);
    // What is checked at the end only fails there.
    let mut transaction = begin().await;
    transaction.execute(&statement("INSERT INTO failed VALUES (2)"), within(10)).await.unwrap();
    assert_eq!(transaction.commit(within(10)).await.unwrap_err().code(), Code::ConstraintViolation);
    let failure = executed(&adapter, "INSERT INTO failed VALUES (3)").await.unwrap_err();
    assert_eq!(failure.code(), Code::ConstraintViolation, "{failure}");
    let failure = rows(&adapter, "INSERT INTO failed VALUES (3) RETURNING n").await.unwrap_err();
    assert_eq!(failure.code(), Code::ConstraintViolation, "{failure}");
    let batch = [statement("INSERT INTO failed VALUES (9)"), statement("INSERT INTO failed VALUES (3)")];
    let failure = adapter.sql().unwrap().batch(&batch, Default::default(), within(10)).await.unwrap_err();
    assert_eq!(failure.code(), Code::ConstraintViolation, "{failure}");
    assert_eq!(rows(&adapter, "SELECT count(*) FROM failed").await.unwrap(), [json!([2])]);
}

/// In a transaction rows come by pages, so that a cut takes neither long nor the transaction with it.
#[tokio::test]
async fn a_cut_does_not_end_a_transaction() {
    let server = Engines::shared().postgres();
    let adapter = connected(&service(&[("max_collected", json!("512kb"))]), server.port);
    executed(&adapter, "DROP TABLE IF EXISTS paged").await.unwrap();
    executed(&adapter, "CREATE TABLE paged (n int)").await.unwrap();
    let mut transaction =
        adapter.sql().unwrap().begin(TransactionOptions::default(), within(10)).await.unwrap();
    let insert = statement("INSERT INTO paged SELECT generate_series(1, 10000) RETURNING n");
    let told = transaction.query(&insert, &arrays(), within(10)).await.unwrap();
    assert!(matches!(told.rest, Rest::End { truncated: false }));
    let whole = whole(told).await.unwrap();
    assert!(whole.len() == 10_000 && whole.iter().zip(1..).all(|(row, n)| row[0] == json!(n)));
    let endless = statement("SELECT generate_series(1, 2000000000), repeat('x', 100)");
    let begun = Instant::now();
    let told = transaction.query(&endless, &arrays(), within(20)).await.unwrap();
    assert!(matches!(told.rest, Rest::End { truncated: true }) && told.first.rows > 4096);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for (most, cut) in [(4096, true), (9999, true), (10_000, false), (10_001, false), (0, true)] {
        let options = QueryOptions { max_rows: Some(most), ..arrays() };
        let told = transaction.query(&statement("SELECT n FROM paged"), &options, within(10)).await.unwrap();
        assert!(matches!(told.rest, Rest::End { truncated } if truncated == cut), "{most}");
        assert_eq!(told.first.rows, most.min(10_000));
    }
    transaction.commit(within(10)).await.unwrap();
    assert_eq!(rows(&adapter, "SELECT count(*) FROM paged").await.unwrap(), [json!([10_000])]);
}

/// A pooler that hands each transaction to another connection of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_a_pooler_by_transaction() {
    let pooler = Engines::shared().pgbouncer();
    let options = [
        ("statement_cache", json!(0)),
        ("pool", json!({"max_connections": 12})),
        ("sslmode", json!("disable")),
    ];
    let adapter = connected(&service(&options), pooler.port);
    adapter.probe(Duration::from_secs(10)).await.unwrap();
    assert_eq!(adapter.seen().unwrap().role, Role::Primary);
    let tasks: Vec<_> = (0..24_i64)
        .map(|number| {
            let adapter = Arc::clone(&adapter);
            tokio::spawn(async move {
                for turn in 0..20 {
                    let select = asking("SELECT $1::bigint", &[Argument::Integer(number * 100 + turn)]);
                    assert_eq!(
                        asked(&adapter, &select, &arrays()).await.unwrap(),
                        [json!([number * 100 + turn])]
                    );
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
