//! Two tries side by side: when, of whom, how often, and what is counted of them.

use std::path::Path;

use model::endpoint::EndpointSpec;
use model::route::{HedgeSpec, RetrySpec, RouteSpec};
use model::view::Owner;
use model::{ClusterSpec, HealthSpec, Role, RoutingSpec, ServiceSpec, Span};

use super::*;
use crate::activity::ActivityFilter;
use crate::build;
use crate::events::Events;
use crate::snapshot::Cluster;

const AFTER: Duration = Duration::from_millis(30);

fn route_spec(hedge: Option<HedgeSpec>, attempts: u32) -> RouteSpec {
    let mut spec: RouteSpec = serde_json::from_value(
        serde_json::json!({ "id": "all", "cluster": "shop", "path": "/*", "service": "web" }),
    )
    .unwrap();
    spec.retry = Some(RetrySpec { attempts, hedge, ..RetrySpec::default() }.into());
    spec
}

struct World {
    cluster: Cluster,
    route: Arc<Route>,
    activity: Activity,
}

fn world(endpoints: u16, hedge: Option<Duration>, attempts: u32) -> World {
    let driver =
        adapters::DRIVERS.iter().find(|driver| driver.abilities().contains(&model::kind::Ability::Http));
    let mut web = ServiceSpec::of_kind(driver.unwrap().name());
    let endpoint = |port| EndpointSpec { host: "127.0.0.1".into(), port, weight: 1, role: Role::Primary };
    web.endpoints = (1..=endpoints).map(endpoint).collect();
    let spec = ClusterSpec {
        cluster_id: "shop".parse().unwrap(),
        name: "Shop".into(),
        description: String::new(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        services: vec![("web".into(), web)],
        routes: Vec::new(),
        routing: RoutingSpec::default(),
        health: HealthSpec { enabled: false, ..HealthSpec::default() },
    };
    let cluster = build::cluster(spec, None, &Events::default(), 1, Path::new("/nowhere")).unwrap();
    let hedge = hedge.map(|after| HedgeSpec { after: Span(after) });
    let route = build::route(route_spec(hedge, attempts).into(), Owner::Api, &cluster).unwrap();
    World { cluster, route, activity: Activity::default() }
}

impl World {
    fn begin(&self, rerun: bool) -> Tries {
        let order = Order {
            operation: "GET",
            shape: Shape::Text("test".into()),
            access: if rerun { Access::Read } else { Access::Write },
            rerun,
            uploads: false,
            patience: Duration::ZERO,
            key: None,
            request_id: RequestId::make(),
        };
        let service = Arc::clone(self.cluster.service("web").unwrap());
        Tries::begin(service, Some(Arc::clone(&self.route)), order, self.activity.clone())
    }

    fn service(&self) -> &Service {
        self.cluster.service("web").unwrap()
    }
}

fn good(mut tries: Tries, mut attempt: Attempt) {
    attempt.heard(true);
    let Ok(Settled::Answer((), attempt)) = tries.settle(attempt, Ok(())) else { panic!("an answer") };
    attempt.end(Outcome::Good);
    tries.finish(Ending::Success(Some(200)));
}

#[tokio::test]
async fn the_first_of_two_answers_counts_and_the_other_says_nothing() {
    for first_wins in [true, false] {
        let world = world(3, Some(AFTER), 3);
        let mut tries = world.begin(true);
        let first = tries.next().await.unwrap();
        assert_eq!(tries.hedge_at(&first), Some(first.began() + AFTER));
        let second = tries.beside().unwrap();
        assert_ne!(first.endpoint().label, second.endpoint().label);
        assert_eq!(world.service().in_flight(), 2);
        assert_eq!(tries.hedge_at(&first), None, "once for each operation");
        let (won, lost) = if first_wins { (first, second) } else { (second, first) };
        let label = won.endpoint().label.to_string();
        lost.end(Outcome::Void);
        good(tries, won);
        assert_eq!(world.service().in_flight(), 0);
        let (records, _) = world.activity.list(&ActivityFilter::default(), 10);
        assert_eq!((records[0].tries, records[0].endpoint.as_deref()), (2, Some(label.as_str())));
        assert!(world.service().endpoints.iter().all(|endpoint| endpoint.breaker.failures() == 0));
    }
}

#[tokio::test]
async fn one_that_misses_leaves_the_other_its_time_and_the_last_may_be_tried_again() {
    let world = world(3, Some(AFTER), 3);
    let mut tries = world.begin(true);
    let first = tries.next().await.unwrap();
    let second = tries.beside().unwrap();
    let asked = [first.endpoint().label.clone(), second.endpoint().label.clone()];
    first.end(Outcome::Bad("broke".to_owned()));
    let miss = Miss {
        failure: Failure::service(Code::BadGateway, "broke"),
        cause: RetryOn::Reset,
        sent: true,
        outcome: Outcome::Bad("broke".to_owned()),
        wants_primary: false,
    };
    assert!(matches!(tries.settle::<()>(second, Err(miss)), Ok(Settled::Again)));
    let third = tries.next().await.unwrap();
    assert!(!asked.contains(&third.endpoint().label), "whom nobody has asked yet");
    good(tries, third);
}

#[tokio::test]
async fn two_run_side_by_side_only_where_that_harms_nobody() {
    let cases = [
        ("asked for by nobody", world(3, None, 3), true),
        ("may not run twice", world(3, Some(AFTER), 3), false),
        ("one try and no more", world(3, Some(AFTER), 1), true),
    ];
    for (why, world, rerun) in cases {
        let mut tries = world.begin(rerun);
        let first = tries.next().await.unwrap();
        assert_eq!(tries.hedge_at(&first), None, "{why}");
    }
    // Nobody else to ask.
    let alone = world(1, Some(AFTER), 3);
    let mut tries = alone.begin(true);
    let _first = tries.next().await.unwrap();
    assert!(tries.beside().is_none());
    // Another whose breaker is not closed is not asked beside.
    let two = world(2, Some(AFTER), 3);
    let mut tries = two.begin(true);
    let first = tries.next().await.unwrap();
    let other = two.service().endpoints.iter().find(|own| !Arc::ptr_eq(own, first.endpoint())).unwrap();
    other.breaker.trip(clock::now());
    assert!(tries.beside().is_none());
}

#[tokio::test]
async fn when_all_are_slow_second_tries_end_with_the_budget() {
    let world = world(3, Some(AFTER), 3);
    let mut beside = 0;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut tries = world.begin(true);
        let first = tries.next().await.unwrap();
        if let Some(second) = tries.beside() {
            beside += 1;
            second.end(Outcome::Void);
        }
        first.end(Outcome::Void);
        held.push(tries);
    }
    // A fifth of 200; what is in flight is one at a time.
    assert!((10..=40).contains(&beside), "{beside} second tries");
}
