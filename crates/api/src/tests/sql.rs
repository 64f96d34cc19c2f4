//! SQL by HTTP: statements, batches and transactions on a database that is there.

mod bounds;
mod streams;
mod transactions;

use serde_json::{Value, json};

use super::{Gateway, Reply, gateway};

const DB: &str = "/api/v1/clusters/shop/db";

/// A gateway with cluster `shop` and its database `db`, which has a table `t`.
async fn database() -> Gateway {
    database_with(json!({})).await
}

/// The same with more said of the service.
async fn database_with(options: Value) -> Gateway {
    let gateway = gateway().await;
    create(&gateway, "shop", options).await;
    execute(&gateway, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)", json!([])).await;
    gateway
}

async fn create(gateway: &Gateway, cluster: &str, options: Value) {
    let mut service = json!({ "type": "sqlite" });
    service.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    // A busy machine takes its time, and no test here is about that of a statement.
    let routing = json!({ "timeout_ms": 60_000 });
    let document =
        json!({ "name": cluster, "cluster_id": cluster, "services": { "db": service }, "routing": routing });
    let reply = gateway.post("/api/v1/clusters", &document).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

async fn call(gateway: &Gateway, call: &str, body: &Value) -> Reply {
    gateway.post(&format!("{DB}/{call}"), body).await
}

async fn query(gateway: &Gateway, query: &str, args: Value) -> Value {
    let reply = call(gateway, "query", &json!({ "query": query, "args": args })).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()
}

async fn execute(gateway: &Gateway, query: &str, args: Value) -> Value {
    let reply = call(gateway, "execute", &json!({ "query": query, "args": args })).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()
}

async fn count(gateway: &Gateway) -> i64 {
    query(gateway, "SELECT count(*) AS n FROM t", json!([])).await["rows"][0]["n"].as_i64().unwrap()
}

/// Rows of some 120 bytes each.
fn rows(count: u64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT i, printf('%0100d', i) AS pad FROM n"
    )
}

/// The latest operations: each with its shape and how it ended.
async fn activity(gateway: &Gateway) -> Vec<(String, String, String)> {
    let list = gateway.get("/api/v1/clusters/shop/activity").await.json();
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let of = |record: &Value| {
        let ending = if record["code"].is_string() { "code" } else { "outcome" };
        (text(record, "operation"), text(record, "shape"), text(record, ending))
    };
    list["activities"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn rows_come_back_as_they_were_put() {
    let gateway = database().await;
    let inserted = execute(&gateway, "INSERT INTO t VALUES ($1, $2), (2, 'b')", json!([1, "ü 'a'"])).await;
    assert_eq!(inserted, json!({ "rows_affected": 2 }));
    let found = call(&gateway, "query", &json!({ "query": "SELECT id, name FROM t ORDER BY id" })).await;
    assert_eq!(found.header("content-type"), "application/json");
    assert_eq!(found.header("content-length"), found.body.len().to_string());
    let found = found.json();
    assert_eq!(found["rows"], json!([{ "id": 1, "name": "ü 'a'" }, { "id": 2, "name": "b" }]));
    assert_eq!((&found["row_count"], found.get("truncated")), (&json!(2), None));
    let names: Vec<&Value> =
        found["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["id", "name"]);
    assert!(found["columns"].as_array().unwrap().iter().all(|column| column["type"].is_string()));
    // The text of the answer is in this order, also where it streams.
    let none =
        call(&gateway, "query", &json!({ "query": "SELECT id FROM t WHERE id > 5", "args": null })).await;
    let begin = none.text().find("\"columns\"").unwrap();
    assert!(begin < none.text().find("\"rows\":[]").unwrap() && none.text().ends_with("\"row_count\":0}"));
}

#[tokio::test]
async fn arguments_keep_their_types() {
    let gateway = database().await;
    for (argument, kind, comes_back) in [
        ("null", "null", json!(null)),
        ("7", "integer", json!(7)),
        ("9007199254740993", "integer", json!("9007199254740993")),
        ("-1.5", "real", json!(-1.5)),
        ("\"\\ud83d\\ude00\"", "text", json!("😀")),
        ("{\"value\": \"AP8=\", \"encoding\": \"base64\"}", "blob", json!("AP8=")),
        ("[1, 2.50]", "text", json!("[1, 2.50]")),
        ("{\"n\": 123456789012345678901}", "text", json!("{\"n\": 123456789012345678901}")),
    ] {
        let body = format!("{{\"query\": \"SELECT $1 AS v, typeof($1) AS kind\", \"args\": [{argument}]}}");
        let found = gateway.ask("POST", &format!("{DB}/query"), body).await;
        assert_eq!(found.status, 200, "{argument}: {}", found.text());
        assert_eq!(found.json()["rows"], json!([{ "v": comes_back, "kind": kind }]), "{argument}");
    }
}

#[tokio::test]
async fn a_bad_body_names_its_place() {
    let gateway = database().await;
    for (path, body, faults) in [
        ("query", "{}", vec!["query"]),
        ("query", r#"{"query": 5}"#, vec!["query"]),
        ("query", r#"{"query": "SELECT 1", "arg": []}"#, vec!["arg"]),
        ("query", r#"{"query": "SELECT 1", "args": {}}"#, vec!["args"]),
        ("query", r#"{"query": "SELECT 1", "max_rows": 0}"#, vec!["max_rows"]),
        ("query", r#"{"query": "SELECT 1", "read_only": "yes"}"#, vec!["read_only"]),
        (
            "query",
            r#"{"query": "SELECT 1", "args": [1, 9223372036854775808, 1e999]}"#,
            vec!["args[1]", "args[2]"],
        ),
        ("query", r#"{"query": "", "args": [{"value": "?", "encoding": "base64"}]}"#, vec!["args[0]"]),
        ("execute", r#"{"query": "SELECT 1", "read_only": true}"#, vec!["read_only"]),
        ("batch", "{}", vec!["statements"]),
        ("batch", r#"{"statements": []}"#, vec!["statements"]),
        ("batch", r#"{"statements": [{"query": "SELECT 1"}, {"args": []}]}"#, vec!["statements[1].query"]),
        (
            "batch",
            r#"{"statements": [{"query": "SELECT 1", "args": [99999999999999999999]}], "isolation": "none"}"#,
            vec!["isolation", "statements[0].args[0]"],
        ),
        ("transactions", r#"{"idle_ms": 99}"#, vec!["idle_ms"]),
        ("transactions", r#"{"idle_ms": 300001}"#, vec!["idle_ms"]),
        ("transactions", r#"{"isolation": "chaos"}"#, vec!["isolation"]),
        ("transactions", r#"{"tx": "a"}"#, vec!["tx"]),
        ("query?txx=a", r#"{"query": "SELECT 1"}"#, vec!["txx"]),
        ("batch?tx=a", r#"{"statements": [{"query": "SELECT 1"}]}"#, vec!["tx"]),
    ] {
        let refused = gateway.ask("POST", &format!("{DB}/{path}"), body).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{path} {body}");
        let mut named = refused.faults();
        named.sort();
        assert_eq!(named, faults, "{path} {body}: {}", refused.text());
    }
    let many = json!({ "statements": vec![json!({ "query": "SELECT 1" }); 1001] });
    let refused = call(&gateway, "batch", &many).await;
    assert_eq!((refused.problem().0, refused.faults()), (400, vec!["statements".to_owned()]));
    let text = gateway
        .ask("POST", &format!("{DB}/query"), r#"{"query": "SELECT 1", "args": [18446744073709551616]}"#)
        .await;
    assert!(text.json()["detail"].as_str().unwrap().contains("send it as text"), "{}", text.text());
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_names_the_service() {
    let gateway = database().await;
    execute(&gateway, "INSERT INTO t VALUES (1, 'a')", json!([])).await;
    for (path, body, expected) in [
        ("query", json!({ "query": "SELEC 1" }), (400, "query_failed")),
        ("query", json!({ "query": "" }), (400, "query_failed")),
        ("query", json!({ "query": "SELECT $1" }), (400, "query_failed")),
        ("query", json!({ "query": "SELECT 1; SELECT 2" }), (400, "query_failed")),
        ("query", json!({ "query": "DELETE FROM t", "read_only": true }), (400, "query_failed")),
        ("execute", json!({ "query": "COMMIT" }), (400, "query_failed")),
        ("execute", json!({ "query": "INSERT INTO t VALUES (1, 'b')" }), (409, "constraint_violation")),
        ("execute", json!({ "query": "INSERT INTO t VALUES (2, 'a')" }), (409, "constraint_violation")),
    ] {
        let refused = call(&gateway, path, &body).await;
        let (status, code) = refused.problem();
        assert_eq!((status, &*code), expected, "{body}: {}", refused.text());
        assert_eq!(refused.json()["service"], "db", "{body}");
    }
    let refused =
        call(&gateway, "execute", &json!({ "query": "INSERT INTO t VALUES (1, 'b')" })).await.json();
    assert!(refused["sqlite"].as_str().unwrap().starts_with("SQLITE_CONSTRAINT"), "{refused}");
    assert_eq!(count(&gateway).await, 1);
    // None of it counts against the endpoint.
    let facts = gateway.get("/api/v1/clusters/shop/services/db").await.json();
    assert_eq!((&facts["breaker"], &facts["rotation"]), (&json!("closed"), &json!("in")), "{facts}");
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let gateway = database().await;
    let body = json!({ "isolation": "READ COMMITTED", "statements": [
        { "query": "INSERT INTO t VALUES ($1, $2)", "args": [1, "a"] },
        { "query": "INSERT INTO t VALUES (2, 'b'), (3, 'c')" },
        { "query": "SELECT name FROM t WHERE id = $1", "args": [2] },
        { "query": "UPDATE t SET name = 'x' WHERE id > 99" },
    ] });
    let reply = call(&gateway, "batch", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let results = reply.json()["results"].clone();
    assert_eq!(results[0], json!({ "rows_affected": 1 }));
    assert_eq!(results[1], json!({ "rows_affected": 2 }));
    assert_eq!((&results[2]["rows"], &results[2]["row_count"]), (&json!([{ "name": "b" }]), &json!(1)));
    assert_eq!(results[3], json!({ "rows_affected": 0 }));

    let body = json!({ "statements": [
        { "query": "DELETE FROM t" }, { "query": "INSERT INTO t VALUES (7, NULL)" },
        { "query": "INSERT INTO t VALUES (7, NULL)" },
    ] });
    let refused = call(&gateway, "batch", &body).await;
    assert_eq!(refused.problem(), (409, "constraint_violation".to_owned()));
    assert!(refused.json()["detail"].as_str().unwrap().starts_with("statement 3: "), "{}", refused.text());
    assert_eq!(count(&gateway).await, 3);
}

#[tokio::test]
async fn a_batch_has_all_rows_of_its_statements() {
    let gateway = database().await;
    let statements =
        json!([{ "query": rows(30_000) }, { "query": "SELECT 1 AS one" }, { "query": rows(10) }]);
    let reply = call(&gateway, "batch", &json!({ "statements": statements })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let results = reply.json()["results"].clone();
    let counts = [30_000, 1, 10];
    for (result, count) in results.as_array().unwrap().iter().zip(counts) {
        assert_eq!(result["row_count"], count);
        assert_eq!(result["rows"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn a_limit_that_cuts_rows_says_so() {
    let gateway = database_with(json!({ "max_rows": 50 })).await;
    let numbers =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n";
    let cut = query(&gateway, numbers, json!([])).await;
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(50), &json!(true)));
    let cut = call(&gateway, "query", &json!({ "query": numbers, "max_rows": 3 })).await.json();
    assert_eq!(cut["rows"], json!([{ "i": 1 }, { "i": 2 }, { "i": 3 }]));
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(3), &json!(true)));
    let exact = format!("{numbers} LIMIT 50");
    assert_eq!(query(&gateway, &exact, json!([])).await.get("truncated"), None);
}

#[tokio::test]
async fn what_ran_is_written_down_without_its_values() {
    let gateway = database().await;
    execute(&gateway, "INSERT INTO t VALUES (41, 'secret') -- note", json!([])).await;
    query(&gateway, "SELECT *\n FROM t WHERE name = 'secret' AND id = $1", json!([41])).await;
    call(&gateway, "execute", &json!({ "query": "INSERT INTO t VALUES (41, 'secret')" })).await;
    let statements =
        json!([{ "query": "DELETE FROM t WHERE id=7" }, { "query": "SELECT 1" }, { "query": "SELECT 2" }]);
    call(&gateway, "batch", &json!({ "statements": statements })).await;
    let seen = activity(&gateway).await;
    let expected = [
        ("BATCH", "DELETE FROM t WHERE id=? (+2 more)", "success"),
        ("EXECUTE", "INSERT INTO t VALUES (?, ?)", "constraint_violation"),
        ("QUERY", "SELECT * FROM t WHERE name = ? AND id = $1", "success"),
        ("EXECUTE", "INSERT INTO t VALUES (?, ?)", "success"),
        ("EXECUTE", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)", "success"),
    ];
    let seen: Vec<(&str, &str, &str)> = seen.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_service_must_run_sql() {
    let gateway = super::shop().await;
    let refused = call(&gateway, "query", &json!({ "query": "SELECT 1" })).await;
    assert_eq!(refused.problem(), (422, "unsupported_ability".to_owned()));
    let refused = call(&gateway, "transactions", &json!({})).await;
    assert_eq!(refused.problem(), (422, "unsupported_ability".to_owned()));
    let refused = gateway.post("/api/v1/clusters/none/db/query", &json!({ "query": "SELECT 1" })).await;
    assert_eq!(refused.problem(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn fifty_writers_at_once_all_write() {
    let gateway = std::sync::Arc::new(database().await);
    execute(&gateway, "INSERT INTO t VALUES (0, NULL)", json!([])).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=50 {
        let gateway = std::sync::Arc::clone(&gateway);
        writers.spawn(async move {
            for turn in 0..10 {
                execute(&gateway, "INSERT INTO t VALUES ($1, $2)", json!([writer * 100 + turn, null])).await;
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(count(&gateway).await, 501);
}

#[tokio::test]
async fn what_was_written_is_read_behind_its_position() {
    let gateway = database().await;
    let insert = |id: i64| json!({ "query": "INSERT INTO t VALUES ($1, NULL)", "args": [id] });
    assert_eq!(call(&gateway, "execute", &insert(1)).await.json(), json!({ "rows_affected": 1 }));
    assert_eq!(
        call(&gateway, "execute?position=false", &insert(2)).await.json(),
        json!({ "rows_affected": 1 })
    );
    let written = call(&gateway, "execute?position=true", &insert(3)).await.json();
    let position = written["position"].as_str().unwrap_or_else(|| panic!("{written}")).to_owned();

    let select = json!({ "query": "SELECT count(*) AS n FROM t", "after": position, "read_only": true });
    let read = call(&gateway, "query?position=true", &select).await.json();
    assert_eq!((&read["rows"][0]["n"], &read["position"]), (&json!(3), &json!(position)));
    let read = call(&gateway, "query", &select).await.json();
    assert_eq!((&read["rows"][0]["n"], read.get("position")), (&json!(3), None));

    let batch = json!({ "statements": [insert(4), { "query": "SELECT 1 AS one" }] });
    let batch = call(&gateway, "batch?position=true", &batch).await.json();
    assert_eq!((batch["results"].as_array().unwrap().len(), &batch["position"]), (2, &json!(position)));

    // A result that streams says it behind its last row, where all of it was done.
    let streamed = call(&gateway, "query?position=true", &json!({ "query": rows(20_000) })).await;
    assert_eq!(streamed.headers.get("content-length"), None);
    let streamed = streamed.json();
    assert_eq!((&streamed["row_count"], &streamed["position"]), (&json!(20_000), &json!(position)));
}

#[tokio::test]
async fn a_transaction_has_its_position_when_it_is_committed() {
    let gateway = database().await;
    let begun = call(&gateway, "transactions", &json!({})).await.json();
    let tx = begun["tx"].as_str().unwrap();
    let insert = json!({ "query": "INSERT INTO t VALUES (1, NULL)" });
    for refused in [
        call(&gateway, &format!("execute?position=true&tx={tx}"), &insert).await,
        call(&gateway, &format!("query?position=true&tx={tx}"), &json!({ "query": "SELECT 1" })).await,
        call(&gateway, &format!("query?tx={tx}"), &json!({ "query": "SELECT 1", "after": "0" })).await,
    ] {
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{}", refused.text());
    }
    assert_eq!(call(&gateway, &format!("execute?tx={tx}"), &insert).await.status, 200);
    let committed =
        call(&gateway, &format!("transactions/{tx}/commit?position=true"), &json!({})).await.json();
    assert!(committed["status"] == "committed" && committed["position"].is_string(), "{committed}");

    for (path, body, fault) in [
        ("query", json!({ "query": "SELECT 1", "after": "" }), "after"),
        ("query", json!({ "query": "SELECT 1", "after": "x".repeat(129) }), "after"),
        ("query?position=perhaps", json!({ "query": "SELECT 1" }), "position"),
        ("execute", json!({ "query": "SELECT 1", "after": "0" }), "after"),
    ] {
        let refused = call(&gateway, path, &body).await;
        assert_eq!((refused.problem().0, refused.faults()), (400, vec![fault.to_owned()]), "{path}");
    }
}
