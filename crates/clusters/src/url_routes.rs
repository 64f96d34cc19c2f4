//! Routes from a path to a URL: kept as they were asked for, and run as routes and services like all others, in a
//! cluster that is made of them and of nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use adapters::Registry;
use model::cluster::ClusterSpec;
use model::url_route::{CLUSTER, Origin, UrlRoute, UrlRouteSpec};
use model::view::Owner;
use model::{ClusterId, Code, Failure, HealthSpec, Problem, Problems, RouteSpec, RoutingSpec, ServiceSpec};
use policy::Table;
use serde_json::json;

use crate::change::{By, changed_since, conflicts, refused};
use crate::route::Route;
use crate::route_change::revision;
use crate::snapshot::{Cluster, Snapshot};
use crate::{Clusters, Happening, build};

/// What a request may take where its route says nothing, as the clients of these routes expect it.
const TIMEOUT_MS: u64 = 30_000;

/// All of them, and the last number that was given.
#[derive(Default)]
pub(crate) struct UrlRoutes {
    routes: BTreeMap<i64, Arc<Kept>>,
    last: i64,
}

/// One of them, and where it leads: each change of one looks at where all of them lead.
struct Kept {
    route: UrlRoute,
    /// The id of the route that it is in the world.
    route_id: String,
    origin: Option<Origin>,
}

impl Kept {
    /// It keeps the id that it has, unless that is somebody else's.
    fn new(route: UrlRoute, has: Option<&str>, world: &Snapshot) -> Arc<Kept> {
        let ids = has.map(str::to_owned).into_iter().chain(UrlRoute::route_ids(route.id));
        let route_id = ids.into_iter().find(|id| !is_of_others(world, id)).unwrap_or_default();
        Arc::new(Kept { origin: route.spec.origin(), route_id, route })
    }

    /// Where it leads, and the route that it becomes.
    fn meaning(&self) -> Result<(Origin, RouteSpec), Failure> {
        let (origin, spec) = self.route.spec.meaning(self.route.id).map_err(wrong)?;
        Ok((origin, RouteSpec { id: self.route_id.clone(), ..spec }))
    }

    /// What is to be told of its id, where that is not the one of its number.
    fn tells_its_name(&self) -> Option<String> {
        let (number, own) = (self.route.id, UrlRoute::route_id(self.route.id));
        let id = &self.route_id;
        (*id != own).then(|| {
            format!(
                "The route {number} under `/api/routes` runs as `{id}`: another route has the id `{own}`."
            )
        })
    }
}

impl Clusters {
    /// Every one, by number.
    #[must_use]
    pub fn url_routes(&self) -> Vec<UrlRoute> {
        self.0.url_routes.load().routes.values().map(|kept| kept.route.clone()).collect()
    }

    /// The one of that number, with its revision.
    ///
    /// # Errors
    /// `not_found`.
    pub fn url_route(&self, id: i64) -> Result<(UrlRoute, u64), Failure> {
        let all = self.0.url_routes.load();
        let found = all.routes.get(&id).map(|kept| kept.route.clone()).ok_or_else(|| unknown(id))?;
        let revision = revision(&found);
        Ok((found, revision))
    }

    /// Makes one.
    ///
    /// # Errors
    /// `invalid_request` with every problem, or `conflict` with another route.
    pub async fn create_url_route(&self, spec: UrlRouteSpec, by: By) -> Result<(UrlRoute, u64), Failure> {
        let _desk = self.desk_with_store().await?;
        let id = self.next_number();
        let now = now();
        self.put_url_route(UrlRoute { id, spec, created_at: now, updated_at: now }, "created", &by).await
    }

    /// Replaces the one of that number.
    ///
    /// # Errors
    /// As for creating; `not_found`, or `precondition_failed` when it was changed since `if_match`.
    pub async fn replace_url_route(
        &self,
        id: i64,
        spec: UrlRouteSpec,
        if_match: Option<u64>,
        by: By,
    ) -> Result<(UrlRoute, u64), Failure> {
        let _desk = self.desk_with_store().await?;
        let before = self.unchanged(id, if_match)?;
        let route = UrlRoute { spec, updated_at: now(), ..before };
        self.put_url_route(route, "changed", &by).await
    }

    /// Deletes the one of that number.
    ///
    /// # Errors
    /// `not_found`, or `precondition_failed` when it was changed since `if_match`.
    pub async fn delete_url_route(&self, id: i64, if_match: Option<u64>, by: By) -> Result<(), Failure> {
        let _desk = self.desk_with_store().await?;
        self.unchanged(id, if_match)?;
        let known = self.0.url_routes.load();
        let gone = Arc::clone(known.routes.get(&id).ok_or_else(|| unknown(id))?);
        let mut routes = known.routes.clone();
        routes.remove(&id);
        let (after, _) = self.world_with(&routes, id)?;
        self.0.store.delete_url_route(id).await?;
        self.publish(after, UrlRoutes { routes, last: known.last });
        if let Ok((_, spec)) = gone.meaning() {
            self.tell_route("deleted", &spec, &by);
        }
        Ok(())
    }

    /// The one of that number, if nobody has changed it since.
    fn unchanged(&self, id: i64, if_match: Option<u64>) -> Result<UrlRoute, Failure> {
        let (found, revision) = self.url_route(id)?;
        match if_match {
            Some(asked) if asked != revision => Err(changed_since(&format!("The route {id}"))),
            _ => Ok(found),
        }
    }

    /// One that none of them has had, and whose id nobody else has taken.
    fn next_number(&self) -> i64 {
        let last = self.0.url_routes.load().last;
        let world = self.snapshot();
        let is_free = |id: &i64| !is_of_others(&world, &UrlRoute::route_id(*id));
        (last + 1..).find(is_free).unwrap_or(last + 1)
    }

    /// Builds one into the world, keeps it and publishes it.
    async fn put_url_route(&self, route: UrlRoute, verb: &str, by: &By) -> Result<(UrlRoute, u64), Failure> {
        let known = self.0.url_routes.load();
        let mut routes = known.routes.clone();
        let has = routes.get(&route.id).map(|kept| kept.route_id.clone());
        routes.insert(route.id, Kept::new(route.clone(), has.as_deref(), &self.snapshot()));
        let (after, spec) = self.world_with(&routes, route.id)?;
        self.0.store.put_url_route(&route).await?;
        self.publish(after, UrlRoutes { routes, last: known.last.max(route.id) });
        if let Some(spec) = spec {
            self.tell_route(verb, &spec, by);
        }
        let revision = revision(&route);
        Ok((route, revision))
    }

    fn publish(&self, after: Snapshot, routes: UrlRoutes) {
        let cluster = after.clusters.get(CLUSTER).cloned();
        self.0.world.store(Arc::new(after));
        self.0.url_routes.store(Arc::new(routes));
        if let Some(cluster) = cluster {
            settle(&cluster);
        }
    }

    /// The world in which these are the routes, of which the one of that number is new, changed or gone.
    fn world_with(
        &self,
        all: &BTreeMap<i64, Arc<Kept>>,
        changed: i64,
    ) -> Result<(Snapshot, Option<RouteSpec>), Failure> {
        let before = self.snapshot().clone();
        let asked = all.get(&changed).map(|kept| kept.meaning()).transpose()?;
        if let Some((origin, _)) = &asked {
            service_of(origin)?;
        }
        let spec = asked.map(|(_, spec)| spec);
        let cluster = self.cluster_of(&before, all)?;
        let mut routes = self.routes_without(&before, changed);
        if let (Some(spec), Some(cluster)) = (&spec, &cluster) {
            let spec = Arc::new(spec.clone());
            let built = build::route_after(&before.routes, Arc::clone(&spec), Owner::Api, cluster)?;
            routes = routes.with(&spec, built).map_err(|conflict| conflicts(&conflict))?;
        }
        let is_other = |spec: &&Arc<RouteSpec>| UrlRoute::number(spec) != Some(changed);
        let stranded = before.stranded.iter().filter(is_other).cloned().collect();
        let clusters = with_cluster(&before, cluster);
        Ok((Snapshot { routes, clusters, stranded }, spec))
    }

    /// The routes that there are but for the one of that number. One of somebody else stays, whatever it is called.
    fn routes_without(&self, before: &Snapshot, number: i64) -> Table<Arc<Route>> {
        let known = self.0.url_routes.load();
        let id = known.routes.get(&number).map(|kept| kept.route_id.as_str());
        let runs = id.filter(|id| !is_of_others(before, id));
        runs.map_or_else(|| before.routes.clone(), |id| before.routes.without(id))
    }

    /// The cluster of the services that these lead to; the running one when it has just these.
    fn cluster_of(
        &self,
        before: &Snapshot,
        all: &BTreeMap<i64, Arc<Kept>>,
    ) -> Result<Option<Arc<Cluster>>, Failure> {
        let old = before.clusters.get(CLUSTER);
        let origins: BTreeSet<&Origin> = all.values().filter_map(|kept| kept.origin.as_ref()).collect();
        let known: BTreeMap<&str, &ServiceSpec> =
            old.iter().flat_map(|old| &old.spec.services).map(|(name, spec)| (name.as_str(), spec)).collect();
        let service = |origin: &Origin| {
            let name = origin.service();
            // One of a kind that this version does not know was kept by another.
            let spec =
                known.get(name.as_str()).map(|spec| (*spec).clone()).or_else(|| service_of(origin).ok())?;
            Some((name, spec))
        };
        let mut services: Vec<(String, ServiceSpec)> = origins.into_iter().filter_map(service).collect();
        services.sort_by(|(a, _), (b, _)| a.cmp(b));
        if services.is_empty() {
            return Ok(None);
        }
        if let Some(old) = old.filter(|old| old.spec.services == services) {
            return Ok(Some(Arc::clone(old)));
        }
        let spec = spec_of(services, old.map(|old| old.spec.created_at))?;
        let (old, revision) = (old.map(|old| &**old), self.next_revision());
        let built = build::cluster(spec, old, revision, &self.ground());
        built.map(Arc::new).map(Some)
    }

    /// Puts what the store has of them into the world. One that cannot stand there is told of, and stays kept.
    pub(crate) fn load_url_routes(&self, (kept, last): (Vec<UrlRoute>, i64)) -> Result<(), Failure> {
        let before = self.snapshot().clone();
        let all: BTreeMap<i64, Arc<Kept>> =
            kept.into_iter().map(|route| (route.id, Kept::new(route, None, &before))).collect();
        let cluster = self.cluster_of(&before, &all)?;
        let (mut routes, mut stranded) = (before.routes.clone(), before.stranded.clone());
        for kept in all.values() {
            let placed = kept.meaning().and_then(|(origin, spec)| {
                service_of(&origin)?;
                // What leads to a service has its cluster.
                let cluster = cluster.as_ref().ok_or_else(|| unknown(kept.route.id))?;
                let spec = Arc::new(spec);
                let built = build::route(Arc::clone(&spec), Owner::Api, cluster)?;
                match routes.with(&spec, built) {
                    Ok(with) => Ok(with),
                    Err(conflict) => {
                        stranded.push(spec);
                        Err(conflicts(&conflict))
                    }
                }
            });
            match placed {
                Ok(with) => routes = with,
                Err(failure) => self.tell_of_start("route.stranded", kept, failure.detail().to_owned()),
            }
            if let Some(message) = kept.tells_its_name() {
                self.tell_of_start("route.renamed", kept, message);
            }
        }
        let clusters = with_cluster(&before, cluster);
        let routes = Snapshot { routes, clusters, stranded };
        self.publish(routes, UrlRoutes { routes: all, last });
        Ok(())
    }

    fn tell_of_start(&self, kind: &str, kept: &Kept, message: String) {
        self.events().tell(Happening {
            kind: kind.to_owned(),
            cluster: Some(CLUSTER.to_owned()),
            route: Some(kept.route_id.clone()),
            actor: "start".to_owned(),
            message,
            ..Happening::default()
        });
    }
}

/// Whether a route that is none of these has this id, one that leads nowhere at present included.
fn is_of_others(world: &Snapshot, id: &str) -> bool {
    let is_other = |spec: &RouteSpec| spec.cluster != CLUSTER;
    world.routes.get(id).is_some_and(|route| is_other(&route.spec))
        || world.stranded.iter().any(|spec| spec.id == id && is_other(spec))
}

/// Nobody else changes what is made of these routes.
pub(crate) fn refuse_reserved(cluster: &str) -> Result<(), Failure> {
    if cluster != CLUSTER {
        return Ok(());
    }
    Err(Failure::client(
        Code::Conflict,
        format!("The cluster `{CLUSTER}` is made of the routes under `/api/routes`."),
    )
    .with_hint("Change those, or take another name for a cluster of your own."))
}

fn with_cluster(
    before: &Snapshot,
    cluster: Option<Arc<Cluster>>,
) -> std::collections::HashMap<Arc<str>, Arc<Cluster>, foldhash::fast::RandomState> {
    let mut clusters = before.clusters.clone();
    match cluster {
        Some(cluster) => clusters.insert(cluster.spec.cluster_id.shared(), cluster),
        None => clusters.remove(CLUSTER),
    };
    clusters
}

fn settle(cluster: &Cluster) {
    build::set_weights(cluster);
    cluster.services.iter().for_each(|service| service.elect());
}

fn spec_of(
    services: Vec<(String, ServiceSpec)>,
    created_at: Option<jiff::Timestamp>,
) -> Result<ClusterSpec, Failure> {
    let cluster_id: ClusterId =
        CLUSTER.parse().map_err(|why: String| Failure::gateway(Code::Internal, why))?;
    Ok(ClusterSpec {
        cluster_id,
        name: "Routes to URLs".to_owned(),
        description: "Made of the routes under `/api/routes`, and changed by them alone.".to_owned(),
        created_at: created_at.unwrap_or_else(jiff::Timestamp::now),
        services,
        routes: Vec::new(),
        routing: RoutingSpec { timeout_ms: TIMEOUT_MS, ..RoutingSpec::default() },
        health: HealthSpec::default(),
    })
}

/// The service of an origin, read as a document would be: what a kind does not know yet is refused here.
fn service_of(origin: &Origin) -> Result<ServiceSpec, Failure> {
    let name = origin.service();
    let kind = adapters::of_urls().name();
    let document = json!({ "name": name, "services": { name: origin.document(kind) } });
    let mut problems = Problems::default();
    let input = model::read::read_creation(&document, &Registry, &mut problems);
    match input.and_then(|mut input| input.services.pop()) {
        Some((_, service)) => Ok(service),
        None => Err(wrong(problems.into_vec().into_iter().map(of_target).collect())),
    }
}

/// What is wrong with the service is wrong with the URL.
fn of_target(problem: Problem) -> Problem {
    let key = problem.path.rsplit('.').next().unwrap_or_default();
    let message = format!("{key} {}", problem.message);
    Problem { path: "target_url".to_owned(), message, ..problem }
}

fn wrong(problems: Vec<Problem>) -> Failure {
    if problems.iter().all(|problem| problem.not_built) {
        return refused(problems);
    }
    Failure::invalid(Code::InvalidRequest, problems)
}

/// As fine as the store keeps it: a restart shows the same.
fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

fn unknown(id: i64) -> Failure {
    Failure::client(Code::NotFound, format!("There is no route {id}."))
        .with_hint("`GET /api/routes` lists them.")
}
