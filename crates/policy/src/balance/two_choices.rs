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
        let (one, other) = draw(loads, seed, candidates.now);
        if is_cheaper(loads[other], loads[one], candidates.now) { other } else { one }
    }
}

/// Two different endpoints, each drawn by its share.
fn draw(loads: &[&Load], seed: u64, now: Time) -> (usize, usize) {
    let total: u64 = loads.iter().map(|load| load.share(now)).sum();
    let seed = mix(seed);
    let one = at(loads, below(seed, total), None, now);
    let rest = total.saturating_sub(loads[one].share(now));
    (one, at(loads, below(mix(seed), rest), Some(one), now))
}

/// The endpoint at this point of the shares laid end to end, one of them left out.
fn at(loads: &[&Load], mut point: u64, without: Option<usize>, now: Time) -> usize {
    let mut last = 0;
    for (index, load) in loads.iter().enumerate().filter(|(index, _)| Some(*index) != without) {
        let share = load.share(now);
        if point < share {
            return index;
        }
        point -= share;
        last = index;
    }
    // A weight was changed meanwhile.
    last
}

/// Latency times what would be in flight, over its share. Where one of them was never measured only load and share
/// count: an unknown endpoint is neither avoided nor flooded.
fn is_cheaper(one: &Load, other: &Load, now: Time) -> bool {
    let latencies = (one.latency(now).as_secs_f64(), other.latency(now).as_secs_f64());
    let (mine, theirs) = if latencies.0 == 0.0 || latencies.1 == 0.0 { (1.0, 1.0) } else { latencies };
    #[expect(clippy::cast_precision_loss, reason = "a weight times 1024")]
    let queue = |load: &Load| f64::from(load.in_flight() + 1) / load.share(now) as f64;
    mine * queue(one) < theirs * queue(other)
}
