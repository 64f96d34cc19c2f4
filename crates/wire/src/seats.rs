//! How many connections to a peer may be open at once, and who waits for one.
//!
//! A seat lives in the connection that it was taken for and goes with it, so that the count is right however a
//! connection ends. What is done with a connection that may be used again is its owner's to say.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::conn::Conn;
use crate::cores;

/// A bound on the connections to one peer, of all cores together.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    most_waiting: usize,
    state: Mutex<State>,
    /// How many wait, for whoever has something to give: he looks here before he takes the lock.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    open: usize,
    /// Those of each core, the first in front.
    queues: Box<[VecDeque<Waiter>]>,
    /// The number of the last who came.
    last: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    since: Instant,
    call: oneshot::Sender<Given>,
}

/// Leave to have one connection open, given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

/// What somebody who waits is given.
#[derive(Debug)]
pub enum Given {
    /// Leave to open a connection.
    Seat(Seat),
    /// A connection that another is done with.
    Conn(Box<Conn>),
    /// There may be room on a connection that is open.
    Word(Word),
}

/// Word that there may be room on an open connection. Dropped unheeded, it goes on to the next.
#[derive(Debug)]
pub struct Word(Option<Arc<Seats>>);

/// A place in the queue, given up when it is dropped.
#[derive(Debug)]
pub struct Waiting {
    seats: Arc<Seats>,
    number: u64,
    core: usize,
    since: Instant,
    called: oneshot::Receiver<Given>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Connections that may be open.
    pub most: usize,
    /// Connections that are, or are being made.
    pub open: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Seats {
    /// So many connections, and so many who wait for one.
    #[must_use]
    pub fn new(most: usize, most_waiting: usize) -> Arc<Self> {
        let queues = (0..cores::slots()).map(|_| VecDeque::new()).collect();
        let state = Mutex::new(State { open: 0, queues, last: 0 });
        Arc::new(Seats { most, most_waiting, state, waiting: AtomicUsize::new(0) })
    }

    /// A seat, when one is free. One that is given back while somebody waits is his, and never free.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.lock();
        (state.open < self.most).then(|| {
            state.open += 1;
            Seat(Arc::clone(self))
        })
    }

    /// Queues up behind those who wait. What there is to be had is to be looked for once more after that: what came
    /// before was not given to somebody of whom nobody knew.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn queue_up(self: &Arc<Self>) -> Result<Waiting, Full> {
        let (call, called) = oneshot::channel();
        let mut state = self.lock();
        if state.waiting() >= self.most_waiting {
            return Err(Full);
        }
        state.last += 1;
        let (number, since) = (state.last, Instant::now());
        let core = cores::index().min(state.queues.len() - 1);
        state.queues[core].push_back(Waiter { number, since, call });
        self.count(&state);
        drop(state);
        fence(SeqCst);
        Ok(Waiting { seats: Arc::clone(self), number, core, since, called })
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        fence(SeqCst);
        self.waiting.load(SeqCst) > 0
    }

    /// There may be room on an open connection: tells the first who waits.
    pub fn stir(self: &Arc<Self>) {
        if self.is_waited_for() {
            let first = self.first();
            if let Some(waiter) = first {
                let _ = waiter.call.send(Given::Word(Word(Some(Arc::clone(self)))));
            }
        }
    }

    /// Gives a connection that could be used again to the first who waits on this core. Where nobody does, or somebody on
    /// another has waited more than twice as long, it is closed instead, and he gets its seat: so none waits much longer
    /// than the others, wherever the connections are. Comes back when nobody waits.
    pub fn hand_over(self: &Arc<Self>, conn: Conn) -> Option<Conn> {
        let mut state = self.lock();
        let Some(first) = state.first_of_all() else { return Some(conn) };
        let (now, here) = (Instant::now(), cores::index().min(state.queues.len() - 1));
        let age = |core: usize| state.queues[core].front().map(|waiter| now.duration_since(waiter.since));
        let is_his = age(here).is_some_and(|own| age(first).is_none_or(|longest| longest <= own * 2));
        let waiter = if is_his { state.queues[here].pop_front() } else { None };
        self.count(&state);
        drop(state);
        match waiter {
            // Should he have gone meanwhile, the connection is closed, and its seat passed on.
            Some(waiter) => drop(waiter.call.send(Given::Conn(Box::new(conn)))),
            None => drop(conn),
        }
        None
    }

    /// How it stands.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        Occupancy { most: self.most, open: state.open, waiting: state.waiting() }
    }

    /// Takes the one out of the queue who has waited longest.
    fn first(&self) -> Option<Waiter> {
        let mut state = self.lock();
        let core = state.first_of_all()?;
        let waiter = state.queues[core].pop_front();
        self.count(&state);
        waiter
    }

    /// A seat is free: it is the next one's, or nobody's.
    fn leave(self: &Arc<Self>) {
        let mut state = self.lock();
        let waiter = state.first_of_all().and_then(|core| state.queues[core].pop_front());
        if waiter.is_none() {
            state.open -= 1;
        }
        self.count(&state);
        drop(state);
        if let Some(waiter) = waiter {
            // Should he have gone meanwhile, what was sent comes back, and is dropped here: it goes on to the next.
            drop(waiter.call.send(Given::Seat(Seat(Arc::clone(self)))));
        }
    }

    fn count(&self, state: &State) {
        self.waiting.store(state.waiting(), SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    /// The core of the one who has waited longest.
    fn first_of_all(&self) -> Option<usize> {
        let fronts = self.queues.iter().enumerate().filter_map(|(core, q)| Some((q.front()?.number, core)));
        fronts.min().map(|(_, core)| core)
    }
}

impl Seat {
    /// Where it is one of.
    pub(crate) fn seats(&self) -> &Arc<Seats> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Word {
    /// It was of no use to anybody.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        if let Some(seats) = self.0.take() {
            seats.stir();
        }
    }
}

impl Waiting {
    /// Takes the same place again, after a word that was of no use.
    pub fn again(&mut self) {
        let (call, called) = oneshot::channel();
        self.called = called;
        let mut state = self.seats.lock();
        let queue = &mut state.queues[self.core];
        let at = queue.partition_point(|waiter| waiter.number < self.number);
        queue.insert(at, Waiter { number: self.number, since: self.since, call });
        self.seats.count(&state);
        drop(state);
        fence(SeqCst);
    }

    /// Waits until something is given. Dropped at any point, it loses nothing of what was given: that goes to the next.
    pub async fn given(&mut self) -> Given {
        // Whoever takes a call out of the queue sends something by it.
        (&mut self.called).await.unwrap_or(Given::Word(Word(None)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.seats.lock();
        let queue = &mut state.queues[self.core];
        if let Ok(at) = queue.binary_search_by_key(&self.number, |waiter| waiter.number) {
            queue.remove(at);
            self.seats.count(&state);
        }
    }
}

#[cfg(test)]
mod tests;
