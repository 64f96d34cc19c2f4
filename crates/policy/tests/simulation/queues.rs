//! Endpoints with workers and a queue each: what requests wait under each strategy, and what a key may bring.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use model::Strategy;
use throome_policy::{Candidates, Load, Time, balancer, by_key, fingerprint};

/// Requests that an endpoint works on at once; further ones queue.
const WORKERS: usize = 4;

const DEADLINE: Duration = Duration::from_secs(5);

/// Requests that come at random moments, whatever becomes of those before.
struct Stream {
    random: u64,
    now: f64,
    rate: f64,
}

impl Stream {
    fn next(&mut self) -> Time {
        let wait = -(1.0 - self.fraction()).ln() / self.rate;
        self.now += wait;
        at(self.now)
    }

    /// From 0 up to 1, by xorshift.
    fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn at(seconds: f64) -> Time {
    Time((seconds * 1e6) as u64)
}

struct Endpoint {
    /// When each worker is free, in seconds.
    workers: [f64; WORKERS],
    /// Seconds of work that a request is on average.
    mean: f64,
}

struct Fleet {
    endpoints: Vec<Endpoint>,
    loads: Vec<Load>,
    /// When what is under way ends, where, and when it came.
    under_way: BinaryHeap<Reverse<(Time, usize, Time)>>,
}

impl Fleet {
    fn new(means: &[f64]) -> Self {
        let endpoint = |mean: &f64| Endpoint { workers: [0.0; WORKERS], mean: *mean };
        let load = |index: usize| Load::new(1).named(fingerprint(&index.to_le_bytes()));
        Fleet {
            endpoints: means.iter().map(endpoint).collect(),
            loads: (0..means.len()).map(load).collect(),
            under_way: BinaryHeap::new(),
        }
    }

    /// What has ended by now is settled.
    fn settle(&mut self, now: Time) {
        while let Some(Reverse((ends, index, came))) = self.under_way.peek().copied()
            && ends <= now
        {
            self.under_way.pop();
            self.loads[index].end(ends, ends.since(came), false, DEADLINE);
        }
    }

    /// A request begins at this endpoint; says what it waits.
    fn send(&mut self, index: usize, now: Time, stream: &mut Stream) -> Duration {
        self.loads[index].begin();
        let endpoint = &mut self.endpoints[index];
        let work = endpoint.mean * (0.3 - 0.7 * (1.0 - stream.fraction()).ln());
        let [first, rest @ ..] = &mut endpoint.workers;
        let free = rest.iter_mut().fold(first, |free, other| if *other < *free { other } else { free });
        *free = free.max(stream.now) + work;
        let ends = at(*free).max(now);
        self.under_way.push(Reverse((ends, index, now)));
        ends.since(now)
    }
}

/// What 99 of 100 requests wait at most, in milliseconds, after the first ten seconds.
fn p99(strategy: Strategy, means: &[f64], rate: f64) -> f64 {
    let (mut fleet, balancer) = (Fleet::new(means), balancer(strategy));
    let mut stream = Stream { random: 7, now: 0.0, rate };
    let mut waits = Vec::new();
    while stream.now < 120.0 {
        let now = stream.next();
        fleet.settle(now);
        let seed = stream.number();
        let loads: Vec<&Load> = fleet.loads.iter().collect();
        let index = balancer.pick(&Candidates::new(&loads, now), seed);
        let wait = fleet.send(index, now, &mut stream);
        if stream.now > 10.0 {
            waits.push(wait.as_secs_f64() * 1e3);
        }
    }
    waits.sort_by(f64::total_cmp);
    waits[waits.len() * 99 / 100]
}

#[test]
fn on_a_skewed_fleet_the_shortest_wait_halves_the_tail() {
    let skewed = [0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005, 0.05, 0.05];
    let of = |strategy| p99(strategy, &skewed, 600.0);
    let (latency, turns, fewest) =
        (of(Strategy::Latency), of(Strategy::RoundRobin), of(Strategy::LeastConnections));
    println!(
        "p99 on a skewed fleet: latency {latency:.1} ms, round robin {turns:.1}, least connections {fewest:.1}"
    );
    assert!(latency < 0.5 * turns && latency < 0.5 * fewest, "{latency} against {turns} and {fewest}");
}

#[test]
fn on_an_equal_fleet_it_costs_little() {
    let equal = [0.01; 8];
    let of = |strategy| p99(strategy, &equal, 2_000.0);
    let (latency, turns, fewest) =
        (of(Strategy::Latency), of(Strategy::RoundRobin), of(Strategy::LeastConnections));
    println!(
        "p99 on an equal fleet: latency {latency:.1} ms, round robin {turns:.1}, least connections {fewest:.1}"
    );
    assert!(latency < 1.05 * fewest, "{latency} against {fewest}");
}

#[test]
fn a_hot_key_stays_within_the_bound() {
    let mut fleet = Fleet::new(&[0.02; 6]);
    let mut stream = Stream { random: 11, now: 0.0, rate: 2_500.0 };
    let (mut most, mut at_home, mut hot) = (0.0_f64, 0_u32, 0_u32);
    let mut home = None;
    while stream.now < 60.0 {
        let now = stream.next();
        fleet.settle(now);
        // A third of all has one key; the others share a hundred.
        let is_hot = stream.fraction() < 0.33;
        let key = fingerprint(
            if is_hot { "hot".to_owned() } else { (stream.number() % 100).to_string() }.as_bytes(),
        );
        let loads: Vec<&Load> = fleet.loads.iter().collect();
        let index = by_key().pick(&Candidates::new(&loads, now).by(Some(key)), 0);
        if is_hot {
            hot += 1;
            at_home += u32::from(*home.get_or_insert(index) == index);
        }
        fleet.send(index, now, &mut stream);
        let total: u32 = fleet.loads.iter().map(Load::in_flight).sum();
        let bound = (1.25 * f64::from(total) / 6.0).ceil() + 8.0;
        most = most.max(f64::from(fleet.loads[index].in_flight()) - bound);
    }
    println!("hot key: {at_home} of {hot} at its endpoint");
    assert!(most <= 1.0, "{most} above the bound");
    assert!(at_home > hot / 3, "{at_home} of {hot} at its endpoint");
}
