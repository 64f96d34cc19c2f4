//! Data calls beside the same work done directly: who is timed, how a round is taken, and the tables of it.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{Judged, Worth, per_round, range};
use crate::client::{Connection, post};
use crate::contestants::Contestant;
use crate::contestants::throome::CLUSTER;
use crate::measure::{Better, interleave, median};
use crate::proc;
use crate::process::Invocation;
use crate::report::Table;
use crate::rig::Rig;
use crate::timings::Timings;

/// Who is timed. A table begins with the gateway and its peer; others behind them are for orientation.
pub(super) struct Timed<'a> {
    pub(super) name: String,
    pub(super) how: How<'a>,
}

/// How a call is made.
pub(super) enum How<'a> {
    /// A POST to the gateway by one client, with these bodies in turn.
    Http { gateway: &'a Contestant, call: &'static str, bodies: Vec<String>, waiting: Waiting },
    /// Directly, in a process on the contestant's core.
    Direct(Direct),
    /// By somebody else's program, which is told for how many seconds.
    Foreign(&'a dyn Fn(u64) -> anyhow::Result<Timings>),
}

/// How the one client waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Never asleep, so that only the gateway is in the time: where nobody else needs the load core.
    Awake,
    /// Asleep, since a server works on the same core.
    Asleep,
}

/// Work for the program that uses the engines directly.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    work: &'static str,
    /// Where the engine is, as the program is told.
    place: String,
    callers: usize,
    /// What only this work is told.
    extra: Vec<String>,
}

impl Direct {
    /// An engine in the program itself, with its files in a directory.
    pub(super) fn embedded(work: &'static str, directory: &Path, callers: usize) -> Self {
        Self { work, place: format!("--directory={}", directory.display()), callers, extra: Vec::new() }
    }

    /// A server, named as its own client is told.
    pub(super) fn remote(work: &'static str, server: &str, callers: usize) -> Self {
        Self { work, place: format!("--server={server}"), callers, extra: Vec::new() }
    }

    /// With something that only this work is told.
    pub(super) fn told(mut self, argument: String) -> Self {
        self.extra.push(argument);
        self
    }

    /// Runs it on the contestant's core.
    pub(super) fn run(&self, rig: &Rig, seconds: u64) -> anyhow::Result<Timings> {
        let mut arguments = vec![
            self.work.to_owned(),
            self.place.clone(),
            format!("--callers={}", self.callers),
            format!("--seconds={seconds}"),
        ];
        arguments.extend(self.extra.iter().cloned());
        let output = Invocation::new(&rig.tools.direct, arguments).output(rig.contestant_core())?;
        serde_json::from_slice(&output.stdout).context("the direct peer printed no figures")
    }
}

/// The path of a data call.
pub(super) fn path(call: &str) -> String {
    format!("/api/v1/clusters/{CLUSTER}/{call}")
}

/// Makes one call, insists on a success, and returns the answer's text.
pub(super) fn ask(gateway: &Contestant, call: &str, body: &serde_json::Value) -> anyhow::Result<String> {
    let request = post(gateway.address, &path(call), &body.to_string());
    let answer = Connection::open(gateway.address)?.exchange(&request)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.is_success(), "{}: {call} answers {} {text}", gateway.name, answer.status);
    Ok(text)
}

/// Interleaved rounds of all, after a second of warm-up each.
pub(super) fn rounds(rig: &Rig, what: &str, all: &[Timed<'_>]) -> anyhow::Result<Vec<Vec<Timings>>> {
    for timed in all {
        take(rig, timed, 1)?;
    }
    interleave(all, rig.pace.rounds, |timed, round| {
        eprintln!("{what}: round {} of {}, {}", round + 1, rig.pace.rounds, timed.name);
        take(rig, timed, rig.pace.short_seconds)
    })
}

fn take(rig: &Rig, timed: &Timed<'_>, seconds: u64) -> anyhow::Result<Timings> {
    match &timed.how {
        How::Direct(direct) => direct.run(rig, seconds),
        How::Foreign(run) => run(seconds),
        How::Http { gateway, call, bodies, waiting } => {
            let file = rig.directory_for("calls")?.join("bodies.json");
            std::fs::write(&file, serde_json::to_string(bodies)?)?;
            let mut arguments = vec![
                gateway.address.to_string(),
                format!("--path={}", path(call)),
                format!("--bodies={}", file.display()),
                format!("--seconds={seconds}"),
            ];
            if *waiting == Waiting::Asleep {
                arguments.push("--asleep".to_owned());
            }
            let pids = gateway.pids()?;
            let cpu = proc::cpu_time(&pids)?;
            let output = Invocation::new(&rig.tools.closedloop, arguments).output(rig.load_core())?;
            let cpu = proc::cpu_time(&pids)? - cpu;
            let timings: Timings = serde_json::from_slice(&output.stdout)?;
            Ok(Timings { cpu_seconds: Some(cpu.as_secs_f64()), ..timings })
        }
    }
}

const LATENCY_HEAD: [&str; 9] = [
    "one client",
    "p50 µs",
    "least to most",
    "added to the peer at p50",
    "p99 µs",
    "added to the peer at p99",
    "CPU µs each",
    "a second",
    "errors",
];

/// How long calls take, and by how much that is longer than the peer's, round by round. The goal is for what is added
/// at p50, in microseconds; `of` is how many things one call does, for the last figure.
pub(super) fn latency_table(
    caption: &str,
    all: &[Timed<'_>],
    rounds: &[Vec<Timings>],
    goal_us: Option<f64>,
    of: usize,
) -> Table {
    let mut table = Table::new(caption, &LATENCY_HEAD);
    let names: Vec<&str> = all.iter().map(|timed| timed.name.as_str()).collect();
    table.notes = void_notes(&names, rounds);
    let p50 = per_round(rounds, |timings| timings.p50_us);
    let unsteady = unsteady(&p50);
    table.notes.extend(unsteady.clone());
    let worth = if unsteady.is_some() { Worth::Void } else { worth(rounds) };
    let p99 = per_round(rounds, |timings| timings.p99_us);
    for (row, its) in rounds.iter().enumerate() {
        let middle = |figure: fn(&Timings) -> f64| median(its.iter().map(figure));
        let rate = middle(Timings::rate) * of as f64;
        table.rows.push(vec![
            names[row].to_owned(),
            format!("{:.1}", median(p50[row].iter().copied())),
            range(&p50[row]),
            added(row, &p50, goal_us, worth),
            format!("{:.0}", median(p99[row].iter().copied())),
            added(row, &p99, None, worth),
            format!("{:.1}", middle(cpu_us)),
            format!("{rate:.0}"),
            errors(its),
        ]);
    }
    table
}

/// What the first has more than the second, as the median of the rounds; the peer has none, and others are not judged.
fn added(row: usize, figures: &[Vec<f64>], goal_us: Option<f64>, worth: Worth) -> String {
    match row {
        0 => {}
        1 => return "peer".to_owned(),
        _ => return String::new(),
    }
    let Some(peer) = figures.get(1) else { return "no peer".to_owned() };
    let more = median(figures[0].iter().zip(peer).map(|(own, peer)| own - peer));
    if worth == Worth::Void {
        return format!("void ({more:.1})");
    }
    match goal_us {
        None => format!("**{more:.1}**"),
        Some(goal) => format!("**{more:.1}** ({} < {goal})", if more < goal { "met" } else { "missed" }),
    }
}

/// A small difference of two times that both depend on a disk and on a quiet machine may say nothing. What is added must
/// be the same from round to round, within this share of the longer of the two.
const STEADY: f64 = 0.15;

/// Why the difference of the first two says nothing: it is another one in every round, or the peer was slower at a part
/// of the work than the gateway at all of it.
pub(super) fn unsteady(p50: &[Vec<f64>]) -> Option<String> {
    let (own, peer) = (p50.first()?, p50.get(1)?);
    let added: Vec<f64> = own.iter().zip(peer).map(|(own, peer)| own - peer).collect();
    let middle = median(added.iter().copied());
    let spread = median(added.iter().map(|added| (added - middle).abs()));
    let room = STEADY * median(own.iter().copied()).max(median(peer.iter().copied()));
    if spread > room {
        return Some(format!("**Void**: what is added at p50 varies by {spread:.0} µs from round to round."));
    }
    let slower = -middle;
    (slower > room).then(|| {
        format!("**Void**: the peer was {slower:.0} µs slower at p50, which only a busy machine explains.")
    })
}

/// How much longer results take that are large, and how fast their bytes come.
pub(super) fn result_table(caption: &str, all: &[Timed<'_>], rounds: &[Vec<Timings>]) -> Table {
    let head = [
        "one client",
        "ms each",
        "least to most",
        "against the peer",
        "p99 ms",
        "MiB each",
        "MiB a second",
        "CPU ms each",
        "errors",
    ];
    let mut table = Table::new(caption, &head);
    let names: Vec<&str> = all.iter().map(|timed| timed.name.as_str()).collect();
    table.notes = void_notes(&names, rounds);
    let milliseconds = per_round(rounds, |timings| timings.p50_us / 1e3);
    let judged = Judged { figures: &milliseconds, better: Better::Lower, goal: None, worth: worth(rounds) };
    for (row, its) in rounds.iter().enumerate() {
        let middle = |figure: fn(&Timings) -> f64| median(its.iter().map(figure));
        let mib = |timings: &Timings| timings.bytes as f64 / f64::from(1 << 20);
        table.rows.push(vec![
            names[row].to_owned(),
            format!("{:.2}", median(milliseconds[row].iter().copied())),
            range(&milliseconds[row]),
            judged.cell(row),
            format!("{:.2}", middle(|timings| timings.p99_us / 1e3)),
            format!(
                "{:.2}",
                median(its.iter().map(|timings| mib(timings) / timings.completed.max(1) as f64))
            ),
            format!("{:.0}", median(its.iter().map(|timings| mib(timings) / timings.seconds))),
            format!("{:.2}", middle(cpu_us) / 1e3),
            errors(its),
        ]);
    }
    table
}

/// Microseconds of processor time for each completed call.
pub(super) fn cpu_us(timings: &Timings) -> f64 {
    timings.cpu_seconds.unwrap_or(f64::NAN) * 1e6 / timings.completed.max(1) as f64
}

/// Of all rounds together.
pub(super) fn errors(its: &[Timings]) -> String {
    its.iter().map(|timings| timings.errors).sum::<u64>().to_string()
}

/// Why comparisons say nothing: the first error of each who had one, and rounds in which nothing was done.
pub(super) fn void_notes<N: AsRef<str>>(names: &[N], rounds: &[Vec<Timings>]) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, its) in names.iter().zip(rounds) {
        let name = name.as_ref();
        if let Some(first) = its.iter().find_map(|timings| timings.first_error.as_deref()) {
            notes.push(format!("**Void**: {name}: {} errors, the first one: {first}.", errors(its)));
        }
        if its.iter().any(|timings| timings.completed == 0) {
            notes.push(format!("**Void**: {name}: a round without any answer."));
        }
    }
    notes
}

/// Nothing is compared with a run that failed in part.
pub(super) fn worth(rounds: &[Vec<Timings>]) -> Worth {
    let failed = |timings: &Timings| timings.errors > 0 || timings.completed == 0;
    if rounds.iter().flatten().any(failed) { Worth::Void } else { Worth::Sound }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(name: &str) -> Timed<'static> {
        let direct = Direct::embedded("select", Path::new("/nowhere"), 1);
        Timed { name: name.to_owned(), how: How::Direct(direct) }
    }

    fn round(p50_us: f64, errors: u64) -> Timings {
        Timings {
            completed: 1_000,
            errors,
            first_error: (errors > 0).then(|| "status 503".to_owned()),
            seconds: 2.0,
            p50_us,
            p99_us: p50_us * 2.0,
            cpu_seconds: Some(0.02),
            bytes: 1_000 << 20,
            ..Timings::default()
        }
    }

    #[test]
    fn what_is_added_is_judged_round_by_round() {
        let all = [timed("throome"), timed("directly"), timed("cache")];
        // The rounds' differences are all 50, whatever the medians: a slow round met both.
        let rounds = [
            vec![round(60.0, 0), round(160.0, 0), round(52.0, 0)],
            vec![round(10.0, 0), round(110.0, 0), round(2.0, 0)],
            vec![round(30.0, 0); 3],
        ];
        let table = latency_table("SELECT", &all, &rounds, Some(60.0), 100);
        assert_eq!(
            table.rows[0],
            [
                "throome",
                "60.0",
                "52.0 to 160.0",
                "**50.0** (met < 60)",
                "120",
                "**100.0**",
                "20.0",
                "50000",
                "0"
            ]
        );
        assert_eq!((table.rows[1][3].as_str(), table.rows[2][3].as_str()), ("peer", ""));
        let missed = latency_table("SELECT", &all, &rounds, Some(50.0), 1);
        assert_eq!(missed.rows[0][3], "**50.0** (missed < 50)");
    }

    #[test]
    fn a_difference_that_is_another_one_in_every_round_says_nothing() {
        let all = [timed("throome"), timed("directly")];
        let rounds = [vec![round(240.0, 0); 3], vec![round(230.0, 0), round(3_600.0, 0), round(2_800.0, 0)]];
        let table = latency_table("INSERT", &all, &rounds, Some(60.0), 1);
        assert_eq!(table.rows[0][3], "void (-2560.0)");
        assert_eq!(table.notes, ["**Void**: what is added at p50 varies by 800 µs from round to round."]);
        let rounds = [vec![round(240.0, 0); 3], vec![round(2_800.0, 0); 3]];
        let table = latency_table("INSERT", &all, &rounds, Some(60.0), 1);
        assert_eq!(table.rows[0][3], "void (-2560.0)");
        assert!(table.notes[0].contains("2560 µs slower"), "{:?}", table.notes);
    }

    #[test]
    fn an_error_anywhere_voids_the_comparison() {
        let all = [timed("throome"), timed("directly")];
        let rounds = [vec![round(60.0, 0)], vec![round(10.0, 2)]];
        let table = latency_table("SELECT", &all, &rounds, Some(60.0), 1);
        assert_eq!(table.rows[0][3], "void (50.0)");
        assert_eq!(table.notes, ["**Void**: directly: 2 errors, the first one: status 503."]);
        assert_eq!(result_table("rows", &all, &rounds).rows[0][3], "void (6.00)");
    }

    #[test]
    fn large_results_are_told_by_time_and_bytes() {
        let all = [timed("throome"), timed("directly")];
        let rounds = [vec![round(6_000.0, 0)], vec![round(3_000.0, 0)]];
        let row = &result_table("rows", &all, &rounds).rows[0];
        assert_eq!(row[1..], ["6.00", "6.0 to 6.0", "**2.00**", "12.00", "1.00", "500", "0.02", "0"]);
    }
}
