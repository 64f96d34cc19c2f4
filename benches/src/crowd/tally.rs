//! What came of an open loop: how long exchanges took from when they were due, and which of them began late, by whose
//! doing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// An exchange that begins this long after it was due counts as late.
pub(super) const LATE: Duration = Duration::from_millis(1);

/// What came of it. Latencies are microseconds from the time a request was due to the last byte of its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests a second that were asked for.
    pub intended_rate: f64,
    /// Successes a second.
    pub achieved_rate: f64,
    pub completed: u64,
    /// Answers other than 2xx, broken connections and timeouts. They have no latency.
    pub errors: u64,
    /// The first error, in words.
    pub first_error: Option<String>,
    /// Sent over a millisecond late since every connection was busy: the server's doing, and part of the latency.
    pub late_waiting: u64,
    /// Sent over a millisecond late since the generator woke up late: ours, and also in the latency.
    pub late_waking: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    pub mean_us: f64,
    /// Share of the generator's own core that was busy, whoever used it.
    pub load_core: f64,
}

/// What all connections saw.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) latencies: Histogram,
    errors: u64,
    first_error: Option<String>,
    pub(super) late_waiting: u64,
    pub(super) late_waking: u64,
}

impl Tally {
    pub(super) fn fail(&mut self, what: String) {
        self.errors += 1;
        self.first_error.get_or_insert(what);
    }

    pub(super) fn report(self, rate: f64, seconds: f64, load_core: f64) -> Report {
        let microseconds = |share| self.latencies.quantile(share) as f64 / 1_000.0;
        Report {
            intended_rate: rate,
            achieved_rate: self.latencies.total() as f64 / seconds,
            completed: self.latencies.total(),
            errors: self.errors,
            first_error: self.first_error.clone(),
            late_waiting: self.late_waiting,
            late_waking: self.late_waking,
            p50_us: microseconds(0.5),
            p90_us: microseconds(0.9),
            p99_us: microseconds(0.99),
            p999_us: microseconds(0.999),
            max_us: self.latencies.largest() as f64 / 1_000.0,
            mean_us: self.latencies.mean() / 1_000.0,
            load_core,
        }
    }
}
