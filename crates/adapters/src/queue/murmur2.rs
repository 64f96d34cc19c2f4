//! The 32-bit `MurmurHash2`, by which Kafka's clients spread keys, and which checks the texts that settle deliveries.

/// The hash of these bytes.
pub(crate) fn murmur2(bytes: &[u8], seed: u32) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    // Only the lowest 32 bits of the length take part.
    let mut hash = seed ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MIX);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}
