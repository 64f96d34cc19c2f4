//! The better of two drawn at random: what a request would have to wait, by latency and load.
//!
//! Two, since the best of all would be everybody's choice until its load is known, and one by lot ignores load.

use super::{Balancer, Candidates, Load};
use crate::seed::{below, mix};
use crate::time::Time;

/// The better of two.
#[derive(Debug)]
pub(super) struct TwoChoices;

impl Balancer for TwoChoices {
    fn pick(&self, candidates: &Candidates<'_>, seed: u64) -> usize {
        let loads = candidates.loads;
        if loads.len() < 2 {
            return 0;
        }
        let (one, other) = draw(loads, seed);
        if is_cheaper(loads[other], loads[one], candidates.now) { other } else { one }
    }
}

/// Two different endpoints, each drawn by its weight.
fn draw(loads: &[&Load], seed: u64) -> (usize, usize) {
    let weight = |load: &Load| u64::from(load.weight().max(1));
    let total: u64 = loads.iter().map(|load| weight(load)).sum();
    let seed = mix(seed);
    let one = at(loads, below(seed, total), None);
    let rest = total.saturating_sub(weight(loads[one]));
    (one, at(loads, below(mix(seed), rest), Some(one)))
}

/// The endpoint at this point of the weights laid end to end, one of them left out.
fn at(loads: &[&Load], mut point: u64, without: Option<usize>) -> usize {
    let mut last = 0;
    for (index, load) in loads.iter().enumerate().filter(|(index, _)| Some(*index) != without) {
        let weight = u64::from(load.weight().max(1));
        if point < weight {
            return index;
        }
        point -= weight;
        last = index;
    }
    // A weight was changed meanwhile.
    last
}

/// Latency times what would be in flight, over weight. Where one of them was never measured only load and weight
/// count: an unknown endpoint is neither avoided nor flooded.
fn is_cheaper(one: &Load, other: &Load, now: Time) -> bool {
    let latencies = (one.latency(now).as_secs_f64(), other.latency(now).as_secs_f64());
    let (mine, theirs) = if latencies.0 == 0.0 || latencies.1 == 0.0 { (1.0, 1.0) } else { latencies };
    let queue = |load: &Load| f64::from(load.in_flight() + 1) / f64::from(load.weight().max(1));
    mine * queue(one) < theirs * queue(other)
}
