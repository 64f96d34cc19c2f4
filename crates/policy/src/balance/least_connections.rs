//! The fewest requests in flight for its weight; equal ones in turn.

use super::{Balancer, Candidates, Load, turn};
use crate::time::Time;

/// The fewest in flight.
#[derive(Debug)]
pub(super) struct LeastConnections;

impl Balancer for LeastConnections {
    fn pick(&self, candidates: &Candidates<'_>, _seed: u64) -> usize {
        let now = candidates.now;
        let busy = candidates.loads.iter().map(|load| Busy::of(load, now)).enumerate();
        let Some((index, least)) =
            busy.reduce(|one, other| if other.1.is_less_than(one.1) { other } else { one })
        else {
            return 0;
        };
        let tied = |load: &Load| !least.is_less_than(Busy::of(load, now));
        // None is tied any more when all have become busier meanwhile.
        turn::pick(candidates.loads, |load| turn::by_weight(load, now), tied).unwrap_or(index)
    }
}

/// Requests in flight over its share, as a fraction.
#[derive(Clone, Copy)]
struct Busy {
    in_flight: u64,
    share: u64,
}

impl Busy {
    fn of(load: &Load, now: Time) -> Self {
        Busy { in_flight: u64::from(load.in_flight()), share: load.share(now) }
    }

    fn is_less_than(self, other: Busy) -> bool {
        self.in_flight * other.share < other.in_flight * self.share
    }
}
