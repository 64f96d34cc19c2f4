//! One turn: change what is in memory, write it, and then answer and hand out; or put everything back as it was.

use std::collections::HashSet;
use std::sync::Arc;

use disk::Error;

use super::super::command::{Publish, Settle};
use super::super::progress::Millis;
use super::super::writes::{Batch, End, NewMessage};
use super::super::{failure, progress_row};
use super::plan::Plan;
use super::stage::Staged;
use super::{Broker, PAUSE};
use crate::queue::Receipt;

/// What has come in and changes messages or their settlement.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) publishes: Vec<Publish>,
    pub(super) settles: Vec<Settle>,
}

/// What is answered when it is written.
#[derive(Default)]
struct Answers {
    receipts: Vec<Vec<Receipt>>,
    settled: Vec<u64>,
}

impl Broker {
    /// Carries out what has come in, and what has become due.
    pub(super) async fn take(&mut self, mut turn: Turn) {
        loop {
            let now = self.clock.now();
            let plan = self.plan(&mut turn, now).await;
            self.carry_out(plan, now).await;
            if turn.publishes.is_empty() && turn.settles.is_empty() {
                return;
            }
        }
    }

    async fn carry_out(&mut self, mut plan: Plan, now: Millis) {
        let mut tried = self.attempt(&plan, now).await;
        if let Err(error) = &tried {
            // Without what is new, consumers may still go on with what is there.
            let publishes = std::mem::take(&mut plan.publishes);
            let alone = publishes.is_empty();
            for publish in publishes {
                let _ = publish.answer.send(Err(failure::of(error)));
            }
            if !alone {
                tried = self.attempt(&plan, now).await;
            }
        }
        match tried {
            Ok(answers) => {
                for (publish, receipts) in plan.publishes.into_iter().zip(answers.receipts) {
                    let _ = publish.answer.send(Ok(receipts));
                }
                for (settle, settled) in plan.settles.into_iter().zip(answers.settled) {
                    let _ = settle.answer.send(Ok(settled));
                }
            }
            Err(error) => {
                for settle in plan.settles {
                    let _ = settle.answer.send(Err(failure::of(&error)));
                }
                self.paused_until = now + PAUSE;
            }
        }
    }

    async fn attempt(&mut self, plan: &Plan, now: Millis) -> Result<Answers, Error> {
        let mut staged = Staged::default();
        let answers = Answers {
            receipts: plan.publishes.iter().map(|publish| self.stage_publish(publish, &mut staged)).collect(),
            settled: plan
                .settles
                .iter()
                .map(|settle| self.stage_settle(settle, plan, now, &mut staged))
                .collect(),
        };
        self.dismiss(now);
        if !self.is_paused(now) {
            self.stage_expiry(plan, now, &mut staged);
            self.mark_readers(&staged);
            self.deliver_all(now, &mut staged);
        } else {
            self.mark_readers(&staged);
        }
        let batch = self.batch(&mut staged, now);
        let remembered = batch.publishes.len() as u64;
        if !batch.is_empty()
            && let Err(error) = self.disk.write(move |connection| batch.write(connection)).await
        {
            tracing::warn!(%error, "a queue could not write");
            self.undo(staged);
            return Err(error);
        }
        self.publishes += remembered;
        self.finish(staged, now);
        Ok(answers)
    }

    /// Whoever waits at a topic that has new messages may have something to get.
    fn mark_readers(&mut self, staged: &Staged) {
        for topic in staged.topics.iter().filter_map(|topic| self.topics.get(topic)) {
            let waited = |id: &&u64| self.groups.get(*id).is_some_and(super::state::Group::is_waited_for);
            self.dirty.extend(topic.groups.values().filter(waited));
        }
    }

    /// The rows of what was changed.
    fn batch(&self, staged: &mut Staged, now: Millis) -> Batch {
        let mut batch = Batch { publishes: std::mem::take(&mut staged.publishes), ..Batch::default() };
        for (topic, partition) in staged.partitions.keys() {
            let own = &self.topics[topic].partitions[*partition as usize];
            batch.ends.push(End { topic: *topic, partition: *partition, next: own.next, bytes: own.bytes });
        }
        for ((group, partition), before) in &staged.progress {
            let row = progress_row::encode(&self.groups[group].progress[*partition as usize], now);
            if row != progress_row::encode(before, now) {
                batch.progress.push((*group, *partition, row));
            }
        }
        // Neighbours stand on the same pages.
        batch.progress.sort_unstable_by_key(|(group, partition, _)| (*group, *partition));
        for message in &staged.messages {
            batch.messages.push(NewMessage { stored: Arc::clone(&message.stored), ..*message });
        }
        batch
    }

    fn undo(&mut self, staged: Staged) {
        for ((topic, partition), before) in staged.partitions {
            let Some(topic) = self.topics.get_mut(&topic) else { continue };
            let own = &mut topic.partitions[partition as usize];
            (own.next, own.bytes, own.oldest) = (before.next, before.bytes, before.oldest);
            own.recent.truncate(before.recent);
        }
        for ((group, partition), before) in staged.progress {
            if let Some(group) = self.groups.get_mut(&group) {
                group.progress[partition as usize] = before;
            }
        }
        for (group, consumer, _) in staged.handed {
            if let Some(group) = self.groups.get_mut(&group)
                && let Some(member) = group.members.iter_mut().find(|member| member.consumer == consumer)
            {
                member.ready = true;
            }
        }
    }

    /// What was changed is written: hands out, and looks at when something happens next.
    fn finish(&mut self, staged: Staged, now: Millis) {
        for message in &staged.messages {
            if self.topics.get(&message.topic).is_some_and(|topic| topic.readers > 0) {
                self.recent.added(message.topic, message.partition, message.offset, message.stored.size());
            }
        }
        self.recent.fit(&mut self.topics);
        for (group, consumer, handed) in staged.handed {
            let member = self
                .groups
                .get_mut(&group)
                .and_then(|group| group.members.iter_mut().find(|member| member.consumer == consumer));
            if let Some(member) = member {
                for message in &handed.messages {
                    member.fetched.remove(&(message.partition, message.offset));
                }
                // A stream that has just ended says so itself, and its leases are looked after then.
                let _ = member.inbox.send(handed);
            }
        }
        let mut touched: HashSet<u64> = staged.progress.keys().map(|(group, _)| *group).collect();
        if !self.is_paused(now) {
            touched.extend(self.dirty.drain());
            touched.extend(std::mem::take(&mut self.due));
        }
        for group in touched {
            self.set_alarm(group, now);
        }
    }
}
