//! The world around a fleet: a clock that jumps from event to event, clients that come whatever happens, endpoints
//! that answer, fail, freeze, die and come back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use throome_policy::{Progress, State, Time, TrialKind, Work, may_rerun};

use crate::books::{Ledger, Report, seconds};
use crate::fleet::{Attempt, Fleet, Outcome, PER_TRY, Shape};

/// Tries of a request in all.
const TRIES: u32 = 3;

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Up,
    /// Answers this share of its requests with 503, at once. Its probes pass.
    Failing(f64),
    /// Takes 200 ms for this share of its answers.
    Slow(f64),
    /// Answers its requests, while its probes fail.
    Misjudged,
    /// Takes requests and does nothing.
    Frozen,
    /// Refuses connections; what was under way is reset.
    Dead,
}

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    /// Requests a second, at random moments, whatever becomes of those before.
    pub(crate) rate: f64,
    /// Share of requests that may not run twice.
    pub(crate) unsafe_share: f64,
    /// After how long a second try is made beside the first, of what may run again.
    pub(crate) hedge: Option<Duration>,
    /// Whether endpoints are probed.
    pub(crate) probes: bool,
    pub(crate) shape: Shape,
    /// From this second on, this endpoint behaves so.
    pub(crate) script: Vec<(u64, usize, Mode)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Turn(usize),
    Arrive,
    /// The endpoint is done with this try of this request.
    Done(u64, u32),
    TimeOut(u64, u32),
    /// The first try has taken long.
    Hedge(u64),
    Probe(usize),
    ProbeEnd(usize, u64),
}

struct Asked {
    came: Time,
    safe: bool,
    tried: Vec<usize>,
    /// Tries begun.
    tries: u32,
    /// Those that run now, by their number.
    running: Vec<Running>,
}

struct Running {
    number: u32,
    attempt: Attempt,
    counts_as_trial: bool,
}

struct Server {
    mode: Mode,
    /// Tries that wait for it to thaw.
    held: Vec<(u64, u32)>,
    /// Tries under way that were sent while its breaker was half-open.
    trials: u32,
}

struct World {
    plan: Plan,
    fleet: Fleet,
    now: Time,
    random: u64,
    number: u64,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    servers: Vec<Server>,
    under_way: BTreeMap<u64, Asked>,
    ledger: Ledger,
    report: Report,
}

/// Runs the plan to its end.
pub(crate) fn run(plan: &Plan) -> Report {
    let count = plan.shape.weights.len();
    let mut world = World {
        plan: plan.clone(),
        fleet: Fleet::new(&plan.shape),
        now: Time(0),
        random: plan.seed,
        number: 0,
        events: BinaryHeap::new(),
        servers: (0..count).map(|_| Server { mode: Mode::Up, held: Vec::new(), trials: 0 }).collect(),
        under_way: BTreeMap::new(),
        ledger: Ledger::default(),
        report: Report { sent: vec![vec![0; count]; seconds(plan.seconds) + 1], ..Report::default() },
    };
    for (index, (second, ..)) in plan.script.iter().enumerate() {
        world.at(Time(second * 1_000_000), Event::Turn(index));
    }
    for index in 0..count {
        if plan.probes {
            world.at(Time(0), Event::Probe(index));
        }
    }
    world.at(Time(0), Event::Arrive);
    let end = Time(plan.seconds * 1_000_000);
    while let Some(Reverse((now, _, event))) = world.events.pop()
        && now < end
    {
        world.now = now;
        world.happen(event);
    }
    world.report
}

impl World {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(index) => {
                let (_, endpoint, mode) = self.plan.script[index];
                self.turn(endpoint, mode);
            }
            Event::Arrive => self.arrive(),
            Event::Done(id, number) => self.done(id, number),
            Event::TimeOut(id, number) => self.end(id, number, Outcome::TimedOut),
            Event::Hedge(id) => self.hedge(id),
            Event::Probe(endpoint) => {
                let answers =
                    matches!(self.servers[endpoint].mode, Mode::Up | Mode::Slow(_) | Mode::Failing(_));
                let takes = if self.servers[endpoint].mode == Mode::Frozen {
                    self.fleet.health_spec.timeout.0
                } else {
                    self.latency()
                };
                self.after(takes, Event::ProbeEnd(endpoint, u64::from(answers)));
            }
            Event::ProbeEnd(endpoint, ok) => {
                let next = self.fleet.probed(self.now, endpoint, ok == 1);
                self.at(next, Event::Probe(endpoint));
            }
        }
    }

    fn turn(&mut self, endpoint: usize, mode: Mode) {
        let server = &mut self.servers[endpoint];
        server.mode = mode;
        for (id, number) in std::mem::take(&mut server.held) {
            self.after(Duration::from_millis(1), Event::Done(id, number));
        }
        if mode == Mode::Dead {
            let tries = self.under_way.iter().flat_map(|(id, asked)| {
                asked.running.iter().map(|try_| (*id, try_.number, try_.attempt.endpoint))
            });
            let broken: Vec<_> = tries.filter(|(.., at)| *at == endpoint).collect();
            for (id, number, _) in broken {
                self.end(id, number, Outcome::Reset);
            }
        }
    }

    fn arrive(&mut self) {
        let wait = -(1.0 - self.fraction()).ln() / self.plan.rate;
        self.after(Duration::from_secs_f64(wait), Event::Arrive);
        self.fleet.request(self.now);
        self.report.requests += 1;
        self.ledger.now(self.now).requests += 1;
        let safe = self.fraction() >= self.plan.unsafe_share;
        self.number += 1;
        let asked = Asked { came: self.now, safe, tried: Vec::new(), tries: 0, running: Vec::new() };
        let id = self.number;
        self.send(id, asked);
        if let Some(after) = self.plan.hedge.filter(|_| safe) {
            self.after(after, Event::Hedge(id));
        }
    }

    fn send(&mut self, id: u64, asked: Asked) {
        let kind = if asked.safe { TrialKind::Eager } else { TrialKind::Reluctant };
        let seed = self.next();
        match self.fleet.start(self.now, &asked.tried, kind, seed) {
            Some(attempt) => self.run(id, asked, attempt),
            None => self.fail(asked.safe),
        }
    }

    /// A second try beside the first, if that still runs.
    fn hedge(&mut self, id: u64) {
        let seed = self.next();
        let in_flight = self.in_flight();
        let Some(asked) = self.under_way.get(&id).filter(|asked| asked.tries == 1) else { return };
        let tried = asked.tried.clone();
        let Some(attempt) = self.fleet.start_beside(self.now, &tried, in_flight, seed) else { return };
        self.granted(in_flight);
        self.report.hedges += 1;
        if let Some(asked) = self.under_way.remove(&id) {
            self.run(id, asked, attempt);
        }
    }

    /// A try begins.
    fn run(&mut self, id: u64, mut asked: Asked, attempt: Attempt) {
        let endpoint = attempt.endpoint;
        asked.tried.push(endpoint);
        asked.tries += 1;
        let number = asked.tries;
        self.report.sent[seconds(self.now.0 / 1_000_000)][endpoint] += 1;
        let counts_as_trial = self.fleet.endpoints[endpoint].breaker.peek(self.now) == State::HalfOpen;
        if counts_as_trial {
            self.report.trials += 1;
            self.servers[endpoint].trials += 1;
            self.report.most_trials = self.report.most_trials.max(self.servers[endpoint].trials);
        }
        asked.running.push(Running { number, attempt, counts_as_trial });
        self.under_way.insert(id, asked);
        let mode = self.servers[endpoint].mode;
        let takes = match mode {
            Mode::Dead => Duration::from_micros(200),
            Mode::Slow(share) if self.fraction() < share => Duration::from_millis(200),
            Mode::Up | Mode::Slow(_) | Mode::Failing(_) | Mode::Misjudged | Mode::Frozen => self.latency(),
        };
        self.after(takes, Event::Done(id, number));
        self.after(PER_TRY, Event::TimeOut(id, number));
    }

    fn done(&mut self, id: u64, number: u32) {
        let Some(asked) = self.under_way.get(&id) else { return };
        let Some(running) = asked.running.iter().find(|running| running.number == number) else { return };
        let endpoint = running.attempt.endpoint;
        let mode = self.servers[endpoint].mode;
        let outcome = match mode {
            Mode::Up | Mode::Slow(_) | Mode::Misjudged => Outcome::Answered,
            Mode::Failing(share) if self.fraction() < share => Outcome::Bad,
            Mode::Failing(_) => Outcome::Answered,
            Mode::Frozen => return self.servers[endpoint].held.push((id, number)),
            Mode::Dead => Outcome::Refused,
        };
        self.end(id, number, outcome);
    }

    /// A try has ended; the request may go on elsewhere.
    fn end(&mut self, id: u64, number: u32, outcome: Outcome) {
        let in_flight = self.in_flight();
        let Some(asked) = self.under_way.get_mut(&id) else { return };
        let Some(at) = asked.running.iter().position(|running| running.number == number) else { return };
        let ended = asked.running.swap_remove(at);
        self.ended(&ended);
        self.fleet.settle(self.now, ended.attempt, outcome);
        if outcome != Outcome::Answered && self.under_way.get(&id).is_some_and(|a| !a.running.is_empty()) {
            // The other may still answer.
            return;
        }
        let Some(asked) = self.under_way.remove(&id) else { return };
        let progress = match outcome {
            Outcome::Answered => return self.answered(&asked),
            Outcome::Refused => Progress::Unsent,
            Outcome::Bad | Outcome::Reset | Outcome::TimedOut => Progress::Sent,
        };
        let work = Work::Http(if asked.safe { "GET" } else { "POST" });
        let again = may_rerun(work, progress)
            && asked.tries < TRIES
            && (progress == Progress::Unsent || self.draw(in_flight));
        if again {
            self.send(id, asked);
        } else {
            self.fail(asked.safe);
        }
    }

    /// The first answer counts: a try that runs beside is given up.
    fn answered(&mut self, asked: &Asked) {
        for other in &asked.running {
            self.ended(other);
            self.fleet.abandon(self.now, other.attempt);
        }
        if asked.safe {
            self.report.took.push(self.now.0 - asked.came.0);
        }
    }

    fn ended(&mut self, running: &Running) {
        if running.counts_as_trial {
            self.servers[running.attempt.endpoint].trials -= 1;
        }
    }

    fn in_flight(&self) -> u32 {
        u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)
    }

    /// Draws a retry, and checks what was granted against our own count.
    fn draw(&mut self, in_flight: u32) -> bool {
        let granted = self.fleet.may_retry(self.now, in_flight);
        if granted {
            self.granted(in_flight);
        }
        granted
    }

    fn granted(&mut self, in_flight: u32) {
        self.report.retries += 1;
        self.ledger.now(self.now).retries += 1;
        let (requests, retries) = self.ledger.sums();
        let allowed = (self.plan.shape.budget * requests as f64).max(f64::from(in_flight)).max(10.0);
        self.report.over_budget += u64::from(retries as f64 > allowed);
    }

    fn fail(&mut self, safe: bool) {
        if safe {
            self.report.failed_safe += 1;
        } else {
            self.report.failed_unsafe += 1;
        }
    }

    /// Two milliseconds and, at random, three more on average.
    fn latency(&mut self) -> Duration {
        Duration::from_secs_f64(0.002 - (1.0 - self.fraction()).ln() * 0.003)
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now.plus(wait), event);
    }

    fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.events.push(Reverse((time, self.number, event)));
    }

    /// From 0 up to 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Xorshift, for a seed other than 0.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
