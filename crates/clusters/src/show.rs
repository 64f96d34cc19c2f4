//! What is shown of the running world. Everything here is known already: nobody probes to draw a list.

use std::sync::atomic::Ordering::Relaxed;

use adapters::Registry;
use model::kind::Place;
use model::view::{
    ClusterHealth, ClusterMetrics, ClusterSummary, ConnectionFacts, EndpointFacts, LimitFacts, Metrics,
    Quantiles, ServiceFacts, ServiceSummary, Status,
};
use model::{Failure, Role};
use policy::{HealthState, Lead, State, Time};
use serde_json::{Value, json};
use telemetry::Reading;
use telemetry::histogram::Counts;
use telemetry::metrics::{ConnectionSample, EndpointSample, RoomSample, RouteSample, Sample, ServiceSample};

use crate::endpoint::{Endpoint, Standing};
use crate::judge::{Judgement, Looked, judge};
use crate::room::Occupancy;
use crate::route_meter::OTHERS;
use crate::service::Service;
use crate::snapshot::{Cluster, Snapshot};
use crate::{Clusters, clock};

/// A cluster as shown, and the revision that its ETag is made of.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The body.
    pub body: Value,
    /// Rises with each change.
    pub revision: u64,
}

impl Clusters {
    /// Every cluster, by id.
    #[must_use]
    pub fn list(&self) -> Vec<ClusterSummary> {
        let world = self.snapshot();
        let mut all: Vec<ClusterSummary> = world.clusters.values().map(|cluster| summary(cluster)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// One cluster: its spec with secrets masked, and how it is.
    ///
    /// # Errors
    /// `not_found`.
    pub fn show(&self, id: &str) -> Result<Shown, Failure> {
        let world = self.snapshot();
        let cluster = world.cluster(id)?;
        let status = status(cluster);
        let mut body = json!({ "id": id });
        if let (Value::Object(body), Value::Object(spec)) =
            (&mut body, model::secrets::masked(&cluster.spec, &Registry))
        {
            body.extend(spec);
            body.insert("healthy".into(), json!(status == Status::Healthy));
            body.insert("status".into(), json!(status));
            body.entry("routes").or_insert_with(|| json!([]));
        }
        Ok(Shown { body, revision: cluster.revision })
    }

    /// The facts of every service of a cluster.
    ///
    /// # Errors
    /// `not_found`.
    pub fn health(&self, id: &str) -> Result<ClusterHealth, Failure> {
        let world = self.snapshot();
        let cluster = world.cluster(id)?;
        let services = cluster.services.iter().map(|s| (s.name.to_string(), s.facts())).collect();
        let status = status(cluster);
        Ok(ClusterHealth { cluster_id: id.to_owned(), healthy: status == Status::Healthy, status, services })
    }

    /// The facts of one service.
    ///
    /// # Errors
    /// `not_found`.
    pub fn service_facts(&self, id: &str, name: &str) -> Result<ServiceFacts, Failure> {
        Ok(self.snapshot().service(id, name)?.facts())
    }

    /// Counts and times of a cluster and of each of its services.
    ///
    /// # Errors
    /// `not_found`.
    pub fn metrics(&self, id: &str) -> Result<ClusterMetrics, Failure> {
        let world = self.snapshot();
        let mut total = (Counts::default(), 0, 0);
        let mut services = std::collections::BTreeMap::new();
        for service in &world.cluster(id)?.services {
            let reading = service.meter.read();
            let errors: u64 = reading.errors.iter().map(|(_, count)| count).sum();
            total.0.merge(&reading.durations);
            total.1 += errors;
            total.2 += reading.active;
            services.insert(service.name.to_string(), metrics(&reading.durations, errors, reading.active));
        }
        Ok(ClusterMetrics { cluster_id: id.to_owned(), total: metrics(&total.0, total.1, total.2), services })
    }

    /// What `/metrics` shows.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let world = self.snapshot();
        let mut refused = self.traffic().refused();
        for (code, count) in self.control().refused().into_iter().chain(self.data().refused()) {
            match refused.iter_mut().find(|(own, _)| *own == code) {
                Some((_, sum)) => *sum += count,
                None => refused.push((code, count)),
            }
        }
        let doors = [("traffic", self.traffic()), ("control", self.control()), ("data", self.data())];
        let handshakes_failed = doors.iter().flat_map(|(name, door)| {
            door.handshakes_failed().into_iter().map(|(reason, count)| (*name, reason, count))
        });
        let not_introduced = doors.iter().flat_map(|(name, door)| {
            door.not_introduced().into_iter().map(|(reason, count)| (*name, reason, count))
        });
        let mut services: Vec<ServiceSample> =
            world.clusters.values().flat_map(|cluster| &cluster.services).map(|s| sample(s)).collect();
        services.sort_by(|a, b| (&a.cluster, &a.service).cmp(&(&b.cluster, &b.service)));
        Sample {
            clusters: world.clusters.len(),
            services,
            routes: routes(&world),
            connections: doors.iter().map(|(name, door)| (*name, door.connections.load(Relaxed))).collect(),
            refused,
            handshakes_failed: handshakes_failed.collect(),
            not_introduced: not_introduced.collect(),
        }
    }
}

/// What was counted of each route that was asked, and of all those together that have no count of their own.
fn routes(world: &Snapshot) -> Vec<RouteSample> {
    let own = world.routes.iter().filter_map(|route| {
        let reading = route.meter.own()?.read();
        Some(RouteSample { cluster: route.spec.cluster.clone(), route: route.id.to_string(), reading })
    });
    let others = world.clusters.values().filter_map(|cluster| {
        let reading = cluster.route_meters.others()?.read();
        Some(RouteSample { cluster: cluster.spec.cluster_id.to_string(), route: OTHERS.to_owned(), reading })
    });
    let mut routes: Vec<RouteSample> = own.chain(others).collect();
    routes.sort_by(|a, b| (&a.cluster, &a.route).cmp(&(&b.cluster, &b.route)));
    routes
}

fn summary(cluster: &Cluster) -> ClusterSummary {
    let status = status(cluster);
    ClusterSummary {
        id: cluster.spec.cluster_id.to_string(),
        cluster_id: cluster.spec.cluster_id.to_string(),
        name: cluster.spec.name.clone(),
        created_at: cluster.spec.created_at,
        healthy: status == Status::Healthy,
        status,
        services: cluster.services.iter().map(|service| service_summary(service)).collect(),
    }
}

fn service_summary(service: &Service) -> ServiceSummary {
    let status = judge(service, clock::now()).status;
    let embedded = service.driver.place() == Place::Embedded;
    let first = service.endpoints.first().filter(|_| !embedded);
    ServiceSummary {
        name: service.name.to_string(),
        kind: service.driver.name().to_owned(),
        host: first.map(|endpoint| endpoint.address.host.to_string()).unwrap_or_default(),
        port: first.map_or(0, |endpoint| endpoint.address.port),
        healthy: status == Status::Healthy,
        status,
    }
}

fn status(cluster: &Cluster) -> Status {
    let now = clock::now();
    Status::of_all(cluster.services.iter().map(|service| judge(service, now).status))
}

fn metrics(durations: &Counts, errors: u64, active: u64) -> Metrics {
    let quantile = |q| durations.quantile_ms(q);
    let latency_ms = Quantiles { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) };
    Metrics { requests: durations.count(), errors, active, latency_ms }
}

fn sample(service: &Service) -> ServiceSample {
    let now = clock::now();
    let reading: Reading = service.meter.read();
    let endpoint = |endpoint: &std::sync::Arc<Endpoint>| {
        let breaker = match endpoint.breaker_state(now) {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open { .. } => 2,
        };
        EndpointSample {
            address: endpoint.label.to_string(),
            asked: Looked::at(service, endpoint, now).is_asked(),
            breaker,
            in_flight: endpoint.load.in_flight().into(),
            connections: endpoint.connections().map(|now| ConnectionSample {
                limit: now.most as u64,
                open: now.open as u64,
                waiting: now.waiting as u64,
            }),
        }
    };
    let room = service.room.as_ref().map(|room| room.occupancy());
    ServiceSample {
        cluster: service.cluster.to_string(),
        service: service.name.to_string(),
        kind: service.driver.name().to_owned(),
        healthy: judge(service, now).status != Status::Unhealthy,
        reading,
        room: room.map(|room| RoomSample { limit: room.most.into(), waiting: room.waiting.into() }),
        carried: service.flow.read(),
        endpoints: service.endpoints.iter().map(endpoint).collect(),
    }
}

impl Service {
    /// Everything that is known of it.
    #[must_use]
    pub fn facts(&self) -> ServiceFacts {
        let now = clock::now();
        let Judgement { status, verdict, reason, since } = judge(self, now);
        let endpoints: Vec<EndpointFacts> =
            self.endpoints.iter().map(|endpoint| endpoint_facts(self, endpoint, now)).collect();
        let embedded = self.driver.place() == Place::Embedded;
        let worst = |words: [&str; 2], of: fn(&EndpointFacts) -> &str, otherwise: &str| {
            let has = |word: &&str| endpoints.iter().any(|endpoint| of(endpoint) == *word);
            words.iter().find(|word| has(word)).map_or(otherwise, |word| word).to_owned()
        };
        let health = match status {
            Status::Healthy => "healthy",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
            Status::Unknown => "unknown",
        };
        ServiceFacts {
            name: self.name.to_string(),
            kind: self.driver.name().to_owned(),
            healthy: status == Status::Healthy,
            status,
            verdict: verdict.to_owned(),
            reason,
            since: clock::wall(since),
            lifecycle: match self.lifecycle() {
                Some(lifecycle) => lifecycle.word,
                None if embedded => "embedded",
                None => "external",
            }
            .to_owned(),
            health: health.to_owned(),
            rotation: if self.is_draining() {
                "draining".to_owned()
            } else {
                worst(["ejected", "in"], |e| &e.rotation, "in")
            },
            breaker: worst(["open", "half-open"], |e| &e.breaker, "closed"),
            limits: self.room.as_ref().map(|room| limit_facts(room.occupancy())),
            endpoints,
        }
    }
}

/// What it is by what it says, or else as asked.
fn role(endpoint: &Endpoint) -> &'static str {
    match (endpoint.lead(), endpoint.role) {
        (Lead::Leads, _) | (Lead::Unsaid, Role::Primary) => "primary",
        (Lead::Follows | Lead::CutOff, _) | (Lead::Unsaid, Role::Replica) => "replica",
        (Lead::Replaced, _) => "replaced",
        (Lead::Contested, _) => "contested",
    }
}

fn limit_facts(Occupancy { most, inside, waiting }: Occupancy) -> LimitFacts {
    LimitFacts { max_requests: most, in_flight: inside, pending: waiting }
}

fn endpoint_facts(service: &Service, endpoint: &Endpoint, now: Time) -> EndpointFacts {
    let looked = Looked::at(service, endpoint, now);
    let healthy = looked.is_well();
    let Looked { standing, since, why, .. } = looked;
    EndpointFacts {
        address: endpoint.label.to_string(),
        role: role(endpoint).to_owned(),
        weight: endpoint.load.weight(),
        healthy,
        reason: why,
        since: clock::wall(since),
        health: match endpoint.health_state() {
            HealthState::Unknown => "unknown",
            HealthState::Healthy => "healthy",
            HealthState::Unhealthy => "unhealthy",
        }
        .to_owned(),
        rotation: match standing {
            Standing::Ejected(_) | Standing::Silent => "ejected",
            Standing::Out => "maintenance",
            _ => "in",
        }
        .to_owned(),
        breaker: match endpoint.breaker_state(now) {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half-open",
        }
        .to_owned(),
        in_flight: u64::from(endpoint.load.in_flight()),
        latency_ms: endpoint.load.latency(now).as_secs_f64() * 1000.0,
        connections: endpoint.connections().map(|now| ConnectionFacts {
            max_connections: now.most,
            open: now.open,
            pending: now.waiting,
        }),
    }
}
