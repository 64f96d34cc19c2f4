//! Who is written to, when servers say what they are, change their minds, and contradict each other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::{Adapter, Call};
use model::{
    Code, EndpointSpec, Failure, HealthSpec, History, OutlierSpec, Role, RoutingSpec, Seen, ServiceSpec,
};
use policy::{Budget, Lead};
use telemetry::Meter;

use crate::choice::choose;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::events::Events;
use crate::request_id::RequestId;
use crate::service::{Service, Shared, Tactics};
use crate::{Access, Order, Shape};

/// A server that says what it was told to say.
#[derive(Default)]
struct Server(Mutex<Option<Seen>>);

impl Adapter for Server {
    fn probe(&self, _timeout: Duration) -> Call<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn seen(&self) -> Option<Seen> {
        self.0.lock().unwrap().clone()
    }
}

/// A service of a primary and a replica, as asked for.
struct Pair {
    servers: [Arc<Server>; 2],
    service: Service,
}

impl Pair {
    fn new() -> Self {
        let servers: [Arc<Server>; 2] = Default::default();
        let routing = RoutingSpec::default();
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
            endpoints: [endpoint(0, Role::Primary), endpoint(1, Role::Replica)].into(),
            tactics: Tactics::of_cluster(&routing),
            health: HealthSpec::default(),
            meter: Arc::new(Meter::new(1)),
            breaker_spec: routing.circuit_breaker.clone(),
            shared: Arc::new(Shared::new()),
            budget: Arc::new(Budget::new(1.0)),
            events: Events::default(),
        };
        Pair { servers, service }
    }

    fn say(&self, at: usize, seen: Seen) {
        *self.servers[at].0.lock().unwrap() = Some(seen);
        self.service.elect();
    }

    fn choose(&self, access: Access) -> Result<usize, Failure> {
        let order = Order {
            operation: "TEST",
            shape: Shape::Text("test".into()),
            access,
            rerun: true,
            uploads: false,
            patience: Duration::ZERO,
            request_id: RequestId::make(),
        };
        choose(&self.service, &self.service.tactics, &order, 0, None, clock::now()).map(|(index, _)| index)
    }

    /// Who may be asked, in turn.
    fn asked(&self, access: Access) -> Vec<usize> {
        let mut asked: Vec<usize> = (0..8).filter_map(|_| self.choose(access).ok()).collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    fn refusal(&self) -> (Code, String) {
        let refused = self.choose(Access::Write).unwrap_err();
        (refused.code(), refused.detail().to_owned())
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
    let (code, detail) = pair.refusal();
    assert_eq!(code, Code::NoEndpoint);
    assert!(detail.contains("server-0:1") && detail.contains("neither is written to"), "{detail}");
}

#[test]
fn a_service_of_replicas_says_so_and_is_looked_at() {
    let pair = Pair::new();
    pair.say(0, replica());
    pair.say(1, replica());
    assert_eq!((pair.asked(Access::Write), pair.asked(Access::Read)), (vec![], vec![0, 1]));
    let (code, detail) = pair.refusal();
    assert_eq!(code, Code::NoEndpoint);
    assert!(detail.contains("takes reads only"), "{detail}");
    assert!(pair.service.lacks_a_leader());
    let now = clock::now();
    let soon = now.plus(Duration::from_secs(2)).0;
    let due =
        |endpoint: &Arc<Endpoint>| endpoint.next_probe.load(std::sync::atomic::Ordering::Relaxed) <= soon;
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
