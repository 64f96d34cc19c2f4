//! What is compared with what. Each scenario starts its contestants, takes interleaved samples and returns a section
//! of the report; figures that say nothing are marked as void and stay.

pub mod cache;
mod calls;
pub mod edits;
pub mod events;
pub mod fanout;
mod field;
pub mod glance;
pub mod grpc;
pub mod http;
pub mod http2;
pub mod idle;
pub mod latency;
pub mod publish;
pub mod routes;
mod rows;
pub mod sql;
pub mod start;
pub mod tls;
pub mod websocket;
pub mod websockets;

use crate::contestants::Proxy;
use crate::measure::{Better, Sample, disturbances, is_starved, median, ratio, starved_rounds, void_reasons};
use crate::process::Placement;
use crate::report::Table;
use crate::rig::{Rig, require_program};

/// The one that is judged, and those that it is judged against.
#[derive(Debug, Clone)]
pub struct Lineup {
    pub subject: Proxy,
    pub peers: Vec<Proxy>,
}

impl Lineup {
    /// Throome against the given peers; or, to try the measurement itself, one of these against the others.
    #[must_use]
    pub fn of(subject: Proxy, peers: &[Proxy]) -> Self {
        let peers = peers.iter().copied().filter(|peer| *peer != subject).collect();
        Self { subject, peers }
    }

    /// The subject first.
    pub fn all(&self) -> impl Iterator<Item = Proxy> + '_ {
        std::iter::once(self.subject).chain(self.peers.iter().copied())
    }

    fn require_programs(&self) -> anyhow::Result<()> {
        let of_proxy = |proxy| match proxy {
            Proxy::Nginx => Some("nginx"),
            Proxy::Haproxy => Some("haproxy"),
            // These come by path, and say so themselves where they are not there.
            Proxy::Throome | Proxy::Envoy | Proxy::Traefik | Proxy::Caddy => None,
        };
        for program in self.all().filter_map(of_proxy).chain(["wrk", "taskset", "setpriv", "openssl"]) {
            require_program(program)?;
        }
        Ok(())
    }

    /// Goals are the product's; a peer in its place has none.
    fn goal(&self, limit: f64) -> Option<f64> {
        (self.subject == Proxy::Throome).then_some(limit)
    }
}

/// What a ratio is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Sound,
    /// The truth is at least this good: the subject could have done more than the load asked of it.
    AtLeast,
    Void,
}

/// A ratio with what it is worth, and what it should be at most or at least.
#[derive(Debug, Clone, Copy)]
struct Judged<'a> {
    figures: &'a [Vec<f64>],
    better: Better,
    goal: Option<f64>,
    worth: Worth,
}

impl Judged<'_> {
    /// The cell for one row: the subject is row 0, and only it has a ratio. Behind its peers stand those who are there for
    /// orientation.
    fn cell(&self, row: usize) -> String {
        if row > 0 {
            return if row < self.figures.len() { "peer" } else { "" }.to_owned();
        }
        let Some(ratio) = ratio(self.figures, 0, self.better) else { return "no peer".to_owned() };
        if self.worth == Worth::Void {
            return format!("void ({ratio:.2})");
        }
        let sign = match self.better {
            Better::Lower => '≤',
            Better::Higher => '≥',
        };
        let bound = if self.worth == Worth::AtLeast { format!("{sign} ") } else { String::new() };
        let Some(goal) = self.goal else { return format!("**{bound}{ratio:.2}**") };
        let met = match self.better {
            Better::Lower => ratio <= goal,
            Better::Higher => ratio >= goal,
        };
        format!("**{bound}{ratio:.2}** ({} {sign} {goal})", if met { "met" } else { "missed" })
    }
}

/// A peer that costs more than so many times the best one's processor time does not become the best by a disturbance.
const FAR: f64 = 1.5;

/// What ratios of the first to the others are worth. A contestant that waits for work spends more on each request, not
/// less, since fewer of them share a wake-up. So if the subject starved, it is at least as good as it looks; if a peer
/// did, the subject may look better than it is. A peer that is far from being the best one is in no ratio, and voids none.
fn worth(samples: &[Vec<Sample>]) -> Worth {
    let cost = |its: &[Sample]| median(its.iter().map(Sample::cpu_per_request));
    let (subject, peers) = samples.split_at(samples.len().min(1));
    let best = peers.iter().map(|its| cost(its)).fold(f64::INFINITY, f64::min);
    let peers: Vec<&Vec<Sample>> = peers.iter().filter(|its| cost(its) <= best * FAR).collect();
    let failed = subject.iter().chain(peers.iter().copied()).any(|its| !void_reasons(its).is_empty());
    if failed || peers.iter().any(|its| is_starved(its)) {
        Worth::Void
    } else if subject.iter().any(|its| is_starved(its)) {
        Worth::AtLeast
    } else {
        Worth::Sound
    }
}

/// What a table of closed-loop load should come to.
#[derive(Debug, Clone, Copy, Default)]
struct Goals {
    cpu: Option<f64>,
    throughput: Option<f64>,
}

const LOAD_HEAD: [&str; 9] = [
    "program",
    "CPU µs each",
    "least to most",
    "CPU against the best peer",
    "a second",
    "throughput against the best peer",
    "own core",
    "load core",
    "errors",
];

/// One row for each contestant, the subject first, with its figures and ratios.
fn load_table(caption: &str, names: &[String], samples: &[Vec<Sample>], goals: Goals) -> Table {
    load_table_beside(caption, names, samples, goals, samples.len())
}

/// As [`load_table`], where only the first so many are compared; the others are for orientation.
fn load_table_beside(
    caption: &str,
    names: &[String],
    samples: &[Vec<Sample>],
    goals: Goals,
    compared: usize,
) -> Table {
    let cpu = per_round(samples, Sample::cpu_per_request);
    let throughput = per_round(samples, Sample::throughput);
    let mut table = Table::new(caption, &LOAD_HEAD);
    table.notes = notes(names, samples);
    let worth = worth(&samples[..compared]);
    let cpu_ratio = Judged { figures: &cpu[..compared], better: Better::Lower, goal: goals.cpu, worth };
    let throughput_ratio =
        Judged { figures: &throughput[..compared], better: Better::Higher, goal: goals.throughput, worth };
    for (row, its) in samples.iter().enumerate() {
        table.rows.push(vec![
            names[row].clone(),
            format!("{:.1}", median(cpu[row].iter().copied())),
            range(&cpu[row]),
            cpu_ratio.cell(row),
            format!("{:.0}", median(throughput[row].iter().copied())),
            throughput_ratio.cell(row),
            percent(median(its.iter().map(|sample| sample.own))),
            percent(median(its.iter().map(|sample| sample.load_core))),
            its.iter().map(|sample| sample.errors).sum::<u64>().to_string(),
        ]);
    }
    table
}

fn notes(names: &[String], samples: &[Vec<Sample>]) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, its) in names.iter().zip(samples) {
        notes.extend(void_reasons(its).into_iter().map(|reason| format!("**Void**: {name}: {reason}.")));
        if is_starved(its) {
            let (starved, all) = (starved_rounds(its), its.len());
            notes.push(format!("{name}: the load core was the limit in {starved} of {all} rounds."));
        }
        notes.extend(disturbances(its).into_iter().map(|fact| format!("{name}: {fact}.")));
    }
    notes
}

fn per_round<T>(samples: &[Vec<T>], figure: impl Fn(&T) -> f64) -> Vec<Vec<f64>> {
    samples.iter().map(|its| its.iter().map(&figure).collect()).collect()
}

fn range(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{least:.1} to {most:.1}")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn core_of(placement: Placement) -> String {
    match placement {
        Placement::Core(core) => format!("core {core}"),
        Placement::Anywhere => "any core".to_owned(),
    }
}

/// The same for load that is our own.
fn crowd_words(rig: &Rig) -> String {
    format!(
        "One worker each, no access log, connections kept on both sides. Our own load, one thread, and the service behind \
         are on {}, the contestant is on {}; {} connections unless a table says otherwise; {} interleaved rounds of {} s, counted when \
         all connections stand and have been under load for half a second. Every answer's status and length is checked.",
        core_of(rig.load_core()),
        core_of(rig.contestant_core()),
        crate::rig::CONNECTIONS,
        rig.pace.rounds,
        rig.pace.seconds,
    )
}

/// How the figures of closed-loop load come about, for the sections that have them.
fn closed_loop_words(rig: &Rig, rounds_of: u64) -> String {
    format!(
        "wrk with one thread and {} keep-alive connections and the service behind on {}, the contestant on {}; {} \
         interleaved rounds of {rounds_of} s after a warm-up.",
        crate::rig::CONNECTIONS,
        core_of(rig.load_core()),
        core_of(rig.contestant_core()),
        rig.pace.rounds,
    )
}

#[cfg(test)]
mod tests;
