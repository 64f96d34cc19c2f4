//! What a run of calls came to, whoever made them: how many, how long each took, what went wrong. Programs print it
//! as JSON, and scenarios read it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// The outcome of a run. Latencies are microseconds; calls that failed have none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub completed: u64,
    pub errors: u64,
    /// The first error, in words.
    pub first_error: Option<String>,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
    /// Bytes of results, where there are any worth counting.
    pub bytes: u64,
    /// Processor time of those who did the work, in seconds, where the program that reports could know it.
    pub cpu_seconds: Option<f64>,
    /// Transactions committed, where the program that reports could know it.
    pub commits: Option<u64>,
}

impl Timings {
    /// Completed calls a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.completed as f64 / self.seconds
    }
}

/// Collects the calls of one caller; several add up.
#[derive(Debug, Default)]
pub struct Tally {
    latencies: Histogram,
    errors: u64,
    first_error: Option<String>,
    bytes: u64,
}

impl Tally {
    /// A call that succeeded after so long, with a result of so many bytes.
    pub fn done(&mut self, took: Duration, bytes: usize) {
        self.latencies.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.bytes += bytes as u64;
    }

    /// A call that failed.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| what.into());
    }

    /// Adds what another caller had.
    pub fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.bytes += other.bytes;
    }

    /// The sum, over the time since `begun`.
    #[must_use]
    pub fn timings(self, begun: Instant) -> Timings {
        let microseconds = |share| self.latencies.quantile(share) as f64 / 1_000.0;
        Timings {
            completed: self.latencies.total(),
            errors: self.errors,
            seconds: begun.elapsed().as_secs_f64(),
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
            max_us: self.latencies.largest() as f64 / 1_000.0,
            first_error: self.first_error,
            bytes: self.bytes,
            cpu_seconds: None,
            commits: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_add_up_and_failures_have_no_latency() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for microseconds in 1..=100 {
            one.done(Duration::from_micros(microseconds), 10);
        }
        other.fail("status 503");
        other.fail("status 504");
        one.add(other);
        let timings = one.timings(Instant::now());
        assert_eq!((timings.completed, timings.errors, timings.bytes), (100, 2, 1_000));
        assert_eq!(timings.first_error.as_deref(), Some("status 503"));
        assert!((timings.p50_us - 50.0).abs() < 1.0 && (timings.p99_us - 99.0).abs() < 1.0, "{timings:?}");
        assert!((timings.max_us - 100.0).abs() < 1e-6, "{timings:?}");
    }
}
