//! The status pages of an earlier gateway: its envelope, and what is so.

use serde_json::{Value, json};

use super::{gateway, shop};

#[tokio::test]
async fn the_gateway_says_how_it_is() {
    let body = shop().await.get("/api/status").await.json();
    assert_eq!(body["success"], true);
    let data = &body["data"];
    assert_eq!((&data["status"], &data["version"]), (&json!("running"), &json!("1.2.3")));
    assert_eq!((&data["routes"], &data["services"]), (&json!(1), &json!(2)));
    assert!(data["uptime"].is_u64(), "{body}");
}

#[tokio::test]
async fn what_requests_are_spread_over_is_listed() {
    let body = shop().await.get("/api/load-balancer/status").await.json();
    let backend = json!({
        "url": "http://127.0.0.1:1", "healthy": false, "active_connections": 0, "connections": 0, "weight": 1,
        "service": "shop/web", "algorithm": "round_robin",
    });
    assert_eq!(
        body,
        json!({ "success": true, "data": { "backends": [backend], "algorithm": "round_robin" } })
    );
    let none = gateway().await.get("/api/load-balancer/status").await.json();
    assert_eq!(none["data"], json!({ "backends": [], "algorithm": "none" }));
}

#[tokio::test]
async fn strategies_that_differ_are_said_to() {
    let gateway = gateway().await;
    for (id, strategy) in [("a", "round_robin"), ("b", "least_connections")] {
        let web = json!({ "type": "http", "endpoints": [{ "host": "127.0.0.1", "port": 1, "weight": 3 }] });
        let reply = gateway
            .post(
                "/api/v1/clusters",
                &json!({
                    "cluster_id": id, "name": id, "services": { "web": web },
                    "routing": { "strategy": strategy }, "health": { "enabled": false },
                }),
            )
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let data = gateway.get("/api/load-balancer/status").await.json()["data"].clone();
    assert_eq!(data["algorithm"], "mixed");
    let said = |field: &str| data["backends"].as_array().unwrap().iter().map(|b| b[field].clone()).collect();
    let algorithms: Vec<Value> = said("algorithm");
    assert_eq!(algorithms, ["round_robin", "least_connections"]);
    let weights: Vec<Value> = said("weight");
    assert_eq!(weights, [3, 3]);
    let healthy: Vec<Value> = said("healthy");
    assert_eq!(healthy, [true, true], "nobody has asked them: nothing is known against them");
}

#[tokio::test]
async fn every_breaker_is_listed_with_what_it_counted() {
    let gateway = shop().await;
    let ask = || async {
        gateway.get("/api/circuit-breaker/status").await.json()["data"]["breakers"]
            .as_array()
            .unwrap()
            .clone()
    };
    let before = ask().await;
    let names: Vec<&Value> = before.iter().map(|breaker| &breaker["name"]).collect();
    assert_eq!(names, ["memory://shop/cache", "http://127.0.0.1:1"]);
    assert!(
        before.iter().all(|breaker| breaker["state"] == "closed" && breaker["failures"] == 0),
        "{before:?}"
    );
    let service = gateway.clusters.snapshot().service("shop", "web").unwrap().clone();
    for _ in 0..5 {
        let order = clusters::Order {
            operation: "GET",
            shape: clusters::Shape::Text("test".into()),
            access: clusters::Access::Read,
            rerun: true,
            uploads: false,
            patience: std::time::Duration::ZERO,
            key: None,
            request_id: clusters::RequestId::make(),
        };
        let activity = gateway.clusters.activity().clone();
        let mut tries = clusters::Tries::begin_at(service.clone(), &service.endpoints[0], order, activity);
        let attempt = tries.next().await.unwrap();
        attempt.end(clusters::Outcome::Bad("broke".to_owned()));
        drop(tries);
    }
    let after = ask().await;
    let broken = &after[1];
    assert_eq!((&broken["state"], &broken["failures"]), (&json!("open"), &json!(5)), "{after:?}");
    assert!(broken["since"].as_str().unwrap() > before[1]["since"].as_str().unwrap(), "{after:?}");
    assert_eq!(after[0], before[0]);
}
