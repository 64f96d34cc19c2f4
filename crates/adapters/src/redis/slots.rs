//! Slots of a cluster: which one a key is in, and which node has it.

use model::Address;
use redis::Value;

use super::reply::{number, text};

/// So many slots has every cluster.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a key: of what stands in its first braces, if anything does, so that keys can be kept together.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|b| *b == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|b| *b == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// The CRC that clusters are specified with (polynomial 0x1021, from 0).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| (crc << 8) ^ CRC[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// A run of slots, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) primary: Address,
}

/// Reads `CLUSTER SLOTS`, in order. A node that does not know its own name is found where it was asked.
pub(super) fn ranges(answer: &Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(rows) = answer else { return None };
    let mut ranges = Vec::with_capacity(rows.len());
    for row in rows {
        let Value::Array(row) = row else { return None };
        let [first, last, Value::Array(node), ..] = row.as_slice() else { return None };
        let [host, port, ..] = node.as_slice() else { return None };
        let slot = |value| u16::try_from(number(value)?).ok().filter(|slot| *slot < SLOTS);
        let host = text(host).filter(|host| !host.is_empty() && *host != "?").unwrap_or(&asked.host);
        let port = u16::try_from(number(port)?).ok()?;
        ranges.push(Range { first: slot(first)?, last: slot(last)?, primary: Address::new(host, port) });
    }
    ranges.sort_by_key(|range| range.first);
    Some(ranges)
}

/// Which slot a refusal speaks of: `MOVED 3999 127.0.0.1:6381`.
pub(super) fn named(details: Option<&str>) -> Option<u16> {
    details?.split_ascii_whitespace().next()?.parse().ok()
}

/// Where a refusal says that a key is: `MOVED 3999 127.0.0.1:6381`.
pub(super) fn elsewhere(details: Option<&str>, asked: &Address) -> Option<Address> {
    let place = details?.split_ascii_whitespace().nth(1)?;
    let (host, port) = place.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    Some(Address::new(host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_slots_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` answers.
        for (key, wanted) in [("foo", 12_182), ("somekey", 11_058), ("", 0)] {
            assert_eq!(slot(key.as_bytes()), wanted, "{key}");
        }
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{hash_tag}"), slot(b"hash_tag"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"), "empty braces are a part of the key");
    }

    #[test]
    fn a_map_is_read_with_names_that_nodes_do_not_know() {
        let asked = Address::new("10.0.0.9", 7000);
        let node = |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let answer = Value::Array(vec![
            Value::Array(vec![
                Value::Int(8192),
                Value::Int(16_383),
                node("10.0.0.2", 7001),
                node("10.0.0.3", 7002),
            ]),
            Value::Array(vec![Value::Int(0), Value::Int(8191), node("", 7000)]),
        ]);
        let ranges = ranges(&answer, &asked).unwrap();
        assert_eq!((ranges[0].first, ranges[0].last, &ranges[0].primary), (0, 8191, &asked));
        assert_eq!(ranges[1].primary, Address::new("10.0.0.2", 7001));
        assert_eq!(super::ranges(&Value::Int(1), &asked), None);
    }

    #[test]
    fn a_refusal_says_where_the_key_is() {
        let asked = Address::new("10.0.0.9", 7000);
        assert_eq!(elsewhere(Some("3999 127.0.0.1:6381"), &asked), Some(Address::new("127.0.0.1", 6381)));
        assert_eq!(elsewhere(Some("3999 [::1]:6381"), &asked), Some(Address::new("::1", 6381)));
        assert_eq!(elsewhere(Some("3999 ::1:6381"), &asked), Some(Address::new("::1", 6381)));
        assert_eq!(elsewhere(Some("3999 :6381"), &asked), Some(Address::new("10.0.0.9", 6381)));
        assert_eq!(elsewhere(Some("3999"), &asked), None);
        assert_eq!(named(Some("3999 127.0.0.1:6381")), Some(3999));
        assert_eq!(named(Some("elsewhere")), None);
        assert_eq!(elsewhere(None, &asked), None);
    }
}
