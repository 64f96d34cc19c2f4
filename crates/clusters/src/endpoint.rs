//! One endpoint as it runs: its load, health, breaker and connections. It outlives every change that does
//! not concern it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapters::Adapter;
use model::{Address, BreakerSpec, HealthSpec, OutlierSpec, Role};
use policy::{Breaker, Ejection, Health, HealthState, Lead, Load, Silence, State, Time};
use wire::Dial;
use wire::seats::Occupancy;

use crate::clock;
use crate::events::{Events, Happening};

/// An endpoint as it runs.
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// The same as text, as people see it.
    pub label: Arc<str>,
    /// What it may be asked, as long as it says nothing of that itself.
    pub role: Role,
    /// What it may be asked by what it and its siblings say.
    lead: AtomicU8,
    /// Requests in flight, latency, weight.
    pub load: Load,
    pub(crate) breaker: Breaker,
    pub(crate) health: Health,
    pub(crate) silence: Silence,
    pub(crate) ejection: Ejection,
    pub(crate) adapter: Arc<dyn Adapter>,
    dial: Dial,
    pub(crate) outlier: OutlierSpec,
    /// Its last failure was that it could not be reached: then a connection that opens proves that it is back.
    pub(crate) unreached: AtomicBool,
    /// When it last began to answer anybody.
    pub(crate) last_heard: AtomicU64,
    pub(crate) next_probe: AtomicU64,
    pub(crate) last_probe: AtomicU64,
    pub(crate) probing: AtomicBool,
    /// When it was taken up.
    born: Time,
    story: Mutex<Story>,
}

/// The words of [`Lead`], by their number.
const LEADS: [Lead; 6] =
    [Lead::Unsaid, Lead::Leads, Lead::Follows, Lead::CutOff, Lead::Replaced, Lead::Contested];

/// How long it is expected that a server says what it is.
const UNLOOKED: Duration = Duration::from_secs(10);

/// Failures bring the next probe forward, but to no more than one in this time.
const SUSPECTED: Duration = Duration::from_secs(1);

/// Where an endpoint stands: the one word from which verdict, rotation and choice follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is asked. `true` when a probe or a request has shown that it answers.
    In(bool),
    /// Its breaker lets trials through.
    HalfOpen,
    /// It has left several requests unanswered: passed over while another is usable.
    Silent,
    /// It broke an answer and is aside until then.
    Ejected(Time),
    /// Its breaker is open until then.
    Open(Time),
    /// Its probes fail.
    Unhealthy,
    /// Its weight is 0.
    Out,
}

impl Standing {
    /// Whether it is asked as a matter of course.
    #[must_use]
    pub fn is_in(self) -> bool {
        matches!(self, Standing::In(_))
    }

    fn word(self) -> &'static str {
        match self {
            Standing::In(_) => "in",
            Standing::HalfOpen => "half_open",
            Standing::Silent => "silent",
            Standing::Ejected(_) => "ejected",
            Standing::Open(_) => "breaker_opened",
            Standing::Unhealthy => "unhealthy",
            Standing::Out => "out",
        }
    }
}

#[derive(Debug)]
struct Story {
    standing: Standing,
    since: Time,
    /// The last thing that went wrong.
    trouble: Option<Box<str>>,
}

impl Endpoint {
    /// An endpoint of which nothing is known yet.
    pub(crate) fn new(
        spec: &model::EndpointSpec,
        adapter: Arc<dyn Adapter>,
        breaker: &BreakerSpec,
        health: &HealthSpec,
        outlier: OutlierSpec,
    ) -> Self {
        let address = spec.address();
        Endpoint {
            label: address.to_string().into(),
            dial: Dial::to(&address.host, address.port),
            address,
            role: spec.role,
            lead: AtomicU8::new(Lead::Unsaid as u8),
            load: Load::new(spec.weight),
            breaker: Breaker::new(breaker),
            health: Health::new(health),
            silence: Silence::new(),
            ejection: Ejection::new(),
            adapter,
            outlier,
            unreached: AtomicBool::new(false),
            last_heard: AtomicU64::new(0),
            next_probe: AtomicU64::new(0),
            last_probe: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            born: clock::now(),
            story: Mutex::new(Story { standing: Standing::In(false), since: clock::now(), trouble: None }),
        }
    }

    /// How its connections stand, where they are limited.
    #[must_use]
    pub fn connections(&self) -> Option<Occupancy> {
        Some(self.adapter.http()?.limited()?.occupancy())
    }

    /// The live connection to it.
    #[must_use]
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// Where it is found, for whoever brings bytes and leaves their meaning to it.
    #[must_use]
    pub fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Whether it may be written to.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        match self.lead() {
            Lead::Unsaid => self.role == Role::Primary,
            Lead::Leads => true,
            Lead::Follows | Lead::CutOff | Lead::Replaced | Lead::Contested => false,
        }
    }

    /// Whether it has said that it only reads.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.lead(), Lead::Follows | Lead::CutOff)
    }

    /// What it may be asked by what it and its siblings say.
    #[must_use]
    pub fn lead(&self) -> Lead {
        LEADS.get(usize::from(self.lead.load(Relaxed))).copied().unwrap_or(Lead::Unsaid)
    }

    /// Says what it may be asked; tells whether that is another word than before.
    pub(crate) fn set_lead(&self, lead: Lead) -> bool {
        self.lead.swap(lead as u8, Relaxed) != lead as u8
    }

    /// What it said of itself holds no more: it is asked at once.
    pub(crate) fn forget_lead(&self, now: Time) {
        self.set_lead(Lead::Unsaid);
        self.last_probe.store(0, Relaxed);
        self.next_probe.fetch_min(now.0, Relaxed);
    }

    /// Whether its server would say what it is, and was not asked yet. One that has let us wait for so long is not there.
    pub(crate) fn is_unlooked(&self) -> bool {
        self.last_probe.load(Relaxed) == 0
            && self.lead() == Lead::Unsaid
            && self.adapter.says_its_role()
            && clock::now().since(self.born) < UNLOOKED
    }

    /// Where it stands now.
    #[must_use]
    pub fn standing(&self, now: Time) -> Standing {
        if self.load.weight() == 0 {
            return Standing::Out;
        }
        if self.health.state() == HealthState::Unhealthy {
            return Standing::Unhealthy;
        }
        self.by_traffic(now)
    }

    /// Where it would stand if nobody probed it.
    pub(crate) fn by_traffic(&self, now: Time) -> Standing {
        match self.breaker.peek(now) {
            State::Open { until, .. } => return Standing::Open(until),
            State::HalfOpen => return Standing::HalfOpen,
            State::Closed => {}
        }
        if let Some(until) = self.ejection.ejected_until(now) {
            return Standing::Ejected(until);
        }
        if self.silence.silent(now, self.outlier.silence.0, self.load.latency(now)) {
            return Standing::Silent;
        }
        Standing::In(self.has_answered())
    }

    /// Whether a probe or, where none has decided, a request has shown that it answers.
    fn has_answered(&self) -> bool {
        match self.health.state() {
            HealthState::Healthy => true,
            HealthState::Unhealthy => false,
            HealthState::Unknown => self.last_heard.load(Relaxed) != 0,
        }
    }

    /// Whether a request has shown that its probes are wrong about it.
    pub(crate) fn has_answered_since_its_probes_fail(&self) -> bool {
        self.health.state() == HealthState::Unhealthy && self.last_heard.load(Relaxed) > self.health.since().0
    }

    /// Notes what went wrong, for whoever asks why.
    pub(crate) fn note_trouble(&self, trouble: &str) {
        // Under a storm of failures one note is as good as the next: nobody waits for the lock.
        if let Ok(mut story) = self.story.try_lock()
            && story.trouble.as_deref() != Some(trouble)
        {
            story.trouble = Some(trouble.into());
        }
    }

    /// A request has failed here: a probe shall say soon whether that is a rule, though not more than once in a while.
    pub(crate) fn suspect(&self, now: Time) {
        let soon = Time(self.last_probe.load(Relaxed)).plus(SUSPECTED).max(now);
        if self.next_probe.load(Relaxed) > soon.0 {
            self.next_probe.fetch_min(soon.0, Relaxed);
        }
    }

    /// Tells a change of standing as an event, once, whoever notices it first.
    pub(crate) fn tell(&self, now: Time, events: &Events, cluster: &str, service: &str, actor: &'static str) {
        let standing = self.standing(now);
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        if story.standing == standing {
            return;
        }
        let was = story.standing;
        let was_in = was.is_in();
        story.standing = standing;
        if was_in && standing.is_in() {
            return; // Unknown to healthy: nothing that anyone waits for.
        }
        story.since = now;
        if was_in {
            // Whoever fell out by traffic is probed at once: its way back must not wait for a quiet day's interval.
            self.next_probe.fetch_min(now.0, Relaxed);
        }
        if standing.is_in() || standing == Standing::HalfOpen {
            // How slow it was before it failed says nothing of it now.
            self.load.forget();
        }
        if standing.is_in() && was != Standing::Silent {
            self.load.rise(now, self.outlier.slow_start.0);
        }
        let message = reason(standing, story.trouble.as_deref(), now);
        if standing.is_in() {
            story.trouble = None;
        }
        drop(story);
        events.tell(Happening {
            kind: format!("endpoint.{}", standing.word()),
            cluster: Some(cluster.to_owned()),
            service: Some(service.to_owned()),
            endpoint: Some(self.label.to_string()),
            actor: actor.to_owned(),
            message,
            ..Happening::default()
        });
    }

    /// Standing, since when, and why in one sentence.
    #[must_use]
    pub fn facts(&self, now: Time) -> (Standing, Time, String) {
        let standing = self.standing(now);
        let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        let since = if story.standing == standing || (story.standing.is_in() && standing.is_in()) {
            story.since
        } else {
            now
        };
        (standing, since, reason(standing, story.trouble.as_deref(), now))
    }

    /// When it was taken up.
    pub(crate) fn born(&self) -> Time {
        self.born
    }

    /// State of its breaker.
    #[must_use]
    pub fn breaker_state(&self, now: Time) -> State {
        self.breaker.peek(now)
    }

    /// What probes say.
    #[must_use]
    pub fn health_state(&self) -> HealthState {
        self.health.state()
    }
}

/// Why nothing is known of an endpoint.
pub(crate) const UNASKED: &str = "not yet probed or asked";

fn reason(standing: Standing, trouble: Option<&str>, now: Time) -> String {
    let last = trouble.map(|trouble| format!("; last: {trouble}")).unwrap_or_default();
    let left = |until: Time| until.since(now).as_secs_f64().ceil();
    match standing {
        Standing::In(true) => "answers".to_owned(),
        Standing::In(false) if trouble.is_some() => format!("has not answered yet{last}"),
        Standing::In(false) => UNASKED.to_owned(),
        Standing::HalfOpen => format!("breaker half-open: a few trials are let through{last}"),
        Standing::Silent => format!("several requests are unanswered; passed over until it speaks{last}"),
        Standing::Ejected(until) => format!("set aside for another {} s{last}", left(until)),
        Standing::Open(until) => format!("breaker open, trials in {} s{last}", left(until)),
        Standing::Unhealthy => format!("probes fail{last}"),
        Standing::Out => "its weight is 0".to_owned(),
    }
}
