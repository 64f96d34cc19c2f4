//! What probes say of an endpoint, how often it is probed, and whether it has fallen silent between two probes.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use model::HealthSpec;

use crate::time::Time;

/// How often an endpoint is probed that is in doubt.
const IN_DOUBT: Duration = Duration::from_secs(1);

/// What probes say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// Nothing yet. Not the same as healthy, though it may be asked.
    Unknown,
    /// The last probes passed.
    Healthy,
    /// The last probes failed.
    Unhealthy,
}

/// A change of health, to be told as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: HealthState,
    /// What it is.
    pub to: HealthState,
}

/// The health of one endpoint. One prober writes it, all cores read it.
#[derive(Debug)]
pub struct Health {
    threshold: u32,
    state: AtomicU8,
    /// Probes in a row that contradict the state.
    against: AtomicU32,
    since: AtomicU64,
}

impl Health {
    /// An endpoint that was not probed yet.
    #[must_use]
    pub fn new(spec: &HealthSpec) -> Self {
        Health {
            threshold: spec.threshold.max(1),
            state: AtomicU8::new(HealthState::Unknown as u8),
            against: AtomicU32::new(0),
            since: AtomicU64::new(0),
        }
    }

    /// How a probe ended. So many in a row as the threshold change the verdict, either way; the very first success is
    /// enough on its own, since nothing speaks against it.
    pub fn probe(&self, now: Time, ok: bool) -> Option<Change> {
        let from = self.state();
        let to = if ok { HealthState::Healthy } else { HealthState::Unhealthy };
        if from == to {
            self.against.store(0, Relaxed);
            return None;
        }
        let against = self.against.fetch_add(1, Relaxed) + 1;
        let decided = from == HealthState::Unknown && ok;
        if !decided && against < self.threshold {
            return None;
        }
        self.against.store(0, Relaxed);
        self.since.store(now.0, Relaxed);
        self.state.store(to as u8, Relaxed);
        Some(Change { from, to })
    }

    /// The verdict.
    #[must_use]
    pub fn state(&self) -> HealthState {
        match self.state.load(Relaxed) {
            state if state == HealthState::Healthy as u8 => HealthState::Healthy,
            state if state == HealthState::Unhealthy as u8 => HealthState::Unhealthy,
            _ => HealthState::Unknown,
        }
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> Time {
        Time(self.since.load(Relaxed))
    }
}

/// How long to wait before the next probe: a second at most while there is doubt, which is when it is not known to be
/// healthy or is `suspicious` (its breaker is not closed, it is silent).
#[must_use]
pub fn next_interval(spec: &HealthSpec, state: HealthState, suspicious: bool) -> Duration {
    let interval = spec.interval.0;
    if suspicious || state != HealthState::Healthy { interval.min(IN_DOUBT) } else { interval }
}

/// Requests that must go unanswered before silence means anything.
const SEVERAL: u64 = 3;

/// Silence means nothing any more when it is that old: the endpoint gets a few requests to show itself again. A probe
/// that passes is heard as well, and mostly earlier.
const STALE: Duration = Duration::from_secs(60);

/// Whether an endpoint has stopped answering, before the first time limit says so. Soft: a silent endpoint is passed
/// over while another is usable, and any answer ends it.
///
/// What counts is requests sent since it was last heard from: none of an idle endpoint's, and not those that a slow
/// one is still busy with while it answers others.
#[derive(Debug, Default)]
pub struct Silence {
    /// When the first unanswered request was sent (48 bits of microseconds, nine years), and how many there are (16).
    /// 0 while there is none.
    unanswered: AtomicU64,
}

impl Silence {
    /// An endpoint that owes no answer.
    #[must_use]
    pub fn new() -> Self {
        Silence::default()
    }

    /// A request was sent to it.
    pub fn asked(&self, now: Time) {
        self.change(|first, count| {
            if count == 0 || now.since(first) > STALE { (now, 1) } else { (first, (count + 1).min(0xffff)) }
        });
    }

    /// Something came from it: the first byte of an answer, more of one, a probe that passed, a refusal.
    pub fn heard(&self, _now: Time) {
        if self.unanswered.load(Relaxed) != 0 {
            self.unanswered.store(0, Relaxed);
        }
    }

    /// A request was given up for reasons of its own: its client went away. It says nothing of the endpoint. One whose
    /// time ran out is not given up: it stays unanswered.
    pub fn gone(&self, _now: Time) {
        self.change(|first, count| (first, count.saturating_sub(1)));
    }

    /// Whether at least three requests are unanswered, and the first of them for longer than `limit` and than four
    /// times what an answer `typical`ly takes.
    #[must_use]
    pub fn silent(&self, now: Time, limit: Duration, typical: Duration) -> bool {
        let (first, count) = unpack(self.unanswered.load(Relaxed));
        let patience = limit.max(typical.saturating_mul(4));
        let waited = now.since(first);
        count >= SEVERAL && waited >= patience && waited <= STALE
    }

    fn change(&self, change: impl Fn(Time, u64) -> (Time, u64)) {
        let mut word = self.unanswered.load(Relaxed);
        loop {
            let (first, count) = unpack(word);
            let (first, count) = change(first, count);
            let next = if count == 0 { 0 } else { first.0.min(FIRST_MAX) << 16 | count };
            match self.unanswered.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }
}

const FIRST_MAX: u64 = (1 << 48) - 1;

fn unpack(word: u64) -> (Time, u64) {
    (Time(word >> 16), word & 0xffff)
}

#[cfg(test)]
mod tests;
