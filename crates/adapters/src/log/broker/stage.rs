//! The first half of a turn: what has come in changes what is in memory, and how it was before is kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::command::Handed;
use super::super::progress::{Fate, Millis, Progress};
use super::super::stored::Stored;
use super::super::token::Ack;
use super::super::writes::{NewMessage, PublishRow};
use super::super::{clock, partitioner, receipts};
use super::Broker;
use super::letters::{Letter, PlannedSettle, Why};
use super::plan::{Plan, PlannedPublish};
use crate::queue::{DEAD_LETTERS, Receipt};

/// What was changed in memory and is not written yet, with how it was before.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) partitions: HashMap<(u64, u32), Before>,
    /// Where groups were moved.
    pub(super) progress: Vec<(u64, u32)>,
    /// Of these, those that were moved before this turn.
    pub(super) before: Vec<(u64, u32)>,
    pub(super) topics: HashSet<u64>,
    pub(super) messages: Vec<NewMessage>,
    pub(super) publishes: Vec<PublishRow>,
    /// To which consumer of which group.
    pub(super) handed: Vec<(u64, u64, Handed)>,
}

/// A partition before it was changed.
pub(super) struct Before {
    pub(super) next: u64,
    pub(super) bytes: u64,
    pub(super) oldest: Option<i64>,
    pub(super) recent: usize,
}

impl Staged {
    /// The progress of a group in a partition is about to change.
    pub(super) fn touch(&mut self, group: u64, partition: u32, progress: &mut Progress) {
        if progress.begin() {
            self.progress.push((group, partition));
        }
    }
}

impl Broker {
    pub(super) fn stage_publish(&mut self, publish: &PlannedPublish, staged: &mut Staged) -> Vec<Receipt> {
        let Some(topic) = self.topics.get_mut(&publish.topic) else { return Vec::new() };
        let count = topic.partitions.len() as u32;
        // Messages without a key stay together, and in order; the next ones go elsewhere.
        let without_key = topic.turn % count;
        if publish.messages.iter().any(|message| message.key.is_none()) {
            topic.turn = topic.turn.wrapping_add(1);
        }
        let receipts: Vec<Receipt> = publish
            .messages
            .iter()
            .map(|message| {
                let partition =
                    message.key.as_ref().map_or(without_key, |key| partitioner::of_key(key, count));
                Receipt { partition, offset: self.stage_message(publish.topic, partition, message, staged) }
            })
            .collect();
        if let Some(own) = &publish.idempotency {
            staged.publishes.push(PublishRow {
                key: own.key.clone(),
                topic: publish.topic,
                fingerprint: own.fingerprint,
                receipts: receipts::pack(&receipts),
                at: clock::today(),
            });
        }
        receipts
    }

    /// Puts a message behind the last of its partition; gives its offset.
    fn stage_message(
        &mut self,
        topic_id: u64,
        partition: u32,
        stored: &Arc<Stored>,
        staged: &mut Staged,
    ) -> u64 {
        let Some(topic) = self.topics.get_mut(&topic_id) else { return 0 };
        let own = &mut topic.partitions[partition as usize];
        staged.topics.insert(topic_id);
        staged.partitions.entry((topic_id, partition)).or_insert(Before {
            next: own.next,
            bytes: own.bytes,
            oldest: own.oldest,
            recent: own.recent.len(),
        });
        let offset = own.next;
        own.next += 1;
        own.bytes += stored.size();
        own.oldest.get_or_insert(stored.timestamp);
        if topic.readers > 0 {
            own.recent.push_back(Arc::clone(stored));
        }
        staged.messages.push(NewMessage { topic: topic_id, partition, offset, stored: Arc::clone(stored) });
        offset
    }

    pub(super) fn stage_settle(
        &mut self,
        settle: &PlannedSettle,
        plan: &Plan,
        now: Millis,
        staged: &mut Staged,
    ) -> u64 {
        let mut settled = 0;
        let mut dead = Vec::new();
        {
            let Some(group) = self.groups.get_mut(&settle.group) else { return 0 };
            for ack in &settle.ack {
                let progress = &mut group.progress[ack.partition as usize];
                staged.touch(settle.group, ack.partition, progress);
                settled += u64::from(progress.settle(ack.offset));
            }
            for (ack, delay) in &settle.nack {
                let progress = &mut group.progress[ack.partition as usize];
                staged.touch(settle.group, ack.partition, progress);
                let fate = progress.give_back(ack.offset, ack.delivery, now + delay);
                settled += u64::from(fate == Fate::Again);
            }
            // The last delivery is given back only while it is leased, as any other.
            let counts = |letter: &&Letter| {
                let Ack { partition, offset, delivery, .. } = letter.ack;
                let progress = &group.progress[partition as usize];
                letter.why == Why::Terminated || progress.is_leased(offset, delivery)
            };
            dead.extend(settle.letters.iter().take(settle.looked).filter(counts));
        }
        for Letter { ack, why } in dead {
            let gone = self.stage_dead(settle.group, ack.partition, ack.offset, why, plan, staged);
            settled += u64::from(gone);
        }
        // There may be room now for another delivery.
        self.dirty.insert(settle.group);
        settled
    }

    /// Ends the leases that have run out.
    pub(super) fn stage_expiry(&mut self, plan: &Plan, now: Millis, staged: &mut Staged) {
        for id in self.due.clone() {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let mut dead = Vec::new();
            for (partition, progress) in
                group.progress.iter_mut().enumerate().filter(|(_, own)| own.expires(now))
            {
                let partition = partition as u32;
                staged.touch(id, partition, progress);
                dead.extend(progress.expire(now).into_iter().map(|offset| (partition, offset)));
            }
            for (partition, offset) in dead {
                self.stage_dead(id, partition, offset, Why::MaxDeliveries, plan, staged);
            }
        }
    }

    /// Moves a message to the dead letters of its topic. False when it could not be read, and stays.
    fn stage_dead(
        &mut self,
        group: u64,
        partition: u32,
        offset: u64,
        why: Why,
        plan: &Plan,
        staged: &mut Staged,
    ) -> bool {
        let Some(own) = self.groups.get_mut(&group) else { return false };
        let topic = own.topic;
        let Some(content) = plan.dying.get(&(topic, partition, offset)) else { return false };
        let progress = &mut own.progress[partition as usize];
        staged.touch(group, partition, progress);
        let deliveries = progress.delivery_of(offset).unwrap_or(0);
        if !progress.settle(offset) {
            return false;
        }
        let dead = self.topics.get(&topic).and_then(|own| {
            Some((own.name.clone(), *self.names.get(format!("{}{DEAD_LETTERS}", own.name).as_str())?))
        });
        if let (Some(stored), Some((name, dead))) = (content, dead) {
            let (partition, offset, deliveries) =
                (partition.to_string(), offset.to_string(), deliveries.to_string());
            let group_name = self.groups[&group].name.clone();
            let letter = stored.with_headers([
                ("dead-topic", name.as_bytes()),
                ("dead-group", group_name.as_bytes()),
                ("dead-partition", partition.as_bytes()),
                ("dead-offset", offset.as_bytes()),
                ("dead-deliveries", deliveries.as_bytes()),
                ("dead-reason", why.text().as_bytes()),
            ]);
            let letter = Arc::new(Stored { timestamp: clock::today(), ..letter });
            let count = self.topics[&dead].partitions.len() as u32;
            let into = letter.key.as_ref().map_or(0, |key| partitioner::of_key(key, count));
            self.stage_message(dead, into, &letter, staged);
        }
        true
    }
}
