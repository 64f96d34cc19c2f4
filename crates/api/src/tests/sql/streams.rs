//! Results that are too large to be held back.

use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{DB, activity, call, database, database_with, execute, query, rows};
use crate::tests::Gateway;

/// An answer whose body is still under way.
async fn open(gateway: &Gateway, query: &str) -> Response<Body> {
    let body = json!({ "query": query }).to_string();
    let request =
        Request::post(format!("{DB}/query")).header("host", "localhost:9000").body(Body::from(body)).unwrap();
    gateway.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_large_result_streams_and_is_whole() {
    let gateway = database().await;
    let response = open(&gateway, &rows(100_000)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(
        response.body().size_hint().exact().is_none() && !response.headers().contains_key("content-length")
    );
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    assert!(whole.len() > 10 << 20);
    assert!(whole.starts_with(b"{\"columns\":[{\"name\":\"i\""));
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let list = whole["rows"].as_array().unwrap();
    assert_eq!((list.len(), &whole["row_count"], whole.get("truncated")), (100_000, &json!(100_000), None));
    assert!(list.iter().enumerate().all(|(at, row)| row["i"] == json!(at + 1)));
    assert_eq!(activity(&gateway).await[0].2, "success");

    // Just below the line it is whole, with its length.
    let small = call(&gateway, "query", &json!({ "query": rows(8_000) })).await;
    assert_eq!(small.header("content-length"), small.body.len().to_string());
    assert!(small.body.len() > 900_000);
    // A limit cuts a stream as it cuts what is held back.
    let cut = call(&gateway, "query", &json!({ "query": rows(100_000), "max_rows": 20_000 })).await.json();
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(20_000), &json!(true)));
}

#[tokio::test]
async fn a_failure_on_the_way_cuts_the_answer() {
    let gateway = database().await;
    // The last row but one cannot be made.
    let fails = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
        SELECT i, printf('%0100d', i) AS pad, CASE WHEN i = 49999 THEN json('{') END AS bad FROM n";
    let response = open(&gateway, fails).await;
    assert_eq!(response.status(), 200, "it had begun well");
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("closed in the middle"), "{error}");
    let (operation, _, code) = activity(&gateway).await.remove(0);
    assert_eq!((&*operation, &*code), ("QUERY", "query_failed"));
    // The same within the first megabyte still has its status.
    let early = fails.replace("49999", "99");
    let refused = call(&gateway, "query", &json!({ "query": early })).await;
    assert_eq!(refused.problem(), (400, "query_failed".to_owned()));
}

#[tokio::test]
async fn a_reader_that_stops_holds_nobody_up_and_ends_what_it_left() {
    // Several times what is held back; a stream lives for a minute, which is not much on a busy machine.
    const MORE: usize = 16 << 20;
    let gateway = database_with(json!({ "max_result": "4gb", "max_rows": 1_000_000_000_i64 })).await;
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut body = open(&gateway, &rows(1_000_000_000)).await.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.starts_with(b"{\"columns\""));
        readers.push(body);
    }
    // Nobody reads on, and others are answered, writers among them.
    for id in 0..5 {
        execute(&gateway, "INSERT INTO t VALUES ($1, NULL)", json!([id])).await;
        assert_eq!(query(&gateway, "SELECT count(*) AS n FROM t", json!([])).await["rows"][0]["n"], id + 1);
    }
    // What a reader can still take is what was held back and what is under way: bounded.
    let mut left = 0;
    let mut slow = readers.pop().unwrap();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(20), slow.frame()).await {
        left += frame.unwrap().into_data().map_or(0, |data: Bytes| data.len());
        if left > MORE {
            break;
        }
    }
    assert!(left > MORE, "it goes on where a reader goes on: {left}");
    drop(slow);
    drop(readers);
    // An engine that is in the middle of a piece finds out behind it.
    let began = Instant::now();
    loop {
        let ended = activity(&gateway).await.into_iter().filter(|(.., ending)| ending == "cancelled").count();
        let facts = gateway.get("/api/v1/clusters/shop/services/db").await.json();
        if ended == 4 && facts["endpoints"][0]["in_flight"] == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{ended} ended: {facts}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
