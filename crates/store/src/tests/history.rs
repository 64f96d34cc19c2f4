//! What happened is kept in order, within its bounds, over a restart, and found again by what is asked.

use std::sync::Arc;

use jiff::Timestamp;
use model::event::Event;
use model::view::ActivityRecord;

use super::home::{Home, on_both};
use crate::db::Session;
use crate::{ActivityFilter, EventFilter, KeptOperation, Store, activity, events};

const NOW: i64 = 1_790_000_000_000_000;

/// The `n`-th of a series: every third failed, every second is a routed request.
fn operation(n: i64) -> KeptOperation {
    let failed = n % 3 == 0;
    KeptOperation {
        record: ActivityRecord {
            id: format!("{:014x}-00{:04x}", NOW + n, n & 0xffff),
            time: Timestamp::from_microsecond(NOW + n).unwrap(),
            cluster: if n % 5 == 0 { "blog" } else { "shop" }.to_owned(),
            service: if n % 2 == 0 { "web" } else { "cache" }.to_owned(),
            operation: "GET".to_owned(),
            shape: "user:*".to_owned(),
            outcome: if failed { "error" } else { "success" }.to_owned(),
            code: failed.then(|| "timeout".to_owned()),
            status: (n % 2 == 0).then_some(200),
            duration_ms: 0.25,
            tries: 1,
            endpoint: Some("127.0.0.1:1".to_owned()),
            request_id: format!("r-{n}"),
        },
        kind: if n % 2 == 0 { "a" } else { "b" },
        routed: n % 2 == 0,
    }
}

fn event(id: u64) -> Event {
    Event {
        id,
        time: Timestamp::from_microsecond(NOW + id.cast_signed()).unwrap(),
        kind: if id.is_multiple_of(2) { "breaker.opened" } else { "cluster.created" }.to_owned(),
        cluster: Some("shop".to_owned()),
        service: None,
        endpoint: None,
        route: None,
        actor: if id.is_multiple_of(3) { "api" } else { "probe" }.to_owned(),
        message: "What was decided.".to_owned(),
        request_id: None,
    }
}

async fn keep(store: &Store, numbers: std::ops::Range<i64>) {
    store.keep_operations(Arc::new(numbers.map(operation).collect())).await.unwrap();
}

async fn found(store: &Store, filter: ActivityFilter) -> Vec<ActivityRecord> {
    store.activity(filter, 1000).await.unwrap()
}

on_both! {
    it_is_there_after_a_restart_newest_first
    every_filter_means_in_the_store_what_it_means_in_memory
    the_oldest_go_first_and_no_more_than_must
    a_store_that_is_closed_says_so
}

async fn it_is_there_after_a_restart_newest_first(home: Home) {
    let store = home.open().await;
    assert_eq!((store.last_activity().await.unwrap(), store.last_event().await.unwrap()), (None, 0));
    keep(&store, 0..10).await;
    // A batch that is sent again, since nobody knew whether it had arrived.
    keep(&store, 5..12).await;
    store.keep_events(Arc::new(vec![event(1), event(2)])).await.unwrap();
    store.close().await;

    let store = home.open().await;
    let all = found(&store, ActivityFilter::default()).await;
    let ids: Vec<&str> = all.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, (0..12).rev().map(|n| operation(n).record.id).collect::<Vec<_>>());
    let same = |n: usize| format!("{:?}", all[11 - n]) == format!("{:?}", operation(n as i64).record);
    assert!(same(0) && same(11), "nothing of it is lost: {:?}", all[0]);
    assert_eq!(store.last_activity().await.unwrap(), Some(operation(11).record.id));
    let events = store.events(EventFilter::default(), 10).await.unwrap();
    assert_eq!((events, store.last_event().await.unwrap()), (vec![event(2), event(1)], 2));
}

async fn every_filter_means_in_the_store_what_it_means_in_memory(home: Home) {
    let store = home.open().await;
    keep(&store, 0..60).await;
    let text = |text: &str| Some(text.to_owned());
    let at = |n| Timestamp::from_microsecond(NOW + n).ok();
    let none = ActivityFilter::default;
    for (filter, least) in [
        (none(), 60),
        (ActivityFilter { cluster: text("blog"), ..none() }, 12),
        (ActivityFilter { cluster: text("shop"), service: text("web"), ..none() }, 24),
        (ActivityFilter { service_type: text("a"), ..none() }, 30),
        (ActivityFilter { operation: text("GET"), outcome: text("error"), ..none() }, 20),
        (ActivityFilter { outcome: text("cancelled"), ..none() }, 0),
        (ActivityFilter { code: text("timeout"), requests_only: true, ..none() }, 10),
        (ActivityFilter { request_id: text("r-7"), ..none() }, 1),
        (ActivityFilter { since: at(20), until: at(30), ..none() }, 10),
        (ActivityFilter { before: text(&operation(9).record.id), outcome: text("success"), ..none() }, 6),
    ] {
        let in_memory: Vec<String> =
            (0..60).rev().map(operation).filter(|o| filter.matches(&o.seen())).map(|o| o.record.id).collect();
        let kept: Vec<String> =
            found(&store, filter.clone()).await.into_iter().map(|record| record.id).collect();
        assert_eq!((kept.len(), kept), (least, in_memory), "{filter:?}");
    }
    store.keep_events(Arc::new((1..=30).map(event).collect())).await.unwrap();
    let none = EventFilter::default;
    for (filter, least) in [
        (none(), 30),
        (EventFilter { cluster: text("blog"), ..none() }, 0),
        (EventFilter { service: text("web"), ..none() }, 0),
        (EventFilter { kind: text("breaker."), actor: text("api"), ..none() }, 5),
        (EventFilter { kind: text("%"), ..none() }, 0),
        (EventFilter { since: at(11), before: Some(21), cluster: text("shop"), ..none() }, 10),
    ] {
        let in_memory: Vec<Event> = (1..=30).rev().map(event).filter(|e| filter.matches(e)).collect();
        let kept = store.events(filter.clone(), 1000).await.unwrap();
        assert_eq!((kept.len(), kept), (least, in_memory), "{filter:?}");
    }
}

async fn the_oldest_go_first_and_no_more_than_must(home: Home) {
    let store = home.open().await;
    let count = async || {
        let count = "SELECT count(*), min(request_id) FROM activity";
        let counted =
            |s: &Session<'_>| s.row(count, &[], |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)));
        store.read(counted).await.unwrap().unwrap()
    };
    let batch = |range: std::ops::Range<i64>| range.map(operation).collect::<Vec<_>>();
    let write = |batch: Vec<KeptOperation>, known| store.write(move |s| activity::keep(s, &batch, known, 50));
    assert_eq!(write(batch(100..140), None).await.unwrap(), 40);
    assert_eq!(write(batch(140..160), Some(40)).await.unwrap(), 50);
    assert_eq!(count().await, (50, "r-110".to_owned()));
    // What is known by a count is the same as what is remembered; a batch alone beyond the bound stays within it.
    assert_eq!(write(batch(160..161), None).await.unwrap(), 50);
    assert_eq!(write(batch(200..300), Some(50)).await.unwrap(), 50);
    assert_eq!(count().await, (50, "r-250".to_owned()));

    let series: Vec<Event> = (1..=70).map(event).collect();
    store.write(move |s| events::keep(s, &series, 50)).await.unwrap();
    let kept = store.events(EventFilter::default(), 100).await.unwrap();
    assert_eq!((kept.len(), kept[0].id, kept[49].id), (50, 70, 21));
}

#[tokio::test]
async fn a_filter_that_matters_has_its_index() {
    let store = Store::in_memory().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = ActivityFilter::default;
    for (filter, index) in [
        (ActivityFilter { cluster: text("c"), service: text("s"), ..none() }, "activity_by_cluster"),
        (ActivityFilter { request_id: text("r"), ..none() }, "activity_by_request"),
        (ActivityFilter { outcome: text("error"), ..none() }, "activity_that_failed"),
        (none(), "SCAN activity"),
    ] {
        let least_id = filter.least_id();
        let plan = format!("EXPLAIN QUERY PLAN {}", filter.statement(least_id.as_ref()).0);
        let plan: Vec<String> = store
            .disk()
            .read(move |c| {
                let mut statement = c.prepare(&plan)?;
                let mut rows = statement.raw_query();
                let mut lines = Vec::new();
                while let Some(row) = rows.next()? {
                    lines.push(row.get(3)?);
                }
                Ok(lines)
            })
            .await
            .unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
    }
}

async fn a_store_that_is_closed_says_so(home: Home) {
    let store = home.open().await;
    store.close().await;
    assert!(store.keep_operations(Arc::default()).await.is_err());
    assert!(store.keep_events(Arc::default()).await.is_err());
    assert!(store.activity(ActivityFilter::default(), 1).await.is_err());
}
