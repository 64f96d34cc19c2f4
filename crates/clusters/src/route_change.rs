//! Routes that are made by the API: kept in the store, published like everything else.

use std::sync::Arc;

use model::tree::Node;
use model::url_route::UrlRoute;
use model::view::{Owner, RouteView};
use model::{Code, Failure, Problems, RouteSpec};
use serde::Serialize;
use serde_json::Value;

use crate::change::{By, changed_since, conflicts, refused};
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::url_routes::refuse_reserved;
use crate::{Clusters, Happening, build, plan};

impl Clusters {
    /// Every route, by id.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        let world = self.snapshot();
        let running = world.routes.iter().map(|route| view(route));
        let stranded =
            world.stranded.iter().map(|spec| RouteView { spec: Arc::clone(spec), owner: Owner::Api });
        let mut all: Vec<RouteView> = running.chain(stranded).collect();
        all.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
        all
    }

    /// One route, with its revision.
    ///
    /// # Errors
    /// `not_found`.
    pub fn route(&self, id: &str) -> Result<(RouteView, u64), Failure> {
        let world = self.snapshot();
        let stranded = || world.stranded.iter().find(|spec| spec.id == id);
        let found = match world.routes.get(id) {
            Some(route) => view(route),
            None => RouteView { spec: stranded().ok_or_else(|| unknown(id))?.clone(), owner: Owner::Api },
        };
        let revision = revision(&*found.spec);
        Ok((found, revision))
    }

    /// Makes a route.
    ///
    /// # Errors
    /// `invalid_request` with every problem, `not_found` for its cluster, `conflict` or `already_exists`.
    pub async fn create_route(&self, body: &Value, by: By) -> Result<(RouteView, u64), Failure> {
        let mut spec = read(body)?;
        let _desk = self.desk_with_store().await?;
        let world = self.snapshot().clone();
        if spec.id.is_empty() {
            spec.id = free_id(&world, &spec);
        } else if is_taken(&world, &spec.id) {
            let of_file = world.routes.get(&spec.id).filter(|route| route.owner == Owner::File);
            return Err(of_file.map_or_else(|| taken(&spec.id), |route| self.file_owns(&route.spec)));
        }
        self.put(&world, spec, "created", &by).await
    }

    /// Replaces a route of the API.
    ///
    /// # Errors
    /// As for creating; `conflict` when a file owns it, `precondition_failed` when it was changed meanwhile.
    pub async fn replace_route(
        &self,
        id: &str,
        body: &Value,
        if_match: Option<u64>,
        by: By,
    ) -> Result<(RouteView, u64), Failure> {
        let mut spec = read(body)?;
        if !spec.id.is_empty() && spec.id != id {
            return Err(Failure::client(
                Code::InvalidRequest,
                format!("The body says id `{}`, the path says `{id}`.", spec.id),
            ));
        }
        id.clone_into(&mut spec.id);
        let _desk = self.desk_with_store().await?;
        self.changeable(id, if_match)?;
        let world = self.snapshot().clone();
        self.put(&world, spec, "changed", &by).await
    }

    /// Deletes a route of the API.
    ///
    /// # Errors
    /// `not_found`; `conflict` when a file owns it, `precondition_failed` when it was changed meanwhile.
    pub async fn delete_route(&self, id: &str, if_match: Option<u64>, by: By) -> Result<(), Failure> {
        let _desk = self.desk_with_store().await?;
        let spec = self.changeable(id, if_match)?;
        self.0.store.delete_route(id).await?;
        let world = self.snapshot().clone();
        self.0.world.store(Arc::new(without(&world, id)));
        self.tell_route("deleted", &spec, &by);
        Ok(())
    }

    fn changeable(&self, id: &str, if_match: Option<u64>) -> Result<Arc<RouteSpec>, Failure> {
        let (found, revision) = self.route(id)?;
        if found.owner == Owner::File {
            return Err(self.file_owns(&found.spec));
        }
        if let Some(number) = UrlRoute::number(&found.spec) {
            return Err(of_url(id, number));
        }
        match if_match {
            Some(asked) if asked != revision => Err(changed_since(&format!("The route `{id}`"))),
            _ => Ok(found.spec),
        }
    }

    /// Builds a route into this world, in place of the one that has its id, keeps it and publishes it.
    async fn put(
        &self,
        world: &Snapshot,
        spec: RouteSpec,
        verb: &str,
        by: &By,
    ) -> Result<(RouteView, u64), Failure> {
        refuse_reserved(&spec.cluster)?;
        self.0.listeners.check_routes([&spec], false)?;
        let cluster = world.cluster(&spec.cluster)?;
        let spec = Arc::new(spec);
        let route = build::route_after(&world.routes, Arc::clone(&spec), Owner::Api, cluster)?;
        let rest = without(world, &spec.id);
        let routes = rest.routes.with(&spec, route).map_err(|conflict| conflicts(&conflict))?;
        self.0.store.put_route(&spec).await?;
        let after = Snapshot { routes, ..rest };
        self.0.world.store(Arc::new(after));
        self.tell_route(verb, &spec, by);
        let revision = revision(&*spec);
        Ok((RouteView { spec, owner: Owner::Api }, revision))
    }

    fn file_owns(&self, spec: &RouteSpec) -> Failure {
        let file =
            spec.cluster.parse().map(|id| self.0.files.path(&id).display().to_string()).unwrap_or_default();
        Failure::client(Code::Conflict, format!("The route `{}` belongs to the file `{file}`.", spec.id))
            .with_hint("Change it in that file; the gateway picks the change up at once.")
    }

    pub(crate) fn tell_route(&self, verb: &str, spec: &RouteSpec, by: &By) {
        self.events().tell(Happening {
            kind: format!("route.{verb}"),
            cluster: Some(spec.cluster.clone()),
            service: (!spec.service.is_empty()).then(|| spec.service.clone()),
            route: Some(spec.id.clone()),
            actor: by.actor.to_string(),
            message: plan::leads(spec),
            request_id: by.request_id.clone(),
            ..Happening::default()
        });
    }
}

fn read(body: &Value) -> Result<RouteSpec, Failure> {
    let mut problems = Problems::default();
    let spec = model::read::read_route(&Node::from_json(body), &mut problems);
    let mut problems = problems.into_vec();
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ if problems.iter().all(|problem| problem.not_built) => Err(refused(problems)),
        _ => {
            problems.iter_mut().for_each(|problem| problem.not_built = false);
            Err(Failure::invalid(Code::InvalidRequest, problems))
        }
    }
}

fn without(world: &Snapshot, id: &str) -> Snapshot {
    Snapshot {
        routes: world.routes.without(id),
        clusters: world.clusters.clone(),
        stranded: world.stranded.iter().filter(|spec| spec.id != id).cloned().collect(),
    }
}

fn view(route: &Route) -> RouteView {
    RouteView { spec: route.spec.clone(), owner: route.owner }
}

fn free_id(world: &Snapshot, spec: &RouteSpec) -> String {
    loop {
        let id = format!("{}-{:06x}", spec.cluster, crate::choice::random() & 0xff_ffff);
        if !is_taken(world, &id) {
            return id;
        }
    }
}

/// Whether a route has this id, one that leads nowhere at present included.
fn is_taken(world: &Snapshot, id: &str) -> bool {
    world.routes.get(id).is_some() || world.stranded.iter().any(|spec| spec.id == id)
}

/// The same route has the same revision, whoever counts.
pub(crate) fn revision<T: Serialize>(route: &T) -> u64 {
    let text = serde_json::to_vec(route).unwrap_or_default();
    // FNV-1a: any mixing will do, it only has to stay the same from one process to the next.
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn unknown(id: &str) -> Failure {
    Failure::client(Code::NotFound, format!("There is no route `{id}`."))
        .with_hint("`GET /api/v1/routes` lists them.")
}

fn of_url(id: &str, number: i64) -> Failure {
    Failure::client(Code::Conflict, format!("The route `{id}` is the route {number} under `/api/routes`."))
        .with_hint("Change it there.")
}

fn taken(id: &str) -> Failure {
    Failure::client(Code::AlreadyExists, format!("There is a route `{id}` already."))
        .with_hint("Choose another id, or replace that one with PUT.")
}
