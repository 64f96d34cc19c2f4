//! What may be sent again, after how long, and how much of that an application may do in all.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::{Error, Family};

/// The first wait is between nothing and this; each further one may be twice as long.
const SHORTEST: Duration = Duration::from_millis(250);
/// No wait of our own is longer.
const LONGEST: Duration = Duration::from_secs(5);
/// A gateway that asks for more patience than this gets none: the caller decides.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// Whether the same request may be sent again. What never left always may.
pub(crate) fn may_run_again(error: &Error, repeatable: bool) -> bool {
    if error.is_for_good() {
        return false;
    }
    if error.never_sent() {
        return true;
    }
    // An open breaker stays open for longer than we would wait.
    if !repeatable || error.code() == Some("breaker_open") {
        return false;
    }
    match error.status() {
        None => matches!(error.family(), Family::Connection | Family::Timeout),
        Some(408 | 429 | 502..=504) => true,
        Some(_) => error.retryable(),
    }
}

/// How long to wait after this many tries: what the gateway asked for and a little, or else a random part
/// of a limit that doubles. `None` when the gateway asked for too much.
pub(crate) fn wait(tries: u32, asked: Option<Duration>) -> Option<Duration> {
    match asked {
        Some(asked) if asked > LONGEST_ASKED => None,
        Some(asked) => Some(asked + SHORTEST.mul_f64(random())),
        None => {
            let limit = SHORTEST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST);
            Some(limit.mul_f64(random()))
        }
    }
}

/// Between 0 and 1. Spreads clients apart, which needs no more than the keys of a hash map.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

/// Keeps retries to a fifth of the calls, past the first ten, so that a gateway in trouble is not hit three
/// times as hard by everyone.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In fifths of a retry.
    left: AtomicU32,
}

const FULL: u32 = 50;
const RETRY: u32 = 5;

impl Default for Budget {
    fn default() -> Self {
        Budget { left: AtomicU32::new(FULL) }
    }
}

impl Budget {
    /// A call is made.
    pub(crate) fn deposit(&self) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left < FULL).then_some(left + 1));
    }

    /// A retry is wanted; whether it may be.
    pub(crate) fn withdraw(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(RETRY)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_limits() {
        for (tries, limit) in [(1, 250), (2, 500), (3, 1000), (9, 5000), (200, 5000)] {
            for _ in 0..50 {
                assert!(wait(tries, None).unwrap() <= Duration::from_millis(limit), "{tries}");
            }
        }
        let spread: std::collections::BTreeSet<_> = (0..20).map(|_| wait(9, None).unwrap()).collect();
        assert!(spread.len() > 10, "{spread:?}");
    }

    #[test]
    fn the_gateway_may_ask_for_more_within_reason() {
        let asked = Duration::from_secs(2);
        let waited = wait(1, Some(asked)).unwrap();
        assert!(waited >= asked && waited <= asked + SHORTEST, "{waited:?}");
        assert_eq!(wait(1, Some(Duration::from_secs(3600))), None);
    }

    #[test]
    fn the_budget_runs_out_and_fills_up_again() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.withdraw()).count(), 10);
        for _ in 0..5 {
            budget.deposit();
        }
        assert!(budget.withdraw() && !budget.withdraw());
    }

    #[test]
    fn only_what_is_safe_or_never_left_runs_again() {
        let status = |status: u16, code: &str, retryable: bool| Error::for_test(status, code, retryable);
        let unsent = || Error::unsent("refused", std::io::Error::other("x"));
        let broken = || Error::new(Family::Connection, "broke");
        for (error, repeatable, again) in [
            (unsent(), false, true),
            (unsent(), true, true),
            (broken(), false, false),
            (broken(), true, true),
            (broken().for_good(), true, false),
            (status(503, "no_endpoint", true), true, true),
            (status(503, "no_endpoint", true), false, false),
            (status(503, "breaker_open", true), true, false),
            (status(429, "rate_limited", true), true, true),
            (status(409, "in_flight", true), true, true),
            (status(409, "conflict", false), true, false),
            (status(500, "internal", false), true, false),
            (status(404, "not_found", false), true, false),
        ] {
            assert_eq!(may_run_again(&error, repeatable), again, "{error} repeatable={repeatable}");
        }
    }
}
