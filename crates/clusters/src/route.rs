//! A route as it runs: what answers, and what happens on the way there and back.
//!
//! Everything is made ready when the route is built. What is asked of it here is a look and never a search.

mod edits;
mod leads;

use std::fmt;
use std::sync::Arc;

use model::kind::Ability;
use model::read::no_requests;
use model::tree::Place;
use model::view::Owner;
use model::{Code, Failure, Origin, Problems, RouteSpec, Strategy};
use policy::{Affinity, Asker, Shares};

use crate::choice;
use crate::limit::Limit;
use crate::route_meter::RouteMeter;
use crate::service::{Service, Tactics};
use crate::snapshot::Cluster;

pub use edits::HeaderEdits;
pub use leads::{Fixed, Leads, Split};

/// A route as it runs. There may be tens of thousands: what few of them have is kept apart.
pub struct Route {
    /// As asked.
    pub spec: Arc<RouteSpec>,
    /// Its id, shared with what remembers it.
    pub id: Arc<str>,
    /// Who owns it.
    pub owner: Owner,
    /// What answers.
    pub leads: Leads,
    /// What is counted of it, one with that of the route in whose place it stands.
    pub meter: Arc<RouteMeter>,
    /// What it lays over the tactics of its services.
    tactics: Option<Box<Tactics>>,
    extras: Option<Box<Extras>>,
}

/// What few routes have.
#[derive(Default)]
struct Extras {
    mirror: Option<Mirror>,
    to_service: Option<HeaderEdits>,
    to_client: Option<HeaderEdits>,
    affinity: Option<Affinity>,
    fallback: Option<Fallback>,
    limit: Option<Limit>,
}

struct Mirror {
    service: Arc<Service>,
    /// Of 0 and 1, it is 0 that is drawn.
    shares: Shares,
}

enum Fallback {
    Service(Arc<Service>),
    Fixed(Fixed),
}

/// What answers in place of a service that cannot.
pub enum Rescue<'r> {
    /// Another service.
    Service(&'r Arc<Service>),
    /// A fixed answer.
    Fixed(&'r Fixed),
}

impl Route {
    /// Makes the running route of what was checked before, in place of `old`.
    ///
    /// # Errors
    /// When it names a service that its cluster has not, or one that answers no requests.
    pub(crate) fn new(
        spec: Arc<RouteSpec>,
        owner: Owner,
        cluster: &Cluster,
        old: Option<&Route>,
    ) -> Result<Self, Failure> {
        check_services(&spec, cluster)?;
        let find = |name: &str| {
            cluster.service(name).cloned().ok_or_else(|| {
                let RouteSpec { id, cluster, .. } = &*spec;
                let message = format!("The route `{id}` leads to `{name}`, which `{cluster}` has not.");
                Failure::client(Code::InvalidRequest, message)
            })
        };
        let leads = Leads::new(&spec, find)?;
        let tactics = Tactics::of_route(&spec, &cluster.spec.routing).map(Box::new);
        let extras = Extras::new(&spec, &leads, cluster, find)?;
        let kept = old.map(|old| &old.meter).filter(|meter| meter.is_of(&cluster.route_meters));
        let meter = kept.map_or_else(|| Arc::new(RouteMeter::new(&cluster.route_meters)), Arc::clone);
        Ok(Route { id: spec.id.as_str().into(), owner, leads, meter, tactics, extras, spec })
    }

    /// The service that this number draws: of several, each by its weight, and the same number always the same. `None`
    /// where no service answers.
    #[must_use]
    pub fn pick_service(&self, seed: u64) -> Option<&Arc<Service>> {
        match &self.leads {
            Leads::Service(service) => Some(service),
            Leads::Split(split) => split.draw(seed),
            Leads::Redirect(_) | Leads::Fixed(_) => None,
        }
    }

    /// The service for a request with this [`key`](Route::key): a client stays with the service of its endpoint, or with
    /// the one that its key draws; without a key another is drawn each time.
    #[must_use]
    pub fn service_for(&self, key: Option<u64>) -> Option<&Arc<Service>> {
        match (&self.leads, key) {
            (Leads::Split(split), Some(key)) => split.of_endpoint(key).or_else(|| split.draw(key)),
            _ => self.pick_service(key.unwrap_or_else(choice::seed)),
        }
    }

    /// Every service that it may ask for an answer or send a copy to.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let extras = self.extras.as_deref();
        let mirror = extras.and_then(|extras| extras.mirror.as_ref()).map(|mirror| &mirror.service);
        let fallback = extras.and_then(|extras| match &extras.fallback {
            Some(Fallback::Service(service)) => Some(service),
            Some(Fallback::Fixed(_)) | None => None,
        });
        self.leads.services().iter().chain(mirror).chain(fallback)
    }

    /// How its requests are tried on this service.
    #[must_use]
    pub fn tactics<'t>(&'t self, service: &'t Service) -> &'t Tactics {
        self.tactics.as_deref().unwrap_or(&service.tactics)
    }

    /// What keeps a client with one endpoint; also where the strategy is `hash` and nothing else is said.
    #[must_use]
    pub fn affinity(&self) -> Option<&Affinity> {
        self.extras.as_ref()?.affinity.as_ref()
    }

    /// What this client has in common with those that should go where it goes, for [`Order::key`](crate::Order::key).
    #[must_use]
    pub fn key(&self, asker: &Asker<'_, '_>) -> Option<u64> {
        self.affinity()?.key(asker)
    }

    /// How much each client may ask.
    #[must_use]
    pub fn limit(&self) -> Option<&Limit> {
        self.extras.as_ref()?.limit.as_ref()
    }

    /// The service that gets a copy of this request, if one does.
    #[must_use]
    pub fn mirror(&self, seed: u64) -> Option<&Arc<Service>> {
        let mirror = self.extras.as_ref()?.mirror.as_ref()?;
        (mirror.shares.draw(seed) == Some(0)).then_some(&mirror.service)
    }

    /// What changes in the head of a request on the way to the service.
    #[must_use]
    pub fn request_edits(&self) -> Option<&HeaderEdits> {
        self.extras.as_ref()?.to_service.as_ref()
    }

    /// What changes in the head of an answer on the way to the client, a redirect and a fixed one included.
    #[must_use]
    pub fn response_edits(&self) -> Option<&HeaderEdits> {
        self.extras.as_ref()?.to_client.as_ref()
    }

    /// What answers in place of this failure, when none of its answer has been said. Another service is asked only for
    /// what may be sent again (`rerun`), or has not left.
    #[must_use]
    pub fn rescue(&self, failure: &Failure, rerun: bool) -> Option<Rescue<'_>> {
        if failure.origin() == Origin::Client || !stands_in_for(failure.code()) {
            return None;
        }
        match self.extras.as_ref()?.fallback.as_ref()? {
            Fallback::Service(service) => (rerun || failure.retryable()).then_some(Rescue::Service(service)),
            Fallback::Fixed(fixed) => Some(Rescue::Fixed(fixed)),
        }
    }

    /// The name of the service that its fallback asks, or the status that it answers.
    pub(crate) fn fallback(&self) -> Option<Rescue<'_>> {
        Some(match self.extras.as_ref()?.fallback.as_ref()? {
            Fallback::Service(service) => Rescue::Service(service),
            Fallback::Fixed(fixed) => Rescue::Fixed(fixed),
        })
    }
}

/// Notes each service of the cluster to which it leads and which is none that answers requests.
fn check_services(spec: &RouteSpec, cluster: &Cluster) -> Result<(), Failure> {
    let answers = |service: &&Arc<Service>| service.driver.abilities().contains(&Ability::Http);
    let mut problems = Problems::default();
    for (path, name) in spec.services() {
        let Some(service) = cluster.service(name).filter(|service| !answers(service)) else { continue };
        let able = cluster.services.iter().filter(answers).map(|service| &*service.name);
        let (message, suggestion) = no_requests(name, service.driver.name(), able);
        problems.add(&path, Place::default(), message).suggestion = Some(suggestion);
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(Code::InvalidRequest, problems.into_vec()))
}

/// Failures that say that a service cannot answer now.
fn stands_in_for(code: Code) -> bool {
    use Code::{BadGateway, BreakerOpen, Busy, Draining, NoEndpoint, Overloaded, Timeout};
    matches!(code, BadGateway | BreakerOpen | Busy | Draining | NoEndpoint | Overloaded | Timeout)
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spec.id)
    }
}

impl Extras {
    fn new(
        spec: &RouteSpec,
        leads: &Leads,
        cluster: &Cluster,
        find: impl Fn(&str) -> Result<Arc<Service>, Failure>,
    ) -> Result<Option<Box<Self>>, Failure> {
        let mut extras = Extras::default();
        let strategy = spec.strategy.unwrap_or(cluster.spec.routing.strategy);
        extras.limit = spec.rate_limit.as_ref().map(|limit| Limit::new(limit, &spec.id, &cluster.clients));
        if let Some(mirror) = &spec.mirror {
            extras.mirror = Some(Mirror { service: find(&mirror.service)?, shares: share(mirror.share) });
        }
        extras.to_service = spec.request_headers.as_deref().map(HeaderEdits::new);
        extras.to_client = spec.response_headers.as_deref().map(HeaderEdits::new);
        extras.affinity = match &spec.affinity {
            Some(affinity) => Affinity::new(affinity),
            None if strategy == Strategy::Hash && !leads.services().is_empty() => {
                Some(Affinity::by_address())
            }
            None => None,
        };
        extras.fallback = match spec.fallback.as_deref() {
            None => None,
            Some(fallback) => match (&fallback.service, &fallback.respond) {
                (Some(service), _) => Some(Fallback::Service(find(service)?)),
                (None, respond) => respond.as_ref().map(|respond| Fallback::Fixed(Fixed::new(respond))),
            },
        };
        let Extras { mirror, to_service, to_client, affinity, fallback, limit } = &extras;
        let has_any = mirror.is_some()
            || to_service.is_some()
            || to_client.is_some()
            || affinity.is_some()
            || fallback.is_some()
            || limit.is_some();
        Ok(has_any.then(|| Box::new(extras)))
    }
}

/// A share of all as two weights: its own, and that of the rest.
fn share(of_all: f64) -> Shares {
    const WHOLE: u32 = 1_000_000;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    let own = (of_all.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32;
    Shares::new([own, WHOLE - own])
}
