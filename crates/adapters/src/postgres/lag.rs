//! How far a standby is behind in applying what it has received: for how long it has had what it has not yet applied.
//!
//! When it last applied a commit says little of that: nobody may have committed anything. Nor does it say much that it
//! has received more than it applied: the last of it may be half a record, whose rest the primary has yet to send.

use std::time::Duration;

use tokio::time::Instant;

/// Looks that are remembered; of more, every other one is forgotten.
const MOST: usize = 64;

/// How far a standby has come in what its primary writes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) received: u64,
    pub(super) applied: u64,
}

/// What a standby had received at earlier looks and has not applied since, the oldest first; no two are the same.
#[derive(Debug, Default)]
pub(super) struct Received(Vec<(u64, Instant)>);

impl Received {
    /// How far it is behind, by what it says now. Who receives nothing does not know it.
    pub(super) fn lag(&mut self, positions: Option<Positions>, now: Instant) -> Option<Duration> {
        let Some(Positions { received, applied }) = positions else {
            self.0.clear();
            return None;
        };
        // It may begin again further back, once its connection was lost.
        self.0.retain(|(earlier, _)| *earlier > applied && *earlier <= received);
        if self.0.last().is_none_or(|(last, _)| received > *last) && received > applied {
            if self.0.len() >= MOST {
                let mut keeps = false;
                self.0.retain(|_| {
                    keeps = !keeps;
                    keeps
                });
            }
            self.0.push((received, now));
        }
        // More has come since, so that the record at its end is whole, and could have been applied.
        Some(match self.0.as_slice() {
            [(_, since), _, ..] => now.duration_since(*since),
            _ => Duration::ZERO,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lags, in seconds, at looks a second apart.
    fn lags<const N: usize>(looks: [(u64, u64); N]) -> [u64; N] {
        let (mut seen, begun, mut at) = (Received::default(), Instant::now(), 0);
        looks.map(|(received, applied)| {
            at += 1;
            let now = begun + Duration::from_secs(at);
            seen.lag(Some(Positions { received, applied }), now).unwrap().as_secs()
        })
    }

    #[test]
    fn who_applies_what_comes_is_not_behind() {
        assert_eq!(lags([(10, 10), (20, 18), (30, 28), (40, 38), (40, 40), (40, 40)]), [0; 6]);
    }

    #[test]
    fn half_a_record_is_no_lag_however_long_its_rest_is_away() {
        assert_eq!(lags([(10, 10), (20, 18), (20, 18), (20, 18), (20, 18), (30, 30)]), [0; 6]);
    }

    #[test]
    fn who_does_not_apply_what_comes_is_behind_by_the_oldest_of_it() {
        assert_eq!(lags([(10, 10), (20, 10), (30, 10), (40, 10), (40, 20), (40, 40)]), [0, 0, 1, 2, 2, 0]);
    }

    #[test]
    fn who_receives_nothing_does_not_know() {
        let (mut seen, now) = (Received::default(), Instant::now());
        seen.lag(Some(Positions { received: 20, applied: 10 }), now);
        assert_eq!(seen.lag(None, now), None);
        let later = now + Duration::from_secs(9);
        let lag = seen.lag(Some(Positions { received: 30, applied: 10 }), later);
        assert_eq!(lag, Some(Duration::ZERO), "nobody knows since when");
    }

    #[test]
    fn of_many_looks_the_oldest_is_remembered() {
        let (mut seen, begun) = (Received::default(), Instant::now());
        for look in 1..=1000 {
            let now = begun + Duration::from_secs(look);
            let lag = seen.lag(Some(Positions { received: look + 10, applied: 10 }), now);
            assert_eq!(lag, Some(Duration::from_secs(look - 1)));
        }
        assert!(seen.0.len() <= MOST);
    }
}
