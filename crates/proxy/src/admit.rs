//! Which route a request takes, and what is decided by its head alone. How the head goes on is `onward.rs`.
//!
//! Policies of the route (who, may they, how many) enter in [`admit`].

use std::sync::Arc;

use clusters::{Leads, Limit, Route, Service, Snapshot};
use model::{Code, Failure};
use policy::{Asked, Asker, Remaining, Request};
use wire::http1::{Known, RequestHead, target};

use crate::client::Peer;
use crate::door::{Options, TrustedProxies};

/// A request that may pass: where to, and what its path is there.
#[derive(Clone)]
pub(crate) struct Passage {
    pub(crate) route: Arc<Route>,
    pub(crate) way: Way,
    /// Path and query as the service sees them, when not as received.
    pub(crate) target: Option<String>,
    /// What keeps the client with one endpoint.
    pub(crate) key: Option<u64>,
    /// What its client may still ask of the route.
    pub(crate) remaining: Option<Remaining>,
}

/// What answers.
#[derive(Clone)]
pub(crate) enum Way {
    Service(Arc<Service>),
    /// Another address, which the client is to ask.
    Redirect {
        status: u16,
        location: String,
    },
    /// The route's own fixed answer.
    Fixed,
}

/// Finds the route of this request. Pure: the world, the head and who says it are all it looks at.
pub(crate) fn admit(
    world: &Snapshot,
    head: &RequestHead,
    peer: &Peer,
    options: &Options,
) -> Result<Passage, Refused> {
    target::check_path(head.path()).map_err(|why| {
        Failure::client(Code::InvalidRequest, format!("The request is refused: {why}.")).with_hint(
            "Two readers could take such a path for two different ones; send it in its plain form.",
        )
    })?;
    let path = model::path::plain(head.path());
    let host = target::plain_host(head.host().unwrap_or_default());
    let header = |name: &str| head.fields.get(name);
    let request = Request {
        listener: &options.listener,
        host: &host,
        method: head.method(),
        path: &path,
        query: head.query(),
        header: &header,
    };
    let found = world.routes.find(&request).ok_or_else(|| no_route(&request))?;
    let route = Arc::clone(found.payload);
    let remaining = match route.limit() {
        None => None,
        Some(limit) => Some(ask(limit, head, peer, &options.trusted_proxies)?),
    };
    let key = route.affinity().and_then(|affinity| asked_by(head, peer, |asker| affinity.key(asker)));
    let way = match &route.leads {
        Leads::Service(service) => Way::Service(Arc::clone(service)),
        Leads::Split(_) => Way::Service(route.service_for(key).cloned().ok_or_else(|| nobody(&route))?),
        Leads::Fixed(_) => Way::Fixed,
        Leads::Redirect(redirect) => {
            let asked = Asked {
                scheme: peer.scheme_of(head),
                authority: head.host().unwrap_or_default(),
                path: &path,
                query: head.query(),
            };
            Way::Redirect { status: redirect.status(), location: redirect.location(&asked, &found) }
        }
    };
    let target = policy::rewrite(&route.spec, &path, &found).map(|path| match head.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    });
    Ok(Passage { route, way, target, key, remaining })
}

/// Why a request may not pass, and what its client may still ask where it has asked too much.
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    pub(crate) remaining: Option<Remaining>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused { failure, remaining: None }
    }
}

/// One request more of this client.
fn ask(
    limit: &Limit,
    head: &RequestHead,
    peer: &Peer,
    trusted: &TrustedProxies,
) -> Result<Remaining, Refused> {
    let forwarded = head.fields.all(Known::XForwardedFor);
    let address = policy::client_address(peer.address, forwarded, |ip| trusted.trusts(ip));
    let header = |name: &str| head.fields.get(name);
    limit
        .ask(address, header, clusters::clock::now())
        .map_err(|refused| Refused { remaining: Some(refused.remaining), failure: refused.into() })
}

/// Asks something of whoever asks, as affinity looks at it.
pub(crate) fn asked_by<T>(head: &RequestHead, peer: &Peer, ask: impl FnOnce(&Asker<'_, '_>) -> T) -> T {
    let header = |name: &str| head.fields.get(name);
    let cookies = |index: usize| {
        let is_cookie = |(name, _, _): &(&[u8], &[u8], Known)| name.eq_ignore_ascii_case(b"cookie");
        head.fields.iter().filter(is_cookie).nth(index).map(|(_, value, _)| value)
    };
    ask(&Asker { header: &header, cookies: &cookies, query: head.query(), address: &peer.ip })
}

fn nobody(route: &Route) -> Failure {
    let detail = format!("Every service of the route `{}` has weight 0.", route.id);
    Failure::gateway(Code::NoEndpoint, detail)
}

fn no_route(request: &Request<'_>) -> Failure {
    let Request { host, method, path, .. } = request;
    Failure::client(Code::NotFound, format!("No route matches {method} {path} for host `{host}`."))
        .with_hint("`throome explain` says which routes came close, and why they did not match.")
}
