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
use crate::provision::Hands;
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
    let (events, data) = (Events::default(), Path::new("/nowhere"));
    let hands = Hands::new(crate::Provisioning::default(), data);
    let ground = build::Ground { events: &events, data, hands: &hands };
    let cluster = build::cluster(spec, None, 1, &ground).unwrap();
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
        let mut first = tries.next().await.unwrap();
        assert_eq!(tries.hedge_at(&first), Some(first.began() + AFTER));
        let second = tries.beside(&first.whereabouts()).unwrap();
        assert_ne!(first.endpoint().label, second.endpoint().label);
        assert_eq!(world.service().in_flight(), 2);
        assert_eq!(tries.hedge_at(&first), None, "once for each operation");
        let (won, lost) = if first_wins { (first, second) } else { (second, first) };
        let label = won.endpoint().label.to_string();
        lost.end(Outcome::Void);
        good(tries, won);
        assert_eq!(world.service().in_flight(), 0);
        let reading = world.service().meter.read();
        assert_eq!((reading.hedges, reading.hedges_won), (1, u64::from(!first_wins)));
        let (records, _) = world.activity.list(&ActivityFilter::default(), 10);
        assert_eq!((records[0].tries, records[0].endpoint.as_deref()), (2, Some(label.as_str())));
        assert!(world.service().endpoints.iter().all(|endpoint| endpoint.breaker.failures() == 0));
    }
}

#[tokio::test]
async fn one_that_misses_leaves_the_other_its_time_and_the_last_may_be_tried_again() {
    let world = world(3, Some(AFTER), 3);
    let mut tries = world.begin(true);
    let mut first = tries.next().await.unwrap();
    let second = tries.beside(&first.whereabouts()).unwrap();
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
    let mut first = tries.next().await.unwrap();
    assert!(tries.beside(&first.whereabouts()).is_none());
    // Another whose breaker is not closed is not asked beside.
    let two = world(2, Some(AFTER), 3);
    let mut tries = two.begin(true);
    let mut first = tries.next().await.unwrap();
    let other = two.service().endpoints.iter().find(|own| !Arc::ptr_eq(own, first.endpoint())).unwrap();
    other.breaker.trip(clock::now());
    assert!(tries.beside(&first.whereabouts()).is_none());
}

#[tokio::test]
async fn what_waits_for_others_has_its_time_afterwards_and_its_endpoint_no_blame() {
    let world = world(2, None, 3);
    let mut tries = world.begin(true);
    let mut attempt = tries.next().await.unwrap();
    let (began, connect, deadline) = (attempt.began(), attempt.connect_deadline(), attempt.deadline());
    let end = began + Duration::from_secs(5);
    attempt.pause();
    std::thread::sleep(Duration::from_millis(20));
    let silent = |attempt: &Attempt| {
        let later = clock::at(attempt.began() + Duration::from_secs(9));
        (0..2).for_each(|_| attempt.endpoint().silence.asked(clock::now()));
        let silent = attempt.endpoint().silence.silent(later, Duration::from_secs(1), Duration::ZERO);
        (0..2).for_each(|_| attempt.endpoint().silence.gone(clock::now()));
        silent
    };
    assert!(!silent(&attempt), "two others are not several");
    attempt.resume();
    assert!(silent(&attempt), "it is the third");
    let waited = attempt.began() - began;
    assert!(waited >= Duration::from_millis(20), "{waited:?}");
    assert_eq!((attempt.connect_deadline(), attempt.deadline()), (connect + waited, deadline + waited));
    assert!(attempt.deadline() < end);
    // Beyond the end of all tries there is no more time to be had.
    attempt.set_deadlines(end, end, end);
    attempt.pause();
    std::thread::sleep(Duration::from_millis(5));
    attempt.resume();
    assert_eq!((attempt.connect_deadline(), attempt.deadline()), (end, end));
    good(tries, attempt);
}

#[tokio::test]
async fn an_attempt_that_moves_is_the_other_endpoints_from_then_on() {
    let world = world(3, None, 3);
    let endpoints = &world.service().endpoints;
    let mut tries = world.begin(true);
    let mut attempt = tries.next().await.unwrap();
    let own = Arc::clone(attempt.endpoint());
    let others: Vec<_> = attempt.siblings().cloned().collect();
    assert_eq!(others.len(), 2);
    others[0].breaker.trip(clock::now());
    assert_eq!(attempt.siblings().count(), 1, "not where its breaker is open");
    attempt.pause();
    attempt.move_to(&others[1]);
    attempt.resume();
    let in_flight = |endpoint: &Arc<Endpoint>| endpoint.load.in_flight();
    assert_eq!((in_flight(&own), in_flight(&others[1])), (0, 1));
    let miss = Miss {
        failure: Failure::service(Code::BadGateway, "broke"),
        cause: RetryOn::Reset,
        sent: true,
        outcome: Outcome::Bad("broke".to_owned()),
        wants_primary: false,
    };
    assert!(matches!(tries.settle::<()>(attempt, Err(miss)), Ok(Settled::Again)));
    let failures: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.breaker.failures()).collect();
    let of_other = endpoints.iter().position(|endpoint| Arc::ptr_eq(endpoint, &others[1])).unwrap();
    assert_eq!(failures[of_other], 1, "{failures:?}");
    assert_eq!(endpoints.iter().map(in_flight).sum::<u32>(), 0);
    let third = tries.next().await.unwrap();
    assert_eq!(
        third.endpoint().label,
        own.label,
        "the one that was left in time; the other's breaker is open"
    );
    good(tries, third);
}

#[tokio::test]
async fn a_second_try_goes_elsewhere_than_where_the_first_has_moved_to_and_wins_only_by_itself() {
    // Of two, so that there is one choice.
    let world = world(2, Some(AFTER), 3);
    for second_wins in [true, false] {
        let mut tries = world.begin(true);
        let mut first = tries.next().await.unwrap();
        let own = Arc::clone(first.endpoint());
        let of_first = first.whereabouts();
        let other = first.siblings().next().unwrap().clone();
        let before = world.service().meter.read().hedges_won;
        if second_wins {
            first.move_to(&other);
            let second = tries.beside(&of_first).unwrap();
            assert_eq!(second.endpoint().label, own.label, "the one that was left has time");
            first.end(Outcome::Void);
            good(tries, second);
        } else {
            let second = tries.beside(&of_first).unwrap();
            // Both have come to one endpoint: it is still the first that has answered.
            first.move_to(&other);
            second.end(Outcome::Void);
            good(tries, first);
        }
        assert_eq!(world.service().meter.read().hedges_won - before, u64::from(second_wins));
        assert!(world.service().endpoints.iter().all(|endpoint| endpoint.load.in_flight() == 0));
    }
}

#[tokio::test]
async fn when_all_are_slow_second_tries_end_with_the_budget() {
    let world = world(3, Some(AFTER), 3);
    let mut beside = 0;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut tries = world.begin(true);
        let mut first = tries.next().await.unwrap();
        if let Some(second) = tries.beside(&first.whereabouts()) {
            beside += 1;
            second.end(Outcome::Void);
        }
        first.end(Outcome::Void);
        held.push(tries);
    }
    // A fifth of 200; what is in flight is one at a time.
    assert!((10..=40).contains(&beside), "{beside} second tries");
}
