//! Which endpoint is asked: filtered by where each stands, picked by the strategy, admitted by its breaker.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use model::{Code, Failure, Role};
use policy::{Admission, Candidates, Lead, Load, Time, TrialKind};
use smallvec::SmallVec;

use crate::clock;
use crate::endpoint::{Endpoint, Standing};
use crate::lead;
use crate::service::{Service, Tactics};
use crate::tries::{Access, Order};

/// Whom one turns to, in this order, while the ones before are nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resort {
    /// Those in place; a half-open one when the request may run again elsewhere.
    First,
    /// Silent ones, and half-open ones for a request that may not run again.
    Second,
    /// Those set aside: better asked than nobody.
    Third,
    Never,
}

/// Index of the endpoint to ask, and whether it holds a trial's place at its breaker.
pub(crate) fn choose(
    service: &Service,
    tactics: &Tactics,
    order: &Order,
    tried: u64,
    last: Option<usize>,
    now: Time,
) -> Result<(usize, bool), Failure> {
    if service.is_draining() {
        return Err(Failure::gateway(
            Code::Draining,
            format!("The service `{}` is draining.", service.path()),
        ));
    }
    let stick = last.filter(|_| !tactics.failover);
    let resorts: SmallVec<[Resort; 16]> = service
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            if stick.is_some_and(|stick| stick != index) {
                return Resort::Never;
            }
            resort(service, endpoint, order.access, order.rerun, now)
        })
        .collect();
    // First all whom nobody has asked yet for this request, then the others again.
    for again in [false, true] {
        for wanted in [Resort::First, Resort::Second, Resort::Third] {
            let matches = |index: usize| {
                let was_tried = tried & (1 << (index as u64).min(63)) != 0;
                resorts[index] == wanted && was_tried == again
            };
            if let Some(chosen) = pick(service, tactics, order, matches, now) {
                return Ok(chosen);
            }
        }
    }
    Err(nobody(service, order, now))
}

/// Index of another endpoint that is asked as a matter of course, for a second try beside the one under way. No trial is
/// risked on it: nothing needs it.
pub(crate) fn choose_beside(
    service: &Service,
    tactics: &Tactics,
    order: &Order,
    tried: u64,
    now: Time,
) -> Option<usize> {
    let fits = |index: usize| {
        let endpoint = &service.endpoints[index];
        tried & (1 << (index as u64).min(63)) == 0
            && service.asks(endpoint, now)
            && resort(service, endpoint, order.access, order.rerun, now) == Resort::First
    };
    let fitting: SmallVec<[usize; 16]> = (0..service.endpoints.len()).filter(|&index| fits(index)).collect();
    let loads: SmallVec<[&Load; 16]> = fitting.iter().map(|&i| &service.endpoints[i].load).collect();
    if loads.is_empty() || service.is_draining() {
        return None;
    }
    fitting.get(tactics.balancer.pick(&Candidates::new(&loads, now), seed())).copied()
}

fn resort(service: &Service, endpoint: &Endpoint, access: Access, rerun: bool, now: Time) -> Resort {
    if !is_fit(endpoint, access, rerun) {
        return Resort::Never;
    }
    let resort = match endpoint.standing(now) {
        // Then it is what traffic says of it, but for trials: whose probes fail is not likely to pass them.
        Standing::Unhealthy if service.doubts_probes() => match endpoint.by_traffic(now) {
            Standing::In(_) => Resort::First,
            Standing::Silent => Resort::Second,
            Standing::HalfOpen | Standing::Ejected(_) => Resort::Third,
            Standing::Open(_) | Standing::Unhealthy | Standing::Out => Resort::Never,
        },
        Standing::In(_) => Resort::First,
        Standing::HalfOpen if rerun => Resort::First,
        Standing::HalfOpen | Standing::Silent => Resort::Second,
        Standing::Ejected(_) => Resort::Third,
        Standing::Open(_) | Standing::Unhealthy | Standing::Out => Resort::Never,
    };
    // What it has is old: better than nothing, and no more.
    if matches!(endpoint.lead(), Lead::Replaced | Lead::CutOff) { resort.max(Resort::Third) } else { resort }
}

/// Whether an endpoint may be asked such a thing at all. What goes to any of them and may not run again, such as a query
/// that does not say that it only reads, may write: it stays away from servers that must not be written to and would
/// not refuse.
fn is_fit(endpoint: &Endpoint, access: Access, rerun: bool) -> bool {
    match access {
        Access::Write => endpoint.takes_writes(),
        Access::Read => rerun || !matches!(endpoint.lead(), Lead::Replaced | Lead::Contested),
    }
}

fn pick(
    service: &Service,
    tactics: &Tactics,
    order: &Order,
    matches: impl Fn(usize) -> bool,
    now: Time,
) -> Option<(usize, bool)> {
    let kind = if order.rerun { TrialKind::Eager } else { TrialKind::Reluctant };
    let mut indices: SmallVec<[usize; 16]> = (0..service.endpoints.len()).filter(|&i| matches(i)).collect();
    while !indices.is_empty() {
        let at = if indices.len() == 1 {
            0
        } else {
            let loads: SmallVec<[&Load; 16]> = indices.iter().map(|&i| &service.endpoints[i].load).collect();
            let candidates = Candidates::new(&loads, now).by(order.key);
            tactics.balancer(order.key).pick(&candidates, seed()).min(indices.len() - 1)
        };
        let index = indices[at];
        match service.endpoints[index].breaker.admit(now, kind) {
            Admission::Yes => return Some((index, false)),
            Admission::Trial => return Some((index, true)),
            Admission::No { .. } => drop(indices.remove(at)),
        }
    }
    None
}

/// Why there is nobody, in the words that help: the breaker when that is all that stands in the way.
fn nobody(service: &Service, order: &Order, now: Time) -> Failure {
    let path = service.path();
    let mut soonest: Option<Duration> = None;
    let mut only_breakers = true;
    let mut reasons = Vec::new();
    for endpoint in &service.endpoints {
        if !is_fit(endpoint, order.access, order.rerun) {
            // Who was asked to take writes and does not is worth a word.
            if endpoint.role == Role::Primary || endpoint.lead().is_trouble() {
                only_breakers = false;
                reasons.push(format!("{}: {}", endpoint.label, lead::about(endpoint.lead())));
            }
            continue;
        }
        let (standing, _, why) = endpoint.facts(now);
        match standing {
            Standing::Open(until) => {
                let left = until.since(now);
                soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
            }
            Standing::HalfOpen => soonest = Some(soonest.unwrap_or_default()),
            _ => only_breakers = false,
        }
        reasons.push(format!("{}: {}", endpoint.label, why.trim_end_matches('.')));
    }
    if order.may_write() {
        service.look_again();
    }
    let failure = if only_breakers && !reasons.is_empty() {
        let after = soonest.unwrap_or_default().max(Duration::from_secs(1));
        Failure::gateway(
            Code::BreakerOpen,
            format!("Every breaker of `{path}` is open. {}.", reasons.join("; ")),
        )
        .with_retry_after(after)
    } else if reasons.is_empty() {
        Failure::gateway(Code::NoEndpoint, format!("`{path}` has no endpoint for this operation."))
    } else {
        Failure::gateway(
            Code::NoEndpoint,
            format!("No endpoint of `{path}` can be asked. {}.", reasons.join("; ")),
        )
        .with_retry_after(Duration::from_secs(1))
    };
    failure
        .with_service(service.name.clone())
        .with_hint(format!("`throome service get {path}` shows each endpoint and why."))
}

/// What would be chosen now, without choosing it; for `explain`.
pub(crate) fn foresee(
    service: &Service,
    tactics: &Tactics,
    access: Access,
    rerun: bool,
    key: Option<u64>,
) -> Option<usize> {
    let now = clock::now();
    let resort_of = |endpoint: &Endpoint| resort(service, endpoint, access, rerun, now);
    let best = service.endpoints.iter().map(|endpoint| resort_of(endpoint)).min()?;
    if best == Resort::Never {
        return None;
    }
    let at_best = |i: &usize| resort_of(&service.endpoints[*i]) == best;
    let indices: Vec<usize> = (0..service.endpoints.len()).filter(at_best).collect();
    let loads: Vec<&Load> = indices.iter().map(|&i| &service.endpoints[i].load).collect();
    // Balancers that take turns move on when asked; one step more in a described request does no harm.
    indices.get(tactics.balancer(key).pick(&Candidates::new(&loads, now).by(key), seed())).copied()
}

thread_local! {
    static SEED: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// A number that nobody guesses, for names.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(seed())
}

/// Another random number each time, by splitmix's increment; balancers mix it.
#[must_use]
pub fn seed() -> u64 {
    SEED.with(|seed| {
        let next = seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        seed.set(next);
        next
    })
}
