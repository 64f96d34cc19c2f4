//! Durations counted in fixed buckets by relaxed atomics: no lock, no allocation, a handful of nanoseconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in microseconds, nine to a decade, so that Prometheus' default buckets are among them.
pub const BOUNDS: [u64; 64] = bounds();

const STEPS: [u64; 9] = [10, 15, 20, 25, 30, 40, 50, 60, 75];

const fn bounds() -> [u64; 64] {
    let mut bounds = [0; 64];
    let (mut i, mut decade) = (0, 1);
    while i < 64 {
        bounds[i] = STEPS[i % 9] * decade;
        i += 1;
        if i.is_multiple_of(9) {
            decade *= 10;
        }
    }
    bounds
}

/// For each number of leading zeros, the first bucket that a number with so many can fall into.
const FIRST: [u8; 65] = first();

const fn first() -> [u8; 65] {
    let mut first = [0; 65];
    let mut zeros = 0;
    while zeros <= 64 {
        let least = if zeros == 64 { 0 } else { 1u64 << (63 - zeros) };
        let mut bucket = 0;
        while bucket < 64 && BOUNDS[bucket] < least {
            bucket += 1;
        }
        first[zeros] = bucket as u8;
        zeros += 1;
    }
    first
}

/// Counts of durations, with their sum.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; 65],
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [const { AtomicU64::new(0) }; 65], sum_micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut bucket = FIRST[micros.leading_zeros() as usize] as usize;
        while bucket < 64 && BOUNDS[bucket] < micros {
            bucket += 1;
        }
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }
}

/// What histograms hold, summed up at one moment.
#[derive(Debug, Clone)]
pub struct Counts {
    /// By bucket; the last has no upper bound.
    pub buckets: [u64; 65],
    /// Of all durations, in microseconds.
    pub sum_micros: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { buckets: [0; 65], sum_micros: 0 }
    }
}

impl Counts {
    /// Adds what a histogram holds now.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.load(Relaxed);
        }
        self.sum_micros += histogram.sum_micros.load(Relaxed);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Counts) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += bucket;
        }
        self.sum_micros += other.sum_micros;
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration in milliseconds below which a share `q` of all lie, interpolated within its bucket; 0
    /// when there are none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let rank = self.count() as f64 * q;
        let mut below = 0.0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && below + count >= rank {
                let low = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] } as f64;
                let high = BOUNDS.get(bucket).map_or(low, |&bound| bound as f64);
                return (low + (high - low) * ((rank - below) / count).clamp(0.0, 1.0)) / 1000.0;
            }
            below += count;
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_hold_the_usual_buckets() {
        assert!(BOUNDS.is_sorted());
        for usual in
            [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000]
        {
            assert!(BOUNDS.contains(&usual), "{usual}");
        }
    }

    #[test]
    fn every_duration_falls_below_its_bound_and_above_the_one_before() {
        for micros in (0..2_000_000).step_by(7).chain([u64::MAX / 2]) {
            let histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            let mut counts = Counts::default();
            counts.add(&histogram);
            let bucket = counts.buckets.iter().position(|&n| n == 1).unwrap();
            assert!(bucket == 64 || micros <= BOUNDS[bucket], "{micros} in {bucket}");
            assert!(bucket == 0 || micros > BOUNDS[bucket - 1], "{micros} in {bucket}");
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let mut counts = Counts::default();
        counts.add(&histogram);
        for (q, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let estimate = counts.quantile_ms(q);
            assert!((estimate - exact).abs() <= exact * 0.1, "{q}: {estimate}");
        }
    }
}
