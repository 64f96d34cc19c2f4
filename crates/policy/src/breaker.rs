//! The breaker of one endpoint: whether it may be asked. What counts as a failure is for the caller to say.
//!
//! Closed, everything passes and outcomes are counted. Too many failures in a row, or too large a share of them, open
//! it. When the reset time has passed it is half-open: a few trials at once, as many successes close it, one failure
//! opens it again. Half-open is nothing that happens but what an open breaker is after a while, so that asking never
//! changes the state and no timer is needed.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::BreakerSpec;

use crate::time::Time;
use crate::window::{Mark, Window};

/// After the first trial that failed although probes pass, this long no probe opens the way to another; after each
/// further one twice as long, until the reset time is over.
const FIRST_RELAPSE: Duration = Duration::from_secs(1);

/// The breaker of one endpoint, shared by all cores.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// Failures since the last success, while closed.
    consecutive: AtomicU32,
    /// Outcomes while closed; the failures are marked.
    recent: Window,
    /// When it opened, plus one; 0 while closed. Written last when it opens, so that whoever sees it sees the rest.
    opened: AtomicU64,
    /// When it becomes half-open by itself.
    until: AtomicU64,
    /// A probe has passed since it opened.
    probed: AtomicBool,
    /// When it opened, closed, or was found half-open by a probe.
    turned: AtomicU64,
    /// Trials that succeeded since it opened.
    passed: AtomicU32,
    /// Trials that run now. Survives opening and closing: a trial holds its place until it ends.
    running: AtomicU32,
    /// How often a failed trial has opened it again since it was closed.
    relapses: AtomicU32,
    /// Held to open or close, never to ask.
    transition: Mutex<()>,
}

#[derive(Debug)]
struct Settings {
    enabled: bool,
    failure_threshold: u32,
    reset_timeout: Duration,
    error_rate: f64,
    minimum: u64,
    trials: u32,
}

/// What the breaker is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The endpoint may be asked.
    Closed,
    /// It is left alone.
    Open {
        /// When it opened.
        since: Time,
        /// When it becomes half-open, unless a probe passes first.
        until: Time,
    },
    /// A few trials are let through.
    HalfOpen,
}

/// What a request may risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialKind {
    /// It may run again elsewhere when it fails here: fit for a trial as soon as there is one.
    Eager,
    /// It may not: it becomes a trial only when the whole reset time has passed, whatever a probe has said.
    Reluctant,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may. Its outcome goes to [`Breaker::record`] with `trial: false`.
    Yes,
    /// It may, as a trial that holds a place: [`Breaker::record`] with `trial: true`, or [`Breaker::cancel`], follows.
    Trial,
    /// It may not.
    No {
        /// When it is worth asking again, where that is known: not while it depends on trials that run.
        until: Option<Time>,
    },
}

/// What a probe that passes proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// As much as an answer to a request would: what failed before works again.
    Answer,
    /// Less, such as that a connection opens while answers failed to come.
    Connection,
}

/// A change of state, to be told as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It has opened, or opened again.
    Opened {
        /// When it becomes half-open by itself.
        until: Time,
    },
    /// A probe has passed before the reset time was over. That time running out is no event.
    HalfOpened,
    /// It has closed.
    Closed,
}

impl Breaker {
    /// A closed breaker. One that is not enabled stays closed, unless it is tripped by hand.
    #[must_use]
    pub fn new(spec: &BreakerSpec) -> Self {
        Breaker {
            settings: Settings {
                enabled: spec.enabled,
                failure_threshold: spec.failure_threshold.max(1),
                reset_timeout: spec.reset_timeout.0,
                error_rate: spec.error_rate,
                minimum: u64::from(spec.minimum.max(1)),
                trials: spec.trials.max(1),
            },
            consecutive: AtomicU32::new(0),
            recent: Window::new(spec.window.0),
            opened: AtomicU64::new(0),
            until: AtomicU64::new(0),
            probed: AtomicBool::new(false),
            turned: AtomicU64::new(0),
            passed: AtomicU32::new(0),
            running: AtomicU32::new(0),
            relapses: AtomicU32::new(0),
            transition: Mutex::new(()),
        }
    }

    /// Whether a request may be sent now. A trial takes a place.
    pub fn admit(&self, now: Time, kind: TrialKind) -> Admission {
        match self.peek(now) {
            State::Closed => Admission::Yes,
            State::Open { until, .. } => Admission::No { until: Some(until) },
            State::HalfOpen => {
                let until = Time(self.until.load(Relaxed));
                if kind == TrialKind::Reluctant && now < until {
                    return Admission::No { until: Some(until) };
                }
                let place = |running| (running < self.settings.trials).then_some(running + 1);
                match self.running.fetch_update(AcqRel, Relaxed, place) {
                    Ok(_) => Admission::Trial,
                    Err(_) => Admission::No { until: None },
                }
            }
        }
    }

    /// What it is now. Changes nothing.
    #[must_use]
    pub fn peek(&self, now: Time) -> State {
        let opened = self.opened.load(Acquire);
        if opened == 0 {
            return State::Closed;
        }
        let until = Time(self.until.load(Relaxed));
        if now >= until || self.probed.load(Relaxed) {
            State::HalfOpen
        } else {
            State::Open { since: Time(opened - 1), until }
        }
    }

    /// Since when it is that. One that was never anything but closed is so since the beginning of time.
    #[must_use]
    pub fn since(&self, now: Time) -> Time {
        let turned = Time(self.turned.load(Relaxed));
        match self.peek(now) {
            State::HalfOpen if !self.probed.load(Relaxed) => Time(self.until.load(Relaxed)),
            State::Closed | State::Open { .. } | State::HalfOpen => turned,
        }
    }

    /// Failures since the last success, those that opened it among them.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.consecutive.load(Relaxed)
    }

    /// Trials that run now.
    #[must_use]
    pub fn trials_running(&self) -> u32 {
        self.running.load(Relaxed)
    }

    /// How a request ended that was let through. What was sent before it opened no longer counts once it is open.
    pub fn record(&self, now: Time, ok: bool, trial: bool) -> Option<Transition> {
        let transition = match self.peek(now) {
            State::Closed => self.record_closed(now, ok),
            State::HalfOpen if trial => self.record_trial(now, ok),
            State::HalfOpen | State::Open { .. } => None,
        };
        // Given back last: a failed trial must not make room for the next before it has opened the breaker again.
        if trial {
            self.cancel();
        }
        transition
    }

    /// A trial ended without an outcome: its client went away. Its place is free again.
    pub fn cancel(&self) {
        let previous = self.running.fetch_sub(1, AcqRel);
        debug_assert!(previous > 0, "a trial ended that had not begun");
    }

    /// A probe of the endpoint has succeeded: what may run again elsewhere may try it before the reset time is over.
    /// After each trial that failed although probes pass, this takes twice as long. While it is half-open, a probe
    /// that proves as much as a trial counts as one, and any other once a trial has passed, so that it closes also
    /// when nobody asks.
    pub fn probe_passed(&self, now: Time, proof: Proof) -> Option<Transition> {
        if self.peek(now) == State::HalfOpen {
            let proven = proof == Proof::Answer || self.passed.load(Relaxed) > 0;
            let sure = proven && self.running.load(Relaxed) == 0;
            return if sure { self.record_trial(now, true) } else { None };
        }
        let _held = self.hold();
        let State::Open { since, .. } = self.peek(now) else { return None };
        let doubled = 1_u32.checked_shl(self.relapses.load(Relaxed)).unwrap_or(u32::MAX) / 2;
        if now.since(since) < FIRST_RELAPSE.saturating_mul(doubled) {
            return None;
        }
        self.turned.store(now.0, Relaxed);
        self.probed.store(true, Relaxed);
        Some(Transition::HalfOpened)
    }

    /// Closes it by hand.
    pub fn reset(&self, now: Time) -> Option<Transition> {
        self.close(now, || true)
    }

    /// Opens it by hand, or opens it again.
    pub fn trip(&self, now: Time) -> Option<Transition> {
        self.open(now, |_| true)
    }

    fn record_closed(&self, now: Time, ok: bool) -> Option<Transition> {
        if !self.settings.enabled {
            return None;
        }
        if ok {
            self.recent.add(now, Mark::Plain);
            // Read first: a word that many cores write with every request is a word that every request waits for.
            if self.consecutive.load(Relaxed) != 0 {
                self.consecutive.store(0, Relaxed);
            }
            return None;
        }
        self.recent.add(now, Mark::Marked);
        let in_a_row = self.consecutive.fetch_add(1, Relaxed) + 1;
        if in_a_row >= self.settings.failure_threshold || self.rate_is_reached(now) {
            // Another core may have opened it meanwhile: that is one transition and not two.
            return self.open(now, |state| state == State::Closed);
        }
        None
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^24")]
    fn rate_is_reached(&self, now: Time) -> bool {
        let counts = self.recent.counts(now);
        let all = counts.plain + counts.marked;
        all >= self.settings.minimum && counts.marked as f64 >= self.settings.error_rate * all as f64
    }

    fn record_trial(&self, now: Time, ok: bool) -> Option<Transition> {
        if !ok {
            return self.open(now, |state| state == State::HalfOpen);
        }
        let enough = |passed| passed >= self.settings.trials;
        if !enough(self.passed.fetch_add(1, AcqRel) + 1) {
            return None;
        }
        // Asked again once nobody can open it: another trial's failure may have come between, and goes before.
        self.close(now, || enough(self.passed.load(Relaxed)))
    }

    fn open(&self, now: Time, only_if: impl Fn(State) -> bool) -> Option<Transition> {
        let _held = self.hold();
        let state = self.peek(now);
        if !only_if(state) {
            return None;
        }
        if state == State::HalfOpen {
            self.relapses.fetch_add(1, Relaxed);
        }
        let until = now.plus(self.settings.reset_timeout);
        self.until.store(until.0, Relaxed);
        self.turned.store(now.0, Relaxed);
        self.probed.store(false, Relaxed);
        self.passed.store(0, Relaxed);
        self.opened.store(now.0.saturating_add(1), Release);
        Some(Transition::Opened { until })
    }

    fn close(&self, now: Time, only_if: impl Fn() -> bool) -> Option<Transition> {
        let _held = self.hold();
        if self.opened.load(Relaxed) == 0 || !only_if() {
            return None;
        }
        self.turned.store(now.0, Relaxed);
        self.consecutive.store(0, Relaxed);
        self.relapses.store(0, Relaxed);
        self.recent.clear();
        self.opened.store(0, Release);
        Some(Transition::Closed)
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        // What it guards is consistent after every store, so that a panic elsewhere spoils nothing.
        self.transition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
