//! Whether a request is sent again: may it, are there retries left, and how long to wait. What counts as a failure
//! that is worth another try is for the caller to say.

use std::time::Duration;

use crate::seed::{below, mix};
use crate::time::{Time, micros};
use crate::window::{Mark, Window};

/// The window of a budget.
const WINDOW: Duration = Duration::from_secs(10);

/// Retries that a window always has room for. Without it a service that is asked once in a while would lose requests to
/// one bad endpoint, since a share of few is none; ten in ten seconds never overload anybody.
const LEAST: f64 = 10.0;

/// The longest first wait before the same endpoint is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// What a request does, as far as doing it twice goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work<'a> {
    /// A proxied request, by its method.
    Http(&'a str),
    /// Reads and changes nothing: a look-up in a cache, a list of topics.
    Read,
    /// Changes something: a set, an execute, anything within a transaction.
    Write,
    /// A query. It may write, whatever it looks like, unless one of these keeps it from it.
    Query {
        /// It runs in a READ ONLY transaction.
        read_only: bool,
        /// It went to a standby.
        standby: bool,
    },
    /// A message for a queue.
    Publish {
        /// The producer numbers its messages, and the queue drops what it has.
        idempotent: bool,
    },
}

/// How far a try got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No byte of the request has left.
    Unsent,
    /// Some may have arrived.
    Sent,
    /// The client has the beginning of an answer.
    Answered,
}

/// Whether the work may be done again after a try that got so far.
#[must_use]
pub fn may_rerun(work: Work<'_>, progress: Progress) -> bool {
    match progress {
        Progress::Unsent => true,
        Progress::Answered => false,
        Progress::Sent => match work {
            Work::Http(method) => matches!(method, "GET" | "HEAD" | "OPTIONS"),
            Work::Read => true,
            Work::Write => false,
            Work::Query { read_only, standby } => read_only || standby,
            Work::Publish { idempotent } => idempotent,
        },
    }
}

/// The retries of one service: a share of the requests of the last ten seconds, so that a service that is down is not
/// asked several times as often as one that is up. At least as many as there are requests in flight, so that losing
/// one endpoint loses none of them, and at least ten, unless the share is 0. Retries whose bytes never left draw
/// nothing: do not ask.
#[derive(Debug)]
pub struct Budget {
    ratio: f64,
    /// Retries are marked.
    recent: Window,
}

impl Budget {
    /// A budget of this share, 0 to 1.
    #[must_use]
    pub fn new(ratio: f64) -> Self {
        Budget { ratio: ratio.clamp(0.0, 1.0), recent: Window::new(WINDOW) }
    }

    /// A request has come, whatever number of tries it will take.
    pub fn request(&self, now: Time) {
        self.recent.add(now, Mark::Plain);
    }

    /// Takes a retry from the budget, if there is one. `in_flight`: the requests to the service under way now.
    pub fn try_retry(&self, now: Time, in_flight: u32) -> bool {
        // Taken first and given back: cores that ask at the same moment may refuse one too many, never one too few.
        self.recent.add(now, Mark::Marked);
        let counts = self.recent.counts(now);
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^24")]
        let (requests, retries) = (counts.plain as f64, counts.marked as f64);
        let least = if self.ratio > 0.0 { LEAST } else { 0.0 };
        let granted = retries <= (self.ratio * requests).max(f64::from(in_flight)).max(least);
        if !granted {
            self.recent.take_back(now, Mark::Marked);
        }
        granted
    }
}

/// How long to wait before the same endpoint is asked again, the first time being attempt 1: anything up to 5 ms, then
/// up to twice as long each time, up to 100 ms. Another endpoint is asked at once.
#[must_use]
pub fn backoff(attempt: u32, seed: u64) -> Duration {
    let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
    Duration::from_micros(below(mix(seed), micros(longest) + 1))
}

#[cfg(test)]
mod tests;
