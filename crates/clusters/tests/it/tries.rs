//! The try loop over real endpoints: every outcome counted once, whoever drops what.

use std::sync::Arc;
use std::time::Duration;

use model::route::RetryOn;
use model::{Code, Failure};
use serde_json::json;
use throome_clusters::{
    Access, ActivityFilter, Clusters, Ending, Miss, Order, Outcome, RequestId, Route, Settled, Shape, Tries,
};

use crate::{World, by};

async fn world(routing: serde_json::Value) -> World {
    let world = World::new().await;
    let endpoint = |n: u8| json!({ "host": format!("127.0.0.{n}"), "port": 9 });
    world
        .create(json!({
            "cluster_id": "c", "name": "C",
            "services": { "web": { "type": "http", "endpoints": [endpoint(1), endpoint(2), endpoint(3)] } },
            "health": { "enabled": false },
            "routing": routing,
        }))
        .await;
    world
}

pub(crate) fn begin(clusters: &Clusters, rerun: bool) -> Tries {
    begin_with(clusters, rerun, None)
}

pub(crate) fn begin_on(clusters: &Clusters, route: Option<Arc<Route>>) -> Tries {
    begin_with(clusters, true, route)
}

fn begin_with(clusters: &Clusters, rerun: bool, route: Option<Arc<Route>>) -> Tries {
    let service = clusters.snapshot().service("c", "web").unwrap().clone();
    let order = Order {
        operation: "GET",
        shape: Shape::Text("test".into()),
        access: Access::Read,
        rerun,
        uploads: false,
        patience: std::time::Duration::ZERO,
        key: None,
        request_id: RequestId::make(),
    };
    Tries::begin(service, route, order, clusters.activity().clone())
}

fn miss(sent: bool) -> Miss {
    Miss {
        failure: Failure::service(Code::BadGateway, "broke"),
        cause: RetryOn::Reset,
        sent,
        outcome: Outcome::Bad("broke".to_owned()),
        wants_primary: false,
    }
}

fn counts(clusters: &Clusters) -> (u64, u64, u64, u32) {
    let metrics = clusters.metrics("c").unwrap().total;
    let in_flight = clusters.snapshot().service("c", "web").unwrap().in_flight();
    (metrics.requests, metrics.errors, metrics.active, in_flight)
}

fn outcomes(clusters: &Clusters) -> Vec<(String, u32)> {
    let (records, _) = clusters.activity().list(&ActivityFilter::default(), 100);
    records.into_iter().map(|record| (record.outcome, record.tries)).collect()
}

#[tokio::test]
async fn a_miss_that_may_run_again_goes_to_another_endpoint() {
    let World { clusters, dir: _dir } = world(json!({})).await;
    let mut tries = begin(&clusters, true);
    let mut asked = Vec::new();
    // The first had not left, and draws nothing; the second had, and draws one of a quiet service's retries.
    for sent in [false, true] {
        let attempt = tries.next().await.unwrap();
        asked.push(attempt.endpoint().label.clone());
        assert!(matches!(tries.settle::<()>(attempt, Err(miss(sent))), Ok(Settled::Again)));
    }
    let attempt = tries.next().await.unwrap();
    asked.push(attempt.endpoint().label.clone());
    let Ok(Settled::Answer((), attempt)) = tries.settle(attempt, Ok(())) else { panic!("an answer") };
    assert_eq!(counts(&clusters), (0, 0, 1, 1), "in flight until the last byte");
    attempt.end(Outcome::Good);
    tries.finish(Ending::Success(Some(200)));
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 3, "three different ones");
    assert_eq!(counts(&clusters), (1, 0, 0, 0));
    assert_eq!(outcomes(&clusters), [("success".to_owned(), 3)]);
}

#[tokio::test]
async fn what_may_not_run_again_is_tried_once_unless_nothing_left() {
    let World { clusters, dir: _dir } = world(json!({})).await;
    let mut tries = begin(&clusters, false);
    let attempt = tries.next().await.unwrap();
    assert!(matches!(tries.settle::<()>(attempt, Err(miss(false))), Ok(Settled::Again)), "nothing had left");
    let attempt = tries.next().await.unwrap();
    let failure = tries.settle::<()>(attempt, Err(miss(true))).unwrap_err();
    tries.fail(&failure);
    drop(tries);
    assert_eq!(counts(&clusters), (1, 1, 0, 0));
    assert_eq!(outcomes(&clusters), [("error".to_owned(), 2)]);
}

#[tokio::test]
async fn an_operation_that_is_dropped_is_counted_once_as_cancelled() {
    let World { clusters, dir: _dir } = world(json!({})).await;
    let mut tries = begin(&clusters, true);
    let attempt = tries.next().await.unwrap();
    drop(attempt);
    drop(tries);
    assert_eq!(counts(&clusters), (1, 0, 0, 0));
    assert_eq!(outcomes(&clusters), [("cancelled".to_owned(), 1)]);
}

#[tokio::test]
async fn the_deadline_is_over_all_tries() {
    let World { clusters, dir: _dir } = world(json!({ "timeout_ms": 60, "retry_attempts": 10 })).await;
    let mut tries = begin(&clusters, true);
    let failure = loop {
        let attempt = match tries.next().await {
            Ok(attempt) => attempt,
            Err(failure) => break failure,
        };
        tokio::time::sleep(Duration::from_millis(25)).await;
        if let Err(failure) = tries.settle::<()>(attempt, Err(miss(true))) {
            break failure;
        }
    };
    assert!(matches!(failure.code(), Code::Timeout | Code::BadGateway), "{failure}");
    tries.fail(&failure);
    assert!(outcomes(&clusters)[0].1 <= 4, "{:?}", outcomes(&clusters));
}

/// Time is left for another try only where there would be one.
#[tokio::test]
async fn a_try_that_no_other_can_follow_has_all_of_the_time() {
    let World { clusters, dir: _dir } = world(json!({ "timeout_ms": 10_000 })).await;
    let all = Duration::from_secs(9);
    for (on, rerun, connect_has_all, answer_has_all) in [
        (json!(["connect", "reset", "timeout"]), true, false, false),
        (json!(["connect", "reset", "timeout"]), false, false, true),
        (json!(["connect", "reset"]), true, false, true),
        (json!(["timeout"]), true, true, false),
        (json!(["reset"]), true, true, true),
    ] {
        let route = json!({ "id": "r", "cluster": "c", "service": "web", "path": "/r", "retry": { "attempts": 3, "on": on } });
        clusters.create_route(&route, by()).await.unwrap();
        let route = clusters.snapshot().routes.get("r").cloned();
        let mut tries = begin_with(&clusters, rerun, route);
        let attempt = tries.next().await.unwrap();
        let has_all = |deadline: std::time::Instant| deadline - attempt.began() > all;
        let found = (has_all(attempt.connect_deadline()), has_all(attempt.deadline()));
        assert_eq!(found, (connect_has_all, answer_has_all), "{on} {rerun}");
        drop((attempt, tries));
        clusters.delete_route("r", None, by()).await.unwrap();
    }
}

#[tokio::test]
async fn open_breakers_are_said_with_the_time_to_come_back() {
    let routing = json!({ "circuit_breaker": { "failure_threshold": 1, "reset_timeout": 30 } });
    let World { clusters, dir: _dir } = world(routing).await;
    for _ in 0..3 {
        let mut tries = begin(&clusters, false);
        let attempt = tries.next().await.unwrap();
        let failure = tries.settle::<()>(attempt, Err(miss(true))).unwrap_err();
        tries.fail(&failure);
    }
    let mut tries = begin(&clusters, true);
    let refused = tries.next().await.unwrap_err();
    assert_eq!(refused.code(), Code::BreakerOpen, "{refused}");
    assert!(refused.retry_after().unwrap() > Duration::from_secs(20));
    assert_eq!(clusters.service_facts("c", "web").unwrap().breaker, "open");
    let events = clusters.events().list(&Default::default(), 100).0;
    assert_eq!(events.iter().filter(|event| event.kind == "endpoint.breaker_opened").count(), 3);
    // A hand closes them.
    clusters.reset_breaker("c", "web", None, Some("test"), crate::by()).await.unwrap();
    begin(&clusters, true).next().await.unwrap();
}

#[tokio::test]
async fn a_broken_answer_sets_the_endpoint_aside_but_never_the_last_ones() {
    let World { clusters, dir: _dir } = world(json!({})).await;
    let mut broke = Vec::new();
    for _ in 0..3 {
        let mut tries = begin(&clusters, false);
        let attempt = tries.next().await.unwrap();
        broke.push(attempt.endpoint().label.clone());
        attempt.end(Outcome::Broke("cut".to_owned()));
        tries.finish(Ending::Failure(Code::BadGateway, Some(200)));
    }
    let facts = clusters.service_facts("c", "web").unwrap();
    let aside = facts.endpoints.iter().filter(|endpoint| endpoint.rotation == "ejected").count();
    assert_eq!(aside, 1, "{facts:?}");
    assert_eq!(facts.verdict, "serving_degraded");
    for _ in 0..6 {
        let mut tries = begin(&clusters, false);
        let attempt = tries.next().await.unwrap();
        assert_ne!(attempt.endpoint().label, broke[0], "it is passed over");
    }
}

#[tokio::test]
async fn a_draining_service_takes_nothing_new() {
    let World { clusters, dir: _dir } = world(json!({})).await;
    clusters.set_draining("c", "web", true, Some("upgrade"), crate::by()).await.unwrap();
    let refused = begin(&clusters, true).next().await.unwrap_err();
    assert_eq!(refused.code(), Code::Draining);
    assert_eq!(clusters.service_facts("c", "web").unwrap().rotation, "draining");
    clusters.set_draining("c", "web", false, None, crate::by()).await.unwrap();
    begin(&clusters, true).next().await.unwrap();
}
