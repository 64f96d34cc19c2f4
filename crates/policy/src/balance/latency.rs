//! The shortest wait of all: latency times what would be in flight. Those that are about as good take turns.

use super::{Balancer, Candidates, Load, turn};
use crate::time::Time;

/// A wait this much longer than the shortest is as good: measurements differ by more, and equal endpoints share evenly.
const AS_GOOD: f64 = 1.1;

/// The shortest wait.
#[derive(Debug)]
pub(super) struct Latency;

impl Balancer for Latency {
    fn pick(&self, candidates: &Candidates<'_>, _seed: u64) -> usize {
        let loads = candidates.loads;
        let unknown = mean(loads, candidates.now);
        let wait = |load: &Load| wait(load, unknown, candidates.now);
        let Some(shortest) = loads.iter().map(|load| wait(load)).reduce(f64::min) else { return 0 };
        let is_as_good = |load: &Load| wait(load) <= shortest * AS_GOOD;
        // None is as good any more when all have become busier meanwhile.
        turn::pick(loads, |load| turn::by_weight(load, candidates.now), is_as_good).unwrap_or(0)
    }
}

/// What a request would have to wait there, over its share.
fn wait(load: &Load, unknown: f64, now: Time) -> f64 {
    let latency = load.latency(now).as_secs_f64();
    let latency = if latency == 0.0 { unknown } else { latency };
    latency * f64::from(load.in_flight() + 1) / load.share(now) as f64
}

/// The mean of what is known, for those of which nothing is: they are neither avoided nor flooded.
fn mean(loads: &[&Load], now: Time) -> f64 {
    let known = loads.iter().map(|load| load.latency(now).as_secs_f64()).filter(|latency| *latency > 0.0);
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), latency| (sum + latency, count + 1.0));
    if count == 0.0 { 1.0 } else { sum / count }
}
