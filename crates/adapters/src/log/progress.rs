//! Where a group stands in one partition: what was delivered and is not settled, and what comes next. Pure: the
//! time, in milliseconds, is an argument.
//!
//! What a turn changes is noted, so that it can be undone and written at a cost of what it changes and not of all
//! that is unsettled.

mod undo;

use std::collections::{BTreeMap, BTreeSet};

use crate::queue::LAST_DELIVERY;

/// Messages of one partition that may be delivered and unsettled for one group: what its memory is bounded by.
pub(super) const MOST_OPEN: usize = 10_000;

/// Offsets whose debts stand in one row: what is written for a change is no more than that.
pub(super) const SEGMENT: u64 = 256;

/// A moment, in milliseconds.
pub(super) type Millis = u64;

/// To whom a message was delivered, and as which of all deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) consumer: u64,
    pub(super) sequence: u64,
}

/// What became of a message that was not done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: it is settled, or this was not its latest delivery.
    Unchanged,
    /// It comes again.
    Again,
    /// That was its last delivery: it belongs to the dead letters.
    Dead,
}

/// The state of one group in one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Everything before it was delivered or is settled.
    next: u64,
    /// What was delivered and is not settled.
    open: BTreeMap<u64, Open>,
    /// The same once more by when something happens to it: what waits to come again, and what is leased.
    waiting: BTreeSet<(Millis, u64)>,
    leased: BTreeSet<(Millis, u64)>,
    /// Leases of each consumer.
    held: BTreeMap<u64, u32>,
    /// Of what is open, that which was taken back before anybody saw it.
    unseen: usize,
    /// How it was before the turn that is under way.
    before: Option<Box<undo::Before>>,
    /// Segments whose rows say something else than what is here.
    stale: BTreeSet<u64>,
    /// Segments that have a row.
    kept: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    delivery: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It comes again from this moment on.
    Waiting(Millis),
    /// It is delivered, and comes again if nothing is heard by this moment.
    Leased(Millis, Holder),
}

impl Progress {
    /// Begins at this offset.
    pub(super) fn at(next: u64) -> Self {
        let stale = BTreeSet::from([segment_of(next)]);
        Progress { next, stale, ..Progress::default() }
    }

    /// The first offset that was not delivered yet.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Everything before it is settled.
    pub(super) fn settled(&self) -> u64 {
        self.open.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }

    /// What was delivered and is not settled.
    pub(super) fn delivered(&self) -> u64 {
        (self.open.len() - self.unseen) as u64
    }

    /// What comes before [`Progress::next`] and is not settled.
    pub(super) fn owed(&self) -> u64 {
        self.open.len() as u64
    }

    /// Leases of this consumer.
    pub(super) fn held_by(&self, consumer: u64) -> u32 {
        self.held.get(&consumer).copied().unwrap_or(0)
    }

    /// The deliveries of an unsettled message so far; `None` when it is settled or was never delivered.
    pub(super) fn delivery_of(&self, offset: u64) -> Option<u32> {
        self.open.get(&offset).map(|open| open.delivery)
    }

    /// What may be delivered now, the oldest debt first, of a partition that ends before `end`.
    pub(super) fn wanted(&self, now: Millis, end: u64, most: usize) -> Vec<u64> {
        let again = self.waiting.range(..=(now, u64::MAX)).map(|(_, offset)| *offset);
        let room = MOST_OPEN.saturating_sub(self.open.len());
        again.chain((self.next..end).take(room)).take(most).collect()
    }

    /// Leases what [`Progress::wanted`] named; gives the count of its deliveries with this one.
    pub(super) fn deliver(&mut self, offset: u64, until: Millis, holder: Holder) -> u32 {
        let delivery = self.close(offset).map_or(1, |open| open.delivery + 1);
        // What is skipped was settled without being delivered: it is no longer kept.
        self.advance(offset + 1);
        self.put(offset, Open { delivery, state: State::Leased(until, holder) });
        delivery
    }

    /// Settles a message, by whichever delivery. False when that changes nothing.
    pub(super) fn settle(&mut self, offset: u64) -> bool {
        self.close(offset).is_some()
    }

    /// Passes over a message that is not there to be delivered.
    pub(super) fn skip(&mut self, offset: u64) {
        self.close(offset);
        if self.next == offset {
            self.advance(offset + 1);
        }
    }

    /// Gives a delivery back, to come again from `due` on. Only the latest delivery counts, while it is leased.
    pub(super) fn give_back(&mut self, offset: u64, delivery: u32, due: Millis) -> Fate {
        if !self.is_leased(offset, delivery) {
            return Fate::Unchanged;
        }
        if delivery >= LAST_DELIVERY {
            return Fate::Dead;
        }
        self.wait(offset, due, 0);
        Fate::Again
    }

    /// Whether this is the latest delivery of a message, and its lease still runs.
    pub(super) fn is_leased(&self, offset: u64, delivery: u32) -> bool {
        let own = self.open.get(&offset).filter(|own| own.delivery == delivery);
        own.is_some_and(|own| matches!(own.state, State::Leased(..)))
    }

    /// Ends the leases that have run out. Gives those whose last delivery that was; they stay as they are until
    /// they are settled.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<u64> {
        let over: Vec<u64> = self.leased.range(..=(now, u64::MAX)).map(|(_, offset)| *offset).collect();
        let (dead, again): (Vec<u64>, Vec<u64>) =
            over.into_iter().partition(|offset| self.delivery_of(*offset) >= Some(LAST_DELIVERY));
        for offset in again {
            self.wait(offset, now, 0);
        }
        dead
    }

    /// Whether [`Progress::expire`] would change something.
    pub(super) fn expires(&self, now: Millis) -> bool {
        self.leased.first().is_some_and(|(until, _)| *until <= now)
    }

    /// What [`Progress::expire`] would give.
    pub(super) fn dying(&self, now: Millis) -> impl Iterator<Item = u64> {
        let over = self.leased.range(..=(now, u64::MAX)).map(|(_, offset)| *offset);
        over.filter(|offset| self.delivery_of(*offset) >= Some(LAST_DELIVERY))
    }

    /// A consumer resumes: everything that it holds behind this delivery comes again at once.
    pub(super) fn release(&mut self, consumer: u64, behind: u64, now: Millis) {
        self.let_go(consumer, behind, now, 0);
    }

    /// As [`Progress::release`], of what never went out to its client: it was not delivered after all. False when
    /// there was no such thing.
    pub(super) fn take_back(&mut self, consumer: u64, behind: u64, now: Millis) -> bool {
        self.let_go(consumer, behind, now, 1)
    }

    fn let_go(&mut self, consumer: u64, behind: u64, now: Millis, less: u32) -> bool {
        if self.held_by(consumer) == 0 {
            return false;
        }
        let behind = |open: &Open| match open.state {
            State::Leased(_, holder) => holder.consumer == consumer && holder.sequence > behind,
            State::Waiting(_) => false,
        };
        let offsets: Vec<u64> =
            self.open.iter().filter(|(_, open)| behind(open)).map(|(offset, _)| *offset).collect();
        for offset in &offsets {
            self.wait(*offset, now, less);
        }
        !offsets.is_empty()
    }

    /// Forgets what is no longer kept.
    /// True when something of it was open.
    pub(super) fn trim(&mut self, earliest: u64) -> bool {
        let owed = self.open.len();
        while let Some((offset, _)) = self.open.first_key_value()
            && *offset < earliest
        {
            let offset = *offset;
            self.close(offset);
        }
        self.advance(earliest);
        self.open.len() < owed
    }

    /// When something happens by itself: a lease runs out, or a message that waits may come again.
    pub(super) fn wakes_at(&self, now: Millis) -> Option<Millis> {
        let lease = self.leased.first().map(|(until, _)| *until);
        let due = self.waiting.range((now + 1, 0)..).next().map(|(due, _)| *due);
        lease.into_iter().chain(due).min()
    }

    /// What is open of a segment, by offset: how often it was delivered, and from when it may come again (0 for at
    /// once).
    pub(super) fn debts(&self, segment: u64, now: Millis) -> impl Iterator<Item = (u64, u32, Millis)> {
        let all = self.open.range(segment * SEGMENT..(segment + 1) * SEGMENT);
        all.map(move |(offset, open)| match open.state {
            State::Waiting(due) if due > now => (*offset, open.delivery, due),
            _ => (*offset, open.delivery, 0),
        })
    }

    /// Takes up a debt of before a restart.
    pub(super) fn owe(&mut self, offset: u64, delivery: u32, due: Millis) {
        self.close(offset);
        self.put(offset, Open { delivery, state: State::Waiting(due) });
        self.advance(offset + 1);
    }

    /// Everything before this is delivered or settled.
    pub(super) fn advance(&mut self, next: u64) {
        if next > self.next {
            if segment_of(next) != segment_of(self.next) {
                // Its row was kept for the place alone, and may go.
                self.stale.insert(segment_of(self.next));
            }
            self.next = next;
        }
    }

    /// Turns an open message into one that waits, with so many deliveries taken back.
    fn wait(&mut self, offset: u64, due: Millis, less: u32) {
        if let Some(open) = self.close(offset) {
            let delivery = open.delivery.saturating_sub(less);
            self.put(offset, Open { delivery, state: State::Waiting(due) });
        }
    }

    /// Puts a message that is not open into everything.
    fn put(&mut self, offset: u64, open: Open) {
        self.note(offset, None);
        match open.state {
            State::Waiting(due) => {
                self.waiting.insert((due, offset));
            }
            State::Leased(until, holder) => {
                self.leased.insert((until, offset));
                *self.held.entry(holder.consumer).or_default() += 1;
            }
        }
        self.unseen += usize::from(open.delivery == 0);
        self.open.insert(offset, open);
    }

    /// Takes a message out of everything.
    fn close(&mut self, offset: u64) -> Option<Open> {
        let open = self.open.remove(&offset)?;
        self.note(offset, Some(open));
        self.unseen -= usize::from(open.delivery == 0);
        match open.state {
            State::Waiting(due) => {
                self.waiting.remove(&(due, offset));
            }
            State::Leased(until, holder) => {
                self.leased.remove(&(until, offset));
                if let Some(held) = self.held.get_mut(&holder.consumer) {
                    *held -= 1;
                    if *held == 0 {
                        self.held.remove(&holder.consumer);
                    }
                }
            }
        }
        Some(open)
    }
}

/// The segment whose row says that everything before `next` was delivered.
fn segment_of(next: u64) -> u64 {
    next.saturating_sub(1) / SEGMENT
}

#[cfg(test)]
mod tests;
