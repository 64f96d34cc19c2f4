//! Room in a service: how many requests are under way at once, and the queue before the door.
//!
//! One count for the whole process. While there is room nobody takes a lock; whoever finds none waits in order, up to
//! the deadline of his request.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::LimitsSpec;
use policy::{Entry, Exit, Gate, Gradient, Time};
use tokio::sync::oneshot;

/// The fewest that are let through where the gateway finds out how many.
const LEAST: u32 = 4;
/// The most, where nothing says how many.
const MOST: u32 = 1000;

/// The room of a service.
pub(crate) struct Room {
    gate: Gate,
    /// How many may be in at once.
    most: AtomicU32,
    /// How many may wait; more than all of them for as many as may be in.
    most_waiting: AtomicU32,
    /// Finds out how many may be in.
    gradient: Option<Gradient>,
    queue: Mutex<Queue>,
}

/// Who waits, the first in front.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    /// The number of the last who came.
    last: u64,
}

/// A place in the room, given back when it is dropped.
pub(crate) struct Place(Arc<Room>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// As many wait as may.
    Full,
    /// None became free in time.
    Late,
}

/// How a room is: what may be in, what is, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) most: u32,
    pub(crate) inside: u32,
    pub(crate) waiting: u32,
}

const AS_MANY: u32 = u32::MAX;

impl Room {
    /// The room that is asked for, if it has walls.
    pub(crate) fn of(limits: &LimitsSpec) -> Option<Room> {
        if limits.max_requests.is_none() && !limits.adaptive {
            return None;
        }
        let most = limits.max_requests.unwrap_or(MOST);
        let gradient = limits.adaptive.then(|| Gradient::new(LEAST.min(most), most));
        Some(Room {
            gate: Gate::new(),
            most: AtomicU32::new(gradient.as_ref().map_or(most, Gradient::first)),
            most_waiting: AtomicU32::new(limits.max_pending.unwrap_or(AS_MANY)),
            gradient,
            queue: Mutex::default(),
        })
    }

    /// Takes a place, when there is one and nobody waits for it.
    pub(crate) fn enter_at_once(self: &Arc<Self>) -> Option<Place> {
        self.gate.enter_at_once(self.most.load(Relaxed)).then(|| Place(Arc::clone(self)))
    }

    /// Takes a place, waiting for one until then when there is none.
    pub(crate) async fn enter(self: &Arc<Self>, deadline: Instant) -> Result<Place, NoRoom> {
        if let Some(place) = self.enter_at_once() {
            return Ok(place);
        }
        let mut turn = match self.queue_up()? {
            Ok(place) => return Ok(place),
            Err(turn) => turn,
        };
        let called = tokio::time::timeout_at(deadline.into(), &mut turn.called).await;
        match called {
            Ok(Ok(())) => Ok(turn.take()),
            // Called or not, the turn is given back when it is dropped.
            Ok(Err(_)) | Err(_) => Err(NoRoom::Late),
        }
    }

    fn queue_up(self: &Arc<Self>) -> Result<Result<Place, Turn>, NoRoom> {
        let mut queue = self.lock();
        let most = self.most.load(Relaxed);
        let most_waiting = match self.most_waiting.load(Relaxed) {
            AS_MANY => most,
            said => said,
        };
        match self.gate.enter(most, most_waiting) {
            Entry::In => Ok(Ok(Place(Arc::clone(self)))),
            Entry::Full => Err(NoRoom::Full),
            Entry::Waits => {
                let (call, called) = oneshot::channel();
                queue.last += 1;
                let number = queue.last;
                queue.waiting.push_back((number, call));
                Ok(Err(Turn { room: Arc::clone(self), number, called, taken: false }))
            }
        }
    }

    fn leave(&self) {
        if self.gate.leave_at_once() {
            return;
        }
        let mut queue = self.lock();
        if self.gate.leave(self.most.load(Relaxed)) == Exit::Passed {
            queue.call();
        }
    }

    /// An answer of the service has taken so long.
    pub(crate) fn observe(&self, now: Time, took: Duration) {
        let Some(gradient) = &self.gradient else { return };
        if let Some(most) = gradient.observe(now, took, self.gate.inside()) {
            self.widen(most);
        }
    }

    /// Other walls than before; who is in stays in.
    pub(crate) fn rebuild(&self, limits: &LimitsSpec) {
        self.most_waiting.store(limits.max_pending.unwrap_or(AS_MANY), Relaxed);
        if self.gradient.is_none() {
            self.widen(limits.max_requests.unwrap_or(MOST));
        }
    }

    fn widen(&self, most: u32) {
        let before = self.most.swap(most, Relaxed);
        if most <= before {
            return;
        }
        let mut queue = self.lock();
        while self.gate.admit(most) {
            queue.call();
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        let (inside, waiting) = (self.gate.inside(), self.gate.waiting());
        Occupancy { most: self.most.load(Relaxed), inside, waiting }
    }

    /// Whether another room would be built for these limits, or this one can be made to fit.
    pub(crate) fn fits(&self, limits: &LimitsSpec, before: &LimitsSpec) -> bool {
        match &self.gradient {
            Some(_) => limits.adaptive && limits.max_requests == before.max_requests,
            None => !limits.adaptive,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // What it guards is whole after every statement, so that a panic elsewhere spoils nothing.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Calls the first who waits; its place at the gate is taken already. Everybody in the queue is there to hear it:
    /// who leaves takes himself out first.
    fn call(&mut self) {
        if let Some((_, call)) = self.waiting.pop_front() {
            let _ = call.send(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A turn in the queue, given up when it is dropped.
struct Turn {
    room: Arc<Room>,
    number: u64,
    called: oneshot::Receiver<()>,
    /// It has become a place.
    taken: bool,
}

impl Turn {
    /// It was called: the place is there.
    fn take(mut self) -> Place {
        self.taken = true;
        Place(Arc::clone(&self.room))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut queue = self.room.lock();
        let still = queue.waiting.iter().position(|(number, _)| *number == self.number);
        match still {
            Some(at) => {
                queue.waiting.remove(at);
                self.room.gate.give_up();
            }
            // Called at the very moment it was given up: the place goes on to the next.
            None => {
                drop(queue);
                self.room.leave();
            }
        }
    }
}

#[cfg(test)]
mod tests;
