//! `/api/routes` as clients of seed 003 use it: the envelope, the defaults, and what is refused.

use axum::http::Request;
use serde_json::{Value, json};

use super::{Gateway, gateway, gateway_with};

/// The example of seed 003.
fn seed() -> Value {
    json!({
        "path": "/api/users", "target_url": "http://backend:3000/users", "method": "GET",
        "enabled": true, "rate_limit": 100, "timeout": 30,
    })
}

async fn failed(gateway: &Gateway, method: &str, path: &str, body: &str) -> (u16, String) {
    let reply = gateway.ask(method, path, body.to_owned()).await;
    assert_eq!(reply.header("content-type"), "application/json", "{}", reply.text());
    let told = reply.json();
    assert_eq!(told["success"], false, "{told}");
    assert_eq!(told["request_id"], reply.header("x-request-id"));
    assert!(told["code"].is_string() && told.get("data").is_none(), "{told}");
    (reply.status.as_u16(), told["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_example_of_the_seed_runs_as_printed() {
    let gateway = gateway().await;
    let empty = gateway.get("/api/routes").await.json();
    assert_eq!(empty, json!({"success": true, "message": "Routes retrieved", "data": []}));
    let made = gateway.post("/api/routes", &seed()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let told = made.json();
    assert_eq!((&told["success"], &told["message"]), (&json!(true), &json!("Route created successfully")));
    let route = &told["data"];
    for (name, value) in seed().as_object().unwrap() {
        assert_eq!(&route[name], value, "{name}");
    }
    assert_eq!(route["id"], 1);
    assert!(
        route["created_at"].as_str().unwrap().ends_with('Z') && route["updated_at"] == route["created_at"]
    );
    assert_eq!(gateway.get("/api/routes/1").await.json()["data"], *route);

    // A client that reads a route, changes a field and sends all of it back.
    let mut changed = route.clone();
    changed["timeout"] = json!(5);
    let put = gateway.put("/api/routes/1", &changed).await.json();
    assert_eq!((&put["message"], &put["data"]["timeout"]), (&json!("Route updated successfully"), &json!(5)));
    assert_eq!((&put["data"]["created_at"], &put["data"]["id"]), (&route["created_at"], &json!(1)));
    assert_eq!(gateway.get("/api/routes").await.json()["data"], json!([put["data"]]));

    let gone = gateway.delete("/api/routes/1").await;
    assert_eq!((gone.status.as_u16(), gone.json()["success"].clone()), (200, json!(true)));
    assert_eq!(failed(&gateway, "GET", "/api/routes/1", "").await.0, 404);
    assert_eq!(gateway.post("/api/routes", &seed()).await.json()["data"]["id"], 2, "a number is given once");
}

#[tokio::test]
async fn what_is_left_out_is_what_the_documents_say() {
    let gateway = gateway().await;
    let body = json!({ "path": "/a", "target_url": "http://b:1/x", "method": "" });
    let route = gateway.post("/api/routes", &body).await.json()["data"].clone();
    for (name, value) in
        [("method", json!("GET")), ("enabled", json!(true)), ("rate_limit", json!(0)), ("timeout", json!(30))]
    {
        assert_eq!(route[name], value, "{name}");
    }
    for (sent, kept) in [("post", "POST"), ("any", "*"), ("*", "*")] {
        let body = json!({ "path": format!("/m/{sent}"), "target_url": "http://b:1", "method": sent });
        assert_eq!(gateway.post("/api/routes", &body).await.json()["data"]["method"], kept);
    }
}

#[tokio::test]
async fn a_refusal_comes_in_the_envelope_and_says_what_is_wrong() {
    let gateway = gateway().await;
    gateway.post("/api/routes", &seed()).await;
    for (method, path, body, status, said) in [
        ("POST", "/api/routes", "", 400, "The body is empty"),
        ("POST", "/api/routes", "{}", 400, "Path and target URL are required"),
        (
            "POST",
            "/api/routes",
            r#"{"path": "/x", "target_url": " "}"#,
            400,
            "Path and target URL are required",
        ),
        ("POST", "/api/routes", r#"{"path": "/x", "target": "y"}"#, 400, "target: is not a known key"),
        ("POST", "/api/routes", r#"{"path": "x", "target_url": "y"}"#, 400, "path: must begin with `/`"),
        ("POST", "/api/routes", r#"{"path": "/x", "target_url": "http://b", "timeout": -1}"#, 400, "timeout"),
        (
            "POST",
            "/api/routes",
            r#"{"path": "/x", "target_url": "http://b", "timeout": 90000}"#,
            400,
            "timeout",
        ),
        ("PUT", "/api/routes/1", r#"{"id": 2, "path": "/x", "target_url": "http://b"}"#, 400, "route 2"),
        ("PUT", "/api/routes/9", r#"{"path": "/x", "target_url": "http://b"}"#, 404, "no route 9"),
        ("DELETE", "/api/routes/9", "", 404, "no route 9"),
        ("GET", "/api/routes/x", "", 400, "Invalid route ID"),
        ("PATCH", "/api/routes/1", "", 405, "not known"),
        ("GET", "/api/routes?page=2", "", 400, "page"),
    ] {
        let (told, error) = failed(&gateway, method, path, body).await;
        assert_eq!(told, status, "{method} {path} {body}: {error}");
        assert!(error.contains(said), "{method} {path} {body}: {error}");
    }
    let (status, error) = failed(&gateway, "POST", "/api/routes", &seed().to_string()).await;
    assert_eq!(status, 409, "the same path and method twice: {error}");
    let other = json!({ "path": "/api/users", "target_url": "http://c:1", "method": "POST" });
    assert_eq!(gateway.post("/api/routes", &other).await.status, 201, "another method is another route");
}

#[tokio::test]
async fn a_token_is_asked_for_where_one_is_needed_in_the_envelope_too() {
    let gateway = gateway_with(|options| options.guard.token_required = true).await;
    assert_eq!(failed(&gateway, "GET", "/api/routes", "").await.0, 401);
    let token = gateway.store.ensure_admin_token().await.unwrap().unwrap();
    let ask = Request::get("/api/routes").header("authorization", format!("Bearer {}", token.reveal()));
    assert_eq!(gateway.send(ask, "").await.status, 200);
}

#[tokio::test]
async fn they_are_routes_like_all_others() {
    let gateway = gateway().await;
    gateway.post("/api/routes", &seed()).await;
    let routes = gateway.get("/api/v1/routes").await.json();
    let route = &routes["routes"][0];
    assert_eq!(
        (&route["id"], &route["cluster"], &route["owner"]),
        (&json!("url-1"), &json!("url-routes"), &json!("api"))
    );
    assert_eq!((&route["service"], &route["rewrite"]), (&json!("backend-3000"), &json!("/users")));
    let cluster = gateway.get("/api/v1/clusters/url-routes").await.json();
    assert_eq!(
        (&cluster["services"]["backend-3000"]["host"], &cluster["services"]["backend-3000"]["port"]),
        (&json!("backend"), &json!(3000))
    );
    let explained = gateway.post("/api/v1/explain", &json!({ "path": "/api/users" })).await.json();
    assert_eq!(explained["service"], "url-routes/backend-3000");
    let policies = explained["policies"].as_array().unwrap();
    let of = |name: &str| policies.iter().find(|policy| policy["policy"] == name).unwrap().clone();
    assert_eq!(
        (of("rate_limit")["requests"].clone(), of("timeout")["total_ms"].clone()),
        (json!(100), json!(30_000))
    );

    // They are changed where they were made, and so is what they run on.
    for (method, path, body) in [
        ("DELETE", "/api/v1/routes/url-1", ""),
        ("DELETE", "/api/v1/clusters/url-routes", ""),
        ("PUT", "/api/v1/clusters/url-routes", r#"{"name": "Mine", "services": {}}"#),
        ("POST", "/api/v1/clusters", r#"{"name": "Mine", "cluster_id": "url-routes", "services": {}}"#),
        ("POST", "/api/v1/routes", r#"{"cluster": "url-routes", "service": "backend-3000", "path": "/y"}"#),
    ] {
        let (status, _) = gateway.ask(method, path, body).await.problem();
        assert_eq!(status, 409, "{method} {path}");
    }
    assert_eq!(gateway.get("/api/routes").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_makes_one_route_of_two_requests() {
    let gateway = gateway().await;
    let ask = || Request::post("/api/routes").header("idempotency-key", "k-1");
    let first = gateway.send(ask(), seed().to_string()).await;
    let again = gateway.send(ask(), seed().to_string()).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(gateway.get("/api/routes").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_that_was_meant_for_another_version_is_refused() {
    let gateway = gateway().await;
    let made = gateway.post("/api/routes", &seed()).await;
    let first = made.header("etag").to_owned();
    assert!(first.starts_with('"') && gateway.get("/api/routes/1").await.header("etag") == first);
    let put = |tag: &str| Request::put("/api/routes/1").header("if-match", tag);
    let changed = |path: &str| json!({ "path": path, "target_url": "http://b:1" }).to_string();
    let second = gateway.send(put(&first), changed("/b")).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let second = second.header("etag").to_owned();
    assert_ne!(first, second);
    let delete = |tag: &str| Request::delete("/api/routes/1").header("if-match", tag);
    for (ask, body, status) in [
        (put(&first), changed("/c"), 412),
        (put("W/\"1\""), changed("/c"), 412),
        (put("1"), changed("/c"), 400),
        (delete(&first), String::new(), 412),
    ] {
        let reply = gateway.send(ask, body).await;
        let told = reply.json();
        assert_eq!((reply.status.as_u16(), &told["success"]), (status, &json!(false)), "{told}");
        if status == 412 {
            assert_eq!(told["code"], "precondition_failed", "{told}");
        }
    }
    let now = gateway.get("/api/routes/1").await;
    assert_eq!((&now.json()["data"]["path"], now.header("etag")), (&json!("/b"), &*second));
    assert_eq!(gateway.send(put("*"), changed("/d")).await.status, 200);
    let both = format!("{second}, {}", gateway.get("/api/routes/1").await.header("etag"));
    assert_eq!(gateway.send(delete(&both), "").await.status, 200);
    assert_eq!(gateway.send(put(&first), changed("/e")).await.status, 404);
}
