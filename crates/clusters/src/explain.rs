//! What would happen to a request that is described and not sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Failure;
use model::route::SCHEMES;
use model::view::{Candidate, ExplainRequest, Explanation, RouteView};
use policy::{Asked, Asker, Match, Progress, Request, Work, may_rerun};
use serde_json::{Value, json};

use crate::endpoint::Standing;
use crate::room::Occupancy;
use crate::route::{Leads, Rescue, Route};
use crate::service::{Service, Tactics};
use crate::{Access, Clusters, choice, clock, lead};

impl Clusters {
    /// The route, the policies and the endpoint that this request would meet, and why.
    ///
    /// # Errors
    /// None at present: a request that matches nothing is explained too.
    pub fn explain(&self, request: &ExplainRequest) -> Result<Explanation, Failure> {
        let world = self.snapshot();
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.path.as_str(), None),
        };
        if let Err(why) = wire::http1::target::check_path(path) {
            return Ok(nothing(format!("the request is refused: {why}")));
        }
        let path = model::path::plain(path);
        let host = wire::http1::target::plain_host(&request.host);
        let method = &request.method;
        let header = |name: &str| {
            let found = request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        };
        let described =
            Request { listener: &request.listener, host: &host, method, path: &path, query, header: &header };
        let lost: Vec<String> =
            world.routes.explain(&described).into_iter().map(|(id, why)| format!("{id}: {why}")).collect();
        match world.routes.find(&described) {
            Some(found) => Ok(something(request, &described, &found)),
            None if lost.is_empty() => Ok(nothing("no route has this host and path".to_owned())),
            None => Ok(nothing(lost.join("; "))),
        }
    }
}

fn nothing(reason: String) -> Explanation {
    Explanation {
        route: None,
        service: None,
        endpoint: None,
        policies: Vec::new(),
        candidates: Vec::new(),
        reason: Some(reason),
    }
}

fn something(asked: &ExplainRequest, request: &Request<'_>, found: &Match<'_, Arc<Route>>) -> Explanation {
    let route: &Route = found.payload;
    let cookie = |index: usize| if index == 0 { (request.header)("cookie") } else { None };
    // A description has no address: what goes by it goes without.
    let asker = Asker { header: request.header, cookies: &cookie, query: request.query, address: "" };
    let by_address = matches!(route.affinity(), Some(affinity) if affinity.goes_by_address());
    let key = if by_address { None } else { route.key(&asker) };
    let mut explanation = match route.service_for(key) {
        Some(service) => on_service(route, service, request.method, key),
        None => nothing(String::new()),
    };
    explanation.reason = None;
    explanation.policies.extend(changes(route, asked, request, found, key));
    explanation.route = Some(RouteView { spec: Arc::clone(&route.spec), owner: route.owner });
    explanation
}

/// What of a service would be asked.
fn on_service(route: &Route, service: &Service, method: &str, key: Option<u64>) -> Explanation {
    let tactics = route.tactics(service);
    let rerun = may_rerun(Work::Http(method), Progress::Sent);
    let access = if rerun { Access::Read } else { Access::Write };
    let chosen =
        if service.is_draining() { None } else { choice::foresee(service, tactics, access, rerun, key) };
    let now = clock::now();
    let picker = if key.is_some() { "affinity" } else { tactics.strategy.name() };
    let candidates = service.endpoints.iter().enumerate().map(|(index, endpoint)| {
        let (standing, _, why) = endpoint.facts(now);
        let is_chosen = chosen == Some(index);
        let reason = match standing {
            _ if service.is_draining() => "the service is draining".to_owned(),
            _ if access == Access::Write && !endpoint.takes_writes() => {
                lead::about(endpoint.lead()).to_owned()
            }
            Standing::In(_) if is_chosen => format!("picked by {picker}"),
            Standing::In(_) => format!("could be asked; {picker} picks another now"),
            _ => why,
        };
        Candidate { endpoint: endpoint.label.to_string(), chosen: is_chosen, reason }
    });
    Explanation {
        route: None,
        service: Some(service.path()),
        endpoint: chosen.map(|index| service.endpoints[index].label.to_string()),
        candidates: candidates.collect(),
        policies: policies(tactics, rerun, service, route),
        reason: None,
    }
}

fn policies(tactics: &Tactics, rerun: bool, service: &Service, route: &Route) -> Vec<Value> {
    let breaker = &service.breaker_spec;
    let limit = route.spec.rate_limit.as_ref().map(|limit| {
        json!({
            "policy": "rate_limit",
            "requests": limit.requests,
            "per_ms": limit.per.0.as_millis() as u64,
            "burst": limit.burst.unwrap_or(limit.requests),
            "key": String::from(limit.key.clone()),
        })
    });
    let others = [
        json!({ "policy": "timeout", "total_ms": tactics.timeout.as_millis() as u64 }),
        json!({
            "policy": "retry",
            "attempts": tactics.attempts,
            "per_try_ms": tactics.per_try.map(|span| span.as_millis() as u64),
            "hedge_after_ms": tactics.hedge.map(|after| after.as_millis() as u64),
            "failover": tactics.failover,
            "may_run_again": rerun,
        }),
        json!({ "policy": "strategy", "name": tactics.strategy.name() }),
        json!({
            "policy": "breaker",
            "enabled": breaker.enabled,
            "failure_threshold": breaker.failure_threshold,
            "reset_timeout": breaker.reset_timeout,
        }),
    ];
    let room = service.room.as_ref().map(|room| {
        let Occupancy { most, inside, waiting } = room.occupancy();
        json!({ "policy": "limits", "max_requests": most, "in_flight": inside, "pending": waiting })
    });
    let bounds = service.spec.limits().and_then(|limits| limits.max_connections);
    let connections = bounds.map(|most| {
        let all = service.endpoints.iter().filter_map(|endpoint| endpoint.connections());
        let (open, waiting) =
            all.fold((0, 0), |(open, waiting), now| (open + now.open, waiting + now.waiting));
        json!({ "policy": "connections", "max_connections": most, "open": open, "pending": waiting })
    });
    limit.into_iter().chain(others).chain(room).chain(connections).collect()
}

/// What the route does to the request, its answer and its way, where it does anything.
fn changes(
    route: &Route,
    asked: &ExplainRequest,
    request: &Request<'_>,
    found: &Match<'_, Arc<Route>>,
    key: Option<u64>,
) -> Vec<Value> {
    let spec = &route.spec;
    let mut told = Vec::new();
    match &route.leads {
        Leads::Redirect(redirect) => {
            let asked = Asked {
                scheme: SCHEMES[0],
                authority: &asked.host,
                path: request.path,
                query: request.query,
            };
            let location = redirect.location(&asked, found);
            told.push(json!({ "policy": "redirect", "status": redirect.status(), "location": location }));
        }
        Leads::Fixed(fixed) => told.push(json!({
            "policy": "respond",
            "status": fixed.status,
            "content_type": fixed.content_type,
            "bytes": fixed.body.len(),
        })),
        Leads::Split(_) => told.push(json!({ "policy": "split", "services": spec.split })),
        Leads::Service(_) => {}
    }
    if let Some(path) = policy::rewrite(spec, request.path, found) {
        told.push(json!({ "policy": "rewrite", "path": path }));
    }
    if let Some(affinity) = route.affinity() {
        told.push(json!({ "policy": "affinity", "by": affinity.describe(), "has_key": key.is_some() }));
    }
    if let Some(mirror) = &spec.mirror {
        told.push(json!({ "policy": "mirror", "service": mirror.service, "share": mirror.share }));
    }
    for (name, edits) in
        [("request_headers", &spec.request_headers), ("response_headers", &spec.response_headers)]
    {
        if let Some(edits) = edits {
            let names = |pairs: &BTreeMap<String, String>| pairs.keys().cloned().collect::<Vec<_>>();
            let (set, add) = (names(&edits.set), names(&edits.add));
            told.push(json!({ "policy": name, "remove": edits.remove, "set": set, "add": add }));
        }
    }
    match route.fallback() {
        Some(Rescue::Service(service)) => {
            told.push(json!({ "policy": "fallback", "service": service.path() }));
        }
        Some(Rescue::Fixed(fixed)) => told.push(json!({ "policy": "fallback", "status": fixed.status })),
        None => {}
    }
    told
}
