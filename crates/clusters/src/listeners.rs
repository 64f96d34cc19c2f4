//! The gateway's listeners as the world knows them: those that take requests, which routes may name, and those that carry
//! bytes to a service, each by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::kind::Place;
use model::read::unknown_listener;
use model::route::MAIN_LISTENER;
use model::suggest::nearest;
use model::{ClusterSpec, Code, Failure, Problem, Problems, RouteSpec};

use crate::events::Happening;
use crate::service::Service;
use crate::{Clusters, Snapshot};

/// What the gateway's listeners are called, and where those lead that carry bytes.
#[derive(Debug, Clone)]
pub struct Listeners {
    /// Those that take requests.
    pub of_requests: Arc<[String]>,
    /// Those that carry bytes.
    pub of_bytes: Vec<Arc<Target>>,
}

impl Default for Listeners {
    fn default() -> Self {
        Listeners { of_requests: [MAIN_LISTENER.to_owned()].into(), of_bytes: Vec::new() }
    }
}

/// The service that a listener carries bytes to. It may come and go.
#[derive(Debug)]
pub struct Target {
    /// What the listener is called.
    pub listener: Arc<str>,
    /// The path of its settings, such as `proxy.listeners[0]`.
    setting: String,
    cluster: String,
    service: String,
    /// That it leads nowhere was told.
    told: AtomicBool,
}

impl Target {
    /// Where this listener leads.
    #[must_use]
    pub fn new(listener: &str, setting: String, cluster: String, service: String) -> Self {
        Target { listener: listener.into(), setting, cluster, service, told: AtomicBool::new(false) }
    }

    /// The service as it runs now. That there is none is told as an event, once until there is one again.
    ///
    /// # Errors
    /// That there is none, or that it is none that bytes can be carried to.
    pub fn find(&self, clusters: &Clusters) -> Result<Arc<Service>, Failure> {
        let found = self.look(&clusters.snapshot());
        match &found {
            Ok(_) => self.told.store(false, Relaxed),
            Err(failure) if !self.told.swap(true, Relaxed) => clusters.events().tell(Happening {
                kind: "listener.leads_nowhere".to_owned(),
                cluster: Some(self.cluster.clone()),
                service: Some(self.service.clone()),
                actor: "traffic".to_owned(),
                message: format!(
                    "connections to the listener `{}` are closed: {}",
                    self.listener,
                    failure.detail()
                ),
                ..Happening::default()
            }),
            Err(_) => {}
        }
        found
    }

    fn look(&self, world: &Snapshot) -> Result<Arc<Service>, Failure> {
        let service = world.service(&self.cluster, &self.service)?;
        if service.driver.place() == Place::Embedded {
            return Err(Failure::client(Code::UnsupportedAbility, embedded(&self.service)));
        }
        Ok(Arc::clone(service))
    }

    /// What is wrong with it beside these clusters; a cluster that is not among them may still come.
    fn check(&self, clusters: &[&ClusterSpec], problems: &mut Problems) {
        let mut add = |key: &str, message: String, meant: Option<&str>| {
            let path = format!("{}.{key}", self.setting);
            let suggestion = meant.map(|meant| format!("did you mean `{meant}`?"));
            problems.add(&path, model::tree::Place::default(), message).suggestion = suggestion;
        };
        let Some(cluster) = clusters.iter().find(|cluster| cluster.cluster_id.as_str() == self.cluster)
        else {
            let ids = clusters.iter().map(|cluster| cluster.cluster_id.as_str());
            return add("cluster", format!("`{}` is no cluster", self.cluster), nearest(&self.cluster, ids));
        };
        let Some(service) = cluster.service(&self.service) else {
            let names = cluster.services.iter().map(|(name, _)| name.as_str());
            let message = format!("`{}` is not a service of the cluster `{}`", self.service, self.cluster);
            return add("service", message, nearest(&self.service, names));
        };
        if adapters::driver(&service.kind).is_some_and(|driver| driver.place() == Place::Embedded) {
            add("service", embedded(&self.service), None);
        }
    }
}

fn embedded(service: &str) -> String {
    format!("The service `{service}` lives inside the gateway: there is no address to carry bytes to.")
}

impl Listeners {
    /// What is wrong with where listeners lead beside these clusters.
    pub(crate) fn check(&self, clusters: &[&ClusterSpec]) -> Vec<Problem> {
        let mut problems = Problems::default();
        for target in &self.of_bytes {
            target.check(clusters, &mut problems);
        }
        problems.into_vec()
    }

    /// Tells of listeners that lead nowhere in the world as it is now, of all or of those into one cluster. That stops neither
    /// a start nor a change: what is missing may come by the API, and what was taken away stays away after a restart.
    pub(crate) fn tell(&self, clusters: &Clusters, of: Option<&str>) {
        for target in self.of_bytes.iter().filter(|target| of.is_none_or(|of| of == target.cluster)) {
            // Whoever connects meanwhile is turned away.
            let _ = target.find(clusters);
        }
    }

    /// That a route names a listener that is not there.
    pub(crate) fn check_routes<'r>(
        &self,
        routes: impl IntoIterator<Item = &'r RouteSpec>,
        of_cluster: bool,
    ) -> Result<(), Failure> {
        let mut problems = Problems::default();
        for (index, route) in routes.into_iter().enumerate() {
            let Some(listener) = &route.listener else { continue };
            if let Some((message, suggestion)) = unknown_listener(listener, &self.of_requests) {
                let path =
                    if of_cluster { format!("routes[{index}].listener") } else { "listener".to_owned() };
                problems.add(&path, model::tree::Place::default(), message).suggestion = Some(suggestion);
            }
        }
        let code = if of_cluster { Code::InvalidConfig } else { Code::InvalidRequest };
        if problems.is_empty() { Ok(()) } else { Err(Failure::invalid(code, problems.into_vec())) }
    }
}
