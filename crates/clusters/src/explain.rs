//! What would happen to a request that is described and not sent.

use model::Failure;
use model::view::{Candidate, ExplainRequest, Explanation, RouteView};
use policy::{Progress, Request, Work, may_rerun};
use serde_json::json;

use crate::endpoint::Standing;
use crate::service::Tactics;
use crate::snapshot::Route;
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
        let host = wire::http1::target::plain_host(&request.host);
        let method = &request.method;
        let header = |name: &str| {
            let found = request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        };
        let described = Request { host: &host, method, path, query, header: &header };
        if let Err(why) = wire::http1::target::check_path(path) {
            return Ok(nothing(format!("the request is refused: {why}")));
        }
        let lost: Vec<String> =
            world.routes.explain(&described).into_iter().map(|(id, why)| format!("{id}: {why}")).collect();
        match world.routes.find(&described) {
            Some(found) => Ok(something(found.payload, method)),
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

fn something(route: &Route, method: &str) -> Explanation {
    let service = &route.service;
    let tactics = route.tactics();
    let rerun = may_rerun(Work::Http(method), Progress::Sent);
    let access = if rerun { Access::Read } else { Access::Write };
    let chosen = if service.is_draining() { None } else { choice::foresee(service, tactics, access, rerun) };
    let now = clock::now();
    let candidates = service.endpoints.iter().enumerate().map(|(index, endpoint)| {
        let (standing, _, why) = endpoint.facts(now);
        let is_chosen = chosen == Some(index);
        let reason = match standing {
            _ if service.is_draining() => "the service is draining".to_owned(),
            _ if access == Access::Write && !endpoint.takes_writes() => {
                lead::about(endpoint.lead()).to_owned()
            }
            Standing::In(_) if is_chosen => format!("picked by {}", tactics.strategy.name()),
            Standing::In(_) => format!("could be asked; {} picks another now", tactics.strategy.name()),
            _ => why,
        };
        Candidate { endpoint: endpoint.label.to_string(), chosen: is_chosen, reason }
    });
    Explanation {
        route: Some(RouteView { spec: route.spec.clone(), owner: route.owner }),
        service: Some(service.path()),
        endpoint: chosen.map(|index| service.endpoints[index].label.to_string()),
        policies: policies(tactics, rerun, route),
        candidates: candidates.collect(),
        reason: None,
    }
}

fn policies(tactics: &Tactics, rerun: bool, route: &Route) -> Vec<serde_json::Value> {
    let breaker = &route.service.breaker_spec;
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
    limit.into_iter().chain(others).collect()
}
