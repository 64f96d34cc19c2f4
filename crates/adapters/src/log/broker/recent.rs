//! The newest messages in memory, for all who read at the end of a topic: bounded over all topics, the oldest go first.

use std::collections::{HashMap, VecDeque};

use super::state::Topic;

/// Bytes of all messages that are kept in memory, with what each costs beside its own.
const MOST_BYTES: u64 = 32 << 20;

/// What a message costs in memory beside its bytes.
const EACH: u64 = 200;

/// The messages in memory in the order in which they came.
#[derive(Default)]
pub(super) struct Recent {
    order: VecDeque<Entry>,
    bytes: u64,
    /// Entries whose message is still in memory.
    live: usize,
}

struct Entry {
    topic: u64,
    partition: u32,
    offset: u64,
}

impl Recent {
    /// Counts a message that was put at the end of its partition.
    pub(super) fn added(&mut self, topic: u64, partition: u32, offset: u64, size: u64) {
        self.order.push_back(Entry { topic, partition, offset });
        self.bytes += size + EACH;
        self.live += 1;
    }

    /// Lets the oldest go until what is left fits.
    pub(super) fn fit(&mut self, topics: &mut HashMap<u64, Topic>) {
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            if oldest.is_first(topics)
                && let Some(topic) = topics.get_mut(&oldest.topic)
            {
                self.shorten(topic, oldest.partition);
            }
        }
        // Entries of what has gone by other ways are left behind, until they are the greater part.
        if self.order.len() > 2 * self.live + 1024 {
            self.order.retain(|entry| entry.is_there(topics));
        }
    }

    /// Takes the oldest message of a partition out of memory.
    fn shorten(&mut self, topic: &mut Topic, partition: u32) {
        if let Some(gone) = topic.partitions[partition as usize].recent.pop_front() {
            // What is in memory was counted when it was written, and nothing goes between the two.
            debug_assert!(self.live > 0 && self.bytes >= gone.size() + EACH, "counted before it goes");
            self.bytes = self.bytes.saturating_sub(gone.size() + EACH);
            self.live = self.live.saturating_sub(1);
        }
    }

    /// Takes out what stands before this offset.
    pub(super) fn trim(&mut self, topic: &mut Topic, partition: u32, earliest: u64) {
        loop {
            let own = &topic.partitions[partition as usize];
            let first = own.next - own.recent.len() as u64;
            if own.recent.is_empty() || first >= earliest {
                return;
            }
            self.shorten(topic, partition);
        }
    }

    /// Bytes, with what each message costs beside its own, and messages.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (u64, usize) {
        (self.bytes, self.live)
    }

    /// Takes out everything of a topic.
    pub(super) fn clear(&mut self, topic: &mut Topic) {
        for partition in 0..topic.partitions.len() {
            self.trim(topic, partition as u32, u64::MAX);
            topic.partitions[partition].recent = VecDeque::new();
        }
    }
}

impl Entry {
    fn is_there(&self, topics: &HashMap<u64, Topic>) -> bool {
        let partition = topics.get(&self.topic).map(|topic| &topic.partitions[self.partition as usize]);
        partition.is_some_and(|partition| partition.recent(self.offset).is_some())
    }

    fn is_first(&self, topics: &HashMap<u64, Topic>) -> bool {
        let partition = topics.get(&self.topic).map(|topic| &topic.partitions[self.partition as usize]);
        partition
            .is_some_and(|own| !own.recent.is_empty() && own.next - own.recent.len() as u64 == self.offset)
    }
}
