//! Latency under open-loop load at half of what the slowest contestant can do: requests come when they are due,
//! whether or not earlier ones were answered.

use std::time::Duration;

use super::{Judged, Lineup, Worth, names};
use crate::contestants::{Contestant, Setup};
use crate::measure::{Better, interleave, median, sample};
use crate::openload::Report;
use crate::process::Invocation;
use crate::report::{Section, Table};
use crate::rig::{CONNECTIONS, Rig};
use crate::wrk::Requests;

/// When the generator itself woke up late for more of its requests than this, the tail is the generator's.
const LATE_WAKES: f64 = 0.001;
/// A generator that sent less than this share of the schedule measured another load than it says.
const SENT: f64 = 0.99;

const PATH: &str = "/200b";

/// p50, p99 and p99.9 of 200 B answers.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let contestants = lineup.start(rig, &Setup::plain(backend.address))?;
    let rate = half_of_the_slowest(rig, &contestants)?;
    let reports = interleave(&contestants, rig.pace.rounds, |contestant, round| {
        eprintln!("latency: round {} of {}, {}", round + 1, rig.pace.rounds, contestant.name);
        openload(rig, contestant, rate, round)
    })?;
    let about = format!(
        "200 B answers at {rate:.0} requests a second, half of what the slowest contestant reached with wrk just \
         before. Our own generator sends at Poisson times over at most {CONNECTIONS} connections and counts from the \
         time a request was due; {} interleaved rounds of {} s, the same schedule for everyone in a round. Medians \
         over rounds, microseconds. Sent late: over a millisecond after it was due, since every connection was busy \
         (the contestant's doing) or since the generator woke up late (ours); both are in the latency.",
        rig.pace.rounds, rig.pace.seconds
    );
    let table = table(lineup, &names(&contestants), &reports);
    Ok(Section { title: "Latency at half load".to_owned(), about, tables: vec![table] })
}

fn half_of_the_slowest(rig: &Rig, contestants: &[Contestant]) -> anyhow::Result<f64> {
    let requests = Requests::Get { path: PATH.to_owned() };
    let mut slowest = f64::INFINITY;
    for contestant in contestants {
        sample(rig, contestant, &requests, 1)?;
        let full = sample(rig, contestant, &requests, 2)?;
        slowest = slowest.min(full.throughput());
    }
    anyhow::ensure!(slowest >= 100.0, "the slowest contestant answers {slowest:.0} requests a second");
    Ok((slowest / 2.0 / 100.0).floor() * 100.0)
}

fn openload(rig: &Rig, contestant: &Contestant, rate: f64, round: usize) -> anyhow::Result<Report> {
    let seconds = Duration::from_secs(rig.pace.seconds).as_secs_f64();
    let invocation = Invocation::new(
        &rig.tools.openload,
        [
            contestant.address.to_string(),
            format!("--path={PATH}"),
            format!("--rate={rate}"),
            format!("--seconds={seconds}"),
            format!("--connections={CONNECTIONS}"),
            format!("--seed={}", round + 1),
        ],
    );
    let output = invocation.output(rig.load_core())?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

const HEAD: [&str; 10] = [
    "program",
    "p50",
    "p50 against the better peer",
    "p99",
    "p99 against the better peer",
    "p99.9",
    "p99.9 against the better peer",
    "late, busy",
    "late, ours",
    "errors",
];

fn table(lineup: &Lineup, names: &[String], reports: &[Vec<Report>]) -> Table {
    let mut table = Table::new("", &HEAD);
    for (name, its) in names.iter().zip(reports) {
        let reasons = void_reasons(its);
        table.notes.extend(reasons.into_iter().map(|reason| format!("**Void**: {name}: {reason}.")));
    }
    let worth = if table.notes.is_empty() { Worth::Sound } else { Worth::Void };
    let quantiles: [fn(&Report) -> f64; 3] =
        [|report| report.p50_us, |report| report.p99_us, |report| report.p999_us];
    // Of the three only p99 has a goal: no worse than the better peer.
    let goals = [None, lineup.goal(1.0), None];
    let figures = quantiles.map(|quantile| super::per_round(reports, quantile));
    for (row, name) in names.iter().enumerate() {
        let mut cells = vec![name.clone()];
        for (figures, goal) in figures.iter().zip(goals) {
            cells.push(format!("{:.0}", median(figures[row].iter().copied())));
            cells.push(Judged { figures, better: Better::Lower, goal, worth }.cell(row));
        }
        let sum = |count: fn(&Report) -> u64| reports[row].iter().map(count).sum::<u64>().to_string();
        cells.extend([
            sum(|report| report.late_waiting),
            sum(|report| report.late_waking),
            sum(|report| report.errors),
        ]);
        table.rows.push(cells);
    }
    table
}

fn void_reasons(reports: &[Report]) -> Vec<String> {
    let mut reasons = Vec::new();
    let errors: u64 = reports.iter().map(|report| report.errors).sum();
    if errors > 0 {
        let first = reports.iter().find_map(|report| report.first_error.as_deref()).unwrap_or("unknown");
        reasons.push(format!("{errors} errors, the first one: {first}"));
    }
    let share = |report: &Report| report.late_waking as f64 / report.completed.max(1) as f64;
    let waking = median(reports.iter().map(share));
    if waking > LATE_WAKES {
        reasons.push(format!("the generator woke up late for {:.2} % of its requests", waking * 100.0));
    }
    let sent = median(reports.iter().map(|report| report.achieved_rate / report.intended_rate));
    if sent < SENT {
        reasons.push(format!("only {:.1} % of the intended rate was reached", sent * 100.0));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::Proxy;

    fn report(p50_us: f64, p99_us: f64) -> Report {
        Report {
            intended_rate: 1_000.0,
            achieved_rate: 999.0,
            completed: 5_000,
            errors: 0,
            first_error: None,
            late_waiting: 0,
            late_waking: 1,
            p50_us,
            p90_us: p99_us,
            p99_us,
            p999_us: 900.0,
            max_us: 1_000.0,
            mean_us: p50_us,
        }
    }

    #[test]
    fn only_the_ninety_ninth_has_a_goal() {
        let lineup = Lineup::of(Proxy::Throome);
        let names = ["throome", "nginx", "HAProxy"].map(str::to_owned);
        let reports = [vec![report(80.0, 330.0)], vec![report(100.0, 300.0)], vec![report(110.0, 400.0)]];
        let row = &table(&lineup, &names, &reports).rows[0];
        assert_eq!(row[1..5], ["80", "**0.80**", "330", "**1.10** (missed ≤ 1)"]);
    }

    #[test]
    fn errors_a_sleepy_generator_and_a_low_rate_void() {
        assert!(void_reasons(&[report(1.0, 2.0)]).is_empty());
        let failed = Report { errors: 3, first_error: Some("status 503".to_owned()), ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[failed]), ["3 errors, the first one: status 503"]);
        let sleepy = Report { late_waking: 100, ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[sleepy]), ["the generator woke up late for 2.00 % of its requests"]);
        let slow = Report { achieved_rate: 900.0, ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[slow]), ["only 90.0 % of the intended rate was reached"]);
    }
}
