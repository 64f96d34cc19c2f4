//! Creating, planning, replacing and deleting, and what each leaves alone.

use std::sync::Arc;

use model::Code;
use serde_json::json;
use throome_clusters::{Clusters, Data, Listeners, Target};

use crate::{World, by, open};

/// A port on which nobody listens: refused at once.
const NOBODY: u16 = 9;

fn shop() -> serde_json::Value {
    json!({
        "cluster_id": "shop",
        "name": "Shop",
        "services": {
            "cache": { "type": "memory" },
            "web": { "type": "http", "endpoints": [
                { "host": "127.0.0.1", "port": NOBODY }, { "host": "127.0.0.2", "port": NOBODY } ] },
        },
        "routes": [ { "id": "all", "path": "/*", "service": "web" } ],
        "routing": { "circuit_breaker": { "failure_threshold": 50 } },
    })
}

#[tokio::test]
async fn a_created_cluster_is_shown_saved_and_there_after_a_restart() {
    let world = World::new().await;
    let body = world.create(shop()).await;
    assert_eq!((&body["id"], &body["cluster_id"]), (&json!("shop"), &json!("shop")));
    assert_eq!(body["services"]["web"]["endpoints"][0]["port"], NOBODY);
    // Nobody listens there: said at once, not after ten seconds of probes.
    let health = world.clusters.health("shop").unwrap();
    assert_eq!(format!("{:?}", health.services["web"].status), "Unhealthy");
    assert!(health.services["web"].reason.contains("cannot connect"), "{}", health.services["web"].reason);
    assert_eq!(format!("{:?}", health.services["cache"].status), "Healthy");
    let World { clusters, dir } = world;
    drop(clusters);
    let again = open(&dir).await;
    assert_eq!(again.show("shop").unwrap().body["name"], "Shop");
    assert_eq!(again.routes().len(), 1);
}

#[tokio::test]
async fn wrong_bodies_are_refused_whole() {
    let world = World::new().await;
    world.create(shop()).await;
    for (body, code) in [
        (shop(), Code::AlreadyExists),
        (json!({}), Code::InvalidConfig),
        (json!({ "name": "x", "services": { "a": { "type": "memroy" } } }), Code::InvalidConfig),
        (json!({ "name": "x", "cluster_id": "../x", "services": {} }), Code::InvalidConfig),
        (
            json!({ "name": "x", "services": { "a": { "type": "mongodb", "host": "h", "port": 1 } } }),
            Code::NotBuilt,
        ),
        (json!({ "name": "x", "services": { "a": { "type": "http" } } }), Code::InvalidConfig),
        (json!({ "name": "x", "services": { "a": { "type": "mongodb" } } }), Code::NotBuilt),
    ] {
        let refused = world.clusters.create(&body, by()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{body}: {refused}");
    }
    assert_eq!(world.clusters.list().len(), 1);
}

#[tokio::test]
async fn a_route_that_another_cluster_has_is_a_conflict_and_nothing_is_left_behind() {
    let world = World::new().await;
    world.create(shop()).await;
    let mut other = shop();
    other["cluster_id"] = json!("other");
    other["routes"][0]["id"] = json!("other-all");
    let refused = world.clusters.create(&other, by()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict, "{refused}");
    assert!(world.clusters.snapshot().cluster("other").is_err());
    assert!(!world.dir.path().join("other").exists());
}

#[tokio::test]
async fn what_a_replacement_does_not_concern_is_taken_over() {
    let world = World::new().await;
    world.create(shop()).await;
    let before = world.clusters.snapshot().clone();
    let (cache, web) = (before.service("shop", "cache").unwrap(), before.service("shop", "web").unwrap());
    let key_value = cache.endpoints[0].adapter().key_value().unwrap();
    key_value.set(b"k", adapters::key_value::Value::plain("v"), Default::default()).await.unwrap();

    let mut body = shop();
    body["services"]["web"]["endpoints"][1] = json!({ "host": "127.0.0.3", "port": NOBODY });
    let plan = world.clusters.plan("shop", &body).await.unwrap();
    assert_eq!(plan.steps.len(), 1, "{plan:?}");
    world.clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();

    let after = world.clusters.snapshot().clone();
    assert!(Arc::ptr_eq(cache, after.service("shop", "cache").unwrap()));
    let new_web = after.service("shop", "web").unwrap();
    assert!(
        Arc::ptr_eq(&web.endpoints[0], &new_web.endpoints[0]),
        "the endpoint that stays keeps its health"
    );
    assert!(!Arc::ptr_eq(&web.endpoints[1], &new_web.endpoints[1]));
    assert!(Arc::ptr_eq(&web.meter, &new_web.meter));
    // Routing of the whole cluster changes: the data of an embedded service does not.
    body["routing"]["timeout_ms"] = json!(1234);
    world.clusters.replace("shop", &body, None, throome_clusters::Data::Keep, by()).await.unwrap();
    let after = world.clusters.snapshot().clone();
    let cache = after.service("shop", "cache").unwrap();
    assert_eq!(cache.tactics.timeout.as_millis(), 1234);
    let found = cache.endpoints[0].adapter().key_value().unwrap().get(b"k").await.unwrap();
    assert_eq!(found.unwrap().bytes, "v");
    // And the route leads to the new service.
    let leads = after.routes.get("all").unwrap().pick_service(0).unwrap();
    assert!(Arc::ptr_eq(leads, after.service("shop", "web").unwrap()));
}

#[tokio::test]
async fn the_same_body_again_changes_nothing() {
    let world = World::new().await;
    let created = world.create(shop()).await;
    let before = world.clusters.snapshot().clone();
    let plan = world.clusters.plan("shop", &created).await.unwrap();
    assert!(!plan.changes, "{plan:?}");
    world.clusters.replace("shop", &created, None, throome_clusters::Data::Keep, by()).await.unwrap();
    let after = world.clusters.snapshot().clone();
    assert!(Arc::ptr_eq(before.service("shop", "web").unwrap(), after.service("shop", "web").unwrap()));
    assert_eq!(world.events("cluster.changed").len(), 0);
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let world = World::new().await;
    world.create(shop()).await;
    let read = world.clusters.show("shop").unwrap().revision;
    let mut body = shop();
    body["name"] = json!("Other");
    world.clusters.replace("shop", &body, Some(read), throome_clusters::Data::Keep, by()).await.unwrap();
    let late = world
        .clusters
        .replace("shop", &shop(), Some(read), throome_clusters::Data::Keep, by())
        .await
        .unwrap_err();
    assert_eq!(late.code(), Code::PreconditionFailed);
    let late = world.clusters.delete("shop", Some(read), Data::Remove, by()).await.unwrap_err();
    assert_eq!(late.code(), Code::PreconditionFailed);
}

#[tokio::test]
async fn routes_of_the_api_live_in_the_store_and_follow_their_service() {
    let world = World::new().await;
    world.create(shop()).await;
    let route = json!({ "id": "api", "cluster": "shop", "service": "web", "path": "/api/*" });
    let (_, revision) = world.clusters.create_route(&route, by()).await.unwrap();
    for (body, code) in [
        (route.clone(), Code::AlreadyExists),
        (json!({ "cluster": "shop", "service": "web", "path": "/api/*" }), Code::Conflict),
        (json!({ "id": "all", "cluster": "shop", "service": "web", "path": "/x" }), Code::Conflict),
        (json!({ "cluster": "nowhere", "service": "web", "path": "/x" }), Code::NotFound),
        (json!({ "cluster": "shop", "service": "nobody", "path": "/x" }), Code::InvalidRequest),
        (json!({ "cluster": "shop", "service": "web", "path": "x" }), Code::InvalidRequest),
        (json!({ "cluster": "shop", "service": "web", "path": "/x", "listener": "y" }), Code::InvalidRequest),
    ] {
        let refused = world.clusters.create_route(&body, by()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{body}: {refused}");
    }
    let mut changed = route.clone();
    changed["methods"] = json!(["get"]);
    let (view, after) = world.clusters.replace_route("api", &changed, Some(revision), by()).await.unwrap();
    assert_eq!(view.spec.methods, ["GET"]);
    assert_ne!(after, revision);
    let late = world.clusters.replace_route("api", &route, Some(revision), by()).await.unwrap_err();
    assert_eq!(late.code(), Code::PreconditionFailed);

    let World { clusters, dir } = world;
    drop(clusters);
    let again = open(&dir).await;
    assert_eq!(again.route("api").unwrap().1, after);
    assert_eq!(again.delete_route("all", None, by()).await.unwrap_err().code(), Code::Conflict);
    again.delete("shop", None, Data::Remove, by()).await.unwrap();
    assert_eq!(again.routes().len(), 0);
    drop(again);
    let last: Clusters = open(&dir).await;
    assert_eq!((last.routes().len(), last.list().len()), (0, 0));
}

#[tokio::test]
async fn a_route_whose_service_goes_away_is_kept_and_comes_back_with_it() {
    let world = World::new().await;
    world.create(shop()).await;
    let route = json!({ "id": "api", "cluster": "shop", "service": "web", "path": "/api/*" });
    world.clusters.create_route(&route, by()).await.unwrap();
    let mut without = shop();
    without["services"] = json!({ "cache": { "type": "memory" } });
    without["routes"] = json!([]);
    world.clusters.replace("shop", &without, None, throome_clusters::Data::Keep, by()).await.unwrap();
    assert!(world.clusters.snapshot().routes.is_empty());
    assert_eq!(world.clusters.routes().len(), 1, "it is still shown");
    world.clusters.replace("shop", &shop(), None, throome_clusters::Data::Keep, by()).await.unwrap();
    assert_eq!(world.clusters.snapshot().routes.len(), 2);
}

#[tokio::test]
async fn a_change_that_leaves_a_listener_without_its_service_is_told_and_stops_no_start() {
    let World { clusters, dir } = World::new().await;
    drop(clusters);
    let target = || Target::new("wire", "proxy.listeners[0]".to_owned(), "shop".to_owned(), "web".to_owned());
    let start = async || {
        let listeners = Listeners { of_bytes: vec![Arc::new(target())], ..Listeners::default() };
        World { clusters: crate::open_with(&dir, listeners).await, dir: tempfile::tempdir().unwrap() }
    };
    let told = |world: &World| world.events("listener.leads_nowhere").len();
    let world = start().await;
    assert_eq!(told(&world), 1, "no cluster yet");
    world.create(shop()).await;
    let mut without = shop();
    without["services"] = json!({ "cache": { "type": "memory" } });
    without["routes"] = json!([]);
    world.clusters.replace("shop", &without, None, throome_clusters::Data::Keep, by()).await.unwrap();
    assert_eq!(told(&world), 2, "the service has gone");
    drop(world);
    let world = start().await;
    assert_eq!(told(&world), 1, "it is told again, and runs");
    // One inside the gateway has no address.
    without["services"]["web"] = json!({ "type": "memory" });
    world.clusters.replace("shop", &without, None, throome_clusters::Data::Keep, by()).await.unwrap();
    drop(world);
    let world = start().await;
    let why = &world.events("listener.leads_nowhere")[0];
    assert!(why.contains("`wire`") && why.contains("lives inside the gateway"), "{why}");
    world.clusters.replace("shop", &shop(), None, throome_clusters::Data::Keep, by()).await.unwrap();
    world.clusters.delete("shop", None, Data::Keep, by()).await.unwrap();
    assert_eq!(told(&world), 2, "it was there in between");
}
