//! The watch over all endpoints: probes when they are due, and changes of standing told as events.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use policy::{HealthState, Proof, Time, next_interval};
use tokio::task::JoinSet;

use crate::clock;
use crate::endpoint::Endpoint;
use crate::service::Service;
use crate::{Clusters, choice};

/// How often it is looked around.
const TICK: Duration = Duration::from_millis(100);
/// Between a probe that contradicts the verdict and the next: a service that comes back is not kept waiting.
const TO_BE_SURE: Duration = Duration::from_millis(300);
/// Between the probes of an endpoint that was never probed, until its verdict stands.
const QUICK: Duration = Duration::from_millis(50);
/// Between probes while nobody may be written to: whoever is promoted is noticed soon.
const LEADERLESS: Duration = Duration::from_millis(500);
/// How long a creation waits for the first verdicts.
const FIRST_VERDICT: Duration = Duration::from_secs(2);

/// Watches until it is dropped.
pub(crate) async fn watch(clusters: Clusters) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut probes = JoinSet::new();
    let mut ticks = 0_u64;
    loop {
        tick.tick().await;
        while probes.try_join_next().is_some() {}
        let world = clusters.snapshot().clone();
        let now = clock::now();
        let engines_are_ours = !adapters::gate::is_shut();
        for service in world.clusters.values().flat_map(|cluster| &cluster.services) {
            if !engines_are_ours && service.is_embedded() {
                continue;
            }
            service.weigh_probes();
            for endpoint in &service.endpoints {
                tell(service, endpoint, now, "traffic");
                service.heed(endpoint);
                if service.health.enabled && endpoint.take_probe(now) {
                    let (service, endpoint) = (Arc::clone(service), Arc::clone(endpoint));
                    probes.spawn(async move {
                        let turn = Turn(&endpoint);
                        let passed = probe(&service, &endpoint).await;
                        endpoint.schedule(&service, passed);
                        drop(turn);
                    });
                }
            }
        }
        ticks += 1;
        if ticks.is_multiple_of(10) {
            clusters.sweep();
        }
    }
}

/// Probes endpoints that nobody knows yet until their verdict stands, or for a while.
pub(crate) async fn first_verdicts(services: &[Arc<Service>]) {
    let mut probes = JoinSet::new();
    for service in services.iter().filter(|service| service.health.enabled) {
        for endpoint in service.endpoints.iter().filter(|e| e.health_state() == HealthState::Unknown) {
            let (service, endpoint) = (Arc::clone(service), Arc::clone(endpoint));
            probes.spawn(async move {
                for _ in 0..service.health.threshold {
                    if endpoint.health_state() != HealthState::Unknown {
                        break;
                    }
                    probe(&service, &endpoint).await;
                    tokio::time::sleep(QUICK).await;
                }
            });
        }
    }
    let all = async { while probes.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FIRST_VERDICT, all).await;
    probes.detach_all();
}

/// Probes a service that is known to answer, until all of its endpoints are in, or for a while.
pub(crate) async fn until_in(service: &Service) {
    let all = async {
        for endpoint in service.endpoints.iter().filter(|_| service.health.enabled) {
            while !endpoint.standing(clock::now()).is_in() {
                probe(service, endpoint).await;
                tokio::time::sleep(QUICK).await;
            }
        }
    };
    let _ = tokio::time::timeout(FIRST_VERDICT, all).await;
}

/// Takes a service that was stopped out at once: no probe need find out what is known.
pub(crate) fn take_out(service: &Service) {
    let now = clock::now();
    for endpoint in service.endpoints.iter().filter(|_| service.health.enabled) {
        endpoint.note_trouble("it was stopped");
        endpoint.health.decide(now, HealthState::Unhealthy);
        tell(service, endpoint, now, "operator");
    }
    service.elect();
}

/// Probes once. Says whether it passed.
pub(crate) async fn probe(service: &Service, endpoint: &Endpoint) -> bool {
    let result = endpoint.adapter.probe(service.health.timeout.0).await;
    let now = clock::now();
    let passed = result.is_ok();
    match result {
        Ok(()) => {
            endpoint.health.probe(now, true);
            let answers = endpoint.adapter.probe_is_an_answer();
            let proven = answers || endpoint.unreached.load(Relaxed);
            endpoint.breaker.probe_passed(now, if proven { Proof::Answer } else { Proof::Connection });
            if answers {
                endpoint.silence.heard(now);
            }
        }
        Err(failure) => {
            endpoint.note_trouble(&format!("probe: {}", failure.detail()));
            endpoint.health.probe(now, false);
        }
    }
    service.elect();
    service.weigh_probes();
    // Whoever waits for the first look waits for what came of it.
    endpoint.last_probe.store(now.0, Relaxed);
    service.shared.probed.notify_waiters();
    tell(service, endpoint, now, "probe");
    passed
}

fn tell(service: &Service, endpoint: &Endpoint, now: Time, actor: &'static str) {
    endpoint.tell(now, &service.events, &service.cluster, &service.name, actor);
}

/// The turn to probe an endpoint: given back however the probe ends.
struct Turn<'e>(&'e Endpoint);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.probing.store(false, Release);
    }
}

impl Endpoint {
    /// Whether a probe is due; if so it is the caller's to make.
    fn take_probe(&self, now: Time) -> bool {
        now >= Time(self.next_probe.load(Relaxed)) && !self.probing.swap(true, Acquire)
    }

    /// When the next probe is due: sooner while something is wrong, soon when the last one contradicts the
    /// verdict, and never in step with its siblings.
    fn schedule(&self, service: &Service, passed: bool) {
        let now = clock::now();
        let suspicious = !passed || !self.standing(now).is_in() || self.adapter.lacks().is_some();
        let mut interval = next_interval(&service.health, self.health_state(), suspicious);
        if service.lacks_a_leader() {
            interval = interval.min(LEADERLESS);
        }
        if passed != (self.health_state() == HealthState::Healthy) {
            interval = interval.min(TO_BE_SURE);
        }
        let jitter = interval.mul_f64(0.1 * ((choice::seed() >> 40) as f64 / f64::from(1 << 24)));
        self.next_probe.store(now.plus(interval.saturating_sub(jitter)).0, Relaxed);
    }
}
