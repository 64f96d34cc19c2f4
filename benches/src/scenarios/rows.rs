//! One comparison by any protocol: closed-loop load for what an exchange costs, then open-loop load at half of what was
//! reached for how long one takes.

use std::time::Duration;

use anyhow::Context;

use super::field::{Field, check_call, check_forwarded, script, secure};
use super::{Goals, Lineup, latency, load_table_beside};
use crate::ask;
use crate::contestants::{Contestant, Front, Service, Setup};
use crate::crowd::Report;
use crate::measure::Sample;
use crate::process::Invocation;
use crate::report::Table;
use crate::rig::{CONNECTIONS, Rig};
use crate::speak::Speech;

/// What is compared in one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) caption: &'static str,
    pub(super) speech: Speech,
    pub(super) path: &'static str,
    pub(super) size: usize,
    pub(super) connections: usize,
    /// Exchanges under way on each connection.
    pub(super) at_once: usize,
    /// Processor time wished for against the best peer.
    pub(super) goal: f64,
    /// Whether the time that an exchange takes is compared too.
    pub(super) with_latency: bool,
}

impl Row {
    /// One exchange at a time of 200 bytes on each of the usual connections, and how long it takes.
    pub(super) const fn plain(caption: &'static str, speech: Speech) -> Self {
        Self {
            caption,
            speech,
            path: "/200b",
            size: 200,
            connections: CONNECTIONS,
            at_once: 1,
            goal: 1.0,
            with_latency: true,
        }
    }

    pub(super) const fn without_latency(mut self) -> Self {
        self.with_latency = false;
        self
    }
}

/// Starts all contestants with this front before this service, checks them, and compares them row by row.
pub(super) fn tables(
    rig: &Rig,
    lineup: &Lineup,
    front: Front,
    service: Service,
    rows: &[Row],
) -> anyhow::Result<Vec<Table>> {
    let backend = rig.start_backend()?;
    let address = if service == Service::Grpc { backend.grpc } else { backend.address };
    let secure = secure(rig, front)?;
    let setup = Setup { front, service, ..Setup::plain(address) };
    let field = Field::start(rig, lineup, &setup, |contestant| {
        match service {
            Service::Grpc => check_call(contestant)?,
            Service::Web | Service::WebSocket | Service::Events => {
                check_forwarded(contestant, front, secure.as_ref())?;
            }
        }
        for row in rows {
            let script = script(contestant, row.speech, row.path, row.size, front);
            ask::exchange(contestant.address, secure.as_ref(), &script).context(row.caption)?;
        }
        Ok(())
    });
    let mut tables = Vec::new();
    for row in rows {
        tables.extend(compare(rig, lineup, &field, row, front));
    }
    Ok(tables)
}

fn compare(rig: &Rig, lineup: &Lineup, field: &Field, row: &Row, front: Front) -> Vec<Table> {
    let rounds = rig.pace.rounds;
    let taken = field.interleave(rounds, |contestant, round| {
        eprintln!("{}: round {} of {rounds}, {}", row.caption, round + 1, contestant.name);
        closed(rig, contestant, row, front)
    });
    let goals = Goals { cpu: lineup.goal(row.goal), throughput: None };
    let mut table = load_table_beside(row.caption, &taken.names, &taken.figures, goals, taken.compared());
    taken.tell_absent(&mut table);
    let mut tables = vec![table];
    if row.with_latency && rig.pace.latencies {
        let reached: Vec<(String, f64)> =
            taken.names.iter().cloned().zip(latency::medians(&taken.figures)).collect();
        let caption = format!("{}{}", row.caption, latency::AT_HALF_LOAD);
        tables.push(latency::compare(rig, lineup, field, &reached, &caption, |contestant, rate, round| {
            let way = ["open".to_owned(), format!("--rate={rate}"), format!("--seed={}", round + 1)];
            let arguments = arguments(rig, contestant, row, front, way)?;
            run(rig, arguments)
        }));
    }
    tables
}

/// One contestant under load for a few seconds.
fn closed(rig: &Rig, contestant: &Contestant, row: &Row, front: Front) -> anyhow::Result<Sample> {
    let way = ["closed".to_owned(), format!("--at-once={}", row.at_once)];
    let report: Report = run(rig, arguments(rig, contestant, row, front, way)?)?;
    Ok(sample(&contestant.name, &report))
}

/// What the load program counted, as all samples are.
pub(super) fn sample(name: &str, report: &Report) -> Sample {
    if let Some(error) = &report.first_error {
        eprintln!("{name}: {} errors, the first one: {error}", report.errors);
    }
    let share = |seconds: f64| (seconds / report.seconds).min(1.0);
    Sample {
        requests: report.completed,
        errors: report.errors,
        seconds: report.seconds,
        cpu: Duration::from_secs_f64(report.cpu_seconds),
        own: share(report.cpu_seconds),
        contestant_core: share(report.contestant_core_seconds),
        load_core: share(report.load_core_seconds),
        stolen: share(report.stolen_seconds),
    }
}

fn arguments(
    rig: &Rig,
    contestant: &Contestant,
    row: &Row,
    front: Front,
    way: impl IntoIterator<Item = String>,
) -> anyhow::Result<Vec<String>> {
    let speech = match row.speech {
        Speech::Http1 => "http1",
        Speech::Http2 => "http2",
        Speech::Unary => "unary",
        Speech::Stream => "stream",
        Speech::Echo => "echo",
        Speech::WebSocket => "websocket",
    };
    let mut arguments: Vec<String> = way.into_iter().collect();
    arguments.extend(common_arguments(rig, contestant, row.connections)?);
    arguments.extend([
        format!("--speech={speech}"),
        format!("--path={}", row.path),
        format!("--size={}", row.size),
    ]);
    if front.is_secure() {
        arguments.push(format!("--certificate={}", rig.certificate()?.certificate.display()));
    }
    Ok(arguments)
}

/// What the load program is told whatever it does.
pub(super) fn common_arguments(
    rig: &Rig,
    contestant: &Contestant,
    connections: usize,
) -> anyhow::Result<Vec<String>> {
    let pids: Vec<String> = contestant.pids()?.iter().map(u32::to_string).collect();
    Ok(vec![
        format!("--address={}", contestant.address),
        format!("--connections={connections}"),
        format!("--seconds={}", rig.pace.seconds),
        format!("--watch={}", pids.join(",")),
        format!("--contestant-core={}", rig.cores.contestant),
        format!("--load-core={}", rig.cores.load),
    ])
}

/// Runs the load program on its core.
pub(super) fn run<T: serde::de::DeserializeOwned>(rig: &Rig, arguments: Vec<String>) -> anyhow::Result<T> {
    let output = Invocation::new(&rig.tools.crowd, arguments).output(rig.load_core())?;
    serde_json::from_slice(&output.stdout).context("the load program printed no figures")
}
