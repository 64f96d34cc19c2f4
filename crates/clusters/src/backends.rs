//! Every endpoint in one list, as the status pages of an earlier gateway show them.

use std::cmp::Ordering;

use adapters::Driver;
use model::kind::{Ability, Place};
use policy::State;

use crate::endpoint::Endpoint;
use crate::judge::Looked;
use crate::service::Service;
use crate::{Clusters, clock};

/// An endpoint with what balances and breaks before it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// `cluster/service`.
    pub service: String,
    /// Scheme, host and port; for one inside this process, its kind and service.
    pub url: String,
    /// Whether requests are carried to it, and not calls of another sort.
    pub carries_http: bool,
    /// Whether requests are sent there.
    pub healthy: bool,
    /// Tries under way.
    pub active: u32,
    /// Its share against its siblings.
    pub weight: u32,
    /// How it is picked among them, where no route says otherwise.
    pub algorithm: &'static str,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Failures since the last success.
    pub failures: u32,
    /// Since when its breaker is that.
    pub since: jiff::Timestamp,
}

impl Clusters {
    /// Every endpoint of every service, by service.
    #[must_use]
    pub fn backends(&self) -> Vec<Backend> {
        let world = self.snapshot();
        let services = world.clusters.values().flat_map(|cluster| &cluster.services);
        let mut backends: Vec<Backend> = services
            .flat_map(|service| service.endpoints.iter().map(|endpoint| backend(service, endpoint)))
            .collect();
        // Those of one service stay in the order that its document has.
        backends.sort_by(|a, b| -> Ordering { a.service.cmp(&b.service) });
        backends
    }
}

fn backend(service: &Service, endpoint: &Endpoint) -> Backend {
    let now = clock::now();
    let carries_http = service.driver.abilities().contains(&Ability::Http);
    Backend {
        service: service.path(),
        url: url(service, endpoint, carries_http),
        carries_http,
        healthy: !service.is_draining() && Looked::at(service, endpoint, now).is_asked(),
        active: endpoint.load.in_flight(),
        weight: endpoint.load.weight(),
        algorithm: service.tactics.strategy.name(),
        breaker: match endpoint.breaker_state(now) {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half-open",
        },
        failures: endpoint.breaker.failures(),
        since: clock::wall(endpoint.breaker.since(now).max(endpoint.born())),
    }
}

fn url(service: &Service, endpoint: &Endpoint, carries_http: bool) -> String {
    let driver: &dyn Driver = service.driver;
    if driver.place() == Place::Embedded {
        return format!("{}://{}", driver.name(), service.path());
    }
    let is_secured = service.spec.options.get("tls").is_some_and(|tls| tls["enabled"] != false);
    match (carries_http, is_secured) {
        (false, _) => format!("{}://{}", driver.name(), endpoint.label),
        (true, false) => format!("http://{}", endpoint.label),
        (true, true) => format!("https://{}", endpoint.label),
    }
}
