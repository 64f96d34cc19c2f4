//! One try at one endpoint: counts as in flight while it lives, and its outcome is counted exactly once.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use adapters::Adapter;
use policy::Time;

use crate::clock;
use crate::endpoint::Endpoint;
use crate::service::Service;

/// How a try ended, as far as the endpoint is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Good,
    /// It could not be reached.
    Unreached(String),
    /// It refused, broke before an answer, or answered that it failed.
    Bad(String),
    /// It took longer than it may.
    Late(String),
    /// It broke an answer that had begun, lied about its length, or let it trickle: it is set aside at once.
    Broke(String),
    /// A part of it failed so, such as one node of several: the others serve on.
    Partly(String),
    /// Nothing can be said of it: the client went away, or the fault was ours.
    Void,
}

/// One try at one endpoint.
pub struct Attempt {
    service: Arc<Service>,
    endpoint: Arc<Endpoint>,
    trial: bool,
    began: Instant,
    connect_deadline: Instant,
    deadline: Instant,
    /// When the operation's time is over, whatever is asked of whom.
    end: Instant,
    /// Since when it waits for its turn, and whether the request was on its way by then.
    paused: Option<(Instant, bool)>,
    /// Another endpoint has it than the one that was picked.
    moved: bool,
    /// Where it is told which endpoint has it, if somebody asked.
    whereabouts: Option<Whereabouts>,
    /// It runs beside another try of the same operation, which began before it.
    second: bool,
    heard: Option<Instant>,
    well: bool,
    /// When the whole request was on its way.
    asked: Option<Time>,
    /// What it asks for is to wait: how long that takes says nothing of the endpoint.
    waits: bool,
    /// Its success is counted already.
    passed: bool,
    open: bool,
}

/// Which endpoint has an attempt, for whoever does not hold it.
#[derive(Clone)]
pub struct Whereabouts(Arc<Mutex<Arc<Endpoint>>>);

impl Whereabouts {
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now_at(&self, endpoint: &Arc<Endpoint>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(endpoint);
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attempt({})", self.endpoint.label)
    }
}

impl Attempt {
    pub(crate) fn begin(service: Arc<Service>, endpoint: Arc<Endpoint>, trial: bool, now: Instant) -> Self {
        endpoint.load.begin();
        Attempt {
            service,
            endpoint,
            trial,
            began: now,
            connect_deadline: now,
            deadline: now,
            end: now,
            paused: None,
            moved: false,
            whereabouts: None,
            second: false,
            heard: None,
            well: false,
            asked: None,
            waits: false,
            passed: false,
            open: true,
        }
    }

    pub(crate) fn set_deadlines(&mut self, connect: Instant, answer: Instant, end: Instant) {
        self.connect_deadline = connect;
        self.deadline = answer;
        self.end = end;
    }

    /// The endpoint that is asked.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The connection to it.
    #[must_use]
    pub fn adapter(&self) -> &dyn Adapter {
        &*self.endpoint.adapter
    }

    /// The service that is asked.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// When the time for making a connection is over.
    #[must_use]
    pub fn connect_deadline(&self) -> Instant {
        self.connect_deadline
    }

    /// When its time is over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// What it asks for is to wait.
    pub(crate) fn will_wait(&mut self) {
        self.waits = true;
    }

    /// It waits until others have ended, which is not the endpoint's doing: its silence meanwhile says nothing of it.
    pub fn pause(&mut self) {
        let asked = self.asked.take().is_some();
        if asked {
            self.endpoint.silence.gone(clock::now());
        }
        self.paused = Some((Instant::now(), asked));
    }

    /// Its turn has come: the time that it has for an answer begins again, as far as the operation has any left.
    pub fn resume(&mut self) {
        let Some((since, asked)) = self.paused.take() else { return };
        let now = Instant::now();
        let waited = now.duration_since(since);
        self.began += waited;
        self.connect_deadline = (self.connect_deadline + waited).min(self.end);
        self.deadline = (self.deadline + waited).min(self.end);
        if asked {
            self.asked_at(clock::at(now));
        }
    }

    /// When the operation's time is over.
    #[must_use]
    pub fn end_of_all(&self) -> Instant {
        self.end
    }

    /// The other endpoints that may have it in place of its own: those that are asked as a matter of course.
    pub fn siblings(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        let Attempt { service, endpoint: own, .. } = self;
        let now = clock::now();
        let others = service.endpoints.iter().filter(move |other| {
            !Arc::ptr_eq(own, other)
                && service.asks(other, now)
                && (other.takes_writes() || !own.takes_writes())
        });
        others.filter(|_| service.tactics.failover)
    }

    /// While it waits for its turn, another endpoint has one for it: that one is asked instead.
    pub fn move_to(&mut self, endpoint: &Arc<Endpoint>) {
        endpoint.load.begin();
        self.endpoint.load.abandon();
        if std::mem::take(&mut self.trial) {
            self.endpoint.breaker.cancel();
        }
        self.endpoint = Arc::clone(endpoint);
        self.moved = true;
        if let Some(whereabouts) = &self.whereabouts {
            whereabouts.now_at(endpoint);
        }
    }

    /// Which endpoint has it, also when it is somebody else's and moves.
    pub fn whereabouts(&mut self) -> Whereabouts {
        let here = || Whereabouts(Arc::new(Mutex::new(Arc::clone(&self.endpoint))));
        self.whereabouts.get_or_insert_with(here).clone()
    }

    /// It runs beside another.
    pub(crate) fn is_beside(&mut self) {
        self.second = true;
    }

    pub(crate) fn is_second(&self) -> bool {
        self.second
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.moved
    }

    /// The whole request is on its way: from now on silence says something of the endpoint.
    pub fn asked(&mut self) {
        self.asked_at(clock::now());
    }

    pub(crate) fn asked_at(&mut self, now: Time) {
        if self.asked.is_none() {
            self.asked = Some(now);
            self.endpoint.silence.asked(now);
        }
    }

    /// The endpoint has begun to answer, well or not. A trial that is answered well has passed: the answer
    /// may be a stream without end, and must not hold the trial's place.
    pub fn heard(&mut self, well: bool) {
        self.heard_at(Instant::now(), well);
    }

    fn heard_at(&mut self, moment: Instant, well: bool) {
        let now = clock::at(moment);
        if well && self.heard.is_none() {
            self.observe(now);
        }
        self.heard = Some(moment);
        self.well = well;
        self.endpoint.last_heard.store(now.0, Relaxed);
        self.endpoint.silence.heard(now);
        if self.trial && well {
            self.trial = false;
            self.passed = true;
            if self.endpoint.breaker.record(now, true, true).is_some() {
                self.tell(now);
            }
        }
    }

    /// A connection to it stands, on which its client and it say what they will. That is its success, counted now: how long
    /// they speak, and which of them has enough first, says nothing of the endpoint.
    pub fn connected(&mut self) {
        let moment = Instant::now();
        self.heard_at(moment, true);
        if !std::mem::replace(&mut self.passed, true)
            && self.endpoint.breaker.record(clock::at(moment), true, false).is_some()
        {
            self.tell(clock::at(moment));
        }
    }

    /// How long the service takes to answer says how many requests at once it bears. What asks it to wait says nothing
    /// of that, and neither does the time that a client takes to send its request.
    fn observe(&self, now: Time) {
        if let (Some(room), Some(asked), false) = (&self.service.room, self.asked, self.waits) {
            room.observe(now, now.since(asked));
        }
    }

    /// The try has ended.
    pub fn end(mut self, outcome: Outcome) {
        self.settle(outcome, Instant::now());
    }

    /// It has answered well, and that was all of it. Says when, for whoever else has to know.
    pub fn done(mut self) -> Instant {
        let moment = Instant::now();
        self.heard_at(moment, true);
        self.settle(Outcome::Good, moment);
        moment
    }

    fn settle(&mut self, outcome: Outcome, moment: Instant) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        self.service.heed(&self.endpoint);
        let now = clock::at(moment);
        let Endpoint { load, breaker, silence, .. } = &*self.endpoint;
        let latency = self.heard.unwrap_or(moment).duration_since(self.began);
        let limit = self.deadline.saturating_duration_since(self.began);
        let (ok, trouble) = match &outcome {
            Outcome::Void => {
                load.abandon();
                match self.heard {
                    None if self.asked.is_some() => silence.gone(now),
                    None => {}
                    // It had answered; that its client then left says nothing more of it.
                    Some(_) if !self.passed => {
                        if breaker.record(now, self.well, self.trial).is_some() {
                            self.tell(now);
                        }
                        return;
                    }
                    Some(_) => {}
                }
                if self.trial {
                    breaker.cancel();
                }
                return;
            }
            Outcome::Partly(trouble) => {
                load.abandon();
                if self.asked.is_some() && self.heard.is_none() {
                    silence.gone(now);
                }
                if self.trial {
                    breaker.cancel();
                }
                // What is left of it is for a probe to say, soon.
                self.endpoint.suspect(now);
                self.endpoint.note_trouble(trouble);
                return;
            }
            Outcome::Good => (true, None),
            Outcome::Unreached(trouble) | Outcome::Bad(trouble) | Outcome::Broke(trouble) => {
                // A refusal is a word too: it is not silent.
                silence.heard(now);
                (false, Some(trouble))
            }
            Outcome::Late(trouble) => {
                if self.heard.is_none() {
                    self.observe(now);
                }
                (false, Some(trouble))
            }
        };
        if self.waits {
            load.abandon();
        } else {
            load.end(now, latency, !ok, limit);
        }
        if let Some(trouble) = trouble {
            let unreached = matches!(outcome, Outcome::Unreached(_));
            self.endpoint.unreached.store(unreached, Relaxed);
            self.endpoint.suspect(now);
            self.endpoint.note_trouble(trouble);
        }
        // A slow answer of an endpoint that answers others meanwhile is slow, and no sign that it fails.
        let began = clock::at(self.began);
        let alive = matches!(outcome, Outcome::Late(_)) && self.endpoint.last_heard.load(Relaxed) > began.0;
        if alive && self.trial {
            breaker.cancel();
        }
        let counted = alive || (ok && self.passed);
        let turned = !counted && breaker.record(now, ok, self.trial).is_some();
        let aside = matches!(outcome, Outcome::Broke(_)) && self.set_aside(now);
        if turned || aside {
            self.tell(now);
        }
    }

    fn tell(&self, now: Time) {
        let Service { events, cluster, name, .. } = &*self.service;
        self.endpoint.tell(now, events, cluster, name, "traffic");
    }

    fn set_aside(&self, now: Time) -> bool {
        let endpoints = &self.service.endpoints;
        let out = endpoints.iter().filter(|endpoint| !endpoint.standing(now).is_in()).count();
        let Endpoint { ejection, outlier, .. } = &*self.endpoint;
        self.service.shared.ejector.eject(ejection, now, outlier, endpoints.len(), out).is_some()
    }
}

impl Drop for Attempt {
    /// Nobody said how it ended: its client went away, or its task was dropped.
    fn drop(&mut self) {
        self.settle(Outcome::Void, Instant::now());
    }
}
