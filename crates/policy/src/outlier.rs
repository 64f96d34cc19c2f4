//! Setting an endpoint aside that stands out from its siblings. What stands out is for the caller to say; here is for
//! how long, and how many may be aside at once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::OutlierSpec;

use crate::time::Time;

/// Whether one endpoint is set aside, and how often it was. Read by all cores.
#[derive(Debug, Default)]
pub struct Ejection {
    /// When it comes back; 0 when it never was aside.
    until: AtomicU64,
    /// How often, lately.
    count: AtomicU32,
}

impl Ejection {
    /// An endpoint that never was set aside.
    #[must_use]
    pub fn new() -> Self {
        Ejection::default()
    }

    /// When it comes back, while it is aside.
    #[must_use]
    pub fn ejected_until(&self, now: Time) -> Option<Time> {
        let until = Time(self.until.load(Relaxed));
        (now < until).then_some(until)
    }

    /// How often it was set aside lately. Each time is forgotten when it has been back for as long as it took.
    fn count(&self, now: Time, spec: &OutlierSpec) -> u32 {
        let mut count = self.count.load(Relaxed);
        let mut back = now.since(Time(self.until.load(Relaxed)));
        while count > 0 {
            let Some(rest) = back.checked_sub(length(spec, count)) else { break };
            back = rest;
            count -= 1;
        }
        count
    }
}

/// How long the so-many-th ejection in a row is.
fn length(spec: &OutlierSpec, count: u32) -> Duration {
    spec.ejection.0.saturating_mul(count).min(spec.max_ejection.0.max(spec.ejection.0))
}

/// Sets the endpoints of one service aside, never too many at once.
#[derive(Debug, Default)]
pub struct Ejector {
    /// When each of those that are aside comes back. Two cores that set aside at the same moment count each other.
    aside: Mutex<Vec<Time>>,
}

impl Ejector {
    /// A service with all endpoints in place.
    #[must_use]
    pub fn new() -> Self {
        Ejector::default()
    }

    /// Sets this endpoint aside, and says until when: not when it is aside already, when `out` of the service's
    /// `total` endpoints being out of rotation (for this or another reason) is the largest share allowed, or when it
    /// would be the last. That share is rounded down, but one of several may always be aside.
    pub fn eject(
        &self,
        endpoint: &Ejection,
        now: Time,
        spec: &OutlierSpec,
        total: usize,
        out: usize,
    ) -> Option<Time> {
        if !spec.enabled {
            return None;
        }
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        aside.retain(|until| now < *until);
        if endpoint.ejected_until(now).is_some() || out.max(aside.len()) >= most(spec, total) {
            return None;
        }
        let count = endpoint.count(now, spec).saturating_add(1);
        let until = now.plus(length(spec, count));
        endpoint.count.store(count, Relaxed);
        endpoint.until.store(until.0, Relaxed);
        aside.push(until);
        Some(until)
    }

    /// Takes an endpoint back before its time. Says whether it was aside.
    pub fn restore(&self, endpoint: &Ejection, now: Time) -> bool {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = endpoint.ejected_until(now) else { return false };
        endpoint.until.store(now.0, Relaxed);
        if let Some(at) = aside.iter().position(|other| *other == until) {
            aside.swap_remove(at);
        }
        true
    }
}

/// How many of so many may be out at once.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small number"
)]
fn most(spec: &OutlierSpec, total: usize) -> usize {
    let share = (total as f64 * spec.max_share.clamp(0.0, 1.0)) as usize;
    share.max(1).min(total.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn never_too_many_at_once_and_never_the_last() {
        for (total, share, expected) in [
            (0, 1.0, 0),
            (1, 1.0, 0),
            (2, 0.1, 1),
            (2, 1.0, 1),
            (5, 0.5, 2),
            (10, 0.5, 5),
            (10, 1.0, 9),
            (3, 0.0, 1),
        ] {
            let spec = OutlierSpec { max_share: share, ..OutlierSpec::default() };
            let endpoints: Vec<_> = (0..total).map(|_| Ejection::new()).collect();
            let ejector = Ejector::new();
            let aside =
                endpoints.iter().filter(|e| ejector.eject(e, at(1), &spec, total, 0).is_some()).count();
            assert_eq!(aside, expected, "{total} endpoints, share {share}");
        }
    }

    #[test]
    fn what_is_out_for_another_reason_counts() {
        let (ejector, spec) = (Ejector::new(), OutlierSpec::default());
        assert_eq!(ejector.eject(&Ejection::new(), at(1), &spec, 4, 2), None);
        assert_eq!(ejector.eject(&Ejection::new(), at(1), &spec, 4, 1), Some(at(6)));
        let off = OutlierSpec { enabled: false, ..spec };
        assert_eq!(ejector.eject(&Ejection::new(), at(1), &off, 4, 0), None);
    }

    #[test]
    fn it_takes_longer_each_time_and_is_forgotten_in_rotation() {
        let (ejector, spec, endpoint) = (Ejector::new(), OutlierSpec::default(), Ejection::new());
        let check = |second, expected: Option<u64>| {
            let until = ejector.eject(&endpoint, at(second), &spec, 2, 0);
            assert_eq!(until, expected.map(|length| at(second + length)), "at {second} s");
        };
        check(0, Some(5));
        check(1, None);
        check(5, Some(10));
        check(15, Some(15));
        // Back for 15 s at 45 s: the third is forgotten, so that this is the third again.
        check(45, Some(15));
        // Back for 15 + 10 + 5 s: all are forgotten.
        check(60 + 30, Some(5));
        for _ in 0..20 {
            let until = endpoint.ejected_until(Time(endpoint.until.load(Relaxed) - 1)).unwrap();
            assert!(
                ejector.eject(&endpoint, until, &spec, 2, 0).unwrap().since(until) <= Duration::from_secs(60)
            );
        }
    }

    #[test]
    fn it_may_be_taken_back_early() {
        let (ejector, spec, endpoint) = (Ejector::new(), OutlierSpec::default(), Ejection::new());
        assert!(!ejector.restore(&endpoint, at(1)));
        ejector.eject(&endpoint, at(1), &spec, 2, 0);
        assert!(ejector.restore(&endpoint, at(2)));
        assert_eq!(endpoint.ejected_until(at(2)), None);
        assert!(ejector.eject(&Ejection::new(), at(2), &spec, 2, 0).is_some());
    }
}
