//! Server-sent events: one service, many listeners, a steady rate of events that all of them hear.

use super::field::{Field, check_forwarded};
use super::rows::{common_arguments, run as run_load, sample};
use super::{Goals, Judged, Lineup, core_of, load_table_beside, per_round, worth};
use crate::backend::events;
use crate::contestants::{Front, Service, Setup};
use crate::crowd::Report;
use crate::measure::{Better, Sample, median};
use crate::report::{Section, Table};
use crate::rig::Rig;

/// Connections that listen.
const LISTENERS: usize = 500;

/// What a delivery costs, and how long it takes.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let setup = Setup { service: Service::Events, ..Setup::plain(backend.address) };
    let field =
        Field::start(rig, lineup, &setup, |contestant| check_forwarded(contestant, Front::Http1, None));
    let rounds = rig.pace.rounds;
    let taken = field.interleave(rounds, |contestant, round| {
        eprintln!("events: round {} of {rounds}, {}", round + 1, contestant.name);
        let mut arguments = vec!["listen".to_owned()];
        arguments.extend(common_arguments(rig, contestant, LISTENERS)?);
        let report: Report = run_load(rig, arguments)?;
        Ok((sample(&contestant.name, &report), report))
    });
    let samples: Vec<Vec<Sample>> =
        taken.figures.iter().map(|its| its.iter().map(|(sample, _)| *sample).collect()).collect();
    let reports: Vec<Vec<Report>> =
        taken.figures.iter().map(|its| its.iter().map(|(_, report)| report.clone()).collect()).collect();
    let goals = Goals { cpu: lineup.goal(1.0), throughput: None };
    let caption = format!("Events to {LISTENERS} listeners, for each delivery");
    let mut table = load_table_beside(&caption, &taken.names, &samples, goals, taken.compared());
    taken.tell_absent(&mut table);
    let delays = delays(&taken.names, &samples, &reports, taken.compared());
    let about = format!(
        "{LISTENERS} connections of HTTP/1.1 in the clear to one event stream; every {} ms an event of {} B to all of \
         them, so that all contestants have the same work and none of them is at its limit. Time is from when the \
         service wrote an event to when its listener had read it; the service writes to all of them before anybody on \
         its core reads, which is in the figure. A missing event is an error. Service and listeners are on {}, the contestant is on {}; {rounds} \
         interleaved rounds of {} s.",
        events::EVERY.as_millis(),
        events::LENGTH,
        core_of(rig.load_core()),
        core_of(rig.contestant_core()),
        rig.pace.seconds
    );
    Ok(Section { title: "Server-sent events".to_owned(), about, tables: vec![table, delays] })
}

fn delays(names: &[String], samples: &[Vec<Sample>], reports: &[Vec<Report>], compared: usize) -> Table {
    let head =
        ["program", "p50 ms", "p50 against the best peer", "p99 ms", "p99 against the best peer", "max ms"];
    let mut table = Table::new("From the service to the listener", &head);
    let worth = worth(&samples[..compared]);
    let figures: [fn(&Report) -> f64; 3] =
        [|report| report.p50_us / 1e3, |report| report.p99_us / 1e3, |report| report.max_us / 1e3];
    let figures = figures.map(|figure| per_round(reports, figure));
    for (row, name) in names.iter().enumerate() {
        let mut cells = vec![name.clone()];
        for figures in &figures[..2] {
            cells.push(format!("{:.1}", median(figures[row].iter().copied())));
            let judged = Judged { figures: &figures[..compared], better: Better::Lower, goal: None, worth };
            cells.push(judged.cell(row));
        }
        cells.push(format!("{:.1}", median(figures[2][row].iter().copied())));
        table.rows.push(cells);
    }
    table
}
