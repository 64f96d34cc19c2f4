//! One of several by weight, drawn by a number: the same number draws the same.

use crate::seed::{below, mix};

/// The weights of several, laid end to end.
#[derive(Debug)]
pub struct Shares(Box<[u64]>);

impl Shares {
    /// By these weights. One of weight 0 is never drawn.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut end = 0;
        let mut ends = |weight| {
            end += u64::from(weight);
            end
        };
        Shares(weights.into_iter().map(&mut ends).collect())
    }

    /// Index of the one that this number draws; `None` when all weights are 0.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Option<usize> {
        let all = self.0.last().copied().filter(|all| *all > 0)?;
        let point = below(mix(seed), all);
        Some(self.0.partition_point(|end| *end <= point))
    }

    /// Whether the one of this index is ever drawn.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        let before = index.checked_sub(1).map_or(0, |before| self.0[before]);
        self.0.get(index).is_some_and(|end| *end > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_drawn_by_its_weight_and_the_same_number_draws_the_same() {
        let shares = Shares::new([95, 0, 5]);
        let mut counts = [0_u32; 3];
        for seed in 0..100_000 {
            counts[shares.draw(seed).unwrap()] += 1;
            assert_eq!(shares.draw(seed), shares.draw(seed));
        }
        assert!(counts[0].abs_diff(95_000) < 300 && counts[1] == 0, "{counts:?}");
        assert!(shares.has(0) && !shares.has(1) && shares.has(2) && !shares.has(3));
        assert_eq!((Shares::new([0, 0]).draw(1), Shares::new([]).draw(1)), (None, None));
        assert_eq!(Shares::new([7]).draw(u64::MAX), Some(0));
    }
}
