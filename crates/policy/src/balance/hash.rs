//! By a key: what has the same key goes to the same endpoint, as long as that can take it.
//!
//! Each endpoint draws a number for the key, and the highest wins (rendezvous hashing). Nothing is kept, so nothing has to
//! be built anew when an endpoint comes or goes: the keys of one that goes are shared by all others, and no other key
//! moves. A ring does the same less evenly, and needs hundreds of points for each endpoint to do it at all.

use super::{Balancer, Candidates, Load, two_choices::TwoChoices};
use crate::seed::mix;
use crate::time::Time;

/// An endpoint has at most this much more in flight than its share, as a fraction: what one key brings beyond goes to
/// the endpoint that drew second.
const MORE: (u64, u64) = (5, 4);

/// So much an endpoint may have beyond that: a client that asks for several things at once on a quiet service must not
/// be torn from its endpoint.
const SLACK: u64 = 8;

/// By key; without one, the better of two.
#[derive(Debug)]
pub(super) struct Hash;

impl Balancer for Hash {
    fn pick(&self, candidates: &Candidates<'_>, seed: u64) -> usize {
        match candidates.key {
            Some(key) => by_key(candidates, key),
            None => TwoChoices.pick(candidates, seed),
        }
    }
}

fn by_key(candidates: &Candidates<'_>, key: u64) -> usize {
    let Candidates { loads, now, .. } = *candidates;
    // Who is named has what the client comes back for, and is asked however busy it is.
    if let Some(named) = loads.iter().position(|load| load.name() == key) {
        return named;
    }
    let whole = Whole::of(loads, now);
    let mut best: Option<(bool, f64, usize)> = None;
    for (index, load) in loads.iter().enumerate() {
        let drawn = (whole.has_room(load, now), draw(load, key), index);
        if best.is_none_or(|best| (drawn.0, drawn.1) > (best.0, best.1)) {
            best = Some(drawn);
        }
    }
    best.map_or(0, |(_, _, index)| index)
}

/// What an endpoint draws for a key: the higher its weight, the higher, so that each wins its share of all keys.
fn draw(load: &Load, key: u64) -> f64 {
    let mixed = mix(key ^ load.name());
    // Above 0 and below 1.
    let even = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(load.weight().max(1)) / even.ln()
}

/// All endpoints together.
struct Whole {
    in_flight: u64,
    /// The shares of all: one that rises is given less, and its keys stay its own.
    share: u64,
}

impl Whole {
    fn of(loads: &[&Load], now: Time) -> Self {
        Whole {
            in_flight: loads.iter().map(|load| u64::from(load.in_flight())).sum(),
            share: loads.iter().map(|load| load.share(now)).sum(),
        }
    }

    fn has_room(&self, load: &Load, now: Time) -> bool {
        let share = ((self.in_flight + 1) * load.share(now) * MORE.0).div_ceil(self.share * MORE.1);
        u64::from(load.in_flight()) < share + SLACK
    }
}
