//! What is drawn from a seed. Where seeds come from is left to the caller.

/// Spreads a seed over all 64 bits (SplitMix64), so that a caller may simply count.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for these bytes: the same in every process and in every gateway, so that all of them agree on what follows
/// from it (FNV-1a, mixed). Whoever chooses the bytes can choose what they collide with: nothing may break by that.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// A number below `bound`, from a mixed seed; 0 when `bound` is 0. The bias is below `bound` in 2^64.
pub(crate) fn below(mixed: u64, bound: u64) -> u64 {
    let wide = (u128::from(mixed) * u128::from(bound)) >> 64;
    u64::try_from(wide).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_seeds_fall_evenly() {
        let mut buckets = [0_u32; 7];
        for seed in 0..70_000 {
            buckets[usize::try_from(below(mix(seed), 7)).unwrap()] += 1;
        }
        for (index, count) in buckets.into_iter().enumerate() {
            assert!((9_500..10_500).contains(&count), "bucket {index} holds {count} of 70,000");
        }
        assert_eq!(below(mix(1), 0), 0);
    }
}
