//! What one client may keep from the others: memory by not reading, the writer by not ending.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{DB, activity, call, count, create, execute, rows};
use crate::data::Data;
use crate::tests::{Gateway, gateway_with};

const LIFE: Duration = Duration::from_millis(900);
const LONG: Duration = Duration::from_secs(60);

/// A gateway with a database whose bounds are small, and its calls.
async fn bounded(options: Value, life: Duration) -> (Gateway, Data) {
    let mut data = None;
    let gateway = gateway_with(|options| {
        options.data = options.data.clone().bounded(12 << 20, life);
        data = Some(options.data.clone());
    })
    .await;
    create(&gateway, "shop", options).await;
    execute(&gateway, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)", json!([])).await;
    (gateway, data.unwrap())
}

/// An answer whose body nobody has read yet.
async fn unread(gateway: &Gateway, path: &str, body: Value) -> Response<Body> {
    let request = Request::post(format!("{DB}/{path}")).header("host", "localhost:9000");
    gateway.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    let (gateway, data) = bounded(json!({}), LONG).await;
    let large = || json!({ "statements": [{ "query": rows(20_000) }, { "query": rows(1000) }] });
    let mut held = Vec::new();
    let refused = loop {
        let response = unread(&gateway, "batch", large()).await;
        if response.status() != 200 {
            break response;
        }
        held.push(response);
        assert!(data.bytes_held() > held.len() * 2_400_000, "{}", data.bytes_held());
        assert!(data.bytes_held() <= 12 << 20 && held.len() < 6);
    };
    assert_eq!((held.len(), refused.status().as_u16()), (4, 503));
    let refused: Value =
        serde_json::from_slice(&refused.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("overloaded"), &json!(false)), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("has been carried out"), "{refused}");
    // Small answers have room all the while, and so has what only looks and streams, once somebody reads.
    assert_eq!(count(&gateway).await, 0);
    let whole = held.pop().unwrap().into_body().collect().await.unwrap().to_bytes();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(
        (&whole["results"][0]["row_count"], &whole["results"][1]["row_count"]),
        (&json!(20_000), &json!(1000))
    );
    drop(whole);
    assert_eq!(unread(&gateway, "batch", large()).await.status(), 200);
    drop(held);
    assert_eq!(data.bytes_held(), 0, "what went makes room");
}

/// The control door keeps half of its connections for whoever looks at the gateway.
#[tokio::test]
async fn who_finds_no_place_for_a_stream_is_not_told_to_write_again() {
    let gateway = gateway_with(|options| options.limits.connections = 2).await;
    create(&gateway, "shop", json!({})).await;
    execute(&gateway, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)", json!([])).await;
    let large = |first: &str| json!({ "statements": [{ "query": first }, { "query": rows(20_000) }] });
    let held = unread(&gateway, "batch", large("SELECT 1")).await;
    assert_eq!(held.status(), 200);
    let refused = call(&gateway, "batch", &large("INSERT INTO t (name) VALUES ('once')")).await;
    assert_eq!(refused.problem(), (503, "overloaded".to_owned()), "{}", refused.text());
    assert_eq!(refused.json()["retryable"], false, "it is there: {}", refused.text());
    assert!(refused.text().contains("may have been carried out"), "{}", refused.text());
    assert_eq!(count(&gateway).await, 1);
    drop(held);
    assert_eq!(call(&gateway, "batch", &large("SELECT 1")).await.status, 200);
}

#[tokio::test]
async fn an_answer_under_a_key_is_counted_as_well() {
    let (gateway, data) = bounded(json!({}), LONG).await;
    let body = json!({ "statements": [{ "query": rows(20_000) }] }).to_string();
    let request = Request::post(format!("{DB}/batch"))
        .header("host", "localhost:9000")
        .header("idempotency-key", "k")
        .body(Body::from(body))
        .unwrap();
    let response = gateway.router.clone().oneshot(request).await.unwrap();
    assert!(data.bytes_held() > 2_400_000, "{}", data.bytes_held());
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["results"][0]["rows"].as_array().unwrap().len(), 20_000);
    assert_eq!(data.bytes_held(), 0);
}

#[tokio::test]
async fn rows_of_a_transaction_and_of_a_stream_are_counted() {
    let (gateway, data) = bounded(json!({}), LONG).await;
    let begun = call(&gateway, "transactions", &json!({ "read_only": true })).await.json();
    let tx = begun["tx"].as_str().unwrap();
    let asked = || json!({ "query": rows(30_000), "read_only": true });
    let collected = unread(&gateway, &format!("query?tx={tx}"), asked()).await;
    let all = data.bytes_held();
    assert!(all > 3_000_000, "{all}");
    let streaming = unread(&gateway, "query", json!({ "query": rows(100_000) })).await;
    let with_first = data.bytes_held();
    assert!((1 << 20..2 << 20).contains(&(with_first - all)), "{}", with_first - all);
    let whole = collected.into_body().collect().await.unwrap().to_bytes();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!((whole["rows"].as_array().unwrap().len(), &whole["row_count"]), (30_000, &json!(30_000)));
    assert!(whole["rows"].as_array().unwrap().iter().enumerate().all(|(at, row)| row["i"] == json!(at + 1)));
    drop(streaming);
    assert_eq!(data.bytes_held(), 0);

    // A read that finds no room can be sent again.
    let waiting: Vec<_> = [
        unread(&gateway, &format!("query?tx={tx}"), json!({ "query": rows(70_000) })).await,
        unread(&gateway, &format!("query?tx={tx}"), json!({ "query": rows(30_000) })).await,
    ]
    .into();
    assert!(waiting.iter().all(|response| response.status() == 200), "{waiting:?}");
    let refused = call(&gateway, "query", &asked()).await;
    assert_eq!(refused.status, 503);
    assert_eq!((refused.problem().1.as_str(), &refused.json()["retryable"]), ("overloaded", &json!(true)));
    let facts = gateway.get("/api/v1/clusters/shop/services/db").await.json();
    assert_eq!(facts["healthy"], true, "nobody's fault but the readers': {facts}");
}

#[tokio::test]
async fn a_value_of_a_cache_is_counted_too() {
    let (gateway, data) = bounded(json!({}), LONG).await;
    let cluster =
        json!({ "name": "store", "cluster_id": "store", "services": { "cache": { "type": "memory" } } });
    assert_eq!(gateway.post("/api/v1/clusters", &cluster).await.status, 201);
    let key = "/api/v1/clusters/store/cache/keys/k";
    assert_eq!(gateway.ask("PUT", key, vec![b'x'; 300_000]).await.status, 204);
    let request = Request::get(key).header("host", "localhost:9000").body(Body::empty()).unwrap();
    let response = gateway.router.clone().oneshot(request).await.unwrap();
    assert!(data.bytes_held() >= 300_000);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 300_000);
    assert_eq!(data.bytes_held(), 0);
}

fn expires_in(reply: &Value) -> Duration {
    let at: jiff::Timestamp = reply["expires_at"].as_str().unwrap().parse().unwrap();
    at.duration_since(jiff::Timestamp::now()).try_into().unwrap_or_default()
}

#[tokio::test]
async fn a_client_shortens_the_idle_time_and_does_not_stretch_it() {
    let (gateway, _) = bounded(json!({ "transaction_idle": "300ms" }), LONG).await;
    let begun = call(&gateway, "transactions", &json!({ "idle_ms": 300_000 })).await;
    assert_eq!(begun.status, 201, "{}", begun.text());
    assert!(expires_in(&begun.json()) <= Duration::from_millis(300), "{}", begun.text());
    // Nobody is kept from writing for longer.
    let waited = Instant::now();
    execute(&gateway, "INSERT INTO t VALUES (1, NULL)", json!([])).await;
    assert!(waited.elapsed() < Duration::from_secs(2), "{:?}", waited.elapsed());
    let shorter = call(&gateway, "transactions", &json!({ "idle_ms": 100, "read_only": true })).await.json();
    assert!(expires_in(&shorter) <= Duration::from_millis(100), "{shorter}");
}

#[tokio::test]
async fn a_transaction_ends_whatever_is_done_in_it() {
    let (gateway, _) = bounded(json!({}), LIFE).await;
    let begun = Instant::now();
    let reply = call(&gateway, "transactions", &json!({})).await.json();
    assert!(expires_in(&reply) <= LIFE, "{reply}");
    let tx = reply["tx"].as_str().unwrap();
    let path = format!("execute?tx={tx}");
    let mut id = 0;
    let ended = loop {
        id += 1;
        let reply =
            call(&gateway, &path, &json!({ "query": format!("INSERT INTO t VALUES ({id}, NULL)") })).await;
        if reply.status != 200 {
            break reply;
        }
        assert!(begun.elapsed() < LIFE * 3, "it goes on for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(id > 3 && begun.elapsed() >= LIFE);
    assert_eq!(ended.problem(), (404, "transaction_ended".to_owned()));
    execute(&gateway, "INSERT INTO t VALUES (1000, NULL)", json!([])).await;
    assert_eq!(count(&gateway).await, 1, "nothing of it is kept");
    let told = ("ROLLBACK".to_owned(), "open for 900 ms".to_owned(), "transaction_ended".to_owned());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = activity(&gateway).await;
    let in_the_middle = ended.text().contains("open for 900 ms");
    assert!(in_the_middle || seen.contains(&told), "{seen:?}");
}

#[tokio::test]
async fn a_statement_ends_with_its_transaction() {
    let (gateway, _) = bounded(json!({}), LIFE).await;
    let reply = call(&gateway, "transactions", &json!({})).await.json();
    let tx = reply["tx"].as_str().unwrap();
    let begun = Instant::now();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let ended = call(&gateway, &format!("query?tx={tx}"), &json!({ "query": endless })).await;
    assert_eq!(ended.problem(), (404, "transaction_ended".to_owned()), "{}", ended.text());
    assert!(ended.text().contains("open for 900 ms"), "{}", ended.text());
    assert!(begun.elapsed() < LIFE * 3, "{:?}", begun.elapsed());
    let facts = gateway.get("/api/v1/clusters/shop/services/db").await.json();
    assert_eq!(facts["healthy"], true, "{facts}");
    execute(&gateway, "INSERT INTO t VALUES (1, NULL)", json!([])).await;
    let later = call(&gateway, &format!("query?tx={tx}"), &json!({ "query": "SELECT 1" })).await;
    assert_eq!(later.problem(), (404, "transaction_ended".to_owned()));
}

#[tokio::test]
async fn transactions_that_nobody_can_reach_any_more_end_and_none_begins() {
    let (gateway, data) = bounded(json!({}), LONG).await;
    let begun = call(&gateway, "transactions", &json!({})).await.json();
    let path = format!("execute?tx={}", begun["tx"].as_str().unwrap());
    let insert = json!({ "query": "INSERT INTO t VALUES (1, NULL)" });
    assert_eq!(call(&gateway, &path, &insert).await.status, 200);
    assert_eq!((data.end_transactions(), data.end_transactions()), (1, 0));
    // Nobody waits for what it had locked, and nothing of it is kept.
    assert_eq!(count(&gateway).await, 0);
    execute(&gateway, "INSERT INTO t VALUES (1, NULL)", json!([])).await;
    assert_eq!(call(&gateway, &path, &insert).await.problem(), (404, "transaction_ended".to_owned()));
    let refused = call(&gateway, "transactions", &json!({})).await;
    assert_eq!(refused.problem(), (503, "busy".to_owned()));
    assert_eq!(refused.json()["retryable"], true, "{}", refused.text());
}
