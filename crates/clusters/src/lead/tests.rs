//! Who is written to, when servers say what they are, change their minds, and contradict each other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::{Adapter, Call};
use model::route::RetryOn;
use model::view::Status;
use model::{
    Code, EndpointSpec, Failure, HealthSpec, History, OutlierSpec, Role, RoutingSpec, Seen, ServiceSpec,
};
use policy::{Budget, Lead};
use telemetry::Meter;

use crate::attempt::Outcome;
use crate::choice::choose;
use crate::endpoint::{Endpoint, Standing};
use crate::events::Events;
use crate::judge::{Judgement, judge};
use crate::probe::probe;
use crate::request_id::RequestId;
use crate::service::{Service, Shared, Tactics};
use crate::{Access, Activity, Miss, Order, Settled, Shape, Tries, clock};

/// A server that says what it was told to say.
#[derive(Default)]
struct Server {
    is: Mutex<Option<Seen>>,
    /// It has said that it is another than it was.
    news: AtomicBool,
    /// What of it cannot be asked.
    lacks: Mutex<Option<String>>,
}

impl Adapter for Server {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        self.news.store(false, Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }

    fn seen(&self) -> Option<Seen> {
        self.is.lock().unwrap().clone()
    }

    fn has_news(&self) -> bool {
        self.news.load(Relaxed)
    }

    fn says_its_role(&self) -> bool {
        true
    }

    fn lacks(&self) -> Option<String> {
        self.lacks.lock().unwrap().clone()
    }
}

/// A service of a primary and a replica, as asked for.
struct Pair {
    servers: [Arc<Server>; 2],
    service: Arc<Service>,
}

impl Pair {
    fn new() -> Self {
        Self::routed(RoutingSpec::default())
    }

    fn routed(routing: RoutingSpec) -> Self {
        let servers: [Arc<Server>; 2] = Default::default();
        let endpoint = |at: usize, role| {
            let spec = EndpointSpec { host: format!("server-{at}"), port: 1, weight: 1, role };
            let server: Arc<dyn Adapter> = servers[at].clone();
            let (health, outlier) = (HealthSpec::default(), OutlierSpec::default());
            Arc::new(Endpoint::new(&spec, server, &routing.circuit_breaker, &health, outlier))
        };
        let service = Service {
            cluster: "c".into(),
            name: "db".into(),
            driver: adapters::DRIVERS[0],
            spec: ServiceSpec::of_kind(adapters::DRIVERS[0].name()),
            at: None,
            endpoints: [endpoint(0, Role::Primary), endpoint(1, Role::Replica)].into(),
            tactics: Tactics::of_cluster(&routing),
            health: HealthSpec::default(),
            meter: Arc::new(Meter::new(1)),
            flow: Arc::new(telemetry::Flow::new(1)),
            breaker_spec: routing.circuit_breaker.clone(),
            shared: Arc::new(Shared::new()),
            budget: Arc::new(Budget::new(1.0)),
            room: None,
            events: Events::default(),
        };
        Pair { servers, service: Arc::new(service) }
    }

    /// The server is something, which nobody has found out yet.
    fn is_now(&self, at: usize, seen: Seen) {
        *self.servers[at].is.lock().unwrap() = Some(seen);
    }

    fn say(&self, at: usize, seen: Seen) {
        self.is_now(at, seen);
        self.service.elect();
    }

    /// Both were probed, and answer.
    fn well(self) -> Self {
        for endpoint in &self.service.endpoints {
            endpoint.health.probe(clock::now(), true);
        }
        self
    }

    fn choose(&self, order: &Order) -> Result<usize, Failure> {
        choose(&self.service, &self.service.tactics, order, 0, None, clock::now()).map(|(index, _)| index)
    }

    /// Who may be asked, in turn.
    fn asked_for(&self, order: &Order) -> Vec<usize> {
        let mut asked: Vec<usize> = (0..8).filter_map(|_| self.choose(order).ok()).collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    fn asked(&self, access: Access) -> Vec<usize> {
        self.asked_for(&order(access, true))
    }

    fn refusal(&self, order: &Order) -> (Code, String) {
        let refused = self.choose(order).unwrap_err();
        (refused.code(), refused.detail().to_owned())
    }

    fn tries(&self, access: Access) -> Tries {
        let rerun = access == Access::Read;
        Tries::begin(Arc::clone(&self.service), None, order(access, rerun), Activity::default())
    }

    /// The status, and why.
    fn said(&self) -> (Status, String) {
        let Judgement { status, reason, .. } = judge(&self.service, clock::now());
        (status, reason)
    }
}

fn order(access: Access, rerun: bool) -> Order {
    Order {
        operation: "TEST",
        shape: Shape::Text("test".into()),
        access,
        rerun,
        uploads: false,
        patience: Duration::ZERO,
        key: None,
        request_id: RequestId::make(),
    }
}

/// A refusal of a server that only reads.
fn reads_only() -> Miss {
    let failure = Failure::client(Code::CommandFailed, "It only reads.").with_native("native", "READS");
    Miss {
        failure: failure.with_primary_wanted(),
        cause: RetryOn::Connect,
        sent: false,
        outcome: Outcome::Good,
        wants_primary: true,
    }
}

fn primary(timeline: u64) -> Seen {
    let history = History { id: "db".into(), number: timeline, came_from: None, shared: true };
    Seen { role: Role::Primary, history: Some(history), lag: None, cut_off: false }
}

fn replica() -> Seen {
    Seen { role: Role::Replica, history: None, lag: Some(Duration::ZERO), cut_off: false }
}

#[test]
fn as_long_as_nobody_says_anything_what_was_asked_for_holds() {
    let pair = Pair::new();
    pair.service.elect();
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![0], vec![0, 1]));
    assert!(!pair.service.lacks_a_leader(), "nobody is looked for where nobody says anything");
}

#[test]
fn writes_follow_a_promotion_and_never_go_back() {
    let pair = Pair::new();
    pair.say(0, primary(1));
    pair.say(1, replica());
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![0], vec![0, 1]));
    // The replica is promoted while the old primary still believes to be one.
    pair.say(1, primary(2));
    assert_eq!(pair.service.endpoints[0].lead(), Lead::Replaced);
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![1], vec![1]));
    // It comes back as what it ought to be.
    pair.say(0, replica());
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![1], vec![0, 1]));
}

#[test]
fn between_two_with_the_same_right_nobody_is_written_to() {
    let pair = Pair::new();
    pair.say(0, primary(3));
    pair.say(1, primary(3));
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![], vec![0, 1]));
    let (code, detail) = pair.refusal(&order(Access::Write, false));
    assert_eq!(code, Code::NoEndpoint);
    assert!(detail.contains("server-0:1") && detail.contains("neither is written to"), "{detail}");
}

#[test]
fn a_service_of_replicas_says_so_and_is_looked_at() {
    let pair = Pair::new();
    pair.say(0, replica());
    pair.say(1, replica());
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![], vec![0, 1]));
    let (code, detail) = pair.refusal(&order(Access::Write, false));
    assert_eq!(code, Code::NoEndpoint);
    assert!(detail.contains("takes reads only"), "{detail}");
    assert!(pair.service.lacks_a_leader());
    let now = clock::now();
    let soon = now.plus(Duration::from_secs(2)).0;
    let due = |endpoint: &Arc<Endpoint>| endpoint.next_probe.load(Relaxed) <= soon;
    assert!(pair.service.endpoints.iter().all(due), "all are probed again soon");
}

#[test]
fn a_replica_that_has_lost_its_primary_is_asked_when_nobody_else_is_there() {
    let pair = Pair::new();
    pair.say(0, primary(1));
    pair.say(1, Seen { cut_off: true, ..replica() });
    assert_eq!(pair.asked(Access::Read), [0]);
    pair.service.endpoints[0].load.set_weight(0);
    assert_eq!((pair.asked(Access::Read), pair.asked(Access::Write)), (vec![1], vec![]));
}

/// A query that does not say that it only reads may write, and a server that believes to be a primary would let it.
#[test]
fn what_may_write_stays_away_from_servers_that_must_not_be_written_to() {
    let pair = Pair::new();
    let query = order(Access::Read, false);
    pair.say(0, primary(1));
    pair.say(1, replica());
    assert_eq!(pair.asked_for(&query), [0, 1], "a replica refuses by itself");
    pair.say(1, primary(2));
    assert_eq!(pair.asked_for(&query), [1]);
    pair.service.endpoints[1].load.set_weight(0);
    assert_eq!(
        (pair.asked_for(&query), pair.asked(Access::Read)),
        (vec![], vec![0]),
        "only who looks is let in"
    );
    let (code, detail) = pair.refusal(&query);
    assert_eq!(code, Code::NoEndpoint);
    assert!(detail.contains("server-0:1: another was promoted"), "{detail}");
    pair.service.endpoints[1].load.set_weight(1);
    pair.say(0, primary(2));
    assert_eq!((pair.asked_for(&query), pair.asked(Access::Read)), (vec![], vec![0, 1]));
    let (_, detail) = pair.refusal(&query);
    assert!(detail.contains("as much right"), "{detail}");
}

#[test]
fn the_status_is_what_the_servers_are() {
    let pair = Pair::new();
    assert_eq!(pair.said(), (Status::Unknown, "not yet probed or asked".to_owned()));
    pair.service.endpoints[0].health.probe(clock::now(), true);
    let (status, reason) = pair.said();
    let expected = "1 of 2 endpoints answer; server-1:1: not yet probed or asked";
    assert_eq!((status, reason.as_str()), (Status::Unknown, expected));
    pair.service.endpoints[1].note_trouble("probe: refused");
    let (_, reason) = pair.said();
    assert!(reason.ends_with("server-1:1: has not answered yet; last: probe: refused"), "{reason}");
    let pair = pair.well();
    pair.say(0, primary(1));
    pair.say(1, replica());
    assert_eq!(pair.said(), (Status::Healthy, "2 of 2 endpoints answer".to_owned()));

    pair.say(1, primary(2));
    let (status, reason) = pair.said();
    assert_eq!(status, Status::Degraded);
    assert!(
        reason.starts_with("1 of 2 endpoints answer as they should; server-0:1: answers; another"),
        "{reason}"
    );
    let facts = pair.service.facts();
    let healthy: Vec<bool> = facts.endpoints.iter().map(|endpoint| endpoint.healthy).collect();
    assert_eq!((healthy, facts.healthy), (vec![false, true], false));

    pair.say(0, primary(2));
    assert_eq!(pair.said().0, Status::Degraded, "neither is written to");
    pair.say(0, replica());
    assert_eq!(pair.said().0, Status::Healthy, "they have changed places");
    pair.say(1, replica());
    let expected = "2 of 2 endpoints answer, and none of them takes writes";
    assert_eq!(pair.said(), (Status::Degraded, expected.to_owned()));
    pair.say(0, primary(3));
    pair.say(1, Seen { cut_off: true, ..replica() });
    let (status, reason) = pair.said();
    assert_eq!(status, Status::Degraded);
    assert!(reason.contains("server-1:1: answers; takes reads only, and has lost its primary"), "{reason}");
}

#[test]
fn a_part_that_is_away_is_said_and_the_rest_is_asked() {
    let pair = Pair::new().well();
    *pair.servers[0].lacks.lock().unwrap() = Some("1 of its 3 nodes is away".to_owned());
    let expected =
        "1 of 2 endpoints answer as they should; server-0:1: answers; 1 of its 3 nodes is away".to_owned();
    assert_eq!(pair.said(), (Status::Degraded, expected));
    assert_eq!(pair.asked(Access::Write), [0]);
    *pair.servers[0].lacks.lock().unwrap() = None;
    assert_eq!(pair.said().0, Status::Healthy);
}

/// Failures of one node of several leave the breaker as it is, and bring a probe.
#[tokio::test]
async fn failures_of_a_part_say_nothing_of_the_whole() {
    let pair = Pair::new().well();
    pair.say(0, primary(1));
    pair.say(1, replica());
    let endpoint = &pair.service.endpoints[0];
    endpoint.last_probe.store(clock::now().0, Relaxed);
    endpoint.next_probe.store(u64::MAX, Relaxed);
    for _ in 0..50 {
        let mut tries = pair.tries(Access::Write);
        let attempt = tries.next().await.unwrap();
        let failure = Failure::service(Code::Timeout, "node 3").with_part();
        let outcome = Outcome::Partly("node 3".into());
        let miss = Miss { failure, cause: RetryOn::Timeout, sent: true, outcome, wants_primary: false };
        let failure = tries.settle::<()>(attempt, Err(miss)).unwrap_err();
        tries.fail(&failure);
    }
    assert!(matches!(endpoint.breaker_state(clock::now()), policy::State::Closed));
    assert_eq!(endpoint.standing(clock::now()), Standing::In(true));
    assert_eq!(endpoint.load.in_flight(), 0);
    assert!(endpoint.next_probe.load(Relaxed) < clock::now().plus(Duration::from_secs(2)).0);
}

/// The document is older than a promotion, and the gateway has just begun: the old primary would take the write.
#[tokio::test]
async fn a_write_waits_until_every_server_was_asked_what_it_is() {
    let pair = Pair::routed(RoutingSpec { timeout_ms: 500, ..RoutingSpec::default() });
    let mut read = pair.tries(Access::Read);
    let at_once = tokio::time::timeout(Duration::from_secs(1), read.next()).await;
    assert!(at_once.is_ok(), "whoever only looks does not wait");
    let query = order(Access::Read, false);
    let mut in_vain = Tries::begin(Arc::clone(&pair.service), None, query, Activity::default());
    let refused = in_vain.next().await.unwrap_err();
    assert_eq!((refused.code(), refused.retryable()), (Code::NoEndpoint, true), "rather than lost");
    let probing = async {
        for (at, endpoint) in pair.service.endpoints.iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(pair.service.is_unlooked());
            pair.is_now(at, primary(at as u64));
            probe(&pair.service, endpoint).await;
        }
    };
    let mut write = pair.tries(Access::Write);
    let (attempt, ()) = tokio::join!(write.next(), probing);
    assert_eq!(&*attempt.unwrap().endpoint().label, "server-1:1");
    assert!(!pair.service.is_unlooked());
}

/// A replica that was promoted says so along with an answer, while the old primary runs on and would take the next write.
#[tokio::test]
async fn a_write_waits_until_who_has_news_was_asked() {
    let pair = Pair::new();
    for (at, seen) in [primary(1), replica()].into_iter().enumerate() {
        pair.is_now(at, seen);
        probe(&pair.service, &pair.service.endpoints[at]).await;
    }
    pair.is_now(1, primary(2));
    pair.servers[1].news.store(true, Relaxed);
    assert_eq!(pair.asked(Access::Write), [0], "nobody has heard of it");
    let asked = pair.asked(Access::Read).len();
    for _ in 0..asked {
        pair.tries(Access::Read).next().await.unwrap().done();
    }
    let promoted = &pair.service.endpoints[1];
    assert!(promoted.next_probe.load(Relaxed) <= clock::now().0, "it is asked at once");
    pair.service.elect();
    assert!(pair.service.is_unlooked(), "what it said before does not count");
    let mut write = pair.tries(Access::Write);
    let probing = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        probe(&pair.service, promoted).await;
    };
    let (attempt, ()) = tokio::join!(write.next(), probing);
    assert_eq!(&*attempt.unwrap().endpoint().label, "server-1:1");
    assert!(!pair.service.is_unlooked());
}

#[tokio::test]
async fn who_was_refused_by_a_server_that_only_reads_hears_that_a_primary_is_missing() {
    let pair = Pair::new();
    pair.say(0, primary(1));
    pair.say(1, replica());
    let mut tries = pair.tries(Access::Write);
    let attempt = tries.next().await.unwrap();
    // It was made a replica a moment ago.
    pair.is_now(0, replica());
    assert!(matches!(tries.settle::<()>(attempt, Err(reads_only())), Ok(Settled::Again)));
    let failure = tries.next().await.unwrap_err();
    assert_eq!((failure.code(), failure.retryable()), (Code::NoEndpoint, true), "{failure}");
    assert_eq!(failure.native(), Some(("native", "READS")));
    assert!(failure.detail().contains("server-0:1: takes reads only"), "{failure}");
    // And where there is one, it is asked.
    pair.say(1, primary(2));
    let mut tries = pair.tries(Access::Read);
    let mut attempt = tries.next().await.unwrap();
    while &*attempt.endpoint().label != "server-0:1" {
        tries = pair.tries(Access::Read);
        attempt = tries.next().await.unwrap();
    }
    assert!(matches!(tries.settle::<()>(attempt, Err(reads_only())), Ok(Settled::Again)));
    assert_eq!(&*tries.next().await.unwrap().endpoint().label, "server-1:1");
}

/// Whoever asks for one try alone has not asked to be refused by half of the servers.
#[tokio::test]
async fn a_primary_is_asked_however_few_tries_there_are() {
    let pair = Pair::routed(RoutingSpec { retry_attempts: 1, ..RoutingSpec::default() });
    pair.say(0, primary(1));
    pair.say(1, replica());
    for _ in 0..8 {
        let mut tries = pair.tries(Access::Read);
        let attempt = tries.next().await.unwrap();
        if &*attempt.endpoint().label == "server-1:1" {
            assert!(matches!(tries.settle::<()>(attempt, Err(reads_only())), Ok(Settled::Again)));
            let attempt = tries.next().await.unwrap();
            assert_eq!(&*attempt.endpoint().label, "server-0:1");
            assert!(tries.settle::<()>(attempt, Err(reads_only())).is_err(), "once");
            return;
        }
    }
    panic!("the replica was never asked");
}

/// What lives at a server, such as a transaction, can be asked of no other.
#[tokio::test]
async fn what_lives_at_a_server_that_only_reads_is_refused_once() {
    let pair = Pair::new();
    pair.say(1, replica());
    let order = order(Access::Read, true);
    let at = &pair.service.endpoints[1];
    let mut tries = Tries::begin_at(Arc::clone(&pair.service), at, order, Activity::default());
    let attempt = tries.next().await.unwrap();
    let failure = tries.settle::<()>(attempt, Err(reads_only())).unwrap_err();
    assert_eq!(failure.code(), Code::CommandFailed);
}

/// What a server that only reads is asked may go to another in time, also when it may not run again elsewhere.
#[tokio::test]
async fn a_query_at_a_replica_leaves_time_for_the_primary() {
    let pair = Pair::new();
    pair.say(0, primary(1));
    pair.say(1, replica());
    for _ in 0..8 {
        let query = order(Access::Read, false);
        let mut tries = Tries::begin(Arc::clone(&pair.service), None, query, Activity::default());
        let attempt = tries.next().await.unwrap();
        let time = attempt.deadline().duration_since(attempt.began());
        let all = pair.service.tactics.timeout;
        let replica = &*attempt.endpoint().label == "server-1:1";
        assert_eq!(time < all * 3 / 4, replica, "{time:?} of {all:?} at {attempt:?}");
    }
}
