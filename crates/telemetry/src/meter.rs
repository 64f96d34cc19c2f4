//! What is counted of one service: operations, failures by code, durations, and how many are under way.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use model::failure::{CODES, Code};

use crate::histogram::{Counts, Histogram};

/// The counters of one service. Each slot is written by one core only; reading sums them up.
#[derive(Debug)]
pub struct Meter {
    slots: Box<[Slot]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    active: AtomicI64,
    tries: AtomicU64,
    hedges: AtomicU64,
    hedges_won: AtomicU64,
    durations: Histogram,
    errors: [AtomicU64; CODES.len()],
}

/// What a meter read at one moment.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Durations of all operations that ended.
    pub durations: Counts,
    /// Failures, by code.
    pub errors: Vec<(Code, u64)>,
    /// Operations under way.
    pub active: u64,
    /// Tries that operations took which ended.
    pub tries: u64,
    /// Second tries that were made beside a first.
    pub hedges: u64,
    /// Of these, those that answered first.
    pub hedges_won: u64,
}

impl Meter {
    /// A meter that so many cores write to.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let slot = || Slot {
            active: AtomicI64::new(0),
            tries: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            hedges_won: AtomicU64::new(0),
            durations: Histogram::default(),
            errors: [const { AtomicU64::new(0) }; CODES.len()],
        };
        Meter { slots: (0..slots.max(1)).map(|_| slot()).collect() }
    }

    /// An operation begins.
    pub fn begin(&self, slot: usize) {
        self.slot(slot).active.fetch_add(1, Relaxed);
    }

    /// An operation ends, after so many tries. `slot` may be another than where it began: the sum is what counts.
    pub fn end(&self, slot: usize, duration: Duration, failure: Option<Code>, tries: u32) {
        let slot = self.slot(slot);
        slot.active.fetch_sub(1, Relaxed);
        slot.tries.fetch_add(tries.into(), Relaxed);
        slot.durations.record(duration);
        if let Some(code) = failure {
            slot.errors[code as usize].fetch_add(1, Relaxed);
        }
    }

    /// A second try is made beside a first.
    pub fn hedge(&self, slot: usize) {
        self.slot(slot).hedges.fetch_add(1, Relaxed);
    }

    /// It has answered first.
    pub fn hedge_won(&self, slot: usize) {
        self.slot(slot).hedges_won.fetch_add(1, Relaxed);
    }

    fn slot(&self, slot: usize) -> &Slot {
        &self.slots[slot.min(self.slots.len() - 1)]
    }

    /// Sums up.
    #[must_use]
    pub fn read(&self) -> Reading {
        let mut reading = Reading::default();
        let mut active = 0;
        for slot in &self.slots {
            reading.durations.add(&slot.durations);
            active += slot.active.load(Relaxed);
            reading.tries += slot.tries.load(Relaxed);
            reading.hedges += slot.hedges.load(Relaxed);
            reading.hedges_won += slot.hedges_won.load(Relaxed);
        }
        reading.active = u64::try_from(active).unwrap_or(0);
        for row in CODES {
            let count = self.slots.iter().map(|slot| slot.errors[row.code as usize].load(Relaxed)).sum();
            if count > 0 {
                reading.errors.push((row.code, count));
            }
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_counted_once_wherever_it_ends() {
        let meter = Meter::new(3);
        for i in 0..30 {
            meter.begin(i % 3);
            let failure = (i % 10 == 0).then_some(Code::Timeout);
            meter.end((i + 1) % 3, Duration::from_millis(1), failure, 2);
        }
        meter.begin(0);
        let reading = meter.read();
        assert_eq!((reading.durations.count(), reading.active, reading.tries), (30, 1, 60));
        assert_eq!(reading.errors, [(Code::Timeout, 3)]);
    }
}
