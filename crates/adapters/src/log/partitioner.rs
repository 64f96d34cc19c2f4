//! Which partition a key belongs to: the hash of Kafka's default partitioner, so that a move there keeps the mapping.

use crate::queue::murmur2::murmur2;

/// The seed that Kafka's clients use.
const KAFKA: u32 = 0x9747_b28c;

/// The partition of a key, of so many (at least one).
pub(super) fn of_key(key: &[u8], partitions: u32) -> u32 {
    // The sign is cut off as Kafka does it, not turned round.
    (murmur2(key, KAFKA) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka() {
        // The vectors of the test of Kafka's own clients.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes(), KAFKA).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keys_spread_and_stay() {
        let mut hit = [0u32; 8];
        for n in 0..8000 {
            let key = format!("user-{n}");
            let partition = of_key(key.as_bytes(), 8);
            assert_eq!(partition, of_key(key.as_bytes(), 8));
            hit[partition as usize] += 1;
        }
        assert!(hit.iter().all(|count| (800..1200).contains(count)), "{hit:?}");
        assert_eq!(of_key(b"anything", 1), 0);
    }
}
