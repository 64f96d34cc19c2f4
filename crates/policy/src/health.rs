//! What probes say of an endpoint, and how often it is probed. Who probes, and how, is for the caller.

mod silence;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use model::HealthSpec;

use crate::time::Time;

pub use silence::Silence;

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
        self.set(now, from, to)
    }

    /// The verdict of whoever knows without a probe, such as the one who has ended it.
    pub fn decide(&self, now: Time, to: HealthState) -> Option<Change> {
        let from = self.state();
        if from == to { None } else { self.set(now, from, to) }
    }

    fn set(&self, now: Time, from: HealthState, to: HealthState) -> Option<Change> {
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

/// Whether probes are doubted, since so few of `several` endpoints pass them: when less than this share does. That nearly
/// all fail at once is told more often by a wrong path, or by something that all of them ask, than by the endpoints;
/// and if it is true, the few that are left would fall over under what all of them had to bear. Of one endpoint alone
/// nothing is doubted.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "numbers of endpoints")]
pub fn are_doubted(threshold: f64, several: usize, unhealthy: usize) -> bool {
    several > 1 && (several.saturating_sub(unhealthy) as f64) < threshold * several as f64
}

/// How long to wait before the next probe: a second at most while there is doubt, which is when it is not known to be
/// healthy or is `suspicious` (its breaker is not closed, it is silent).
#[must_use]
pub fn next_interval(spec: &HealthSpec, state: HealthState, suspicious: bool) -> Duration {
    let interval = spec.interval.0;
    if suspicious || state != HealthState::Healthy { interval.min(IN_DOUBT) } else { interval }
}

#[cfg(test)]
mod tests;
