//! Latency under open-loop load at half of what was reached: requests come when they are due, whether or not earlier ones
//! were answered.

use super::field::{Field, check_forwarded, tell_absent};
use super::rows::{common_arguments, run as run_load};
use super::{Judged, Lineup, Worth};
use crate::contestants::{Contestant, Front, Setup};
use crate::crowd::tally::Report;
use crate::measure::{Better, SATURATED, Sample, median, sample};
use crate::report::{Section, Table};
use crate::rig::{CONNECTIONS, Rig};
use crate::wrk::Requests;

/// When the generator itself woke up late for more of its requests than this, the tail is the generator's.
const LATE_WAKES: f64 = 0.001;
/// A generator that sent less than this share of the schedule measured another load than it says.
const SENT: f64 = 0.99;
/// Who reaches less than this share of the fastest is asked at half of its own rate, and not compared: the others would
/// have nothing to do at its rate, and it would drown at theirs.
const COMPARABLE: f64 = 0.5;

const PATH: &str = "/200b";

/// What captions of these tables end with.
pub(super) const AT_HALF_LOAD: &str = ": latency at half load";

/// p50, p99 and p99.9 of 200 B answers.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let field = Field::start(rig, lineup, &Setup::plain(backend.address), |contestant| {
        check_forwarded(contestant, Front::Http1, None)?;
        contestant.check_answer(PATH, 200)
    });
    let requests = Requests::Get { path: PATH.to_owned() };
    let mut reached = Vec::new();
    for contestant in &field.contestants {
        sample(rig, contestant, &requests, 1)?;
        reached.push((contestant.name.clone(), sample(rig, contestant, &requests, 2)?.throughput()));
    }
    let table = compare(
        rig,
        lineup,
        &field,
        &reached,
        &format!("HTTP/1.1, 200 B{AT_HALF_LOAD}"),
        |contestant, rate, round| {
            let mut arguments =
                vec!["open".to_owned(), format!("--rate={rate}"), format!("--seed={}", round + 1)];
            arguments.extend(common_arguments(rig, contestant, CONNECTIONS)?);
            run_load(rig, arguments)
        },
    );
    let about = format!(
        "Half of what the slowest of those who are compared reached in a closed loop just before. Our own generator sends at \
         Poisson times over at most {CONNECTIONS} connections and counts from the time a request was due; {} interleaved \
         rounds of {} s, the same schedule for everyone in a round. Medians over rounds, microseconds. Sent late: over a \
         millisecond after it was due, since every connection was busy (the contestant's doing) or since the generator \
         woke up late (ours); both are in the latency. Who reached less than half of the fastest is asked at half of its \
         own rate, for orientation. The tables of other protocols that are called so are made the same way.",
        rig.pace.rounds, rig.pace.seconds
    );
    Ok(Section { title: "Latency at half load".to_owned(), about, tables: vec![table] })
}

/// What each reached: medians over rounds, exchanges a second.
pub(super) fn medians(samples: &[Vec<Sample>]) -> Vec<f64> {
    samples.iter().map(|its| median(its.iter().map(Sample::throughput))).collect()
}

/// Asks all who have reached something at half of it.
pub(super) fn compare(
    rig: &Rig,
    lineup: &Lineup,
    field: &Field,
    reached: &[(String, f64)],
    caption: &str,
    mut load: impl FnMut(&Contestant, f64, usize) -> anyhow::Result<Report>,
) -> Table {
    let rates = rates(reached, lineup.subject.name());
    let taken = field.interleave(rig.pace.rounds, |contestant, round| {
        eprintln!("{caption}: round {} of {}, {}", round + 1, rig.pace.rounds, contestant.name);
        let rate = rates.iter().find(|rate| rate.name == contestant.name);
        load(
            contestant,
            rate.ok_or_else(|| anyhow::anyhow!("it reached nothing under closed-loop load"))?.rate,
            round,
        )
    });
    let mut rows: Vec<(String, Vec<Report>)> = Vec::new();
    let mut beside = Vec::new();
    for (name, reports) in taken.names.iter().zip(&taken.figures) {
        let rate = rates.iter().find(|rate| rate.name == *name).map_or(0.0, |rate| rate.rate);
        let row = (format!("{name}, {rate:.0} a second"), reports.clone());
        let is_compared = rates.iter().any(|rate| rate.name == *name && rate.is_compared);
        if is_compared { rows.push(row) } else { beside.push(row) }
    }
    let compared = if taken.compared() > 0 { rows.len() } else { 0 };
    let (names, reports): (Vec<String>, Vec<Vec<Report>>) = rows.into_iter().chain(beside).unzip();
    let mut table = table(lineup, caption, &names, &reports, compared);
    tell_absent(&taken.absent, &mut table);
    table
}

/// At which rate one is asked.
#[derive(Debug, PartialEq)]
struct Rate {
    name: String,
    rate: f64,
    is_compared: bool,
}

fn rates(reached: &[(String, f64)], subject: &str) -> Vec<Rate> {
    let fastest = reached.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let is_compared = |name: &str, rate: f64| name == subject || rate >= fastest * COMPARABLE;
    let compared = reached.iter().filter(|(name, rate)| is_compared(name, *rate));
    let slowest = compared.map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
    let half = |rate: f64| (rate / 2.0 / 100.0).floor().max(1.0) * 100.0;
    let rate = |(name, own): &(String, f64)| {
        let is_compared = is_compared(name, *own);
        Rate { name: name.clone(), rate: half(if is_compared { slowest } else { *own }), is_compared }
    };
    reached.iter().map(rate).collect()
}

pub(super) const HEAD: [&str; 10] = [
    "program",
    "p50",
    "p50 against the best peer",
    "p99",
    "p99 against the best peer",
    "p99.9",
    "p99.9 against the best peer",
    "late, busy",
    "late, ours",
    "errors",
];

/// The first so many are compared, the others stand beside them.
fn table(
    lineup: &Lineup,
    caption: &str,
    names: &[String],
    reports: &[Vec<Report>],
    compared: usize,
) -> Table {
    let mut table = Table::new(caption, &HEAD);
    let mut worth = Worth::Sound;
    for (row, (name, its)) in names.iter().zip(reports).enumerate() {
        let reasons = void_reasons(its);
        if row < compared && !reasons.is_empty() {
            worth = Worth::Void;
        }
        table.notes.extend(reasons.into_iter().map(|reason| format!("**Void**: {name}: {reason}.")));
    }
    let quantiles: [fn(&Report) -> f64; 3] =
        [|report| report.p50_us, |report| report.p99_us, |report| report.p999_us];
    // Of the three only p99 has a goal: no worse than the best peer.
    let goals = [None, lineup.goal(1.0), None];
    let figures = quantiles.map(|quantile| super::per_round(reports, quantile));
    for (row, name) in names.iter().enumerate() {
        let mut cells = vec![name.clone()];
        for (figures, goal) in figures.iter().zip(goals) {
            cells.push(format!("{:.0}", median(figures[row].iter().copied())));
            let judged = Judged { figures: &figures[..compared], better: Better::Lower, goal, worth };
            cells.push(judged.cell(row));
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
    if median(reports.iter().map(|report| report.load_core)) > SATURATED {
        reasons.push("the generator's core was full".to_owned());
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
            load_core: 0.8,
        }
    }

    #[test]
    fn only_the_ninety_ninth_has_a_goal() {
        let lineup = Lineup::of(Proxy::Throome, &[Proxy::Nginx, Proxy::Haproxy]);
        let names = ["throome", "nginx", "HAProxy"].map(str::to_owned);
        let reports = [vec![report(80.0, 330.0)], vec![report(100.0, 300.0)], vec![report(110.0, 400.0)]];
        let row = &table(&lineup, "", &names, &reports, 3).rows[0];
        assert_eq!(row[1..5], ["80", "**0.80**", "330", "**1.10** (missed ≤ 1)"]);
    }

    #[test]
    fn who_is_far_slower_is_asked_at_half_of_its_own_rate() {
        let reached = [("throome", 40_000.0), ("nginx", 30_000.0), ("Caddy", 9_000.0)];
        let reached = reached.map(|(name, rate)| (name.to_owned(), rate));
        let asked: Vec<(f64, bool)> =
            rates(&reached, "throome").iter().map(|rate| (rate.rate, rate.is_compared)).collect();
        assert_eq!(asked, [(15_000.0, true), (15_000.0, true), (4_500.0, false)]);
    }

    #[test]
    fn errors_a_sleepy_generator_and_a_low_rate_void() {
        assert!(void_reasons(&[report(1.0, 2.0)]).is_empty());
        let failed = Report { errors: 3, first_error: Some("status 503".to_owned()), ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[failed]), ["3 errors, the first one: status 503"]);
        let sleepy = Report { late_waking: 100, ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[sleepy]), ["the generator woke up late for 2.00 % of its requests"]);
        let full = Report { load_core: 0.99, ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[full]), ["the generator's core was full"]);
        let slow = Report { achieved_rate: 900.0, ..report(1.0, 2.0) };
        assert_eq!(void_reasons(&[slow]), ["only 90.0 % of the intended rate was reached"]);
    }
}
