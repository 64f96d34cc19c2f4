//! The door of Neon's client over kinds that have no results in an engine's own terms: who gets in, and what is said.

use axum::http::Request;
use serde_json::json;

use super::{Gateway, gateway_with};

const DOOR: &str = "/api/v1/clusters/shop/services/db/sql";

/// A gateway that asks for tokens, with a database, a cache and a token for the database.
async fn gateway() -> (Gateway, String) {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
    })
    .await;
    let admin = gateway.store.ensure_admin_token().await.unwrap().unwrap().reveal().to_owned();
    let ask = async |path: &str, body: serde_json::Value| {
        let request = Request::post(path).header("authorization", format!("Bearer {admin}"));
        let reply = gateway.send(request, body.to_string()).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    };
    let services =
        json!({ "db": { "type": "sqlite" }, "other": { "type": "sqlite" }, "cache": { "type": "memory" } });
    ask("/api/v1/clusters", json!({ "name": "Shop", "cluster_id": "shop", "services": services })).await;
    let made = ask("/api/v1/tokens", json!({ "name": "app", "service": "shop/db" })).await;
    (gateway, made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn who_has_a_token_for_the_service_gets_in() {
    let (gateway, token) = gateway().await;
    let with = |path: &str, name: &str, value: String| Request::post(path).header(name, value);
    let body = json!({ "query": "SELECT 1" }).to_string();
    let string = |password: &str| format!("postgresql://app:{password}@localhost/db");
    let header = "neon-connection-string";

    let reply = gateway.send(with(DOOR, header, string(&token)), body.clone()).await;
    assert_eq!(reply.problem(), (422, "unsupported_ability".to_owned()));
    assert!(reply.json()["hint"].as_str().unwrap().contains("db/query"), "{}", reply.text());
    assert_eq!(reply.json()["service"], "db");
    let bearer = gateway.send(with(DOOR, "authorization", format!("Bearer {token}")), body.clone()).await;
    assert_eq!(bearer.problem().0, 422);

    let unknown = gateway.send(with(DOOR, header, string("thr_unknown")), body.clone()).await;
    assert_eq!(unknown.problem(), (401, "unauthenticated".to_owned()));
    assert!(!unknown.text().contains("thr_unknown"), "{}", unknown.text());
    for other in ["other", "cache"] {
        let path = DOOR.replace("/db/", &format!("/{other}/"));
        let reply = gateway.send(with(&path, header, string(&token)), body.clone()).await;
        assert_eq!(reply.problem(), (403, "permission_denied".to_owned()), "{other}");
    }
    // Nothing is asked of the service, and still only those who may are told so.
    let nothing = json!({ "queries": [] }).to_string();
    let reply = gateway.send(with(DOOR, header, string(&token)), nothing.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({ "results": [] })));
    let path = DOOR.replace("/db/", "/other/");
    assert_eq!(gateway.send(with(&path, header, string(&token)), nothing).await.problem().0, 403);
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let (gateway, token) = gateway().await;
    let ask = async |path: &str, body: &str| {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        gateway.send(request, body.to_owned()).await
    };
    for (path, body, expected) in [
        (DOOR.to_owned(), "{}", "query"),
        (DOOR.to_owned(), "SELECT 1", "JSON"),
        (DOOR.to_owned(), r#"{"query": 1}"#, "query"),
        (format!("{DOOR}?tx=1"), r#"{"query": "SELECT 1"}"#, "tx"),
    ] {
        let reply = ask(&path, body).await;
        assert_eq!(reply.problem(), (400, "invalid_request".to_owned()), "{body}");
        assert!(reply.text().contains(expected), "{body}: {}", reply.text());
    }
}
