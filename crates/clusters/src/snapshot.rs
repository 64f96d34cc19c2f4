//! The whole routing world, frozen: a request reads one, a change swaps it.

use std::collections::HashMap;
use std::sync::Arc;

use model::kind::Ability;
use model::{ClusterSpec, Code, Failure, RouteSpec};
use policy::{Clients, Table};

use crate::route::Route;
use crate::route_meter::RouteMeters;
use crate::service::Service;

/// The world as it is for one request.
#[derive(Default)]
pub struct Snapshot {
    /// Which route leads where.
    pub routes: Table<Arc<Route>>,
    /// By id.
    pub clusters: HashMap<Arc<str>, Arc<Cluster>, foldhash::fast::RandomState>,
    /// Routes of the API that lead nowhere at present: their service is gone.
    pub stranded: Vec<Arc<RouteSpec>>,
}

/// A cluster as it runs.
pub struct Cluster {
    /// As asked.
    pub spec: ClusterSpec,
    /// Its services, in the order asked.
    pub services: Vec<Arc<Service>>,
    /// Rises with each change of the cluster; the ETag of what is shown of it.
    pub revision: u64,
    /// What is counted of its routes.
    pub(crate) route_meters: Arc<RouteMeters>,
    /// What the clients of its routes have used, where those are limited.
    pub(crate) clients: Arc<Clients>,
}

impl Cluster {
    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| &*service.name == name)
    }

    /// The connections of all its services.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = &Arc<dyn adapters::Adapter>> {
        self.services.iter().flat_map(|service| service.endpoints.iter().map(|endpoint| &endpoint.adapter))
    }
}

impl Snapshot {
    /// The cluster of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn cluster(&self, id: &str) -> Result<&Arc<Cluster>, Failure> {
        self.clusters.get(id).ok_or_else(|| {
            Failure::client(Code::NotFound, format!("There is no cluster `{id}`."))
                .with_hint("`GET /api/v1/clusters` lists them.")
        })
    }

    /// The service of that name.
    ///
    /// # Errors
    /// `not_found`.
    pub fn service(&self, cluster: &str, name: &str) -> Result<&Arc<Service>, Failure> {
        self.cluster(cluster)?.service(name).ok_or_else(|| {
            Failure::client(Code::NotFound, format!("There is no service `{name}` in cluster `{cluster}`."))
        })
    }

    /// The service that answers calls of this ability: the one named, or the only one that has it.
    ///
    /// # Errors
    /// `not_found`, `unsupported_ability`, or `ambiguous_service` with the names that could be meant.
    pub fn able(
        &self,
        cluster: &str,
        name: Option<&str>,
        ability: Ability,
    ) -> Result<&Arc<Service>, Failure> {
        let has = |service: &&Arc<Service>| service.driver.abilities().contains(&ability);
        if let Some(name) = name {
            let service = self.service(cluster, name)?;
            return if has(&service) { Ok(service) } else { Err(self.unable(cluster, Some(name), ability)) };
        }
        let mut able = self.cluster(cluster)?.services.iter().filter(has);
        match (able.next(), able.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(self.unable(cluster, None, ability)),
            (Some(first), Some(second)) => {
                let names: Vec<&str> = [first, second].into_iter().chain(able).map(|s| &*s.name).collect();
                Err(Failure::client(
                    Code::AmbiguousService,
                    format!("Several services of `{cluster}` could answer: {}.", names.join(", ")),
                )
                .with_hint(format!("Say which: `?service={}`.", names[0])))
            }
        }
    }

    fn unable(&self, cluster: &str, name: Option<&str>, ability: Ability) -> Failure {
        let can: Vec<&str> = self
            .clusters
            .get(cluster)
            .into_iter()
            .flat_map(|cluster| &cluster.services)
            .filter(|service| service.driver.abilities().contains(&ability))
            .map(|service| &*service.name)
            .collect();
        let ability = ability.name();
        let detail = match name {
            Some(name) => format!("The service `{name}` of `{cluster}` has no ability `{ability}`."),
            None => format!("No service of `{cluster}` has the ability `{ability}`."),
        };
        let hint = match can.as_slice() {
            [] => "`GET /api/v1/kinds` says which kinds have it.".to_owned(),
            names => format!("These have it: {}.", names.join(", ")),
        };
        Failure::client(Code::UnsupportedAbility, detail).with_hint(hint)
    }
}
