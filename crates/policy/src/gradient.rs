//! How many requests at once a service bears, found out by how long it takes to answer them.
//!
//! A service that is asked more than it can do does not answer more: it answers later. So the time that an answer takes
//! is compared with the time that it takes while the service is not pressed; when it grows, fewer are let through, and
//! more when it does not. The time to compare with is measured again now and then, with half as many let through: who
//! only ever looks at a pressed service takes pressed for normal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::{Time, micros};

/// The limit before anything is known. Half of it is let through until the first answers have come.
const FIRST: u32 = 16;

/// The shortest time over which answers are looked at together, and the fewest of them.
const WINDOW: Duration = Duration::from_millis(100);
const SAMPLES: u32 = 50;

/// Fewer answers than that in this time say nothing, unless they are those of a service that takes its time.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer than unpressed an answer may take: that is what keeps a service busy, and no more.
const TOLERANCE: f64 = 1.5;

/// One window never takes away more than half.
const STEEPEST: f64 = 0.5;

/// How much of the way to its goal the limit goes with each window.
const EAGERNESS: f64 = 0.3;

/// How long the unpressed time is believed, and how many windows at least.
const BELIEVED: Duration = Duration::from_secs(30);
const BELIEVED_WINDOWS: u32 = 10;

/// Finds out how many requests at once a service bears. What is observed by two cores at the same moment is observed
/// once: nobody waits for a lock.
#[derive(Debug)]
pub struct Gradient {
    least: u32,
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// How long an answer takes, in microseconds, while the service is not pressed; 0 while that is not known.
    unpressed: f64,
    /// Until when that is believed.
    until: Time,
    measuring: Measuring,
    window: Window,
}

/// How the unpressed time comes to be known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measuring {
    /// It is known.
    No,
    /// Half as many are let through; what is answered now was sent before that.
    Settling,
    /// What is answered now was sent since.
    Yes,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Time,
    samples: u32,
    /// Of their times, in microseconds.
    sum: u64,
    /// The most that were under way.
    busiest: u32,
}

impl Window {
    fn at(now: Time) -> Self {
        Window { since: now, samples: 0, sum: 0, busiest: 0 }
    }
}

impl Gradient {
    /// Finds a limit between these two.
    #[must_use]
    pub fn new(least: u32, most: u32) -> Self {
        let least = least.max(1);
        let most = most.max(least);
        let state = State {
            limit: f64::from(FIRST.clamp(least, most)),
            unpressed: 0.0,
            until: Time(0),
            measuring: Measuring::Yes,
            window: Window::at(Time(0)),
        };
        Gradient { least, most, state: Mutex::new(state) }
    }

    /// How many to let through before anything was observed.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).let_through()
    }

    /// An answer has taken so long, and so many requests were under way. Says how many to let through from now on, when
    /// that is decided anew.
    pub fn observe(&self, now: Time, took: Duration, under_way: u32) -> Option<u32> {
        // Whoever holds it observes; one answer more or less says nothing.
        let mut state = self.state.try_lock().ok()?;
        let window = &mut state.window;
        if window.samples == 0 {
            window.since = now;
        }
        window.samples += 1;
        window.sum = window.sum.saturating_add(micros(took).max(1));
        window.busiest = window.busiest.max(under_way);
        let (full, lasted) = (window.samples >= SAMPLES, now.since(window.since));
        if full && lasted >= WINDOW {
            let window = std::mem::replace(&mut state.window, Window::at(now));
            return Some(state.decide(now, window, f64::from(self.least), f64::from(self.most)));
        }
        if !full && lasted >= PATIENCE && state.is_idle(state.window) {
            state.window = Window::at(now);
        }
        None
    }
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "a mean of microseconds")]
    fn decide(&mut self, now: Time, window: Window, least: f64, most: f64) -> u32 {
        let took = window.sum as f64 / f64::from(window.samples);
        let idle = self.is_idle(window);
        match self.measuring {
            Measuring::Settling => {
                self.measuring = Measuring::Yes;
                return self.let_through();
            }
            Measuring::Yes => {
                self.measured(now, took, window);
                return self.let_through();
            }
            // No need to make it idle.
            Measuring::No if now >= self.until && idle => self.measured(now, took, window),
            Measuring::No if now >= self.until => {
                self.measuring = Measuring::Settling;
                return self.let_through();
            }
            Measuring::No => self.unpressed = self.unpressed.min(took * 0.1 + self.unpressed * 0.9),
        }
        let gradient = (TOLERANCE * self.unpressed / took).clamp(STEEPEST, 1.0);
        let goal = self.limit * gradient + self.limit.sqrt();
        // What nobody has made use of proves nothing, and is not added to.
        if goal < self.limit || !idle {
            self.limit += (goal - self.limit) * EAGERNESS;
        }
        self.limit = self.limit.clamp(least, most);
        self.let_through()
    }

    /// Whether less than half of what may be let through was asked for.
    fn is_idle(&self, window: Window) -> bool {
        f64::from(window.busiest) * 2.0 < self.limit
    }

    fn measured(&mut self, now: Time, took: f64, window: Window) {
        self.unpressed = took;
        self.until = now.plus(BELIEVED.max(now.since(window.since).saturating_mul(BELIEVED_WINDOWS)));
        self.measuring = Measuring::No;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two u32")]
    fn let_through(&self) -> u32 {
        let share = if self.measuring == Measuring::No { 1.0 } else { 0.5 };
        (self.limit * share).max(1.0) as u32
    }
}

#[cfg(test)]
mod tests;
