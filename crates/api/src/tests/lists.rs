//! Lists and what can be looked at: pages, filters, kinds, health, metrics.

use axum::http::Request;
use serde_json::json;

use super::{gateway, gateway_with, shop};

#[tokio::test]
async fn lists_come_in_pages() {
    let gateway = gateway().await;
    for id in ["c", "a", "b"] {
        let body = json!({ "name": id, "cluster_id": id, "services": {} });
        assert_eq!(gateway.post("/api/v1/clusters", &body).await.status, 201);
    }
    let ids = |body: &serde_json::Value| -> Vec<String> {
        body["clusters"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = gateway.get("/api/v1/clusters").await.json();
    assert_eq!(
        (ids(&all), &all["count"], &all["next_cursor"]),
        (vec!["a".into(), "b".into(), "c".into()], &json!(3), &json!(null))
    );
    let first = gateway.get("/api/v1/clusters?limit=2").await.json();
    assert_eq!(
        (ids(&first), &first["count"], &first["next_cursor"]),
        (vec!["a".into(), "b".into()], &json!(2), &json!("b"))
    );
    let last = gateway.get("/api/v1/clusters?limit=2&cursor=b").await.json();
    assert_eq!((ids(&last), &last["next_cursor"]), (vec!["c".into()], &json!(null)));

    let events = gateway.get("/api/v1/events?kind=cluster.created&limit=2").await.json();
    assert_eq!((events["count"].as_u64(), &events["events"][0]["cluster"]), (Some(2), &json!("b")));
    let next = events["next_cursor"].as_str().unwrap();
    let rest = gateway.get(&format!("/api/v1/events?kind=cluster.created&cursor={next}")).await.json();
    assert_eq!((rest["events"][0]["cluster"].as_str(), &rest["next_cursor"]), (Some("c"), &json!(null)));

    for (query, count) in [("actor=api", 3), ("actor=probe", 0), ("since=2220-01-01T00:00:00Z", 0)] {
        let events = gateway.get(&format!("/api/v1/events?kind=cluster.created&{query}")).await.json();
        assert_eq!(events["count"], count, "{query}");
    }

    for (path, fault) in [
        ("/api/v1/clusters?limit=0", "limit"),
        ("/api/v1/clusters?limit=1001", "limit"),
        ("/api/v1/clusters?limt=1", "limt"),
        ("/api/v1/routes?limit=x", "limit"),
        ("/api/v1/events?cursor=x", "cursor"),
        ("/api/v1/activity?since=yesterday", "since"),
        ("/api/v1/activity?until=tomorrow", "until"),
        ("/api/v1/events?since=yesterday", "since"),
        ("/api/v1/activity?outcome=fine", "outcome"),
        ("/api/v1/activity?cluster=a&cluster_id=a", "cluster_id"),
        ("/api/v1/kinds?x=1", "x"),
    ] {
        let refused = gateway.get(path).await;
        assert_eq!((refused.problem().0, refused.faults()), (400, vec![fault.to_owned()]), "{path}");
    }
}

#[tokio::test]
async fn every_operation_is_one_line_without_its_values() {
    let gateway = shop().await;
    let set = Request::post("/api/v1/clusters/shop/cache/set").header("x-request-id", "mine-1");
    gateway.send(set, json!({ "key": "user:canary", "value": "canary-value" }).to_string()).await;
    gateway.post("/api/v1/clusters/shop/cache/incr", &json!({ "key": "user:canary" })).await;
    let reply = gateway.get("/api/v1/activity?cluster=shop").await;
    assert!(!reply.text().contains("canary"), "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["count"], 2);
    let (incr, set) = (&body["activities"][0], &body["activities"][1]);
    assert_eq!(
        (&set["operation"], &set["shape"], &set["outcome"]),
        (&json!("SET"), &json!("user:*"), &json!("success"))
    );
    assert_eq!(
        (&set["request_id"], &set["tries"], &set["service"]),
        (&json!("mine-1"), &json!(1), &json!("cache"))
    );
    assert_eq!((&incr["outcome"], &incr["code"]), (&json!("error"), &json!("command_failed")));

    for (path, count) in [
        ("/api/v1/activity?operation=set", 1),
        ("/api/v1/activity?status=error", 1),
        ("/api/v1/activity?service_type=http", 0),
        ("/api/v1/activity?code=command_failed", 1),
        ("/api/v1/activity?request_id=mine-1", 1),
        ("/api/v1/activity?until=2020-01-01T00:00:00Z", 0),
        ("/api/v1/activity?since=2020-01-01T00:00:00Z", 2),
        ("/api/v1/activity?since=2220-01-01T00:00:00Z", 0),
        ("/api/v1/clusters/shop/activity", 2),
        ("/api/v1/clusters/shop/activity?cluster=other", 0),
        ("/api/v1/clusters/shop/services/cache/activity", 2),
        ("/api/v1/clusters/shop/services/web/activity", 0),
        ("/api/v1/requests", 0),
    ] {
        assert_eq!(gateway.get(path).await.json()["count"], count, "{path}");
    }
    let page = gateway.get("/api/v1/activity?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = gateway.get(&format!("/api/v1/activity?limit=1&cursor={cursor}")).await.json();
    assert_eq!((&next["activities"][0]["operation"], &next["next_cursor"]), (&json!("SET"), &json!(null)));
}

#[tokio::test]
async fn kinds_say_what_their_services_take() {
    let gateway = gateway().await;
    let body = gateway.get("/api/v1/kinds").await.json();
    assert_eq!(body["count"], body["kinds"].as_array().unwrap().len());
    for kind in body["kinds"].as_array().unwrap() {
        assert!(
            kind["name"].is_string() && kind["about"].is_string() && kind["abilities"].is_array(),
            "{kind}"
        );
        assert_eq!(kind["options"]["type"], "object", "{kind}");
        // One of the network may have none either, where nothing is known of what it speaks.
        assert!(kind["default_port"].is_null() || kind["place"] == "network", "{kind}");
    }
}

#[tokio::test]
async fn the_state_of_a_cluster_is_known_without_asking() {
    let gateway = shop().await;
    let health = gateway.get("/api/v1/clusters/shop/health").await.json();
    assert_eq!((&health["cluster_id"], &health["healthy"]), (&json!("shop"), &json!(false)));
    assert_eq!(health["services"]["web"]["endpoints"][0]["address"], "127.0.0.1:1");
    gateway.post("/api/v1/clusters/shop/cache/get", &json!({ "key": "a" })).await;
    let metrics = gateway.get("/api/v1/clusters/shop/metrics").await.json();
    assert_eq!((&metrics["requests"], &metrics["services"]["cache"]["requests"]), (&json!(1), &json!(1)));
    let list = gateway.get("/api/v1/clusters").await.json();
    assert_eq!(list["clusters"][0]["services"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn health_looks_at_the_gateway_and_its_store() {
    let gateway = shop().await;
    for path in ["/health", "/api/v1/health"] {
        let body = gateway.get(path).await.json();
        assert_eq!(body["status"], "healthy", "{body}");
        assert!(body["timestamp"].is_i64() && body["checks"].as_array().unwrap().len() == 3, "{body}");
    }
    gateway.store.close().await;
    let reply = gateway.get("/health").await;
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), &body["status"]), (200, &json!("degraded")));
    let store = body["checks"].as_array().unwrap().iter().find(|check| check["name"] == "store").unwrap();
    assert_eq!(store["status"], "unhealthy");
}

#[tokio::test]
async fn a_gateway_that_shuts_down_cannot_serve() {
    let (options, _dir) = super::options().await;
    let door = std::sync::Arc::new(crate::door::Door::new(options));
    door.closing.store(true, std::sync::atomic::Ordering::Relaxed);
    let request =
        Request::get("/health").header("host", "localhost").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(crate::router_of(&door), request).await.unwrap();
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn metrics_are_where_the_setting_says() {
    let gateway = gateway_with(|options| options.metrics_path = Some("/own/metrics".to_owned())).await;
    gateway.create_shop().await;
    gateway.get("/api/v1/clusters/none").await;
    let reply = gateway.get("/own/metrics").await;
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "throome_service_health{cluster_id=\"shop\",service=\"cache\",type=\"memory\"} 1",
        "throome_refused_total{code=\"not_found\"} 1",
    ] {
        assert!(reply.text().contains(line), "{line} is not in\n{}", reply.text());
    }
    assert_eq!(gateway.get("/metrics").await.problem(), (404, "not_found".to_owned()));
    let wrong = gateway.ask("POST", "/own/metrics", "").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("allow")), (405, "GET,HEAD"));
    let off = gateway_with(|options| options.metrics_path = None).await;
    assert_eq!(off.get("/metrics").await.problem().0, 404);
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let gateway = shop().await;
    let (newer, older) = ("application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4");
    for (accept, expected) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            newer,
        ),
        ("application/openmetrics-text", newer),
        ("application/openmetrics-text, text/plain", newer),
        ("text/plain;version=0.0.4", older),
        ("text/plain, application/openmetrics-text;q=0.9", older),
        ("application/openmetrics-text;version=0.0.1, */*;q=0.1", older),
        ("application/openmetrics-text;q=0, */*;q=0", older),
        ("*/*", older),
        ("application/json", older),
    ] {
        let reply = gateway.send(Request::get("/metrics").header("accept", accept), "").await;
        let kind = reply.header("content-type").to_owned();
        assert_eq!(
            (kind, reply.header("vary")),
            (format!("{expected}; charset=utf-8"), "accept"),
            "{accept}"
        );
        let (name, ends) =
            if expected == newer { ("throome_requests", true) } else { ("throome_requests_total", false) };
        assert!(reply.text().contains(&format!("# TYPE {name} counter\n")), "{accept}");
        assert_eq!(reply.text().ends_with("# EOF\n"), ends, "{accept}");
    }
}

#[tokio::test]
async fn kinds_say_in_what_they_differ() {
    let body = gateway().await.get("/api/v1/kinds").await.json();
    let kinds = body["kinds"].as_array().unwrap();
    assert!(!kinds.is_empty());
    for kind in kinds {
        let facts = kind["facts"].as_array().unwrap();
        assert!(
            !facts.is_empty()
                && facts.iter().all(|fact| fact["name"].is_string() && fact["says"].is_string())
        );
    }
}

#[tokio::test]
async fn a_service_says_where_it_is_asked() {
    let gateway = shop().await;
    let cache = gateway.get("/api/v1/clusters/shop/services/cache").await.json();
    assert_eq!(cache["name"], "cache");
    assert_eq!(
        cache["doors"],
        json!([
            { "name": "cache", "path": "/api/v1/clusters/shop/cache" },
            { "name": "upstash", "path": "/api/v1/clusters/shop/services/cache/upstash" },
        ])
    );
    let upstash = cache["doors"][1]["path"].as_str().unwrap();
    assert_eq!(gateway.post(upstash, &json!(["PING"])).await.json()["result"], "PONG");
    assert_eq!(gateway.get("/api/v1/clusters/shop/services/web").await.json()["doors"], json!([]));

    // Without clients of its engine, a database has calls alone.
    let document = json!({ "name": "Db", "cluster_id": "db", "services": { "db": { "type": "sqlite" }, "q": { "type": "log" } } });
    assert_eq!(gateway.post("/api/v1/clusters", &document).await.status, 201);
    for (name, path) in [("db", "db"), ("q", "queue")] {
        let facts = gateway.get(&format!("/api/v1/clusters/db/services/{name}")).await.json();
        assert_eq!(facts["doors"], json!([{ "name": path, "path": format!("/api/v1/clusters/db/{path}") }]));
    }
}
