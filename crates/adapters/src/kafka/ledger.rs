//! What a group was delivered of one partition and has not settled. Pure: the time, in milliseconds, is an argument.
//!
//! Messages come from the broker in order, once; what must come again comes from here. When the partition goes to
//! another consumer its messages leave the memory and their counts stay: the broker sends what is not settled once
//! more to whoever has it next, and if that is one of this process, its messages are known again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::record::Content;
use crate::queue::LAST_DELIVERY;

/// Messages of one partition that may be delivered and unsettled.
pub(super) const MOST_OPEN: usize = 10_000;

/// Before something that did not work is tried again.
const PAUSE: Millis = 1000;

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

/// What the broker has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was not seen before: to be delivered.
    Fresh,
    /// It was seen before, and is settled or waits for its time.
    Known,
}

/// The state of a group in a partition.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Everything before it was delivered or is settled; unknown until a message has come.
    next: Option<u64>,
    open: BTreeMap<u64, Open>,
    /// The same once more by when something happens to it.
    waiting: BTreeSet<(Millis, u64)>,
    leased: BTreeSet<(Millis, u64)>,
    /// Leases of each consumer.
    held: BTreeMap<u64, u32>,
    /// Of what is open, that which was taken back before anybody saw it.
    unseen: usize,
    /// Bytes of the messages that are in memory.
    bytes: u64,
    /// The place that the broker has confirmed.
    confirmed: Option<u64>,
    /// The partition was assigned, and nothing of it has come since.
    new: bool,
}

#[derive(Debug)]
struct Open {
    delivery: u32,
    state: State,
    content: Option<Arc<Content>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It comes again from this moment on.
    Waiting(Millis),
    /// It is delivered, and comes again if nothing is heard by this moment.
    Leased(Millis, Holder),
    /// It is on its way to the dead letters.
    Dying(Holder),
}

/// Who held a message that nobody held.
const NOBODY: Holder = Holder { consumer: 0, sequence: 0 };

impl Ledger {
    /// The partition has a consumer of this process: the broker sends it from its place on.
    pub(super) fn assign(&mut self) {
        self.new = true;
    }

    /// It has none any more: what is in memory goes, how often it was delivered stays.
    pub(super) fn revoke(&mut self) {
        self.open.values_mut().for_each(|open| open.content = None);
        self.bytes = 0;
    }

    /// A message has come from the broker.
    pub(super) fn arrives(&mut self, offset: u64, content: &Arc<Content>) -> Arrival {
        if std::mem::take(&mut self.new) {
            if self.confirmed.is_some_and(|place| offset < place) {
                // Somebody has put the group back.
                *self = Ledger::default();
            }
            // What stands before it was settled by others, or is no longer kept.
            self.trim(offset);
        }
        if self.next.is_none_or(|next| offset >= next) {
            return Arrival::Fresh;
        }
        if let Some(open) = self.open.get_mut(&offset)
            && open.content.is_none()
        {
            self.bytes += content.size();
            open.content = Some(Arc::clone(content));
        }
        Arrival::Known
    }

    /// Whether more may be taken from the broker.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < MOST_OPEN
    }

    /// The messages that may come again now, in the order of their times, at most so many.
    pub(super) fn due(&self, now: Millis, most: usize) -> Vec<u64> {
        let due = self.waiting.range(..=(now, u64::MAX)).map(|(_, offset)| *offset);
        due.filter(|offset| self.open.get(offset).is_some_and(|open| open.content.is_some()))
            .take(most)
            .collect()
    }

    /// Leases a message that has come for the first time.
    pub(super) fn deliver(
        &mut self,
        offset: u64,
        content: Arc<Content>,
        until: Millis,
        holder: Holder,
    ) -> u32 {
        self.next = Some(offset + 1);
        self.bytes += content.size();
        self.put(offset, Open { delivery: 1, state: State::Leased(until, holder), content: Some(content) });
        1
    }

    /// Leases one of [`Ledger::due`]; gives it with the count of its deliveries.
    pub(super) fn deliver_again(
        &mut self,
        offset: u64,
        until: Millis,
        holder: Holder,
    ) -> Option<(Arc<Content>, u32)> {
        let content = Arc::clone(self.open.get(&offset)?.content.as_ref()?);
        let mut open = self.take(offset)?;
        open.delivery += 1;
        open.state = State::Leased(until, holder);
        let delivery = open.delivery;
        self.put(offset, open);
        Some((content, delivery))
    }

    /// Settles a message, by whichever delivery. False when that changes nothing.
    pub(super) fn settle(&mut self, offset: u64) -> bool {
        let Some(open) = self.take(offset) else { return false };
        self.bytes -= open.content.map_or(0, |content| content.size());
        true
    }

    /// Gives a delivery back, to come again from `due` on. Only the latest delivery counts, while it is leased.
    pub(super) fn give_back(&mut self, offset: u64, delivery: u32, due: Millis) -> Fate {
        let Some(open) = self.open.get(&offset) else { return Fate::Unchanged };
        if open.delivery != delivery || !matches!(open.state, State::Leased(..)) {
            return Fate::Unchanged;
        }
        if delivery >= LAST_DELIVERY {
            return Fate::Dead;
        }
        self.wait(offset, due, 0);
        Fate::Again
    }

    /// Ends the leases that have run out. Gives those whose last delivery that was; they stay as they are.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<u64> {
        let over: Vec<u64> = self.leased.range(..=(now, u64::MAX)).map(|(_, offset)| *offset).collect();
        let last = |offset: &u64| self.open.get(offset).is_some_and(|open| open.delivery >= LAST_DELIVERY);
        let (dead, again): (Vec<u64>, Vec<u64>) = over.into_iter().partition(last);
        again.into_iter().for_each(|offset| self.wait(offset, now, 0));
        // One that is not in memory cannot go anywhere before the broker has sent it again.
        let (there, absent): (Vec<u64>, Vec<u64>) = dead
            .into_iter()
            .partition(|offset| self.open.get(offset).is_some_and(|open| open.content.is_some()));
        absent.into_iter().for_each(|offset| self.lease_again(offset, now + PAUSE));
        there
    }

    /// A message is on its way to the dead letters; gives it with the count of its deliveries. `None` when it is
    /// settled, not in memory, or on that way already.
    pub(super) fn bury(&mut self, offset: u64) -> Option<(Arc<Content>, u32)> {
        let open = self.open.get(&offset)?;
        let content = Arc::clone(open.content.as_ref()?);
        let (holder, delivery) = match open.state {
            State::Leased(_, holder) => (holder, open.delivery),
            State::Waiting(_) => (NOBODY, open.delivery),
            State::Dying(_) => return None,
        };
        let mut open = self.take(offset)?;
        open.state = State::Dying(holder);
        self.put(offset, open);
        Some((content, delivery))
    }

    /// It could not go there, and is tried again when its lease has run out.
    pub(super) fn raise(&mut self, offset: u64, now: Millis) {
        if self.open.get(&offset).is_some_and(|open| matches!(open.state, State::Dying(_))) {
            self.lease_again(offset, now + PAUSE);
        }
    }

    /// A consumer resumes: everything that it holds behind this delivery comes again at once.
    pub(super) fn release(&mut self, consumer: u64, behind: u64, now: Millis) {
        self.let_go(consumer, behind, now, 0);
    }

    /// As [`Ledger::release`], of what never went out to its client: it was not delivered after all.
    pub(super) fn take_back(&mut self, consumer: u64, behind: u64, now: Millis) {
        self.let_go(consumer, behind, now, 1);
    }

    fn let_go(&mut self, consumer: u64, behind: u64, now: Millis, less: u32) {
        if self.held_by(consumer) == 0 {
            return;
        }
        let behind = |open: &Open| match open.state {
            State::Leased(_, holder) => holder.consumer == consumer && holder.sequence > behind,
            State::Waiting(_) | State::Dying(_) => false,
        };
        let offsets: Vec<u64> =
            self.open.iter().filter(|(_, open)| behind(open)).map(|(offset, _)| *offset).collect();
        offsets.into_iter().for_each(|offset| self.wait(offset, now, less));
    }

    /// Everything before it is settled; unknown until a message has come.
    pub(super) fn settled(&self) -> Option<u64> {
        self.open.first_key_value().map(|(offset, _)| *offset).or(self.next)
    }

    /// The first offset that was not delivered yet.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    /// The place that the broker should know and does not.
    pub(super) fn unconfirmed(&self) -> Option<u64> {
        // What was counted before a change of consumers is not the broker's to know until it has sent it again.
        self.settled().filter(|_| !self.new).filter(|settled| self.confirmed.is_none_or(|own| own < *settled))
    }

    /// The broker knows this place.
    pub(super) fn confirm(&mut self, place: u64) {
        self.confirmed = Some(place);
    }

    /// What was delivered and is not settled.
    pub(super) fn delivered(&self) -> u64 {
        (self.open.len() - self.unseen) as u64
    }

    /// What comes before [`Ledger::next`] and is not settled.
    pub(super) fn owed(&self) -> u64 {
        self.open.len() as u64
    }

    /// Leases of this consumer.
    pub(super) fn held_by(&self, consumer: u64) -> u32 {
        self.held.get(&consumer).copied().unwrap_or(0)
    }

    /// Bytes of messages in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When something happens by itself: a lease runs out, or a message that waits may come again.
    pub(super) fn wakes_at(&self, now: Millis) -> Option<Millis> {
        let lease = self.leased.first().map(|(until, _)| *until);
        let due = self.waiting.range((now + 1, 0)..).next().map(|(due, _)| *due);
        lease.into_iter().chain(due).min()
    }

    fn lease_again(&mut self, offset: u64, until: Millis) {
        if let Some(mut open) = self.take(offset) {
            let holder = match open.state {
                State::Leased(_, holder) | State::Dying(holder) => holder,
                State::Waiting(_) => NOBODY,
            };
            open.state = State::Leased(until, holder);
            self.put(offset, open);
        }
    }

    fn trim(&mut self, earliest: u64) {
        while let Some((offset, _)) = self.open.first_key_value()
            && *offset < earliest
        {
            let offset = *offset;
            self.settle(offset);
        }
    }

    /// Turns an open message into one that waits, with so many deliveries taken back.
    fn wait(&mut self, offset: u64, due: Millis, less: u32) {
        if let Some(mut open) = self.take(offset) {
            open.delivery = open.delivery.saturating_sub(less);
            open.state = State::Waiting(due);
            self.put(offset, open);
        }
    }

    /// Puts a message that is not open into everything but the bytes.
    fn put(&mut self, offset: u64, open: Open) {
        match open.state {
            State::Waiting(due) => drop(self.waiting.insert((due, offset))),
            State::Leased(until, holder) => {
                self.leased.insert((until, offset));
                *self.held.entry(holder.consumer).or_default() += 1;
            }
            State::Dying(_) => {}
        }
        self.unseen += usize::from(open.delivery == 0);
        self.open.insert(offset, open);
    }

    /// Takes a message out of everything but the bytes.
    fn take(&mut self, offset: u64) -> Option<Open> {
        let open = self.open.remove(&offset)?;
        self.unseen -= usize::from(open.delivery == 0);
        match open.state {
            State::Waiting(due) => drop(self.waiting.remove(&(due, offset))),
            State::Leased(until, holder) => {
                self.leased.remove(&(until, offset));
                if let Some(held) = self.held.get_mut(&holder.consumer) {
                    *held -= 1;
                    if *held == 0 {
                        self.held.remove(&holder.consumer);
                    }
                }
            }
            State::Dying(_) => {}
        }
        Some(open)
    }
}

#[cfg(test)]
mod tests;
