//! Clusters, routes and services: what changes them, and what is refused.

use axum::http::Request;
use serde_json::{Value, json};

use super::{gateway, shop, shop_document};

#[tokio::test]
async fn a_cluster_is_created_shown_replaced_and_deleted() {
    let gateway = gateway().await;
    let created = gateway.post("/api/v1/clusters", &shop_document()).await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, "/api/v1/clusters/shop"));
    let body = created.json();
    assert_eq!((&body["id"], &body["cluster_id"]), (&json!("shop"), &json!("shop")));
    assert!(body["message"].is_string() && body["created_at"].is_string() && body["healthy"].is_boolean());

    let shown = gateway.get("/api/v1/clusters/shop").await;
    assert_eq!(shown.header("etag"), created.header("etag"));
    assert_eq!(shown.json()["services"]["cache"]["type"], "memory");

    // What was read can be written back.
    let same = gateway.put("/api/v1/clusters/shop", &shown.json()).await;
    assert_eq!(same.status, 200, "{}", same.text());

    let mut document = shop_document();
    document["name"] = json!("Shop two");
    let plan = gateway.post("/api/v1/clusters/shop/plan", &document).await.json();
    assert_eq!((&plan["cluster_id"], &plan["changes"]), (&json!("shop"), &json!(true)));
    let replaced = gateway.put("/api/v1/clusters/shop", &document).await;
    assert_eq!(replaced.json()["name"], "Shop two");
    assert_ne!(replaced.header("etag"), created.header("etag"));

    let gone = gateway.delete("/api/v1/clusters/shop?keep_data=true").await;
    assert_eq!((gone.status.as_u16(), &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!(gateway.get("/api/v1/clusters/shop").await.problem(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_bad_cluster_is_refused_whole() {
    let gateway = shop().await;
    assert_eq!(gateway.post("/api/v1/clusters", &shop_document()).await.problem().1, "already_exists");
    let wrong = json!({ "name": "X", "services": { "a": { "type": "memory", "max_memroy": 1 }, "b": { "type": "nope" } } });
    let refused = gateway.post("/api/v1/clusters", &wrong).await;
    assert_eq!(refused.problem(), (400, "invalid_config".to_owned()));
    assert_eq!(refused.faults(), ["services.a.max_memroy", "services.b.type"]);
    for body in ["", "{", "[1,2", "{\"name\": \"x\",}", "nonsense"] {
        let refused = gateway.ask("POST", "/api/v1/clusters", body).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()), "{body}");
        if !body.is_empty() {
            let fault = &refused.json()["errors"][0];
            assert!(fault["line"].is_u64() && fault["column"].is_u64(), "{fault}");
        }
    }
    let list = gateway.get("/api/v1/clusters").await.json();
    assert_eq!(list["count"], 1);
    for path in [
        "/api/v1/clusters/nope",
        "/api/v1/clusters/nope/health",
        "/api/v1/clusters/nope/metrics",
        "/api/v1/clusters/nope/activity",
        "/api/v1/clusters/nope/services/x",
        "/api/v1/clusters/shop/services/nope",
        "/api/v1/clusters/shop/services/nope/activity",
        "/api/v1/routes/nope",
    ] {
        assert_eq!(gateway.get(path).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(gateway.put("/api/v1/clusters/nope", &shop_document()).await.problem().0, 404);
    assert_eq!(gateway.delete("/api/v1/clusters/nope").await.problem().0, 404);
    assert_eq!(gateway.get("/api/v1/clusters/%ff").await.problem().1, "invalid_request");
}

#[tokio::test]
async fn a_change_is_for_the_version_that_was_read() {
    let gateway = shop().await;
    let stale = gateway.get("/api/v1/clusters/shop").await.header("etag").to_owned();
    let put = |tag: String, name: &str| {
        let mut document = shop_document();
        document["name"] = json!(name);
        let request = Request::put("/api/v1/clusters/shop").header("if-match", tag);
        gateway.send(request, document.to_string())
    };
    let changed = put(stale.clone(), "One").await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(put(stale.clone(), "Two").await.problem(), (412, "precondition_failed".to_owned()));
    assert_eq!(put("W/\"1\"".to_owned(), "Two").await.problem().0, 412);
    assert_eq!(put("1".to_owned(), "Two").await.problem().0, 400);
    let either = format!("{stale}, {}", changed.header("etag"));
    assert_eq!(put(either, "Three").await.status, 200);
    assert_eq!(put("*".to_owned(), "Four").await.status, 200);
    let delete = Request::delete("/api/v1/clusters/shop").header("if-match", stale);
    assert_eq!(gateway.send(delete, "").await.problem().0, 412);
    assert_eq!(gateway.get("/api/v1/clusters/shop").await.json()["name"], "Four");
}

#[tokio::test]
async fn a_route_is_created_shown_replaced_and_deleted() {
    let gateway = shop().await;
    let route = json!({ "id": "r1", "cluster": "shop", "service": "web", "path": "/x/*" });
    let created = gateway.post("/api/v1/routes", &route).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/api/v1/routes/r1"),
        "{}",
        created.text()
    );
    assert_eq!(created.json()["owner"], "api");
    assert_eq!(gateway.post("/api/v1/routes", &route).await.problem().0, 409);

    let shown = gateway.get("/api/v1/routes/r1").await;
    assert_eq!(shown.header("etag"), created.header("etag"));
    assert!(shown.header("etag").starts_with('"'));

    let mut changed = route.clone();
    changed["path"] = json!("/y/*");
    let put = Request::put("/api/v1/routes/r1").header("if-match", shown.header("etag"));
    let replaced = gateway.send(put, changed.to_string()).await;
    assert_eq!((replaced.status.as_u16(), &replaced.json()["path"]), (200, &json!("/y/*")));
    let put = Request::put("/api/v1/routes/r1").header("if-match", shown.header("etag"));
    assert_eq!(gateway.send(put, route.to_string()).await.problem().0, 412);

    let wrong =
        gateway.post("/api/v1/routes", &json!({ "cluster": "shop", "service": "web", "pth": "/x" })).await;
    assert_eq!(wrong.problem().0, 400);
    assert!(wrong.faults().contains(&"pth".to_owned()), "{}", wrong.text());
    // What a file owns is read-only here.
    assert_eq!(gateway.delete("/api/v1/routes/api").await.problem(), (409, "conflict".to_owned()));
    assert_eq!(gateway.delete("/api/v1/routes/r1").await.json()["deleted"], true);
    assert_eq!(gateway.get("/api/v1/routes/r1").await.problem().0, 404);
}

#[tokio::test]
async fn an_operator_drains_and_resets() {
    let gateway = shop().await;
    let facts = gateway.get("/api/v1/clusters/shop/services/cache").await.json();
    assert_eq!(
        (&facts["name"], &facts["type"], &facts["rotation"]),
        (&json!("cache"), &json!("memory"), &json!("in"))
    );

    let drained =
        gateway.post("/api/v1/clusters/shop/services/cache/drain", &json!({ "reason": "a test" })).await;
    assert_eq!(drained.json()["rotation"], "draining");
    let refused = gateway.post("/api/v1/clusters/shop/cache/get", &json!({ "key": "a" })).await;
    assert_eq!(refused.problem(), (503, "draining".to_owned()));
    let back = gateway.ask("POST", "/api/v1/clusters/shop/services/cache/undrain", "").await;
    assert_eq!(back.json()["rotation"], "in");
    assert_eq!(gateway.ask("POST", "/api/v1/clusters/shop/services/web/reset-breaker", "").await.status, 200);

    let events = gateway.get("/api/v1/events?service=cache").await.json();
    let drain = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["kind"] == "service.draining")
        .unwrap();
    assert!(drain["message"].as_str().unwrap().contains("a test"), "{drain}");
    assert_eq!((&drain["actor"], drain["request_id"].is_string()), (&json!("api"), true));

    let path = "/api/v1/clusters/shop/services/web/reset-breaker";
    assert_eq!(gateway.post(path, &json!({ "endpoint": "127.0.0.1:9" })).await.problem().0, 404);
    let wrong = gateway.post(path, &json!({ "endpont": "x" })).await;
    assert_eq!((wrong.problem().0, wrong.faults()), (400, vec!["endpont".to_owned()]));
    let wrong = gateway.post(path, &json!({ "reason": 7 })).await;
    assert_eq!((wrong.problem().0, wrong.faults()), (400, vec!["reason".to_owned()]));
}

#[tokio::test]
async fn a_document_is_checked_without_being_applied() {
    let gateway = gateway().await;
    let good = gateway.post("/api/v1/validate", &shop_document()).await.json();
    assert_eq!(good, json!({ "valid": true, "errors": [] }));
    let bad = gateway
        .post("/api/v1/validate", &json!({ "name": "x", "services": { "a": {} }, "rotues": [] }))
        .await;
    assert_eq!((bad.status.as_u16(), &bad.json()["valid"]), (200, &json!(false)));
    assert!(bad.json()["errors"].as_array().unwrap().len() >= 2, "{}", bad.text());

    let yaml = "name: Shop\nservices:\n  cache:\n    type: memory\n    max_memroy: 1\n";
    let line = |reply: &Value| (reply["errors"][0]["line"].clone(), reply["valid"].clone());
    let wrapped = gateway.post("/api/v1/validate", &json!({ "yaml": yaml })).await.json();
    assert_eq!(line(&wrapped), (json!(5), json!(false)));
    for kind in ["application/yaml", "text/yaml; charset=utf-8", "application/x-yaml"] {
        let request = Request::post("/api/v1/validate").header("content-type", kind);
        assert_eq!(line(&gateway.send(request, yaml).await.json()), (json!(5), json!(false)), "{kind}");
    }
    assert_eq!(gateway.get("/api/v1/clusters").await.json()["count"], 0);
}

#[tokio::test]
async fn a_request_is_explained_and_not_sent() {
    let gateway = shop().await;
    let explained =
        gateway.post("/api/v1/explain", &json!({ "path": "/api/users", "host": "x" })).await.json();
    assert_eq!((&explained["route"]["id"], &explained["service"]), (&json!("api"), &json!("shop/web")));
    assert_eq!(explained["candidates"][0]["endpoint"], "127.0.0.1:1");
    let nothing = gateway.post("/api/v1/explain", &json!({ "path": "/none" })).await.json();
    assert!(nothing["route"].is_null() && nothing["reason"].is_string(), "{nothing}");
    for (body, fault) in [
        (json!({}), "path"),
        (json!({ "path": 5 }), "path"),
        (json!({ "path": "/", "verb": "GET" }), "verb"),
        (json!({ "path": "/", "headers": [] }), "headers"),
    ] {
        let refused = gateway.post("/api/v1/explain", &body).await;
        assert_eq!((refused.problem().0, refused.faults()), (400, vec![fault.to_owned()]), "{body}");
    }
}
