//! Durations counted in buckets of constant relative width: exact below 512 ns, within 0.4 % above, from one
//! nanosecond to hours, in a fixed 75 KiB. Histograms of several threads add up.

/// Sub-buckets in each power of two: 2^8, hence a relative width of at most 1/256.
const PRECISION: u32 = 8;
const SUB_BUCKETS: usize = 1 << PRECISION;
/// Values below 2^44 ns, almost five hours, are counted apart; anything longer falls into the last bucket.
const POWERS: usize = 44 - PRECISION as usize;

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
    sum: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; SUB_BUCKETS * (POWERS + 1)], total: 0, largest: 0, sum: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.sum += u128::from(nanoseconds);
        self.largest = self.largest.max(nanoseconds);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.largest = self.largest.max(other.largest);
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest one, exactly; 0 when nothing was counted.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// The mean in nanoseconds; 0 when nothing was counted.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// The smallest recordable value that at least this share (0 to 1) of all are at or below, in nanoseconds.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return top(index).min(self.largest);
            }
        }
        self.largest
    }
}

/// Below `2 * SUB_BUCKETS` every value has its own bucket; above, each power of two is cut into `SUB_BUCKETS`.
fn bucket(value: u64) -> usize {
    let magnitude = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION + 1) as usize;
    let magnitude = magnitude.min(POWERS - 1);
    let within = ((value >> magnitude) as usize).min(2 * SUB_BUCKETS - 1);
    magnitude * SUB_BUCKETS + within
}

/// The largest value that falls into a bucket.
fn top(index: usize) -> u64 {
    let magnitude = (index / SUB_BUCKETS).saturating_sub(1);
    let within = (index - magnitude * SUB_BUCKETS) as u64;
    ((within + 1) << magnitude) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_the_precision() {
        let mut value = 1u64;
        while value < 1 << 43 {
            for near in [value - 1, value, value + 1, value + value / 3] {
                let top = top(bucket(near));
                assert!(top >= near, "{near} is above its bucket's top {top}");
                assert!((top - near) as f64 <= near as f64 / SUB_BUCKETS as f64, "{near} against {top}");
                assert_eq!(bucket(top), bucket(near));
                assert_eq!(bucket(top + 1), bucket(near) + 1);
            }
            value *= 2;
        }
    }

    #[test]
    fn quantiles_of_a_known_series() {
        let mut histogram = Histogram::default();
        for value in 1..=10_000u64 {
            histogram.record(value * 1_000);
        }
        for (share, expected) in [(0.5, 5_000_000.0), (0.99, 9_900_000.0), (0.999, 9_990_000.0)] {
            let got = histogram.quantile(share) as f64;
            assert!((got / expected - 1.0).abs() < 0.005, "{share}: {got} instead of {expected}");
        }
        assert_eq!(histogram.quantile(1.0), 10_000_000);
        assert_eq!(histogram.largest(), 10_000_000);
        assert_eq!(histogram.mean(), 5_000_500.0);
    }

    #[test]
    fn histograms_add_up_and_an_empty_one_is_zero() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        assert_eq!(one.quantile(0.99), 0);
        one.record(10);
        two.record(1_000_000_000_000_000);
        one.add(&two);
        assert_eq!((one.total(), one.quantile(0.5), one.largest()), (2, 10, 1_000_000_000_000_000));
    }
}
