//! Tokens through the API: made, used, listed, revoked, and shown once.

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::http::Request;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Gateway, Reply, gateway_with, shop};

const TOKENS: &str = "/api/v1/tokens";

/// A gateway that asks for tokens, with cluster `shop` and its first token.
async fn guarded() -> (Gateway, String) {
    let gateway = gateway_with(|options| {
        options.guard.loopback = false;
        options.guard.token_required = true;
    })
    .await;
    let admin = gateway.store.ensure_admin_token().await.unwrap().unwrap().reveal().to_owned();
    let made = with(&gateway, &admin, "POST", "/api/v1/clusters", super::shop_document().to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    (gateway, admin)
}

async fn with(gateway: &Gateway, token: &str, method: &str, path: &str, body: String) -> Reply {
    let bearer = format!("Bearer {token}");
    gateway.send(Request::builder().method(method).uri(path).header("authorization", bearer), body).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_made_shown_once_and_revoked() {
    let gateway = shop().await;
    let asked = json!({ "name": "web", "service": "shop/cache", "expires_in": "30d" });
    let made = gateway.post(TOKENS, &asked).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/tokens/1"));
    assert_eq!(made.header("cache-control"), "no-store");
    let mut body = made.json();
    let token = text(&body["token"].take());
    assert!(token.starts_with("thr_"));
    let days = |from: &Value, to: &Value| {
        let time = |value: &Value| text(value).parse::<jiff::Timestamp>().unwrap().as_second();
        (time(to) - time(from)) / 86_400
    };
    assert_eq!(days(&body["created_at"], &body["expires_at"]), 30);
    body.as_object_mut().unwrap().shift_remove("token");
    let expected = json!({ "id": "1", "name": "web", "role": "operator", "service": "shop/cache",
        "status": "active", "created_at": body["created_at"], "expires_at": body["expires_at"],
        "revoked_at": null, "last_used_at": null });
    assert_eq!(body, expected);
    assert_eq!(gateway.get("/api/v1/tokens/1").await.json(), expected);
    let list = json!({ "tokens": [expected], "count": 1, "next_cursor": null });
    assert_eq!(gateway.get(TOKENS).await.json(), list);

    let revoked = gateway.delete("/api/v1/tokens/1").await;
    assert_eq!((revoked.status.as_u16(), text(&revoked.json()["status"])), (200, "revoked".to_owned()));
    let again = gateway.delete("/api/v1/tokens/1").await;
    assert_eq!(again.json(), revoked.json(), "twice is the same as once");
    assert_eq!(gateway.get(TOKENS).await.json()["tokens"], json!([revoked.json()]));
    for (method, id) in [("GET", "2"), ("DELETE", "2"), ("DELETE", "x"), ("GET", "-1"), ("DELETE", &*token)] {
        let refused = gateway.ask(method, &format!("{TOKENS}/{id}"), "").await;
        assert_eq!(refused.problem(), (404, "not_found".to_owned()), "{method} {id}");
        assert!(!refused.text().contains(&token));
    }

    let events = gateway.get("/api/v1/events?kind=token.").await.json();
    let told: Vec<Value> = events["events"].as_array().unwrap().clone();
    let kinds: Vec<&Value> = told.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["token.revoked", "token.created"], "revoked once");
    for event in &told {
        assert_eq!((&event["cluster"], &event["service"]), (&json!("shop"), &json!("cache")), "{event}");
        assert_eq!(event["message"], "token 1 `web` for the data of shop/cache");
    }
    assert_eq!(told[1]["request_id"], made.header("x-request-id"));
}

#[tokio::test]
async fn what_is_left_out_is_the_least() {
    let gateway = shop().await;
    for (asked, name, role, service) in [
        ("", "viewer token", "viewer", Value::Null),
        ("{}", "viewer token", "viewer", Value::Null),
        (r#"{"role":"admin"}"#, "admin token", "admin", Value::Null),
        (r#"{"service":"shop/cache"}"#, "cache", "operator", json!("shop/cache")),
        (r#"{"service":"shop/web","role":"operator","name":"é"}"#, "é", "operator", json!("shop/web")),
    ] {
        let made = gateway.ask("POST", TOKENS, asked).await;
        assert_eq!(made.status, 201, "{asked}: {}", made.text());
        let body = made.json();
        assert_eq!((&body["name"], &body["role"], &body["service"]), (&json!(name), &json!(role), &service));
        assert_eq!(body["expires_at"], Value::Null);
    }
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    let gateway = shop().await;
    for (asked, faults) in [
        (json!({ "name": "" }), vec!["name"]),
        (json!({ "name": "a\u{1b}[31m" }), vec!["name"]),
        (json!({ "name": "x".repeat(65) }), vec!["name"]),
        (json!({ "name": "admin" }), vec!["name"]),
        (json!({ "name": 5 }), vec!["name"]),
        (json!({ "service": "cache" }), vec!["service"]),
        (
            json!({ "service": "a/b/c", "role": "root", "expires_in": 0 }),
            vec!["service", "role", "expires_in"],
        ),
        (json!({ "service": "shop/cache", "role": "admin" }), vec!["role"]),
        (json!({ "service": "shop/cache", "role": "viewer" }), vec!["role"]),
        (json!({ "expires_in": "10ms" }), vec!["expires_in"]),
        (json!({ "expires_in": "1000d" }), vec!["expires_in"]),
        (json!({ "expires_in": -1 }), vec!["expires_in"]),
        (json!({ "expires_in": "soon" }), vec!["expires_in"]),
        (json!({ "cluster": "shop" }), vec!["cluster"]),
        (json!({ "token": "thr_mine" }), vec!["token"]),
    ] {
        let refused = gateway.post(TOKENS, &asked).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{asked}");
        assert_eq!(refused.faults(), faults, "{asked}");
    }
    assert_eq!(gateway.ask("POST", TOKENS, "[]").await.problem().0, 400);
    assert_eq!(gateway.ask("POST", "/api/v1/tokens?service=shop/cache", "").await.problem().0, 400);
    assert_eq!(gateway.get("/api/v1/tokens?cursor=x").await.problem().0, 400);
    let later = gateway.post(TOKENS, &json!({ "clusters": ["shop"], "abilities": ["sql"] })).await;
    assert_eq!(later.problem(), (422, "not_built".to_owned()));
    assert_eq!(later.faults(), ["clusters", "abilities"]);
    for (service, named) in [("shop/none", "`none`"), ("none/cache", "`none`")] {
        let refused = gateway.post(TOKENS, &json!({ "service": service })).await;
        assert_eq!(refused.problem(), (404, "not_found".to_owned()), "{service}");
        assert!(refused.text().contains(named), "{}", refused.text());
    }
    assert_eq!(gateway.get(TOKENS).await.json()["count"], 0, "nothing was made");
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let gateway = shop().await;
    for _ in 0..12 {
        gateway.post(TOKENS, &json!({})).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/tokens?limit=5".to_owned());
    for expected in [5, 5, 2] {
        let page = gateway.get(&path).await.json();
        assert_eq!(page["count"], expected);
        seen.extend(page["tokens"].as_array().unwrap().iter().map(|token| text(&token["id"])));
        path = format!("/api/v1/tokens?limit=5&cursor={}", page["next_cursor"].as_str().unwrap_or("end"));
    }
    assert!(path.ends_with("=end"));
    assert_eq!(seen, (1..=12).map(|id| id.to_string()).collect::<Vec<_>>(), "by number, not by text");
}

#[tokio::test]
async fn only_an_administrator_makes_and_revokes_tokens() {
    let (gateway, admin) = guarded().await;
    let made = |role: &'static str| {
        let (gateway, admin) = (&gateway, &admin);
        async move {
            let made = with(gateway, admin, "POST", TOKENS, json!({ "role": role }).to_string()).await.json();
            (text(&made["token"]), text(&made["id"]))
        }
    };
    for role in ["viewer", "operator"] {
        let (token, id) = made(role).await;
        let own = format!("{TOKENS}/{id}");
        assert_eq!(with(&gateway, &token, "GET", TOKENS, String::new()).await.status, 200);
        for (method, path) in [("POST", TOKENS), ("DELETE", &*own)] {
            let refused = with(&gateway, &token, method, path, String::new()).await;
            assert_eq!(refused.problem(), (403, "permission_denied".to_owned()), "{role} {method}");
        }
    }
    assert_eq!(gateway.get(TOKENS).await.problem().0, 401);
    // The last way in stays, until there is another.
    let refused = with(&gateway, &admin, "DELETE", "/api/v1/tokens/1", String::new()).await;
    assert_eq!(refused.problem(), (409, "conflict".to_owned()));
    let (other, _) = made("admin").await;
    let revoked = with(&gateway, &admin, "DELETE", "/api/v1/tokens/1", String::new()).await;
    assert_eq!(revoked.json()["status"], "revoked");
    let refused = with(&gateway, &admin, "GET", TOKENS, String::new()).await;
    assert_eq!(refused.problem(), (401, "unauthenticated".to_owned()), "at once");
    assert_eq!(with(&gateway, &other, "GET", TOKENS, String::new()).await.status, 200);
}

#[tokio::test]
async fn a_service_token_works_its_data_and_nothing_else() {
    let (gateway, admin) = guarded().await;
    let asked = json!({ "service": "shop/cache" }).to_string();
    let made = with(&gateway, &admin, "POST", TOKENS, asked).await.json();
    let token = text(&made["token"]);
    let set = json!({ "key": "a", "value": "b" }).to_string();
    let ask = |method: &'static str, path: &'static str, body: &str| {
        with(&gateway, &token, method, path, body.to_owned())
    };
    assert_eq!(ask("POST", "/api/v1/clusters/shop/cache/set", &set).await.status, 200);
    assert_eq!(ask("GET", "/api/v1/clusters/shop/cache/keys/a", "").await.text(), "b");
    for (method, path) in [
        ("POST", "/api/v1/clusters/blog/cache/set"),
        ("GET", "/api/v1/clusters/shop"),
        ("GET", TOKENS),
        ("POST", TOKENS),
        ("DELETE", "/api/v1/tokens/1"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
    ] {
        let refused = ask(method, path, "").await;
        assert_eq!(refused.problem(), (403, "permission_denied".to_owned()), "{method} {path}");
        assert!(refused.text().contains("shop/cache"), "says what it is for: {}", refused.text());
    }
    assert_eq!(ask("GET", "/health", "").await.json(), json!({ "status": "healthy" }));
    let shown = format!("{TOKENS}/{}", text(&made["id"]));
    let used = with(&gateway, &admin, "GET", &shown, String::new()).await.json();
    assert!(used["last_used_at"].is_string(), "{used}");

    // Its service is gone: that is said as to anybody.
    let gone = with(&gateway, &admin, "DELETE", "/api/v1/clusters/shop", String::new()).await;
    assert_eq!(gone.status, 200);
    assert_eq!(ask("POST", "/api/v1/clusters/shop/cache/set", &set).await.problem().0, 404);
    with(&gateway, &admin, "DELETE", &shown, String::new()).await;
    assert_eq!(ask("POST", "/api/v1/clusters/shop/cache/set", &set).await.problem().0, 401);
}

/// What was logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{field}={value:?}\n"));
    }
}

#[tokio::test]
async fn a_token_is_seen_in_no_answer_but_its_first_and_in_no_log() {
    let log = Log::default();
    // With one listener alone, whether a line is listened to would be settled by the thread that comes to it
    // first, which may be another test's.
    let _other = tracing::Dispatch::new(Log::default());
    let _kept = tracing::subscriber::set_default(log.clone());
    let (gateway, admin) = guarded().await;
    let asked = json!({ "name": "canary", "service": "shop/cache" }).to_string();
    let made = with(&gateway, &admin, "POST", TOKENS, asked).await.json();
    let token = text(&made["token"]);
    let set = json!({ "key": "a", "value": "b" }).to_string();
    let mut said = String::new();
    for path in ["/api/v1/clusters/shop/cache/set", "/api/v1/clusters/blog/cache/set", TOKENS] {
        said.push_str(&with(&gateway, &token, "POST", path, set.clone()).await.text());
    }
    with(&gateway, &admin, "DELETE", "/api/v1/tokens/2", String::new()).await;
    said.push_str(&with(&gateway, &token, "POST", "/api/v1/clusters/shop/cache/set", set).await.text());
    for path in
        [TOKENS, "/api/v1/tokens/2", "/api/v1/events", "/api/v1/activity", "/metrics", "/api/v1/clusters"]
    {
        let shown = with(&gateway, &admin, "GET", path, String::new()).await;
        assert_eq!(shown.status, 200, "{path}");
        said.push_str(&shown.text());
    }
    let logged = log.0.lock().unwrap().clone();
    for seen in [&said, &logged] {
        assert!(
            seen.contains("token.created") && seen.contains("canary"),
            "there was something to see: {seen}"
        );
    }
    said.push_str(&logged);
    for secret in [&token, &admin, &token["thr_".len()..]] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn a_change_says_whose_token_it_was_and_a_call_on_data_does_not() {
    let (gateway, admin) = guarded().await;
    let log = Log::default();
    let _other = tracing::Dispatch::new(Log::default());
    let _kept = tracing::subscriber::set_default(log.clone());
    let set = json!({ "key": "a", "value": "b" }).to_string();
    let set = with(&gateway, &admin, "POST", "/api/v1/clusters/shop/cache/set", set).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let asked = |log: &Log| log.0.lock().unwrap().matches("message=asked").count();
    assert_eq!(asked(&log), 0, "each of thousands a second would be a line");
    let made = with(&gateway, &admin, "POST", TOKENS, json!({ "name": "a" }).to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(asked(&log), 1);
}

#[tokio::test]
async fn a_token_of_one_service_hears_of_no_other_and_deletes_no_topic() {
    let (gateway, admin) = guarded().await;
    let services = json!({ "queue": { "type": "log" }, "stock": { "type": "sqlite" } });
    let cluster = json!({ "name": "box", "cluster_id": "box", "services": services }).to_string();
    assert_eq!(with(&gateway, &admin, "POST", "/api/v1/clusters", cluster).await.status, 201);
    let asked = json!({ "service": "box/queue" }).to_string();
    let token = text(&with(&gateway, &admin, "POST", TOKENS, asked).await.json()["token"]);

    let message = json!({ "topic": "mails", "message": "a" }).to_string();
    let published = with(&gateway, &token, "POST", "/api/v1/clusters/box/queue/publish", message).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let topic = "/api/v1/clusters/box/queue/topics/mails";
    let query = json!({ "query": "SELECT 1" }).to_string();
    for (method, path, body) in
        [("DELETE", topic, String::new()), ("POST", "/api/v1/clusters/box/db/query", query)]
    {
        let refused = with(&gateway, &token, method, path, body).await;
        assert_eq!(refused.problem(), (403, "permission_denied".to_owned()), "{method} {path}");
        assert!(!refused.text().contains("stock"), "{}", refused.text());
    }
    assert_eq!(with(&gateway, &admin, "DELETE", topic, String::new()).await.status, 200);
}
