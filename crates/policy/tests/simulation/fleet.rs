//! The try loop in small: one service's endpoints with everything that decides about them. What the endpoints do is
//! the world's business.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use model::{BreakerSpec, HealthSpec, OutlierSpec, Span, Strategy};
use throome_policy::{
    Admission, Balancer, Breaker, Budget, Candidates, Ejection, Ejector, Health, HealthState, Load, Proof,
    Silence, State, Time, Transition, TrialKind, are_doubted, balancer, next_interval,
};

/// The time of one try.
pub(crate) const PER_TRY: Duration = Duration::from_secs(1);

/// Bad answers in a row that set an endpoint aside.
const STANDS_OUT: u32 = 3;

/// Whether a part takes part. Taking one away at a time shows that the bounds notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Nothing,
    /// Outcomes are not recorded.
    Settle,
    /// Every retry is granted.
    Budget,
    /// A half-open breaker lets everything through.
    TrialLimit,
    /// Whoever comes back has its whole share at once.
    SlowStart,
    /// Probes are believed whatever they say.
    Doubt,
}

/// One endpoint as its gateway sees it.
pub(crate) struct Endpoint {
    pub(crate) breaker: Breaker,
    load: Load,
    health: Health,
    silence: Silence,
    ejection: Ejection,
    bad_in_a_row: AtomicU32,
    /// Whether it was asked as a matter of course when somebody last looked.
    was_in: AtomicBool,
}

/// The endpoints of one service.
pub(crate) struct Fleet {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) health_spec: HealthSpec,
    outlier_spec: OutlierSpec,
    balancer: Box<dyn Balancer>,
    ejector: Ejector,
    budget: Budget,
    missing: Missing,
}

/// A try under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) endpoint: usize,
    pub(crate) started: Time,
    trial: bool,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// 503, at once.
    Bad,
    /// Nobody listens: no byte has left.
    Refused,
    /// The connection broke under way.
    Reset,
    TimedOut,
}

/// What there is to a fleet beside its parts' defaults.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) weights: Vec<u32>,
    pub(crate) strategy: Strategy,
    pub(crate) breaker: BreakerSpec,
    pub(crate) budget: f64,
    pub(crate) missing: Missing,
}

impl Fleet {
    pub(crate) fn new(shape: &Shape) -> Self {
        let health_spec = HealthSpec { timeout: Span::secs(1), ..HealthSpec::default() };
        let endpoint = |weight: &u32| Endpoint {
            breaker: Breaker::new(&shape.breaker),
            load: Load::new(*weight),
            health: Health::new(&health_spec),
            silence: Silence::new(),
            ejection: Ejection::new(),
            bad_in_a_row: AtomicU32::new(0),
            was_in: AtomicBool::new(true),
        };
        Fleet {
            endpoints: shape.weights.iter().map(endpoint).collect(),
            health_spec,
            // Longer than the default, so that its steps can be told apart second by second.
            outlier_spec: OutlierSpec { slow_start: Span::secs(10), ..OutlierSpec::default() },
            balancer: balancer(shape.strategy),
            ejector: Ejector::new(),
            budget: Budget::new(shape.budget),
            missing: shape.missing,
        }
    }

    pub(crate) fn request(&self, now: Time) {
        self.budget.request(now);
    }

    pub(crate) fn may_retry(&self, now: Time, in_flight: u32) -> bool {
        self.missing == Missing::Budget || self.budget.try_retry(now, in_flight)
    }

    /// Begins a try at an endpoint that was not tried yet. The silent ones come last.
    pub(crate) fn start(&self, now: Time, tried: &[usize], kind: TrialKind, seed: u64) -> Option<Attempt> {
        self.notice(now);
        let doubts = self.doubts();
        let (mut silent, mut usable) = (Vec::new(), Vec::new());
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if tried.contains(&index) || !endpoint.is_usable(now, doubts) {
                continue;
            }
            if endpoint.is_silent(now, self.outlier_spec.silence.0) { &mut silent } else { &mut usable }
                .push(index);
        }
        self.start_among(now, usable, kind, seed).or_else(|| self.start_among(now, silent, kind, seed))
    }

    fn start_among(&self, now: Time, mut usable: Vec<usize>, kind: TrialKind, seed: u64) -> Option<Attempt> {
        while !usable.is_empty() {
            let loads: Vec<&Load> = usable.iter().map(|index| &self.endpoints[*index].load).collect();
            let picked = self.balancer.pick(&Candidates::new(&loads, now), seed);
            let index = usable.swap_remove(picked);
            let endpoint = &self.endpoints[index];
            let half_open = endpoint.breaker.peek(now) == State::HalfOpen;
            let admission = match self.missing {
                Missing::TrialLimit if half_open => Admission::Yes,
                _ => endpoint.breaker.admit(now, kind),
            };
            if let Admission::No { .. } = admission {
                continue;
            }
            endpoint.load.begin();
            endpoint.silence.asked(now);
            return Some(Attempt { endpoint: index, started: now, trial: admission == Admission::Trial });
        }
        None
    }

    /// Begins a second try beside a first, at an endpoint that is asked as a matter of course.
    pub(crate) fn start_beside(
        &self,
        now: Time,
        tried: &[usize],
        in_flight: u32,
        seed: u64,
    ) -> Option<Attempt> {
        let is_fit = |index: &usize| {
            let endpoint = &self.endpoints[*index];
            !tried.contains(index)
                && endpoint.is_usable(now, false)
                && endpoint.breaker.peek(now) == State::Closed
                && !endpoint.is_silent(now, self.outlier_spec.silence.0)
        };
        let fit: Vec<usize> = (0..self.endpoints.len()).filter(is_fit).collect();
        if fit.is_empty() || !self.may_retry(now, in_flight) {
            return None;
        }
        self.start_among(now, fit, TrialKind::Reluctant, seed)
    }

    /// A try is given up since another has answered.
    pub(crate) fn abandon(&self, now: Time, attempt: Attempt) {
        let endpoint = &self.endpoints[attempt.endpoint];
        endpoint.load.abandon();
        endpoint.silence.gone(now);
        if attempt.trial {
            endpoint.breaker.cancel();
        }
    }

    /// Records how a try ended.
    pub(crate) fn settle(&self, now: Time, attempt: Attempt, outcome: Outcome) {
        let endpoint = &self.endpoints[attempt.endpoint];
        if self.missing == Missing::Settle {
            endpoint.load.abandon();
            if attempt.trial {
                endpoint.breaker.cancel();
            }
            return;
        }
        let ok = outcome == Outcome::Answered;
        endpoint.load.end(now, now.since(attempt.started), !ok, PER_TRY);
        if outcome != Outcome::TimedOut {
            endpoint.silence.heard(now);
        }
        if let Some(Transition::Closed) = endpoint.breaker.record(now, ok, attempt.trial) {
            endpoint.load.forget();
        }
        if ok {
            endpoint.bad_in_a_row.store(0, Relaxed);
        } else if endpoint.bad_in_a_row.fetch_add(1, Relaxed) + 1 >= STANDS_OUT {
            endpoint.bad_in_a_row.store(0, Relaxed);
            let out = self.endpoints.iter().filter(|endpoint| !endpoint.is_usable(now, false)).count();
            self.ejector.eject(&endpoint.ejection, now, &self.outlier_spec, self.endpoints.len(), out);
        }
    }

    /// Records how a probe ended; says when to probe next.
    pub(crate) fn probed(&self, now: Time, index: usize, ok: bool) -> Time {
        let endpoint = &self.endpoints[index];
        endpoint.health.probe(now, ok);
        if ok {
            endpoint.silence.heard(now);
            if endpoint.breaker.probe_passed(now, Proof::Connection).is_some() {
                endpoint.load.forget();
            }
        }
        self.notice(now);
        let suspicious = endpoint.breaker.peek(now) != State::Closed
            || endpoint.is_silent(now, self.outlier_spec.silence.0);
        now.plus(next_interval(&self.health_spec, endpoint.health.state(), suspicious))
    }
}

impl Fleet {
    /// Whoever is back has its share step by step.
    fn notice(&self, now: Time) {
        let doubts = self.doubts();
        for endpoint in &self.endpoints {
            let is_in = endpoint.is_usable(now, doubts) && endpoint.breaker.peek(now) == State::Closed;
            if is_in && !endpoint.was_in.load(Relaxed) && self.missing != Missing::SlowStart {
                endpoint.load.rise(now, self.outlier_spec.slow_start.0);
            }
            endpoint.was_in.store(is_in, Relaxed);
        }
    }

    /// Whether probes alone take nobody out.
    fn doubts(&self) -> bool {
        let unhealthy = self.endpoints.iter().filter(|e| e.health.state() == HealthState::Unhealthy).count();
        self.missing != Missing::Doubt
            && are_doubted(self.health_spec.panic_threshold, self.endpoints.len(), unhealthy)
    }
}

impl Endpoint {
    fn is_usable(&self, now: Time, doubts: bool) -> bool {
        let state = self.breaker.peek(now);
        let passes = self.health.state() != HealthState::Unhealthy || (doubts && state == State::Closed);
        passes && self.ejection.ejected_until(now).is_none() && !matches!(state, State::Open { .. })
    }

    fn is_silent(&self, now: Time, limit: Duration) -> bool {
        self.silence.silent(now, limit, self.load.latency(now))
    }
}
