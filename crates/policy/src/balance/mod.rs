//! Which endpoint is asked, among those that may be. Whether one may be asked is never asked here.

mod hash;
mod latency;
mod least_connections;
mod load;
mod shares;
mod turn;
mod two_choices;

#[cfg(test)]
mod tests;

use model::Strategy;

use crate::time::Time;

pub use load::Load;
pub use shares::Shares;

/// Picks one of the usable endpoints.
pub trait Balancer: Send + Sync {
    /// Index of the candidate to ask; 0 when there is none. Each call gets another seed: a random number or a count.
    fn pick(&self, candidates: &Candidates<'_>, seed: u64) -> usize;
}

/// The usable endpoints of a service, and the moment at which one is picked.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    /// The load of each, in any order.
    pub loads: &'a [&'a Load],
    /// The moment.
    pub now: Time,
    /// What the request has in common with those that should go where it goes: a hash, or the name of an endpoint.
    pub key: Option<u64>,
}

impl<'a> Candidates<'a> {
    /// These endpoints, at this moment.
    #[must_use]
    pub fn new(loads: &'a [&'a Load], now: Time) -> Self {
        Candidates { loads, now, key: None }
    }

    /// The same for a request with this key, if it has one.
    #[must_use]
    pub fn by(self, key: Option<u64>) -> Self {
        Candidates { key, ..self }
    }
}

/// The balancer of a strategy. It holds no state of its own: what was picked before is kept with the endpoints, so
/// that any number of balancers over the same endpoints share them evenly between them.
#[must_use]
pub fn balancer(strategy: Strategy) -> Box<dyn Balancer> {
    match strategy {
        Strategy::RoundRobin => Box::new(turn::RoundRobin),
        Strategy::Weighted => Box::new(turn::Weighted),
        Strategy::LeastConnections => Box::new(least_connections::LeastConnections),
        Strategy::TwoChoices => Box::new(two_choices::TwoChoices),
        Strategy::Latency => Box::new(latency::Latency),
        Strategy::Hash => Box::new(hash::Hash),
    }
}

/// Who picks for a request with a key, whatever the strategy for those without.
#[must_use]
pub fn by_key() -> &'static dyn Balancer {
    &hash::Hash
}
