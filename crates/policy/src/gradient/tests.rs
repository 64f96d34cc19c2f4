//! The limit under simulated traffic: a service of so many workers, asked by clients who come whatever happens, in
//! virtual time. Who finds no room is sent away.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;
use crate::seed::mix;

/// What an answer takes on average while nobody waits for a worker.
const WORK: f64 = 0.010;

/// The service and its clients from a second on.
#[derive(Clone, Copy)]
struct Phase {
    begins: u64,
    workers: usize,
    /// What an answer takes, against [`WORK`].
    slowness: f64,
    /// Requests a second.
    rate: f64,
}

/// What became of a second's requests.
#[derive(Default, Clone)]
struct Second {
    answered: u32,
    shed: u32,
    /// The time of each answer in seconds.
    times: Vec<f64>,
    limit: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// A worker is done with what was sent then.
    Done(Time),
}

struct World {
    now: Time,
    random: u64,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    number: u64,
    busy: usize,
    queue: VecDeque<Time>,
    under_way: u32,
    phase: Phase,
}

impl World {
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(1);
        (mix(self.random) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((self.now.plus(Duration::from_secs_f64(seconds)), self.number, event)));
    }

    fn arrives(&mut self) {
        let wait = -(1.0 - self.fraction()).ln() / self.phase.rate;
        self.after(wait, Event::Arrive);
    }

    /// Half of what it takes is the same for all, half is chance.
    fn work(&mut self, sent: Time) {
        self.busy += 1;
        let takes = WORK * self.phase.slowness * (0.5 - 0.5 * (1.0 - self.fraction()).ln());
        self.after(takes, Event::Done(sent));
    }
}

/// Lets `gradient` decide, or a limit that stays where it is.
fn run(gradient: &Gradient, fixed: Option<u32>, phases: &[Phase], seconds: u64) -> Vec<Second> {
    let mut world = World {
        now: Time(0),
        random: 7,
        events: BinaryHeap::new(),
        number: 0,
        busy: 0,
        queue: VecDeque::new(),
        under_way: 0,
        phase: phases[0],
    };
    let mut limit = fixed.unwrap_or_else(|| gradient.first());
    let mut report = vec![Second::default(); usize::try_from(seconds).unwrap() + 1];
    world.arrives();
    while let Some(Reverse((now, _, event))) = world.events.pop()
        && now < Time(seconds * 1_000_000)
    {
        world.now = now;
        world.phase = *phases.iter().rfind(|phase| phase.begins * 1_000_000 <= now.0).unwrap();
        let second = &mut report[usize::try_from(now.0 / 1_000_000).unwrap()];
        second.limit = limit;
        match event {
            Event::Arrive => {
                if world.under_way >= limit {
                    second.shed += 1;
                } else {
                    world.under_way += 1;
                    if world.busy < world.phase.workers {
                        world.work(now)
                    } else {
                        world.queue.push_back(now)
                    }
                }
                world.arrives();
            }
            Event::Done(sent) => {
                let took = now.since(sent);
                second.answered += 1;
                second.times.push(took.as_secs_f64());
                let decided = gradient.observe(now, took, world.under_way);
                limit = fixed.or(decided).unwrap_or(limit);
                world.under_way -= 1;
                world.busy -= 1;
                while world.busy < world.phase.workers
                    && let Some(sent) = world.queue.pop_front()
                {
                    world.work(sent);
                }
            }
        }
    }
    report
}

/// Answers and refusals a second, the 99th of a hundred answer times, and the largest limit, from one second to another.
fn between(report: &[Second], from: usize, to: usize) -> (f64, f64, f64, u32) {
    let seconds = &report[from..to];
    let mean = |of: fn(&Second) -> u32| f64::from(seconds.iter().map(of).sum::<u32>()) / seconds.len() as f64;
    let mut times: Vec<f64> = seconds.iter().flat_map(|second| &second.times).copied().collect();
    times.sort_by(f64::total_cmp);
    let p99 = times[times.len() * 99 / 100];
    (mean(|s| s.answered), mean(|s| s.shed), p99, seconds.iter().map(|s| s.limit).max().unwrap())
}

fn phase(begins: u64, workers: usize, rate: f64) -> Phase {
    Phase { begins, workers, slowness: 1.0, rate }
}

/// Eight workers can do 800 a second.
const WORKERS: usize = 8;
const CAPACITY: f64 = 800.0;

#[test]
fn a_service_that_is_asked_three_times_what_it_can_do_stays_busy_and_answers_soon() {
    let report = run(&Gradient::new(1, 1000), None, &[phase(0, WORKERS, 3.0 * CAPACITY)], 200);
    let (answered, _, p99, limit) = between(&report, 20, 200);
    assert!(answered > 0.95 * CAPACITY, "{answered} a second");
    assert!(p99 < 8.0 * WORK, "{p99} s");
    assert!((9..=40).contains(&limit), "{limit} at once");
    // Without a limit that knows, all who come wait in the service.
    let (_, _, p99, _) =
        between(&run(&Gradient::new(1, 1), Some(1000), &[phase(0, WORKERS, 3.0 * CAPACITY)], 60), 20, 60);
    assert!(p99 > 100.0 * WORK, "{p99} s");
}

#[test]
fn nobody_is_sent_away_from_a_service_with_time_to_spare() {
    let report = run(&Gradient::new(1, 1000), None, &[phase(0, WORKERS, 0.5 * CAPACITY)], 120);
    let (answered, shed, _, _) = between(&report, 2, 120);
    assert!(shed < 0.002 * answered, "{shed} of {answered} a second");
}

#[test]
fn a_service_that_loses_workers_is_asked_for_less_and_for_more_once_they_are_back() {
    let phases = [phase(0, 8, 700.0), phase(60, 4, 700.0), phase(160, 8, 700.0)];
    let report = run(&Gradient::new(1, 1000), None, &phases, 260);
    let (_, _, p99, _) = between(&report, 80, 160);
    assert!(p99 < 12.0 * WORK, "{p99} s with half of them");
    let (answered, shed, ..) = between(&report, 200, 260);
    assert!(shed < 0.05 * answered, "{shed} of {answered} a second with all of them");
}

#[test]
fn a_service_that_does_more_for_each_answer_is_not_taken_for_one_that_is_pressed_for_ever() {
    let slow = Phase { begins: 60, workers: WORKERS, slowness: 3.0, rate: 0.8 * CAPACITY / 3.0 };
    let report = run(&Gradient::new(1, 1000), None, &[phase(0, WORKERS, 0.8 * CAPACITY), slow], 240);
    let (answered, shed, ..) = between(&report, 140, 240);
    assert!(shed < 0.1 * answered, "{shed} of {answered} a second");
}

#[test]
fn the_limit_keeps_within_its_bounds() {
    let gradient = Gradient::new(5, 12);
    let report = run(&gradient, None, &[phase(0, WORKERS, 3.0 * CAPACITY)], 60);
    let (_, _, _, limit) = between(&report, 5, 60);
    assert!(limit <= 12, "{limit}");
    let crawls = Gradient::new(5, 12);
    for n in 0..100_000_u64 {
        if let Some(limit) = crawls.observe(Time(n * 10_000), Duration::from_micros(1 + n * n), 12) {
            // Half of the least while it looks how fast the service is unpressed.
            assert!((2..=12).contains(&limit), "{limit}");
        }
    }
}

#[test]
fn answers_that_take_long_are_waited_for_while_many_are_asked_for() {
    let gradient = Gradient::new(1, 1000);
    let mut limits = Vec::new();
    for n in 0..200_u64 {
        limits.extend(gradient.observe(Time(n * 1_000_000), Duration::from_secs(30), gradient.first()));
    }
    assert!(limits.last().is_some_and(|last| *last >= 16), "{limits:?}");
}
