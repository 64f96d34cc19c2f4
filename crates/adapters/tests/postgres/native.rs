//! Results in the server's own terms, for clients that know them.

use model::Code;
use throome_adapters::sql::{Isolation, NativeResult, TransactionOptions};

use super::*;

async fn run(
    adapter: &Arc<dyn Adapter>,
    statements: &[Statement],
    options: TransactionOptions,
) -> Result<Vec<NativeResult>, Failure> {
    adapter.sql().unwrap().native().expect("it speaks natively").run(statements, options, within(10)).await
}

fn cells(result: &NativeResult) -> Vec<Vec<Option<String>>> {
    let text =
        |cell: &Option<bytes::Bytes>| cell.as_ref().map(|cell| String::from_utf8(cell.to_vec()).unwrap());
    result.rows.iter().map(|row| row.iter().map(text).collect()).collect()
}

#[tokio::test]
async fn results_are_the_servers_own() {
    let adapter = connected(&service(&[]), Engines::shared().postgres().port);
    let text = |text: &str| Argument::Text(text.into());
    let one = asking("SELECT $1::int AS n, NULL AS none, ARRAY[1, 2] AS list, true AS yes", &[text("7")]);
    let results = run(&adapter, &[one], TransactionOptions::default()).await.unwrap();
    let [result] = results.as_slice() else { panic!("one was asked") };
    assert_eq!((&*result.command, result.row_count), ("SELECT", Some(1)));
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(cells(result), [[own("7"), None, own("{1,2}"), own("t")]]);
    let fields: Vec<_> =
        result.fields.iter().map(|field| (&*field.name, field.type_id, field.type_size)).collect();
    assert_eq!(fields, [("n", 23, 4), ("none", 25, -1), ("list", 1007, -1), ("yes", 16, 1)]);

    let several = [
        statement("DROP TABLE IF EXISTS natively"),
        statement("CREATE TABLE natively (id serial, t text)"),
        asking("INSERT INTO natively (t) VALUES ($1), ($2)", &[text("a"), Argument::Null]),
        statement("SELECT id, t FROM natively ORDER BY id"),
    ];
    let results = run(&adapter, &several, TransactionOptions::default()).await.unwrap();
    let told: Vec<_> = results.iter().map(|result| (&*result.command, result.row_count)).collect();
    assert_eq!(
        told,
        [("DROP TABLE", None), ("CREATE TABLE", None), ("INSERT", Some(2)), ("SELECT", Some(2))]
    );
    assert_eq!(cells(&results[3]), [[own("1"), own("a")], [own("2"), None]]);
    assert!(results[3].fields[1].table_id > 0 && results[3].fields[1].column_id == 2);

    // All of them or none, and options are kept.
    let bad = [statement("DELETE FROM natively"), statement("SELECT 1/0")];
    let failure = run(&adapter, &bad, TransactionOptions::default()).await.unwrap_err();
    assert!(
        failure.code() == Code::QueryFailed && failure.detail().starts_with("statement 2: "),
        "{failure}"
    );
    let words = failure.engine_words();
    for (name, value) in [("code", "22012"), ("severity", "ERROR"), ("routine", "int4div")] {
        assert!(words.contains(&(name, value.to_owned())), "{words:?}");
    }
    let options =
        TransactionOptions { isolation: Some(Isolation::Serializable), read_only: true, deferrable: true };
    let show = [
        statement("SHOW transaction_isolation"),
        statement("SHOW transaction_read_only"),
        statement("SHOW transaction_deferrable"),
        statement("SELECT count(*) FROM natively"),
    ];
    let results = run(&adapter, &show, options).await.unwrap();
    let first: Vec<_> = results.iter().map(|result| cells(result)[0][0].clone().unwrap()).collect();
    assert_eq!(first, ["serializable", "on", "on", "2"]);
    let failure = run(&adapter, &[statement("DELETE FROM natively")], options).await.unwrap_err();
    assert_eq!(failure.native(), Some(("sqlstate", "25006")), "{failure}");
}

#[tokio::test]
async fn constraints_are_told_in_full() {
    let adapter = connected(&service(&[]), Engines::shared().postgres().port);
    let setup = [
        statement("DROP TABLE IF EXISTS told"),
        statement("CREATE TABLE told (n int CONSTRAINT told_once UNIQUE)"),
        statement("INSERT INTO told VALUES (1)"),
    ];
    run(&adapter, &setup, TransactionOptions::default()).await.unwrap();
    let failure = run(&adapter, &setup[2..], TransactionOptions::default()).await.unwrap_err();
    let words = failure.engine_words();
    for (name, value) in [
        ("table", "told"),
        ("constraint", "told_once"),
        ("schema", "public"),
        ("detail", "Key (n)=(1) already exists."),
    ] {
        assert!(words.contains(&(name, value.to_owned())), "{words:?}");
    }
    let failure =
        run(&adapter, &[statement("SELECT nonsense")], TransactionOptions::default()).await.unwrap_err();
    assert!(failure.engine_words().contains(&("position", "8".to_owned())), "{failure:?}");
}

#[tokio::test]
async fn too_much_is_refused() {
    let adapter = connected(&service(&[("max_collected", json!("64kb"))]), Engines::shared().postgres().port);
    let large = [statement("SELECT repeat('x', 1000) FROM generate_series(1, 100)")];
    let failure = run(&adapter, &large, TransactionOptions::default()).await.unwrap_err();
    assert_eq!(failure.code(), Code::TooLarge, "{failure}");
    let many = [
        statement("DROP TABLE IF EXISTS too_much"),
        statement("CREATE TABLE too_much (n int)"),
        large[0].clone(),
    ];
    run(&adapter, &many, TransactionOptions::default()).await.unwrap_err();
    assert_eq!(
        rows(&adapter, "SELECT to_regclass('too_much')::text").await.unwrap(),
        [json!([null])],
        "none of it is kept"
    );
}
