//! The moment a decision is made at, as an argument. Reading a clock is left to the caller.

use std::time::Duration;

/// Microseconds since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// This much later; the end of time at most.
    #[must_use]
    pub fn plus(self, span: Duration) -> Time {
        Time(self.0.saturating_add(micros(span)))
    }

    /// How long it is since then; zero when then is still to come, as two cores may read their clocks out of turn.
    #[must_use]
    pub fn since(self, then: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(then.0))
    }
}

/// Whole microseconds of a duration; more than 584,000 years are that.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_runs_over_either_end() {
        assert_eq!(Time(5).plus(Duration::from_micros(3)), Time(8));
        assert_eq!(Time(5).plus(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(8).since(Time(5)), Duration::from_micros(3));
        assert_eq!(Time(5).since(Time(8)), Duration::ZERO);
    }
}
