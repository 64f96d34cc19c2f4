//! One turn: change what is in memory, write it, and then answer and hand out; or put everything back as it was.

use std::collections::HashSet;
use std::sync::Arc;

use disk::Error;

use super::super::command::{Publish, Settle};
use super::super::failure;
use super::super::progress::Millis;
use super::super::progress_row::{self, Rows};
use super::super::writes::{Batch, End, NewMessage};
use super::plan::Plan;
use super::stage::Staged;
use super::state::Group;
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
                for (publish, receipts) in
                    std::mem::take(&mut plan.publishes).into_iter().zip(answers.receipts)
                {
                    let _ = publish.answer.send(Ok(receipts));
                }
                for (mut settle, settled) in
                    std::mem::take(&mut plan.settles).into_iter().zip(answers.settled)
                {
                    if self.goes_on(&mut settle, settled, &plan) {
                        let _ = settle.answer.send(Ok(settle.settled));
                    } else {
                        self.carried.push(settle);
                    }
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
        // Before anything is staged: it takes out of memory what only this turn would count.
        self.dismiss(now);
        let mut staged = Staged::default();
        self.stage_unwritten(&mut staged);
        let answers = Answers {
            receipts: plan.publishes.iter().map(|publish| self.stage_publish(publish, &mut staged)).collect(),
            settled: plan
                .settles
                .iter()
                .map(|settle| self.stage_settle(settle, plan, now, &mut staged))
                .collect(),
        };
        if !self.is_paused(now) {
            self.stage_expiry(plan, now, &mut staged);
            self.mark_readers(&staged);
            self.deliver_all(now, &mut staged);
        } else {
            self.mark_readers(&staged);
        }
        let batch = self.batch(&mut staged, now);
        let remembered = batch.publishes.len() as u64;
        let mut trimmed = Vec::new();
        if !batch.is_empty() {
            match self.disk.write(move |connection| batch.write(connection)).await {
                Ok(done) => trimmed = done,
                Err(error) => {
                    tracing::warn!(%error, "a queue could not write");
                    self.undo(staged);
                    return Err(error);
                }
            }
        }
        self.publishes += remembered;
        self.finish(staged, now);
        self.look_after(plan, now);
        trimmed.into_iter().for_each(|trimmed| self.trimmed(trimmed));
        Ok(answers)
    }

    /// What was changed between turns is written with this one.
    fn stage_unwritten(&mut self, staged: &mut Staged) {
        for (group, partition) in self.unwritten.drain() {
            if let Some(progress) =
                self.groups.get_mut(&group).and_then(|group| group.progress.get_mut(partition as usize))
            {
                staged.touch(group, partition, progress);
                staged.before.push((group, partition));
            }
        }
    }

    /// Whoever waits at a topic that has new messages may have something to get.
    fn mark_readers(&mut self, staged: &Staged) {
        for topic in staged.topics.iter().filter_map(|topic| self.topics.get(topic)) {
            let waited = |id: &&u64| self.groups.get(*id).is_some_and(Group::is_waited_for);
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
        for (group, partition) in &staged.progress {
            let rows = progress_row::rows(&self.groups[group].progress[*partition as usize], now);
            if rows != Rows::default() {
                batch.progress.push((*group, *partition, rows));
            }
        }
        // Neighbours stand on the same pages.
        batch.progress.sort_unstable_by_key(|(group, partition, _)| (*group, *partition));
        batch.trims = self.trims_for(staged);
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
        for (group, partition) in staged.progress {
            if let Some(group) = self.groups.get_mut(&group) {
                group.progress[partition as usize].undo();
            }
        }
        self.unwritten.extend(staged.before);
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
        let mut touched: HashSet<u64> = HashSet::new();
        for (group, partition) in staged.progress {
            if let Some(own) = self.groups.get_mut(&group) {
                own.progress[partition as usize].wrote();
                touched.insert(group);
            }
        }
        if !self.is_paused(now) {
            touched.extend(self.dirty.drain());
            touched.extend(&self.due);
        }
        for group in touched {
            self.set_alarm(group, now);
        }
    }

    /// What was due is dealt with, but for dead letters that were too many for one turn.
    fn look_after(&mut self, plan: &Plan, now: Millis) {
        if self.is_paused(now) {
            return;
        }
        let due = std::mem::take(&mut self.due);
        if plan.unfinished {
            let dies = |group: &Group| group.progress.iter().any(|own| own.dying(now).next().is_some());
            self.due.extend(due.into_iter().filter(|id| self.groups.get(id).is_some_and(dies)));
        }
    }
}
