//! Transactions by HTTP: from their beginning to each of their ends.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use serde_json::{Value, json};

use super::{DB, activity, call, count, create, database, execute, rows};
use crate::tests::{Gateway, Reply, gateway, gateway_with};

async fn begin(gateway: &Gateway, body: Value) -> String {
    let reply = call(gateway, "transactions", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["tx"].as_str().unwrap().to_owned()
}

async fn within(gateway: &Gateway, tx: &str, path: &str, query: &str) -> Reply {
    call(gateway, &format!("{path}?tx={tx}"), &json!({ "query": query })).await
}

async fn end(gateway: &Gateway, tx: &str, how: &str) -> Reply {
    gateway.ask("POST", &format!("{DB}/transactions/{tx}/{how}"), "").await
}

/// Cluster `shop`, whose calls have so long.
fn that_waits(millis: u64) -> Value {
    json!({ "name": "shop", "cluster_id": "shop", "services": { "db": { "type": "sqlite" } },
        "routing": { "timeout_ms": millis } })
}

async fn gateway_that_waits(millis: u64) -> Gateway {
    let gateway = gateway().await;
    assert_eq!(gateway.post("/api/v1/clusters", &that_waits(millis)).await.status, 201);
    gateway
}

fn ended() -> (u16, String) {
    (404, "transaction_ended".to_owned())
}

#[tokio::test]
async fn what_is_committed_stays_and_what_is_rolled_back_does_not() {
    let gateway = database().await;
    let begun = gateway.ask("POST", &format!("{DB}/transactions"), "").await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    let tx = begun.json()["tx"].as_str().unwrap().to_owned();
    assert!(tx.len() >= 22, "at least 128 bits: {tx}");
    let first: jiff::Timestamp = begun.json()["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(first > jiff::Timestamp::now());
    tokio::time::sleep(Duration::from_millis(5)).await;

    let inserted = within(&gateway, &tx, "execute", "INSERT INTO t VALUES (1, 'a')").await;
    assert_eq!(inserted.json()["rows_affected"], 1, "{}", inserted.text());
    let later: jiff::Timestamp = inserted.json()["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(later > first, "each call moves it");
    let found = within(&gateway, &tx, "query", "SELECT name FROM t").await.json();
    assert_eq!((&found["rows"], found["expires_at"].is_string()), (&json!([{ "name": "a" }]), true));
    assert_eq!(count(&gateway).await, 0, "others do not see it yet");
    let committed = end(&gateway, &tx, "commit").await;
    assert_eq!(
        (committed.status.as_u16(), committed.json()),
        (200, json!({ "tx": tx, "status": "committed" }))
    );
    assert_eq!(count(&gateway).await, 1);
    for over in [
        end(&gateway, &tx, "commit").await,
        end(&gateway, &tx, "rollback").await,
        within(&gateway, &tx, "query", "SELECT 1").await,
        within(&gateway, &tx, "execute", "DELETE FROM t").await,
    ] {
        assert_eq!(over.problem(), ended());
    }

    let tx = begin(&gateway, json!({ "isolation": "serializable" })).await;
    within(&gateway, &tx, "execute", "DELETE FROM t").await;
    let undone = end(&gateway, &tx, "rollback").await;
    assert_eq!((undone.status.as_u16(), undone.json()), (200, json!({ "tx": tx, "status": "rolled_back" })));
    assert_eq!(count(&gateway).await, 1);
    assert_eq!(end(&gateway, &tx, "rollback").await.problem(), ended());

    let operations: Vec<(String, String)> =
        activity(&gateway).await.into_iter().map(|(name, _, ending)| (name, ending)).collect();
    for name in ["BEGIN", "TX_EXECUTE", "TX_QUERY", "COMMIT", "ROLLBACK"] {
        assert!(operations.contains(&(name.to_owned(), "success".to_owned())), "{name}: {operations:?}");
    }
}

#[tokio::test]
async fn a_refused_statement_leaves_the_transaction_as_the_engine_does() {
    let gateway = database().await;
    let tx = begin(&gateway, json!({})).await;
    within(&gateway, &tx, "execute", "INSERT INTO t VALUES (1, 'a')").await;
    let refused = within(&gateway, &tx, "execute", "INSERT INTO t VALUES (1, 'a')").await;
    assert_eq!(refused.problem(), (409, "constraint_violation".to_owned()));
    for text in ["COMMIT", "BEGIN", "ROLLBACK"] {
        let refused = within(&gateway, &tx, "execute", text).await;
        assert_eq!(refused.problem(), (400, "query_failed".to_owned()), "{text}: {}", refused.text());
    }
    assert_eq!(end(&gateway, &tx, "commit").await.status, 200);
    assert_eq!(count(&gateway).await, 1);

    let tx = begin(&gateway, json!({ "read_only": true })).await;
    let refused = within(&gateway, &tx, "execute", "DELETE FROM t").await;
    assert_eq!(refused.problem(), (400, "query_failed".to_owned()), "{}", refused.text());
    assert_eq!(within(&gateway, &tx, "query", "SELECT * FROM t").await.json()["row_count"], 1);
    assert_eq!(end(&gateway, &tx, "commit").await.status, 200);
    assert_eq!(count(&gateway).await, 1);
}

#[tokio::test]
async fn an_idle_transaction_is_rolled_back_and_said() {
    let gateway = database().await;
    let tx = begin(&gateway, json!({ "idle_ms": 300 })).await;
    for id in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let moved = within(&gateway, &tx, "execute", &format!("INSERT INTO t VALUES ({id}, NULL)")).await;
        assert_eq!(moved.status, 200, "a call moves its end: {}", moved.text());
    }
    // Somebody else's write waits for the writer, which the idle one gives back.
    let inserted = execute(&gateway, "INSERT INTO t VALUES (100, NULL)", json!([])).await;
    assert_eq!(inserted["rows_affected"], 1);
    assert_eq!(count(&gateway).await, 1);
    assert_eq!(within(&gateway, &tx, "query", "SELECT 1").await.problem(), ended());
    assert_eq!(end(&gateway, &tx, "commit").await.problem(), ended());
    let expired = ("ROLLBACK".to_owned(), "idle for 300 ms".to_owned(), "transaction_ended".to_owned());
    let seen = activity(&gateway).await;
    assert!(seen.contains(&expired), "{seen:?}");
}

#[tokio::test]
async fn a_large_result_in_a_transaction_is_whole_and_holds_nothing_up() {
    let gateway = database().await;
    let tx = begin(&gateway, json!({})).await;
    within(&gateway, &tx, "execute", "INSERT INTO t VALUES (1, 'a')").await;
    let large = within(&gateway, &tx, "query", &rows(30_000)).await.json();
    assert_eq!((large["rows"].as_array().unwrap().len(), &large["row_count"]), (30_000, &json!(30_000)));
    assert!(large["expires_at"].is_string());
    assert_eq!(end(&gateway, &tx, "commit").await.status, 200);
    assert_eq!(count(&gateway).await, 1);
}

/// A statement that runs for as long as it may.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

#[tokio::test]
async fn a_running_statement_is_not_idle_and_makes_others_wait() {
    let gateway = Arc::new(gateway_that_waits(800).await);
    execute(&gateway, "CREATE TABLE t (id INTEGER PRIMARY KEY)", json!([])).await;
    let tx = begin(&gateway, json!({ "idle_ms": 200 })).await;
    let (running, own) = (Arc::clone(&gateway), tx.clone());
    let endless = tokio::spawn(async move { within(&running, &own, "query", ENDLESS).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (waiting, own) = (Arc::clone(&gateway), tx.clone());
    let second = tokio::spawn(async move { within(&waiting, &own, "query", "SELECT 1").await });
    let first = endless.await.unwrap();
    assert_eq!(first.problem(), (504, "timeout".to_owned()), "not ended as idle: {}", first.text());
    let second = second.await.unwrap();
    assert!(second.status == 200 || second.problem() == ended(), "it had its turn: {}", second.text());

    // The writer's turn is taken: others wait until their time is over.
    let holder = begin(&gateway, json!({})).await;
    within(&gateway, &holder, "execute", "INSERT INTO t VALUES (1)").await;
    let busy = call(&gateway, "execute", &json!({ "query": "INSERT INTO t VALUES (2)" })).await;
    assert_eq!(busy.problem(), (503, "busy".to_owned()), "{}", busy.text());
    assert_eq!(busy.json()["retryable"], true);
    assert_eq!(call(&gateway, "transactions", &json!({})).await.problem().1, "busy");
    assert_eq!(end(&gateway, &holder, "commit").await.status, 200);
    assert_eq!(count(&gateway).await, 1);
}

#[tokio::test]
async fn another_statement_waits_for_its_turn_until_its_deadline() {
    let gateway = Arc::new(gateway_that_waits(60_000).await);
    let tx = begin(&gateway, json!({})).await;
    let (running, own) = (Arc::clone(&gateway), tx.clone());
    let endless = tokio::spawn(async move { within(&running, &own, "query", ENDLESS).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // From now on its time is short, and so is its wait.
    assert_eq!(gateway.put("/api/v1/clusters/shop", &that_waits(200)).await.status, 200);
    let busy = within(&gateway, &tx, "query", "SELECT 1").await;
    assert_eq!(busy.problem(), (503, "busy".to_owned()), "{}", busy.text());
    let busy = end(&gateway, &tx, "commit").await;
    assert_eq!(busy.problem(), (503, "busy".to_owned()), "{}", busy.text());

    // The client of the long statement goes away: statement and transaction end with it.
    endless.abort();
    let _ = endless.await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(within(&gateway, &tx, "query", "SELECT 1").await.problem(), ended());
    let free = begin(&gateway, json!({})).await;
    assert_eq!(end(&gateway, &free, "rollback").await.status, 200);
}

#[tokio::test]
async fn a_transaction_is_of_its_service_and_ends_with_it() {
    let gateway = database().await;
    create(&gateway, "other", json!({})).await;
    let tx = begin(&gateway, json!({})).await;
    for path in [
        format!("/api/v1/clusters/other/db/query?tx={tx}"),
        format!("{DB}/query?tx={tx}&service=none"),
        format!("{DB}/query?tx={tx}x"),
    ] {
        let refused = gateway.post(&path, &json!({ "query": "SELECT 1" })).await;
        assert_eq!(refused.problem(), ended(), "{path}");
    }
    assert_eq!(
        gateway.post(&format!("{DB}/query?tx={tx}&service=db"), &json!({ "query": "SELECT 1" })).await.status,
        200
    );
    assert_eq!(
        gateway.ask("POST", &format!("{DB}/transactions/{tx}/commit"), r#"{"a": 1}"#).await.faults(),
        ["a"]
    );

    assert_eq!(gateway.delete("/api/v1/clusters/shop").await.status, 200);
    let gone = within(&gateway, &tx, "query", "SELECT 1").await;
    assert_eq!(gone.problem(), ended());
    create(&gateway, "shop", json!({})).await;
    assert_eq!(within(&gateway, &tx, "query", "SELECT 1").await.problem(), ended());
    let free = begin(&gateway, json!({})).await;
    assert_eq!(end(&gateway, &free, "commit").await.status, 200);
}

#[tokio::test]
async fn knowing_a_transaction_does_not_open_a_service() {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
    })
    .await;
    let admin = gateway.store.ensure_admin_token().await.unwrap().unwrap().reveal().to_owned();
    let ask = async |token: &str, path: &str, body: Value| {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        gateway.send(request, body.to_string()).await
    };
    let services = json!({ "db": { "type": "sqlite" }, "other": { "type": "sqlite" } });
    let cluster = json!({ "name": "shop", "cluster_id": "shop", "services": services });
    assert_eq!(ask(&admin, "/api/v1/clusters", cluster).await.status, 201);
    let made = ask(&admin, "/api/v1/tokens", json!({ "name": "app", "service": "shop/db" })).await.json();
    let own = made["token"].as_str().unwrap();

    let others = ask(&admin, &format!("{DB}/transactions?service=other"), json!({})).await.json();
    let tx = others["tx"].as_str().unwrap();
    let select = || json!({ "query": "SELECT 1" });
    let refused = ask(own, &format!("{DB}/query?tx={tx}"), select()).await;
    assert!(matches!(&*refused.problem().1, "permission_denied" | "transaction_ended"), "{}", refused.text());
    let refused = ask(own, &format!("{DB}/query?tx={tx}&service=other"), select()).await;
    assert_eq!(refused.problem(), (403, "permission_denied".to_owned()));
    let refused = ask(own, &format!("{DB}/transactions/{tx}/commit?service=other"), json!({})).await;
    assert_eq!(refused.problem(), (403, "permission_denied".to_owned()));
    assert_eq!(ask(&admin, &format!("{DB}/query?tx={tx}"), select()).await.status, 200);

    let begun = ask(own, &format!("{DB}/transactions?service=db"), json!({})).await.json();
    let tx = begun["tx"].as_str().unwrap();
    assert_eq!(ask(own, &format!("{DB}/query?tx={tx}"), select()).await.status, 200);
    assert_eq!(ask(own, &format!("{DB}/transactions/{tx}/commit"), json!({})).await.status, 200);
}

#[tokio::test]
async fn only_so_many_are_open_at_once() {
    let gateway = gateway_that_waits(300).await;
    let mut open = Vec::new();
    let refused = loop {
        let reply = call(&gateway, "transactions", &json!({ "read_only": true, "idle_ms": 300_000 })).await;
        if reply.status != 201 {
            break reply;
        }
        open.push(reply.json()["tx"].as_str().unwrap().to_owned());
        assert!(open.len() <= 1000);
    };
    // The engine may have fewer connections than the gateway has places.
    assert!(matches!(&*refused.problem().1, "busy" | "overloaded"), "{}", refused.text());
    assert_eq!(refused.status, 503);
    assert_eq!(end(&gateway, &open[0], "rollback").await.status, 200);
    let again = call(&gateway, "transactions", &json!({ "read_only": true })).await;
    assert_eq!(again.status, 201, "{}", again.text());
}
