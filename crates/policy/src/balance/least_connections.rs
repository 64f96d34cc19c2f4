//! The fewest requests in flight for its weight; equal ones in turn.

use super::{Balancer, Candidates, Load, turn};

/// The fewest in flight.
#[derive(Debug)]
pub(super) struct LeastConnections;

impl Balancer for LeastConnections {
    fn pick(&self, candidates: &Candidates<'_>, _seed: u64) -> usize {
        let Some(least) = candidates.loads.iter().copied().map(Busy::of).reduce(Busy::less) else { return 0 };
        turn::pick(candidates.loads, turn::by_weight, |load| !least.is_less_than(Busy::of(load)))
    }
}

/// Requests in flight over weight, as a fraction.
#[derive(Clone, Copy)]
struct Busy {
    in_flight: u64,
    weight: u64,
}

impl Busy {
    fn of(load: &Load) -> Self {
        Busy { in_flight: u64::from(load.in_flight()), weight: u64::from(load.weight().max(1)) }
    }

    fn is_less_than(self, other: Busy) -> bool {
        self.in_flight * other.weight < other.in_flight * self.weight
    }

    fn less(self, other: Busy) -> Busy {
        if other.is_less_than(self) { other } else { self }
    }
}
