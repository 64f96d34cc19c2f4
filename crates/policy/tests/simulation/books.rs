//! The world's own books, kept apart from what the fleet counts: the bounds are checked against them.

use std::collections::VecDeque;

use throome_policy::Time;

/// What the world's own books say afterwards.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    /// Tries sent to each endpoint, by second.
    pub(crate) sent: Vec<Vec<u32>>,
    pub(crate) failed_safe: u64,
    /// Requests that failed and may not run twice, by the endpoint they failed at.
    pub(crate) failed_unsafe: u64,
    pub(crate) retries: u64,
    /// Retries beyond the budget.
    pub(crate) over_budget: u64,
    /// The most tries at once that a half-open breaker let through.
    pub(crate) most_trials: u32,
    /// Breakers seen half-open by a try.
    pub(crate) trials: u64,
    /// Second tries beside a first.
    pub(crate) hedges: u64,
    /// How long what may run again took to be answered, in microseconds.
    pub(crate) took: Vec<u64>,
}

impl Report {
    /// What 99 of a hundred answers took at most, in seconds.
    pub(crate) fn p99(&self) -> f64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        took[took.len() * 99 / 100] as f64 / 1e6
    }

    /// Tries sent to each endpoint from one second to another.
    pub(crate) fn sent_between(&self, from: u64, to: u64) -> Vec<u64> {
        let count = self.sent.first().map_or(0, Vec::len);
        let seconds = &self.sent[seconds(from)..seconds(to)];
        (0..count).map(|index| seconds.iter().map(|second| u64::from(second[index])).sum()).collect()
    }
}

/// An index of seconds.
pub(crate) fn seconds(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Requests and retries of the last ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Ledger(VecDeque<Line>);

/// One second of the ledger.
#[derive(Debug, Default)]
pub(crate) struct Line {
    second: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
}

impl Ledger {
    /// The line of this moment. Lines older than ten seconds are struck out.
    pub(crate) fn now(&mut self, now: Time) -> &mut Line {
        let second = now.0 / 1_000_000;
        while self.0.front().is_some_and(|line| line.second + 10 <= second) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|line| line.second != second) {
            self.0.push_back(Line { second, ..Line::default() });
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Requests and retries in all lines.
    pub(crate) fn sums(&self) -> (u64, u64) {
        self.0
            .iter()
            .fold((0, 0), |(requests, retries), line| (requests + line.requests, retries + line.retries))
    }
}
