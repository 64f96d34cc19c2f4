//! The broker: one task that owns everything a queue has in memory, and takes turns. A turn carries out what has
//! come in meanwhile, writes it as one transaction, and only then answers and hands out.
//!
//! That is what makes many publishers share one commit, and what lets a group's progress be on the disk before its
//! consumer sees a message. Nothing here is locked: whoever wants something sends a [`Command`].

mod deliver;
mod groups;
mod letters;
mod members;
mod plan;
mod recent;
mod stage;
mod state;
mod sweep;
mod topics;
mod turn;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use disk::Disk;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use self::letters::PlannedSettle;
use self::recent::Recent;
use self::state::{Group, Topic};
use self::turn::Turn;
use super::clock::Clock;
use super::command::{Command, Signal};
use super::options::Options;
use super::progress::Millis;
use super::tables::Loaded;

/// Commands of one turn at most: by then the cost of the sync is shared out.
const MOST_COMMANDS: usize = 512;

/// How long deliveries wait after progress could not be written, on a full disk for one.
const PAUSE: Millis = 1000;

/// Threads of the file that read for consumers at the same time; others wait.
const READS_AT_ONCE: usize = 8;

/// See the module.
pub(super) struct Broker {
    disk: Disk,
    clock: Clock,
    options: Options,
    topics: HashMap<u64, Topic>,
    names: BTreeMap<Box<str>, u64>,
    groups: HashMap<u64, Group>,
    recent: Recent,
    /// Counts deliveries, consumers and streams. Begins at the time of day, so that it never comes back to a
    /// number of before a restart.
    sequence: u64,
    salt: u32,
    /// Publishes that are remembered in the file.
    publishes: u64,
    /// Topics whose rows are still to be taken out.
    dropped: VecDeque<u64>,

    /// Topics that hold more than they should, to be trimmed in turn.
    overdue: VecDeque<u64>,
    /// Settlements that go on in the next turn.
    carried: Vec<PlannedSettle>,
    /// Where groups were moved between turns, by group and partition.
    unwritten: HashSet<(u64, u32)>,

    commands: mpsc::Receiver<Command>,
    signals: mpsc::UnboundedReceiver<Signal>,
    /// For those who read the file on behalf of consumers.
    reports: mpsc::UnboundedSender<Signal>,
    reads: Arc<Semaphore>,

    /// Groups that may have something to deliver.
    dirty: HashSet<u64>,
    /// Groups whose time has come.
    due: BTreeSet<u64>,
    alarms: BinaryHeap<Reverse<(Millis, u64)>>,
    /// Until when nothing is delivered, since the disk did not take it.
    paused_until: Millis,
    sweeps_at: Millis,
    looks_at: Millis,
    forgets_at: Millis,
}

impl Broker {
    pub(super) fn new(
        disk: Disk,
        clock: Clock,
        loaded: Loaded,
        commands: mpsc::Receiver<Command>,
        (reports, signals): (mpsc::UnboundedSender<Signal>, mpsc::UnboundedReceiver<Signal>),
    ) -> Broker {
        let mut topics: HashMap<u64, Topic> =
            loaded.topics.into_iter().map(|row| (row.id, Topic::of(row))).collect();
        let names = topics.values().map(|topic| (topic.name.clone(), topic.id)).collect();
        let mut groups = HashMap::new();
        for row in loaded.groups {
            if let Some(topic) = topics.get_mut(&row.topic) {
                topic.groups.insert(row.name.clone(), row.id);
                groups.insert(row.id, Group::of(row, topic));
            }
        }
        let now = clock.now();
        Broker {
            disk,
            clock,
            options: Options::default(),
            topics,
            names,
            groups,
            recent: Recent::default(),
            sequence: now * 1000,
            salt: loaded.salt,
            publishes: loaded.publishes,
            dropped: loaded.dropped.into(),
            overdue: VecDeque::new(),
            carried: Vec::new(),
            unwritten: HashSet::new(),
            commands,
            signals,
            reports,
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            dirty: HashSet::new(),
            due: BTreeSet::new(),
            alarms: BinaryHeap::new(),
            paused_until: 0,
            sweeps_at: now,
            looks_at: now,
            forgets_at: now,
        }
    }

    /// Takes turns until it is closed, or nobody is left who could tell it anything.
    pub(super) async fn run(mut self) {
        let mut commands = Vec::with_capacity(MOST_COMMANDS);
        loop {
            let wake = self.wakes_at();
            tokio::select! {
                count = self.commands.recv_many(&mut commands, MOST_COMMANDS) => {
                    if count == 0 {
                        return;
                    }
                }
                Some(signal) = self.signals.recv() => self.signal(signal),
                () = tokio::time::sleep_until(wake) => {}
            }
            while let Ok(signal) = self.signals.try_recv() {
                self.signal(signal);
            }
            while commands.len() < MOST_COMMANDS
                && let Ok(command) = self.commands.try_recv()
            {
                commands.push(command);
            }
            self.ring();
            let mut turn = Turn::default();
            for command in commands.drain(..) {
                match command {
                    Command::Publish(publish) => turn.publishes.push(publish),
                    Command::Settle(settle) => turn.settles.push(settle),
                    // What is asked one at a time comes after what was asked before it.
                    other => {
                        self.take(std::mem::take(&mut turn)).await;
                        if self.alone(other).await.is_break() {
                            return;
                        }
                    }
                }
            }
            self.take(turn).await;
            if self.clock.now() >= self.sweeps_at {
                self.sweep().await;
            }
        }
    }

    /// When it has something to do of its own accord.
    fn wakes_at(&self) -> Instant {
        let now = self.clock.now();
        let alarm = self.alarms.peek().map_or(Millis::MAX, |Reverse((at, _))| *at);
        let paused = if self.is_paused(now) { self.paused_until } else { Millis::MAX };
        let goes_on = !self.carried.is_empty() || (!self.due.is_empty() && !self.is_paused(now));
        let next = if goes_on { now } else { alarm.min(paused).min(self.sweeps_at) };
        // One more, since the clock cuts off what is less than a millisecond.
        Instant::now() + Duration::from_millis(next.saturating_sub(now).min(60_000) + u64::from(next > now))
    }

    fn is_paused(&self, now: Millis) -> bool {
        self.paused_until > now
    }

    /// Notes the groups whose time has come.
    fn ring(&mut self) {
        let now = self.clock.now();
        while let Some(Reverse((at, group))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            if let Some(group) = self.groups.get_mut(&group) {
                group.alarm = Millis::MAX;
                self.due.insert(group.id);
                self.dirty.insert(group.id);
            }
        }
    }

    /// Sees to it that a group is looked at in time.
    fn set_alarm(&mut self, group: u64, now: Millis) {
        if let Some(group) = self.groups.get_mut(&group)
            && let Some(at) = group.wakes_at(now)
            && at < group.alarm
        {
            // What is overdue already could not be dealt with, and is tried again after a while.
            let at = if at <= now { now + PAUSE } else { at };
            group.alarm = at;
            self.alarms.push(Reverse((at, group.id)));
        }
    }

    fn next_number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

#[cfg(test)]
mod tests;
