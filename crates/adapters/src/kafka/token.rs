//! The texts that settle deliveries and resume consumers: they name what they are about, and whose it is.

use crate::queue::murmur2::murmur2;
use crate::queue::seal::{open, seal};

/// One delivery of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    /// Of which making of the group's memory: another one knows nothing of it.
    pub(super) memory: u64,
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) delivery: u32,
}

/// How far a consumer has come in what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) memory: u64,
    pub(super) consumer: u64,
    pub(super) sequence: u64,
}

const ACK: u64 = 1;
const RESUME: u64 = 2;

/// The same in every gateway, so that each knows the texts of the others for what they are.
const SALT: u32 = 0x6b61_666b;

/// A topic and a group, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whose(u64);

impl Whose {
    pub(super) fn of(topic: &str, group: &str) -> Whose {
        // No name has a slash in it.
        let both = format!("{topic}/{group}");
        Whose(u64::from(murmur2(both.as_bytes(), 1)) << 32 | u64::from(murmur2(both.as_bytes(), 2)))
    }
}

impl Ack {
    pub(super) fn text(self, whose: Whose) -> Box<str> {
        seal(&[ACK, whose.0, self.memory, self.partition.into(), self.offset, self.delivery.into()], SALT)
    }

    /// `None` when it is no token of this topic and group.
    pub(super) fn read(text: &str, whose: Whose) -> Option<Ack> {
        let [kind, own, memory, partition, offset, delivery] = open(text, SALT)?;
        let (partition, delivery) = (u32::try_from(partition).ok()?, u32::try_from(delivery).ok()?);
        (kind == ACK && own == whose.0).then_some(Ack { memory, partition, offset, delivery })
    }
}

impl Resume {
    pub(super) fn text(self, whose: Whose) -> Box<str> {
        seal(&[RESUME, whose.0, self.memory, self.consumer, self.sequence], SALT)
    }

    /// `None` when it is no token of this topic and group.
    pub(super) fn read(text: &str, whose: Whose) -> Option<Resume> {
        let [kind, own, memory, consumer, sequence] = open(text, SALT)?;
        (kind == RESUME && own == whose.0).then_some(Resume { memory, consumer, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_to_whom_they_belong() {
        let whose = Whose::of("t", "g");
        let ack = Ack { memory: u64::MAX, partition: 9, offset: u64::MAX, delivery: 10 };
        let text = ack.text(whose);
        assert_eq!(Ack::read(&text, whose), Some(ack));
        let resume = Resume { memory: 7, consumer: u64::MAX, sequence: 1 << 40 };
        assert_eq!(Resume::read(&resume.text(whose), whose), Some(resume));
        for other in [Whose::of("t", "h"), Whose::of("tg", ""), Whose::of("u", "g")] {
            assert_eq!(Ack::read(&text, other), None);
        }
        assert_eq!(Resume::read(&text, whose), None, "another use");
        assert_eq!(Ack::read("nonsense", whose), None);
    }
}
