//! What happened is in one list whether memory or the store has it, and is still there after a restart.

use std::collections::HashSet;
use std::time::Duration;

use model::{Code, Failure};
use serde_json::json;
use throome_clusters::{
    Access, ActivityFilter, Clusters, Ending, EventFilter, Order, RequestId, Shape, Tries,
};

use crate::{World, by, open};

async fn world() -> World {
    let world = World::new().await;
    world
        .create(json!({ "cluster_id": "c", "name": "C", "services": { "cache": { "type": "memory" } } }))
        .await;
    world
}

/// `count` operations, of which every tenth fails.
fn operate(clusters: &Clusters, count: usize) {
    for n in 0..count {
        let service = clusters.snapshot().service("c", "cache").unwrap().clone();
        let order = Order {
            operation: "SET",
            shape: Shape::Text("user:*".into()),
            access: Access::Write,
            rerun: false,
            uploads: false,
            patience: std::time::Duration::ZERO,
            key: None,
            request_id: RequestId::make(),
        };
        let mut tries = Tries::begin(service, None, order, clusters.activity().clone());
        if n % 10 == 0 {
            tries.fail(&Failure::service(Code::Timeout, "late"));
        } else {
            tries.finish(Ending::Success(None));
        }
    }
}

/// Every id of every page; `between` happens after each of them.
async fn walk(
    clusters: &Clusters,
    filter: &ActivityFilter,
    limit: usize,
    mut between: impl AsyncFnMut(),
) -> Vec<String> {
    let (mut ids, mut filter) = (Vec::new(), filter.clone());
    loop {
        let (page, next) = clusters.activity_page(&filter, limit).await;
        assert!(page.len() <= limit);
        ids.extend(page.into_iter().map(|record| record.id));
        let Some(next) = next else { return ids };
        filter.before = Some(next);
        between().await;
    }
}

#[tokio::test]
async fn pages_go_from_memory_into_the_store_while_more_happens() {
    let world = world().await;
    let clusters = &world.clusters;
    // More than memory holds, kept as it comes; not more than is kept at once.
    for _ in 0..6 {
        operate(clusters, 950);
        clusters.keep_history().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    operate(clusters, 100);
    let ids = walk(clusters, &ActivityFilter::default(), 170, async || {
        operate(clusters, 30);
        clusters.keep_history().await;
    })
    .await;
    assert_eq!(ids.len(), 5800, "nothing is missing");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 5800, "nothing is there twice");
    assert!(ids.is_sorted_by(|a, b| a > b));
    let failed = ActivityFilter { outcome: Some("error".to_owned()), ..ActivityFilter::default() };
    let more_failed = walk(clusters, &failed, 50, async || {}).await;
    let later = (5800_usize.div_ceil(170) - 1) * 3;
    assert_eq!(more_failed.len(), 580 + later, "the same by a filter");
}

#[tokio::test]
async fn what_happened_is_there_after_a_restart_and_goes_on_from_there() {
    let world = world().await;
    operate(&world.clusters, 20);
    let (before, _) = world.clusters.activity_page(&ActivityFilter::default(), 100).await;
    let (told, _) = world.clusters.event_page(&EventFilter::default(), 100).await;
    assert!(!told.is_empty());
    world.clusters.end_history().await;
    let World { clusters, dir } = world;
    clusters.close().await;
    drop(clusters);

    let again = open(&dir).await;
    let (after, _) = again.activity_page(&ActivityFilter::default(), 100).await;
    assert_eq!(format!("{after:?}"), format!("{before:?}"), "each reads as it did");
    let (events, _) = again.event_page(&EventFilter::default(), 100).await;
    assert_eq!(events[events.len() - told.len()..], told, "what is older has not changed");
    assert!(events.is_sorted_by(|a, b| a.id == b.id + 1), "and numbers go on");
    assert_eq!((events[0].kind.as_str(), events[0].actor.as_str()), ("cluster.loaded", "start"));
    operate(&again, 1);
    again.delete("c", None, throome_clusters::Data::Remove, by()).await.unwrap();
    let (records, _) = again.activity_page(&ActivityFilter::default(), 100).await;
    assert_eq!((records.len(), records[0].id > before[0].id), (21, true), "the new one shows at once");
    let mut pages = Vec::new();
    let mut filter = EventFilter { cluster: Some("c".to_owned()), ..EventFilter::default() };
    loop {
        let (page, next) = again.event_page(&filter, 1).await;
        pages.extend(page);
        let Some(next) = next else { break };
        filter.before = Some(next);
    }
    let (whole, _) = again.event_page(&EventFilter { before: None, ..filter }, 100).await;
    assert_eq!(pages, whole);
    assert_eq!(pages[0].kind, "cluster.deleted");
}

#[tokio::test]
async fn too_much_at_once_keeps_what_failed() {
    let world = world().await;
    operate(&world.clusters, 4000);
    world.clusters.keep_history().await;
    let (shown, _) = world.clusters.activity_page(&ActivityFilter::default(), 10_000).await;
    assert_eq!(shown.len(), 4000, "memory has them all");
    let World { clusters, dir } = world;
    clusters.close().await;
    drop(clusters);
    let again = open(&dir).await;
    let (kept, _) = again.activity_page(&ActivityFilter::default(), 10_000).await;
    let failed = kept.iter().filter(|record| record.outcome == "error").count();
    assert_eq!((kept.len(), failed), (1000, 400));
}

#[tokio::test]
async fn a_store_that_fails_hides_nothing_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = store::Store::in_memory().unwrap();
    let options = throome_clusters::Options {
        dir: dir.path().to_owned(),
        store: store.clone(),
        data_dir: dir.path().join(".throome"),
        listeners: Default::default(),
        provisioning: throome_clusters::Provisioning::default(),
    };
    let clusters = Clusters::open(options).await.unwrap();
    let body = json!({ "cluster_id": "c", "name": "C", "services": { "cache": { "type": "memory" } } });
    clusters.create(&body, by()).await.unwrap();
    operate(&clusters, 10);
    store.close().await;
    clusters.keep_history().await;
    operate(&clusters, 10);
    clusters.keep_history().await;
    let (shown, next) = clusters.activity_page(&ActivityFilter::default(), 100).await;
    assert_eq!((shown.len(), next), (20, None));
    let (events, _) = clusters.event_page(&EventFilter::default(), 100).await;
    assert!(!events.is_empty());
}
