//! Turns: round robin and smooth weighted, as one rotation in virtual time.
//!
//! Every endpoint holds its *pass*, the virtual time of its next turn. The lowest pass is picked and moves on by its
//! stride, which is inverse to its weight: over any stretch each endpoint has its share to within a turn, and heavy
//! ones are spread between light ones, as nginx's smooth weighted round robin has it. There the whole set changes with
//! every pick; here one word does, by compare and swap, and that word belongs to the endpoint: a set that changes from
//! pick to pick (an endpoint lost, one not tried twice) stays even.
//!
//! An endpoint that was out falls behind in virtual time. It does not get the turns it missed all at once: it joins
//! where the others are.

use std::sync::atomic::Ordering::Relaxed;

use super::load::WHOLE;
use super::{Balancer, Candidates, Load};
use crate::time::Time;

/// Stride of weight 1. A weight of 10,000 is kept to within 0.1 %; passes wrap, and are compared as such.
const STRIDE: u64 = 1 << 24;

/// An endpoint so many turns behind the others was out; less comes from picks among a part of them.
const BEHIND: u64 = 2;

/// Another core took the same turn so often: its second choice is as good as ours.
const TRIES: u32 = 8;

/// In turn.
#[derive(Debug)]
pub(super) struct RoundRobin;

/// In turn, by weight.
#[derive(Debug)]
pub(super) struct Weighted;

impl Balancer for RoundRobin {
    fn pick(&self, candidates: &Candidates<'_>, _seed: u64) -> usize {
        pick(candidates.loads, |load| STRIDE * WHOLE / load.part(candidates.now), |_| true).unwrap_or(0)
    }
}

impl Balancer for Weighted {
    fn pick(&self, candidates: &Candidates<'_>, _seed: u64) -> usize {
        pick(candidates.loads, |load| by_weight(load, candidates.now), |_| true).unwrap_or(0)
    }
}

/// The stride of an endpoint by its weight, longer while its share rises.
pub(super) fn by_weight(load: &Load, now: Time) -> u64 {
    (STRIDE * WHOLE / load.share(now)).max(1)
}

/// Index of the endpoint whose turn it is among those that `takes_part` accepts, if it accepts any. Without a choice no
/// turn is used up.
pub(super) fn pick(
    loads: &[&Load],
    stride: impl Fn(&Load) -> u64,
    takes_part: impl Fn(&Load) -> bool,
) -> Option<usize> {
    if loads.len() < 2 {
        return (!loads.is_empty()).then_some(0);
    }
    let mut chosen = None;
    for _ in 0..TRIES {
        let Some(next) = next(loads, &stride, &takes_part) else { break };
        chosen = Some(next.index);
        let load = loads[next.index];
        let moved = next.pass.wrapping_add(stride(load));
        if load.pass.compare_exchange(next.pass, moved, Relaxed, Relaxed).is_ok() {
            break;
        }
    }
    chosen
}

struct Next {
    index: usize,
    /// Its pass as it was read, after it has joined the others.
    pass: u64,
}

fn next(
    loads: &[&Load],
    stride: &impl Fn(&Load) -> u64,
    takes_part: &impl Fn(&Load) -> bool,
) -> Option<Next> {
    let present = now(loads, stride, takes_part);
    let mut best: Option<Next> = None;
    for (index, load) in loads.iter().enumerate().filter(|(_, load)| takes_part(load)) {
        let seen = load.pass.load(Relaxed);
        let own_stride = stride(load);
        let pass = if seen == 0 || ahead(present, seen) > signed(BEHIND * own_stride) {
            // Each joins at another point of its stride, so that several that join at once do not stay in step.
            let joined = present.wrapping_add(own_stride / 1024 * phase(index)).max(1);
            // Kept: it would stand still ahead of a moving present otherwise. Whoever comes second reads it.
            match load.pass.compare_exchange(seen, joined, Relaxed, Relaxed) {
                Ok(_) => joined,
                Err(found) => found,
            }
        } else {
            seen
        };
        if best.as_ref().is_none_or(|best| ahead(best.pass, pass) > 0) {
            best = Some(Next { index, pass });
        }
    }
    best
}

/// The present in virtual time: the turn that was taken last.
fn now(loads: &[&Load], stride: &impl Fn(&Load) -> u64, takes_part: &impl Fn(&Load) -> bool) -> u64 {
    let mut present: Option<u64> = None;
    for load in loads.iter().filter(|load| takes_part(load)) {
        let pass = load.pass.load(Relaxed);
        let taken = pass.wrapping_sub(stride(load));
        if pass != 0 && present.is_none_or(|present| ahead(taken, present) > 0) {
            present = Some(taken);
        }
    }
    present.unwrap_or(STRIDE)
}

/// How far one moment of virtual time is ahead of another.
fn ahead(one: u64, other: u64) -> i64 {
    signed(one.wrapping_sub(other))
}

#[expect(clippy::cast_possible_wrap, reason = "half of the circle is ahead, half behind")]
fn signed(distance: u64) -> i64 {
    distance as i64
}

/// Points between 0 and 1023 that lie far from their neighbours: multiples of the golden ratio.
fn phase(index: usize) -> u64 {
    (index as u64).wrapping_mul(633) % 1024
}
