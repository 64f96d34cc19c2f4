//! From what is asked to what runs. Whatever a change does not concern is taken over as it is: connections,
//! counters, health, breakers, data.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::{Driver, Home};
use model::kind::Place;
use model::view::Owner;
use model::{Address, ClusterSpec, Code, EndpointSpec, Failure, HealthSpec, Role, RouteSpec, ServiceSpec};
use policy::{Budget, Clients, Table};
use telemetry::{Flow, Meter};
use wire::cores;

use crate::Clusters;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::events::Events;
use crate::named_files;
use crate::provision::{At, Hands};
use crate::room::Room;
use crate::route::Route;
use crate::service::{Service, Shared, Tactics};
use crate::snapshot::Cluster;

/// What a cluster stands on.
pub(crate) struct Ground<'g> {
    pub(crate) events: &'g Events,
    /// Where embedded services keep their files, below `services/`.
    pub(crate) data: &'g Path,
    /// Who knows where the services are that the gateway runs.
    pub(crate) hands: &'g Hands,
}

impl Clusters {
    pub(crate) fn ground(&self) -> Ground<'_> {
        Ground { events: self.events(), data: &self.0.data_dir, hands: &self.0.hands }
    }
}

/// Makes the running cluster, taking over from `old` what stays the same.
pub(crate) fn cluster(
    mut spec: ClusterSpec,
    old: Option<&Cluster>,
    revision: u64,
    ground: &Ground<'_>,
) -> Result<Cluster, Failure> {
    if let Some(old) = old {
        share_routes(&mut spec.routes, &old.spec.routes);
    }
    let id = spec.cluster_id.shared();
    let (mut services, mut failures) = (Vec::with_capacity(spec.services.len()), Vec::new());
    for (name, asked) in &spec.services {
        let before = old.and_then(|old| Some((old.service(name)?, old)));
        match service(&id, name, asked, &spec, before, ground) {
            Ok(service) => services.push(service),
            Err(failure) => failures.push((name.as_str(), failure)),
        }
    }
    named_files::refuse(failures)?;
    let route_meters = old.map(|old| Arc::clone(&old.route_meters)).unwrap_or_default();
    let clients =
        old.map_or_else(|| Arc::new(Clients::new(crate::choice::random())), |old| Arc::clone(&old.clients));
    Ok(Cluster { spec, services, revision, route_meters, clients })
}

fn service(
    cluster: &Arc<str>,
    name: &str,
    asked: &ServiceSpec,
    spec: &ClusterSpec,
    before: Option<(&Arc<Service>, &Cluster)>,
    ground: &Ground<'_>,
) -> Result<Arc<Service>, Failure> {
    let at = asked.is_provisioned().then(|| ground.hands.at(cluster, name)).flatten();
    if let Some((service, old)) = before
        && service.spec == *asked
        && service.at == at
        && old.spec.routing == spec.routing
        && old.spec.health == spec.health
    {
        return Ok(Arc::clone(service));
    }
    let driver = adapters::driver(&asked.kind)
        .ok_or_else(|| Failure::client(Code::InvalidConfig, format!("There is no kind `{}`.", asked.kind)))?;
    let health = asked.health(&spec.health);
    // Another kind under the same name is another service: nothing is taken over but the name.
    let before = before.filter(|(service, _)| service.spec.kind == asked.kind);
    let home = home(ground.data, cluster, name);
    let endpoints = addresses(driver, asked, at.as_ref())
        .iter()
        .map(|at| endpoint(driver, at, asked, spec, &health, before, &home))
        .collect::<Result<_, _>>()?;
    let budget = spec.routing.retry_budget;
    let kept = before.filter(|(_, old)| old.spec.routing.retry_budget.to_bits() == budget.to_bits());
    Ok(Arc::new(Service {
        cluster: Arc::clone(cluster),
        name: name.into(),
        driver,
        spec: asked.clone(),
        at,
        endpoints,
        tactics: Tactics::of_cluster(&spec.routing),
        health,
        breaker_spec: spec.routing.circuit_breaker.clone(),
        meter: before.map_or_else(|| Arc::new(Meter::new(cores::slots())), |(s, _)| Arc::clone(&s.meter)),
        flow: before.map_or_else(|| Arc::new(Flow::new(cores::slots())), |(s, _)| Arc::clone(&s.flow)),
        shared: before.map_or_else(|| Arc::new(Shared::new()), |(s, _)| Arc::clone(&s.shared)),
        budget: kept.map_or_else(|| Arc::new(Budget::new(budget)), |(s, _)| Arc::clone(&s.budget)),
        room: room(asked, before.map(|(service, _)| &**service)),
        events: ground.events.clone(),
    }))
}

/// The room that is asked for: the one that there is, where its walls can be moved.
fn room(asked: &ServiceSpec, before: Option<&Service>) -> Option<Arc<Room>> {
    let limits = asked.limits()?;
    let kept = before.and_then(|before| {
        let (room, had) = (before.room.as_ref()?, before.spec.limits()?);
        room.fits(&limits, &had).then(|| Arc::clone(room))
    });
    kept.or_else(|| Room::of(&limits).map(Arc::new))
}

/// Where a service is at home.
pub(crate) fn home(data: &Path, cluster: &Arc<str>, name: &str) -> Home {
    Home { cluster: Arc::clone(cluster), service: name.into(), dir: cluster_data(data, cluster).join(name) }
}

/// What the services of a cluster keep on this machine, each in a directory of its own below.
pub(crate) fn cluster_data(data: &Path, cluster: &str) -> PathBuf {
    data.join("services").join(cluster)
}

/// Where its endpoints are; one whose nodes the client chooses has one, at the first of them, a service inside this process
/// has one, and no address, and one that the gateway runs is where that reaches it, `at`, once it was started.
fn addresses(driver: &dyn Driver, asked: &ServiceSpec, at: Option<&At>) -> Vec<EndpointSpec> {
    match driver.place() {
        Place::Network if at.is_some() => {
            let (host, port) = at.cloned().unwrap_or_default();
            vec![EndpointSpec { host, port, weight: 1, role: Role::Primary }]
        }
        Place::Network if driver.chooses_nodes(asked) => asked.all_endpoints().into_iter().take(1).collect(),
        Place::Network => asked.all_endpoints(),
        Place::Embedded => {
            let Address { host, port } = Address::embedded();
            vec![EndpointSpec { host: host.to_string(), port, weight: 1, role: Role::Primary }]
        }
    }
}

fn endpoint(
    driver: &dyn Driver,
    at: &EndpointSpec,
    asked: &ServiceSpec,
    spec: &ClusterSpec,
    health: &HealthSpec,
    before: Option<(&Arc<Service>, &Cluster)>,
    home: &Home,
) -> Result<Arc<Endpoint>, Failure> {
    let outlier = asked.outlier.clone().unwrap_or_default();
    let mut kept = None;
    if let Some((service, old)) = before
        && let Some(endpoint) = service.endpoints.iter().find(|endpoint| endpoint.address == at.address())
        && same_connection(driver, &service.spec, asked)
    {
        let same_judgement = old.spec.routing.circuit_breaker == spec.routing.circuit_breaker
            && service.health == *health
            && endpoint.outlier == outlier;
        if same_judgement && endpoint.role == at.role {
            return Ok(Arc::clone(endpoint));
        }
        kept = Some(endpoint);
    }
    let adapter = match kept {
        Some(endpoint) => Arc::clone(&endpoint.adapter),
        None => driver.connect(at, asked, home)?,
    };
    let mut built = Endpoint::new(at, adapter, &spec.routing.circuit_breaker, health, outlier);
    built.load = built.load.named(name(&home.cluster, &home.service, &built.label));
    if let Some(endpoint) = kept {
        // What it says of itself holds on: who was replaced is not written to because a setting has changed.
        built.set_lead(endpoint.lead());
    } else if before.is_some_and(|(service, _)| !service.endpoints.is_empty()) {
        // The others have warmed up.
        built.load.rise(clock::now(), built.outlier.slow_start.0);
    }
    Ok(Arc::new(built))
}

/// What an endpoint is called where clients see it. Cluster and service are mixed in, so that the same address is told
/// by another number elsewhere; every gateway with the same files says the same.
fn name(cluster: &str, service: &str, label: &str) -> u64 {
    policy::fingerprint(format!("{cluster}/{service}/{label}").as_bytes())
}

/// Whether a connection made for the one is good for the other.
fn same_connection(driver: &dyn Driver, a: &ServiceSpec, b: &ServiceSpec) -> bool {
    // A client that chooses among them knows all of them.
    let nodes = |spec: &ServiceSpec| driver.chooses_nodes(spec).then(|| spec.all_endpoints());
    a.options == b.options
        && a.username == b.username
        && a.password == b.password
        && a.database == b.database
        && nodes(a) == nodes(b)
}

/// Gives the endpoints that were taken over the weights that are asked now, and rooms that were their walls. Done when the
/// change is published, so that one that is refused on the way has changed nothing.
pub(crate) fn set_weights(cluster: &Cluster) {
    for service in &cluster.services {
        if let (Some(room), Some(limits)) = (&service.room, service.spec.limits()) {
            room.rebuild(&limits);
        }
        let at = service.at.as_ref();
        for (at, endpoint) in addresses(service.driver, &service.spec, at).iter().zip(&service.endpoints) {
            endpoint.load.set_weight(at.weight);
        }
    }
}

/// Makes the running route.
pub(crate) fn route(spec: Arc<RouteSpec>, owner: Owner, cluster: &Cluster) -> Result<Arc<Route>, Failure> {
    Route::new(spec, owner, cluster, None).map(Arc::new)
}

/// Makes the running route in place of the one of its cluster that had its id, if one had: it is counted on.
pub(crate) fn route_after(
    before: &Table<Arc<Route>>,
    spec: Arc<RouteSpec>,
    owner: Owner,
    cluster: &Cluster,
) -> Result<Arc<Route>, Failure> {
    let old = before.get(&spec.id).filter(|old| old.spec.cluster == spec.cluster);
    Route::new(spec, owner, cluster, old.map(|old| &**old)).map(Arc::new)
}

/// What of the routes is as it was is one with it: tens of thousands are not held twice.
fn share_routes(routes: &mut [Arc<RouteSpec>], old: &[Arc<RouteSpec>]) {
    let old: HashMap<&str, &Arc<RouteSpec>> = old.iter().map(|route| (route.id.as_str(), route)).collect();
    for route in routes {
        if let Some(same) = old.get(route.id.as_str()).filter(|old| ***old == *route) {
            *route = Arc::clone(same);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{EndpointSpec, RoutingSpec};
    use policy::Lead;

    use super::*;

    fn spec(threshold: u32) -> ClusterSpec {
        let network = adapters::DRIVERS.iter().find(|driver| driver.place() == Place::Network).unwrap();
        let endpoint = |port| EndpointSpec { host: "127.0.0.1".into(), port, weight: 1, role: Role::Primary };
        let mut service = ServiceSpec::of_kind(network.name());
        service.endpoints = vec![endpoint(1), endpoint(2)];
        let mut routing = RoutingSpec::default();
        routing.circuit_breaker.failure_threshold = threshold;
        ClusterSpec {
            cluster_id: "shop".parse().unwrap(),
            name: "Shop".into(),
            description: String::new(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            services: vec![("db".into(), service)],
            routes: Vec::new(),
            routing,
            health: HealthSpec::default(),
        }
    }

    #[tokio::test]
    async fn who_was_replaced_is_not_written_to_since_a_setting_has_changed() {
        let (events, data) = (Events::default(), Path::new("/nowhere"));
        let hands = Hands::new(crate::Provisioning::default(), data);
        let ground = Ground { events: &events, data, hands: &hands };
        let before = cluster(spec(5), None, 1, &ground).unwrap();
        before.services[0].endpoints[0].set_lead(Lead::Replaced);
        before.services[0].endpoints[1].set_lead(Lead::Leads);
        let after = cluster(spec(6), Some(&before), 2, &ground).unwrap();
        let (old, new) = (&before.services[0].endpoints, &after.services[0].endpoints);
        assert!(!Arc::ptr_eq(&old[0], &new[0]) && Arc::ptr_eq(&old[0].adapter, &new[0].adapter));
        assert_eq!((new[0].lead(), new[1].lead()), (Lead::Replaced, Lead::Leads));
    }
}
