//! How much a service is asked at once: room, the queue before the door, and shares that rise.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Code;
use serde_json::{Value, json};
use throome_clusters::{Attempt, Clusters, Ending, Outcome, Tries};

use crate::World;
use crate::tries::begin;

fn document(limits: &Value, ports: &[u16]) -> Value {
    let endpoints: Vec<Value> =
        ports.iter().map(|port| json!({ "host": "127.0.0.1", "port": port })).collect();
    let mut web = json!({ "type": "http", "endpoints": endpoints, "outlier": { "slow_start": "60s" } });
    if !limits.is_null() {
        web["limits"] = limits.clone();
    }
    json!({
        "cluster_id": "c", "name": "C", "services": { "web": web },
        "routes": [{ "id": "all", "path": "/*", "service": "web" }],
        "health": { "enabled": false }, "routing": { "timeout_ms": 400 },
    })
}

async fn world(limits: Value) -> World {
    let world = World::new().await;
    world.create(document(&limits, &[9])).await;
    world
}

async fn replace(clusters: &Clusters, limits: Value) {
    clusters
        .replace("c", &document(&limits, &[9]), None, throome_clusters::Data::Keep, crate::by())
        .await
        .unwrap();
}

/// A request that has its place and is under way.
async fn under_way(clusters: &Clusters) -> (Tries, Attempt) {
    let mut tries = begin(clusters, true);
    let attempt = tries.next().await.unwrap();
    (tries, attempt)
}

fn ends((tries, attempt): (Tries, Attempt)) {
    attempt.end(Outcome::Good);
    tries.finish(Ending::Success(Some(200)));
}

fn facts(clusters: &Clusters) -> (u32, u32, u32) {
    let limits = clusters.service_facts("c", "web").unwrap().limits.unwrap();
    (limits.max_requests, limits.in_flight, limits.pending)
}

#[tokio::test]
async fn so_many_are_under_way_so_many_wait_and_the_rest_is_told() {
    let World { clusters, dir: _dir } = world(json!({ "max_requests": 2, "max_pending": 1 })).await;
    let (first, second) = (under_way(&clusters).await, under_way(&clusters).await);
    let waits = tokio::spawn({
        let clusters = clusters.clone();
        async move { under_way(&clusters).await }
    });
    while facts(&clusters) != (2, 2, 1) {
        tokio::task::yield_now().await;
    }
    let mut refused = begin(&clusters, true);
    let failure = refused.next().await.unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::Overloaded, true), "{failure}");
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(1)));
    assert!(failure.detail().contains("takes 2 requests at once, and 1 wait"), "{failure}");
    refused.fail(&failure);
    drop(refused);
    ends(first);
    let third = waits.await.unwrap();
    assert_eq!(facts(&clusters), (2, 2, 0));
    ends(second);
    ends(third);
    assert_eq!(facts(&clusters), (2, 0, 0));
    assert_eq!(clusters.metrics("c").unwrap().total.errors, 1);
}

#[tokio::test]
async fn nobody_waits_beyond_his_own_deadline_and_who_leaves_holds_nothing() {
    let World { clusters, dir: _dir } = world(json!({ "max_requests": 1 })).await;
    let first = under_way(&clusters).await;
    let failure = begin(&clusters, true).next().await.unwrap_err();
    assert_eq!(failure.code(), Code::Overloaded);
    assert!(failure.detail().contains("none of them has ended within 400 ms"), "{failure}");
    let mut leaves = begin(&clusters, true);
    assert!(tokio::time::timeout(Duration::from_millis(20), leaves.next()).await.is_err());
    drop(leaves);
    assert_eq!(facts(&clusters), (1, 1, 0));
    ends(first);
    ends(under_way(&clusters).await);
    assert_eq!(facts(&clusters), (1, 0, 0));
}

#[tokio::test]
async fn a_place_is_held_over_all_tries_and_given_back_however_they_end() {
    let World { clusters, dir: _dir } = world(json!({ "max_requests": 1, "max_pending": 0 })).await;
    let (mut tries, attempt) = under_way(&clusters).await;
    drop(attempt);
    assert_eq!(facts(&clusters), (1, 1, 0), "between two tries");
    let failure = begin(&clusters, true).next().await.unwrap_err();
    assert_eq!(failure.code(), Code::Overloaded);
    tries.fail(&failure);
    assert_eq!(facts(&clusters), (1, 0, 0));
    drop(tries);
    assert_eq!(facts(&clusters), (1, 0, 0), "given back once");
}

#[tokio::test]
async fn a_changed_limit_holds_for_what_is_under_way() {
    let World { clusters, dir: _dir } = world(json!({ "max_requests": 1 })).await;
    let first = under_way(&clusters).await;
    let asked = model::view::ExplainRequest {
        method: "GET".to_owned(),
        listener: "main".to_owned(),
        host: String::new(),
        path: "/".to_owned(),
        headers: Default::default(),
    };
    let told = clusters.explain(&asked).unwrap();
    let limits = json!({ "policy": "limits", "max_requests": 1, "in_flight": 1, "pending": 0 });
    assert!(told.policies.contains(&limits), "{:?}", told.policies);
    let waits = tokio::spawn({
        let clusters = clusters.clone();
        async move { under_way(&clusters).await }
    });
    while facts(&clusters).2 == 0 {
        tokio::task::yield_now().await;
    }
    replace(&clusters, json!({ "max_requests": 2 })).await;
    let second = waits.await.unwrap();
    assert_eq!(facts(&clusters), (2, 2, 0));
    // Where nothing limits it any more, it ends as well as it began.
    replace(&clusters, Value::Null).await;
    assert!(clusters.service_facts("c", "web").unwrap().limits.is_none());
    ends(first);
    ends(second);
    ends(under_way(&clusters).await);
}

#[tokio::test]
async fn a_service_whose_bounds_are_to_be_found_out_begins_with_a_few() {
    let World { clusters, dir: _dir } = world(json!({ "adaptive": true, "max_requests": 100 })).await;
    let (limit, ..) = facts(&clusters);
    assert!((4..=16).contains(&limit), "{limit}");
    // As soon as answers have come in good time, there is more room.
    for _ in 0..60 {
        let (tries, mut attempt) = under_way(&clusters).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        attempt.heard(true);
        ends((tries, attempt));
    }
    assert_eq!(facts(&clusters).0, 16);
}

#[tokio::test]
async fn limits_that_say_nothing_are_refused() {
    let World { clusters, dir: _dir } = world(Value::Null).await;
    for (limits, path) in [
        (json!({ "max_pending": 5 }), "services.web.limits.max_pending"),
        (json!({ "max_pending": 5, "adaptive": false }), "services.web.limits.max_pending"),
        (json!({ "max_requests": 0 }), "services.web.limits.max_requests"),
        (json!({ "max_request": 5 }), "services.web.limits.max_request"),
        (json!({ "max_connections": 0 }), "services.web.limits.max_connections"),
    ] {
        let problems = clusters.check(&document(&limits, &[9]));
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, [path], "{limits}");
    }
    for other in ["adaptive", "max_requests", "max_connections"] {
        let value = if other == "adaptive" { json!(true) } else { json!(7) };
        let fine = json!({ "max_pending": 5, other: value });
        assert!(clusters.check(&document(&fine, &[9])).is_empty(), "{fine}");
    }
}

#[tokio::test]
async fn connections_that_are_limited_are_shown() {
    let World { clusters, dir: _dir } = world(json!({ "max_connections": 3 })).await;
    let facts = clusters.service_facts("c", "web").unwrap();
    assert!(facts.limits.is_none(), "requests are not limited");
    let connections = facts.endpoints[0].connections.as_ref().unwrap();
    assert_eq!((connections.max_connections, connections.open, connections.pending), (3, 0, 0));
    replace(&clusters, json!({ "max_requests": 3 })).await;
    let facts = clusters.service_facts("c", "web").unwrap();
    assert!(facts.limits.is_some() && facts.endpoints[0].connections.is_none());
}

/// How often each endpoint is asked.
async fn shares(clusters: &Clusters, times: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for _ in 0..times {
        let (tries, attempt) = under_way(clusters).await;
        *shares.entry(attempt.endpoint().label.to_string()).or_default() += 1;
        ends((tries, attempt));
    }
    shares
}

#[tokio::test]
async fn an_endpoint_that_joins_begins_with_a_tenth_of_its_share() {
    let World { clusters, dir: _dir } = world(Value::Null).await;
    clusters
        .replace("c", &document(&Value::Null, &[9, 10]), None, throome_clusters::Data::Keep, crate::by())
        .await
        .unwrap();
    let joined = shares(&clusters, 220).await;
    let of_new = joined["127.0.0.1:10"];
    assert!((10..=30).contains(&of_new), "{joined:?}");
    // All that began together are equals.
    let World { clusters, dir: _dir } = World::new().await;
    let world = World { clusters, dir: _dir };
    world.create(document(&Value::Null, &[9, 10])).await;
    let even = shares(&world.clusters, 220).await;
    assert_eq!(even.values().copied().collect::<Vec<_>>(), [110, 110]);
}

#[tokio::test]
async fn requests_are_counted_for_each_route_that_is_asked() {
    let world = World::new().await;
    let mut document = document(&Value::Null, &[9]);
    document["routes"] = json!([
        { "id": "api", "path": "/api/*", "service": "web" },
        { "id": "idle", "path": "/idle", "service": "web" },
    ]);
    world.create(document).await;
    let clusters = &world.clusters;
    let route = clusters.snapshot().routes.iter().find(|route| &*route.id == "api").cloned().unwrap();
    for fails in [false, true] {
        let mut tries = crate::tries::begin_on(clusters, Some(route.clone()));
        let attempt = tries.next().await.unwrap();
        let sample = clusters.sample();
        assert_eq!(sample.routes.iter().map(|route| route.reading.active).collect::<Vec<_>>(), [1]);
        attempt.end(Outcome::Good);
        let ending =
            if fails { Ending::Failure(Code::BadGateway, Some(500)) } else { Ending::Success(Some(200)) };
        tries.finish(ending);
    }
    let sample = clusters.sample();
    assert_eq!(sample.routes.len(), 1, "{:?}", sample.routes);
    let api = &sample.routes[0];
    assert_eq!((api.cluster.as_str(), api.route.as_str()), ("c", "api"));
    let reading = &api.reading;
    assert_eq!((reading.durations.count(), reading.active, reading.tries), (2, 0, 2));
    assert_eq!(reading.errors, [(Code::BadGateway, 1)]);
}
