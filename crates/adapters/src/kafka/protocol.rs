//! What members of a group tell each other through the broker: which topics one reads, which partitions are its own.
//! The format is that of Kafka's own consumers.

/// The topics that a member has subscribed to, from its metadata.
pub(super) fn subscribed(metadata: &[u8]) -> Option<Vec<String>> {
    let mut rest = Bytes(metadata);
    let _version = rest.short()?;
    (0..rest.count()?).map(|_| rest.text()).collect()
}

/// The partitions that a member was assigned, by topic.
pub(super) fn assigned(assignment: &[u8]) -> Option<Vec<(String, Vec<i32>)>> {
    let mut rest = Bytes(assignment);
    let _version = rest.short()?;
    let mut topics = Vec::new();
    for _ in 0..rest.count()? {
        let topic = rest.text()?;
        let partitions = (0..rest.count()?).map(|_| rest.int()).collect::<Option<_>>()?;
        topics.push((topic, partitions));
    }
    Some(topics)
}

/// What is left to read.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn short(&mut self) -> Option<i16> {
        let (first, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*first))
    }

    fn int(&mut self) -> Option<i32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*first))
    }

    /// A count of things that follow, each of which has at least two bytes.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.int()?).ok()?;
        (count <= self.0.len() / 2).then_some(count)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.short()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_members_say_is_read() {
        let metadata = b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff";
        assert_eq!(subscribed(metadata).unwrap(), ["a", "bc"]);
        let assignment =
            b"\x00\x00\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07\xff\xff\xff\xff";
        assert_eq!(assigned(assignment).unwrap(), [("a".to_owned(), vec![0, 7])]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            &b""[..],
            b"\x00",
            b"\x00\x00\x7f\xff\xff\xff",
            b"\x00\x00\xff\xff\xff\xff",
            b"\x00\x00\x00\x00\x00\x01\x00\x09a",
        ] {
            assert_eq!(subscribed(bad), None, "{bad:?}");
            assert_eq!(assigned(bad), None, "{bad:?}");
        }
    }
}
