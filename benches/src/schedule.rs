//! When the requests of an open loop are due: a sequence of times that knows nothing of how the server does. Pure:
//! the same rate and seed give the same times.

use std::time::Duration;

/// How requests are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Independent clients: exponential gaps, so that requests sometimes come in bunches.
    Poisson,
    /// One request every `1 / rate`, exactly.
    Even,
}

/// Yields the time of each request, counted from the start, until the end.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    gap_seconds: f64,
    yielded: u64,
    next_seconds: f64,
    end_seconds: f64,
    random: u64,
}

impl Schedule {
    /// `rate` is requests a second and must be above zero.
    #[must_use]
    pub fn new(rate: f64, length: Duration, arrivals: Arrivals, seed: u64) -> Self {
        Self {
            arrivals,
            gap_seconds: 1.0 / rate,
            yielded: 0,
            next_seconds: 0.0,
            end_seconds: length.as_secs_f64(),
            // The generator below stays at zero forever if it starts there.
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// A number above 0 and at most 1, from xorshift64*.
    fn random_share(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits + 1) as f64 / (1u64 << 53) as f64
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next_seconds >= self.end_seconds {
            return None;
        }
        let due = Duration::from_secs_f64(self.next_seconds);
        self.yielded += 1;
        self.next_seconds = match self.arrivals {
            // Multiplied and not added up, so that rounding does not grow.
            Arrivals::Even => self.yielded as f64 * self.gap_seconds,
            Arrivals::Poisson => self.next_seconds - self.random_share().ln() * self.gap_seconds,
        };
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    #[test]
    fn even_arrivals_are_evenly_spaced() {
        let times: Vec<_> = Schedule::new(100.0, TEN_SECONDS, Arrivals::Even, 1).collect();
        assert_eq!(times.len(), 1000);
        assert_eq!(times[0], Duration::ZERO);
        assert!((times[500].as_secs_f64() - 5.0).abs() < 1e-6);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_law() {
        let times: Vec<_> = Schedule::new(10_000.0, TEN_SECONDS, Arrivals::Poisson, 7).collect();
        // The count has a standard deviation of about 316.
        assert!((98_000..102_000).contains(&times.len()), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "exponential gaps vary by their mean");
    }

    #[test]
    fn a_seed_repeats_and_another_one_differs() {
        let take =
            |seed| Schedule::new(50.0, TEN_SECONDS, Arrivals::Poisson, seed).take(20).collect::<Vec<_>>();
        assert_eq!(take(3), take(3));
        assert_ne!(take(3), take(4));
    }
}
