//! The texts that settle deliveries and resume consumers: opaque to clients, checked when they come back.
//!
//! They name what they are about and survive restarts. They are not secrets: the checksum, salted by the file,
//! tells texts of this queue from all others.

use crate::queue::seal::{open, seal};

/// One delivery of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) group: u64,
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) delivery: u32,
}

/// How far a consumer has come in what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) group: u64,
    pub(super) consumer: u64,
    pub(super) sequence: u64,
}

const ACK: u64 = 1;
const RESUME: u64 = 2;

impl Ack {
    pub(super) fn text(self, salt: u32) -> Box<str> {
        seal(&[ACK, self.group, self.partition.into(), self.offset, self.delivery.into()], salt)
    }

    /// `None` when it is no token of this group.
    pub(super) fn read(text: &str, group: u64, salt: u32) -> Option<Ack> {
        let [kind, own, partition, offset, delivery] = open(text, salt)?;
        let (partition, delivery) = (u32::try_from(partition).ok()?, u32::try_from(delivery).ok()?);
        (kind == ACK && own == group).then_some(Ack { group, partition, offset, delivery })
    }
}

impl Resume {
    pub(super) fn text(self, salt: u32) -> Box<str> {
        seal(&[RESUME, self.group, self.consumer, self.sequence], salt)
    }

    /// `None` when it is no token of this group.
    pub(super) fn read(text: &str, group: u64, salt: u32) -> Option<Resume> {
        let [kind, own, consumer, sequence] = open(text, salt)?;
        (kind == RESUME && own == group).then_some(Resume { group, consumer, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let ack = Ack { group: 7, partition: 999, offset: u64::MAX, delivery: 10 };
        assert_eq!(Ack::read(&ack.text(5), 7, 5), Some(ack));
        let resume = Resume { group: 7, consumer: 1 << 50, sequence: (1 << 50) + 1 };
        assert_eq!(Resume::read(&resume.text(5), 7, 5), Some(resume));
    }

    #[test]
    fn what_is_no_token_of_this_group_is_refused() {
        let text = Ack { group: 7, partition: 0, offset: 3, delivery: 1 }.text(5);
        assert_eq!(Ack::read(&text, 8, 5), None, "another group");
        assert_eq!(Ack::read(&text, 7, 6), None, "another file");
        assert_eq!(Resume::read(&text, 7, 5), None, "another use");
        for bad in ["", "!", "AAAA", &text[1..], &text[..text.len() - 2], &"A".repeat(200)] {
            assert_eq!(Ack::read(bad, 7, 5), None, "{bad}");
        }
        // Any single changed character is noticed.
        for at in 0..text.len() {
            let mut changed = text.clone().into_string();
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert_eq!(Ack::read(&changed, 7, 5), None, "{changed}");
        }
    }
}
