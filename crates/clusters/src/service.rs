//! A service as it runs: its endpoints, and how one of them is picked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapters::Driver;
use model::kind::{Ability, Place};
use model::route::RetryOn;
use model::{BreakerSpec, HealthSpec, RouteSpec, RoutingSpec, ServiceSpec, Strategy};
use policy::{Balancer, Budget, Ejector, HealthState, Time, are_doubted, balancer};
use telemetry::{Flow, Meter};
use tokio::sync::Notify;

use crate::endpoint::{Endpoint, Standing};
use crate::events::{Events, Happening};
use crate::provision::{At, Lifecycle};
use crate::room::Room;

/// A service as it runs.
pub struct Service {
    /// Id of its cluster.
    pub cluster: Arc<str>,
    /// Unique in its cluster.
    pub name: Arc<str>,
    /// Its kind.
    pub driver: &'static dyn Driver,
    /// As asked.
    pub spec: ServiceSpec,
    /// Where it is reached, when the gateway runs it and has started it.
    pub(crate) at: Option<At>,
    /// Its endpoints, in the order asked.
    pub endpoints: Box<[Arc<Endpoint>]>,
    /// How it is tried when no route says otherwise.
    pub tactics: Tactics,
    /// How its endpoints are probed.
    pub health: HealthSpec,
    /// What is counted of it.
    pub meter: Arc<Meter>,
    /// What is counted of the bytes that listeners carry to it and back.
    pub flow: Arc<Flow>,
    /// When its endpoints are left alone.
    pub breaker_spec: BreakerSpec,
    pub(crate) shared: Arc<Shared>,
    pub(crate) budget: Arc<Budget>,
    /// How many requests it takes at once, where something limits them.
    pub(crate) room: Option<Arc<Room>>,
    pub(crate) events: Events,
}

/// What a service keeps across changes of its settings.
pub(crate) struct Shared {
    /// Held by whoever sets who may be written to.
    pub(crate) electing: Mutex<()>,
    /// Tells whoever waits that an endpoint was probed.
    pub(crate) probed: Notify,
    pub(crate) ejector: Ejector,
    /// So few endpoints pass their probes that probes alone take none of them out.
    pub(crate) doubts_probes: AtomicBool,
    pub(crate) draining: AtomicBool,
    pub(crate) drained_since: AtomicU64,
    /// How it is by the word of whoever runs it for the gateway.
    lifecycle: Mutex<Option<Lifecycle>>,
}

impl Service {
    /// Whether what answers is in this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.driver.place() == Place::Embedded
    }

    /// How it is by the word of whoever runs it; `None` for one that the gateway does not run.
    pub(crate) fn lifecycle(&self) -> Option<Lifecycle> {
        let known = || self.shared.lifecycle.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.spec.is_provisioned().then(|| known().unwrap_or_else(Lifecycle::declared))
    }

    pub(crate) fn set_lifecycle(&self, lifecycle: Lifecycle) {
        *self.shared.lifecycle.lock().unwrap_or_else(PoisonError::into_inner) = Some(lifecycle);
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Shared {
            electing: Mutex::default(),
            probed: Notify::new(),
            ejector: Ejector::new(),
            doubts_probes: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            drained_since: AtomicU64::new(0),
            lifecycle: Mutex::default(),
        }
    }
}

/// How requests are tried: how long, how often, and how an endpoint is picked.
pub struct Tactics {
    /// For all tries together.
    pub timeout: Duration,
    /// Tries in all, the first included.
    pub attempts: u32,
    /// For one try; `None` is a share of what is left.
    pub per_try: Option<Duration>,
    /// What leads to another try.
    pub on: Vec<RetryOn>,
    /// How long a first try may take until a second is made beside it.
    pub hedge: Option<Duration>,
    /// Whether another endpoint is asked when one fails.
    pub failover: bool,
    /// How an endpoint is picked.
    pub strategy: Strategy,
    pub(crate) balancer: Box<dyn Balancer>,
}

impl Tactics {
    /// Who picks for a request with this key: what keeps clients with an endpoint goes before the strategy.
    pub(crate) fn balancer(&self, key: Option<u64>) -> &dyn Balancer {
        if key.is_some() { policy::by_key() } else { &*self.balancer }
    }

    pub(crate) fn of_cluster(routing: &RoutingSpec) -> Self {
        Tactics {
            timeout: Duration::from_millis(routing.timeout_ms),
            attempts: routing.retry_attempts.max(1),
            per_try: routing.per_try.map(|span| span.0),
            on: RetryOn::ALL.to_vec(),
            hedge: None,
            failover: routing.failover_enabled,
            strategy: routing.strategy,
            balancer: balancer(routing.strategy),
        }
    }

    /// What a route lays over its cluster's; `None` when it says nothing of its own.
    pub(crate) fn of_route(route: &RouteSpec, routing: &RoutingSpec) -> Option<Self> {
        if route.timeout.is_none() && route.retry.is_none() && route.strategy.is_none() {
            return None;
        }
        let mut tactics = Tactics::of_cluster(routing);
        if let Some(timeout) = route.timeout {
            tactics.timeout = timeout.0;
        }
        if let Some(retry) = &route.retry {
            tactics.attempts = retry.attempts.max(1);
            tactics.per_try = retry.per_try.map(|span| span.0);
            tactics.on.clone_from(&retry.on);
            tactics.hedge = retry.hedge.as_ref().map(|hedge| hedge.after.0);
        }
        if let Some(strategy) = route.strategy {
            tactics.strategy = strategy;
            tactics.balancer = balancer(strategy);
        }
        Some(tactics)
    }

    /// Time for the next try, of what is left: said, or half of it for the first and an even share for those
    /// that remain. A try that no other will follow has all of it.
    pub(crate) fn share(&self, left: Duration, done: u32, alone: bool) -> Duration {
        let remaining = match self.attempts.saturating_sub(done) {
            0 | 1 => 1,
            _ if alone => 1,
            _ if done == 0 => 2,
            remaining => remaining,
        };
        self.per_try.unwrap_or(left / remaining).min(left)
    }

    pub(crate) fn retries_on(&self, cause: RetryOn) -> bool {
        self.on.contains(&cause)
    }
}

impl Service {
    /// Requests under way on all its endpoints.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.endpoints.iter().map(|endpoint| endpoint.load.in_flight()).sum()
    }

    /// Whether an operator has taken it out of rotation.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Relaxed)
    }

    /// Whether so few endpoints pass their probes that probes alone take none of them out.
    #[must_use]
    pub fn doubts_probes(&self) -> bool {
        self.shared.doubts_probes.load(Relaxed)
    }

    /// Whether this endpoint is asked as a matter of course, also where only its probes speak against it and are doubted.
    pub(crate) fn asks(&self, endpoint: &Endpoint, now: Time) -> bool {
        match endpoint.standing(now) {
            Standing::In(_) => true,
            Standing::Unhealthy => self.doubts_probes() && endpoint.by_traffic(now).is_in(),
            Standing::HalfOpen
            | Standing::Silent
            | Standing::Ejected(_)
            | Standing::Open(_)
            | Standing::Out => false,
        }
    }

    /// Counts who passes probes, and says so when that changes what probes are worth. Only where requests are carried: a
    /// database whose probe fails is asked nothing, since what it would answer may be wrong.
    pub(crate) fn weigh_probes(&self) {
        if !self.driver.abilities().contains(&Ability::Http) {
            return;
        }
        let taken = self.endpoints.iter().filter(|endpoint| endpoint.load.weight() > 0);
        let (several, unhealthy) = taken.fold((0, 0), |(several, unhealthy), endpoint| {
            (several + 1, unhealthy + usize::from(endpoint.health_state() == HealthState::Unhealthy))
        });
        let doubts = self.health.enabled && are_doubted(self.health.panic_threshold, several, unhealthy);
        if self.shared.doubts_probes.swap(doubts, Relaxed) == doubts {
            return;
        }
        let (kind, message) = if doubts {
            let asked = "all whose breaker is closed are asked all the same";
            (
                "service.probes_doubted",
                format!("{unhealthy} of {several} endpoints fail their probes: {asked}"),
            )
        } else {
            (
                "service.probes_believed",
                format!("{} of {several} endpoints pass their probes", several - unhealthy),
            )
        };
        self.events.tell(Happening {
            kind: kind.to_owned(),
            cluster: Some(self.cluster.to_string()),
            service: Some(self.name.to_string()),
            actor: "probe".to_owned(),
            message,
            ..Happening::default()
        });
    }

    /// `cluster/name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }
}
