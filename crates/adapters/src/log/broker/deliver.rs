//! Handing out: which consumer gets which messages, and where their contents come from.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::command::{Handed, HandedMessage, Signal, Stream};
use super::super::progress::{Holder, Millis};
use super::super::reads::{self, Found};
use super::super::stored::Stored;
use super::Broker;
use super::stage::Staged;
use super::state::{Member, Topic};

/// Messages and bytes that are handed to a consumer at a time: one that is slow holds no more of the memory.
const MOST_MESSAGES: usize = 256;
const MOST_BYTES: u64 = 256 << 10;

impl Broker {
    /// Hands to every consumer that waits what there is for it.
    pub(super) fn deliver_all(&mut self, now: Millis, staged: &mut Staged) {
        let mut groups: Vec<u64> = self.dirty.iter().copied().collect();
        // In the order of their making, so that a run can be told again.
        groups.sort_unstable();
        for group in groups {
            let members = self.groups.get(&group).map_or(0, |group| group.members.len());
            for member in 0..members {
                self.deliver(group, member, now, staged);
            }
        }
    }

    fn deliver(&mut self, group_id: u64, at: usize, now: Millis, staged: &mut Staged) {
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        let Some(topic) = self.topics.get(&group.topic) else { return };
        let member = &mut group.members[at];
        if !member.ready || member.leaves_at.is_some() {
            return;
        }
        let held: u32 = group.progress.iter().map(|progress| progress.held_by(member.consumer)).sum();
        let room = member.credit.saturating_sub(held) as usize;
        let until = now + member.lease;
        let (mut messages, mut bytes, mut missing) = (Vec::new(), 0, None::<(u32, Vec<u64>)>);
        let turns = member.partitions.len();
        for turn in 0..turns {
            let partition = member.partitions[(member.turn + turn) % turns];
            let most = room.min(MOST_MESSAGES) - messages.len();
            if most == 0 || bytes >= MOST_BYTES {
                break;
            }
            let progress = &mut group.progress[partition as usize];
            let wanted = progress.wanted(now, topic.partitions[partition as usize].next, most);
            for (at, offset) in wanted.iter().copied().enumerate() {
                let Some(stored) = content(topic, member, partition, offset) else {
                    missing.get_or_insert_with(|| {
                        let unread = |offset: &u64| content(topic, member, partition, *offset).is_none();
                        // What this turn is about to write is in memory, and so is not looked for in the file.
                        (partition, wanted[at..].iter().copied().filter(unread).collect())
                    });
                    break;
                };
                if !messages.is_empty() && bytes + stored.size() > MOST_BYTES {
                    bytes = MOST_BYTES;
                    break;
                }
                bytes += stored.size();
                staged.touch(group_id, partition, progress);
                self.sequence += 1;
                let holder = Holder { consumer: member.consumer, sequence: self.sequence };
                let delivery = progress.deliver(offset, until, holder);
                messages.push(HandedMessage { partition, offset, delivery, sequence: self.sequence, stored });
            }
        }
        let stream = Stream { group: group_id, consumer: member.consumer, session: member.session };
        if !messages.is_empty() {
            member.ready = false;
            member.turn = (member.turn + 1) % turns;
            staged.handed.push((group_id, member.consumer, Handed { until, messages }));
        }
        if let Some((partition, wanted)) = missing
            && !member.fetching
        {
            member.fetching = true;
            let topic = topic.id;
            self.fetch(stream, topic, partition, wanted);
        } else if member.ready && !member.fetching {
            member.idle.store(true, Relaxed);
        }
    }

    /// Has messages read from the file; they come back as a signal.
    fn fetch(&self, stream: Stream, topic: u64, partition: u32, asked: Vec<u64>) {
        let runs = reads::runs(&asked);
        let (disk, reads, reports) = (self.disk.clone(), Arc::clone(&self.reads), self.reports.clone());
        tokio::spawn(async move {
            // Never closed; without a permit it would only be one more at a time.
            let _permit = reads.acquire().await;
            let look = move |connection: &disk::Connection| {
                reads::messages(connection, topic, partition, &runs, MOST_BYTES)
            };
            let found = disk.read(look).await;
            let _ = reports.send(Signal::Fetched { stream, partition, asked, found });
        });
    }

    /// Takes in what was read for a consumer.
    pub(super) fn fetched(
        &mut self,
        stream: Stream,
        partition: u32,
        asked: &[u64],
        found: Result<Found, disk::Error>,
    ) {
        let Some(group) = self.groups.get_mut(&stream.group) else { return };
        let Some(member) = group.member(stream.consumer, stream.session) else { return };
        member.fetching = false;
        match found {
            Ok(found) => {
                let missing = found.missing(asked);
                if member.partitions.contains(&partition) {
                    member.fetched.retain(|(own, _), _| *own == partition);
                    member
                        .fetched
                        .extend(found.messages.into_iter().map(|(offset, own)| ((partition, offset), own)));
                }
                // What is not there was taken out in the meantime.
                for offset in missing {
                    group.progress[partition as usize].skip(offset);
                }
                self.dirty.insert(stream.group);
            }
            Err(error) => {
                tracing::warn!(%error, "a queue could not read for a consumer");
                self.dirty.insert(stream.group);
                self.paused_until = self.clock.now() + super::PAUSE;
            }
        }
    }
}

/// A message from memory, or from what was read for this consumer.
fn content(topic: &Topic, member: &Member, partition: u32, offset: u64) -> Option<Arc<Stored>> {
    let recent = topic.partitions[partition as usize].recent(offset);
    recent.or_else(|| member.fetched.get(&(partition, offset))).cloned()
}
