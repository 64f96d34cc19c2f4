//! Publishing over HTTP to the embedded queue: one client, fifty, and batches, beside `disk` used directly.

use std::path::Path;

use serde_json::json;

use super::{BATCH, CALL, hundred, one};
use crate::contestants::{Contestant, throome};
use crate::direct::log::MESSAGE;
use crate::measure::{Sample, interleave, median, sample_over};
use crate::report::{Section, Table};
use crate::rig::{CONNECTIONS, Rig, require_program};
use crate::scenarios::calls::{self, Direct, How, Timed, Waiting, ask, latency_table, path};
use crate::scenarios::{Goals, core_of, load_table, per_round};
use crate::timings::Timings;
use crate::wrk::Requests;

const TOPIC: &str = "bench";

/// One at a time, fifty at a time, a hundred in one.
pub(super) fn run(rig: &Rig) -> anyhow::Result<Section> {
    for program in ["wrk", "taskset", "setpriv"] {
        require_program(program)?;
    }
    let gateway = throome::embedded(rig)?.start(rig.contestant_core())?;
    let directory = rig.directory_for("direct")?;
    ask(&gateway, "queue/topics", &json!({ "topic": TOPIC }))?;
    // Brings the write-ahead log to its size, as the peer does with its own: 8 MiB of messages and more.
    for _ in 0..400 {
        ask(&gateway, CALL, &hundred(TOPIC))?;
    }
    let (alone, alone_rounds) =
        timed(rig, &gateway, &directory, &format!("One message of {MESSAGE} B, one client"), &one(TOPIC), 1)?;
    let together = together(rig, &gateway, &directory, &alone_rounds)?;
    let (batches, _) = timed(
        rig,
        &gateway,
        &directory,
        &format!("{BATCH} messages of {MESSAGE} B in one publish, one client; messages a second"),
        &hundred(TOPIC),
        BATCH,
    )?;
    let about = format!(
        "Messages of {MESSAGE} B to one topic of one partition; throome's `log` by `POST …/{CALL}` on its data door, \
         answered when the messages are on the disk. Beside it the engine under it, used directly in a process on the \
         same core as the gateway ({}): rows of the same content, each call waiting until its transaction is on the \
         disk; the log of both was grown to its size beforehand. One client is ours, which waits without sleeping; {CONNECTIONS} are wrk for throome and tasks for the \
         engine. {} interleaved rounds of {} s. What the disk is capable of decides absolute figures.",
        core_of(rig.contestant_core()),
        rig.pace.rounds,
        rig.pace.short_seconds
    );
    Ok(Section {
        title: "Publishing over HTTP: log".to_owned(),
        about,
        tables: vec![alone, together, batches],
    })
}

fn direct(directory: &Path, callers: usize, batch: usize) -> Direct {
    Direct::embedded("publish", directory, callers).told(format!("--batch={batch}"))
}

fn timed(
    rig: &Rig,
    gateway: &Contestant,
    directory: &Path,
    caption: &str,
    body: &serde_json::Value,
    batch: usize,
) -> anyhow::Result<(Table, Vec<Vec<Timings>>)> {
    let all = [
        Timed {
            name: format!("throome, {CALL}"),
            how: How::Http { gateway, call: CALL, bodies: vec![body.to_string()], waiting: Waiting::Awake },
        },
        Timed { name: "the engine".to_owned(), how: How::Direct(direct(directory, 1, batch)) },
    ];
    let rounds = calls::rounds(rig, &format!("publish of {batch}"), &all)?;
    Ok((latency_table(caption, &all, &rounds, None, batch), rounds))
}

fn together(
    rig: &Rig,
    gateway: &Contestant,
    directory: &Path,
    alone: &[Vec<Timings>],
) -> anyhow::Result<Table> {
    let requests = Requests::Bodies { path: path(CALL), bodies: vec![one(TOPIC).to_string()] };
    let peer = direct(directory, CONNECTIONS, 1);
    let seconds = rig.pace.short_seconds;
    let names = [format!("throome, {CALL}"), "the engine".to_owned()];
    let mut a_commit = Vec::new();
    let samples = interleave(&names, rig.pace.rounds, |name, round| {
        eprintln!("publish, {CONNECTIONS} clients: round {} of {}, {name}", round + 1, rig.pace.rounds);
        if *name == names[0] {
            return sample_over(rig, gateway, &requests, seconds, CONNECTIONS);
        }
        let timings = peer.run(rig, seconds)?;
        a_commit.push(timings.completed as f64 / timings.commits.unwrap_or_default().max(1) as f64);
        Ok(Sample::of_its_own(&timings))
    })?;
    let caption = format!("One message of {MESSAGE} B, {CONNECTIONS} clients");
    let mut table = load_table(&caption, &names, &samples, Goals::default());
    table.notes.push(format!("Group commit: directly, {:.1} publishes go to a commit.", median(a_commit)));
    // Against rounds that say nothing, a gain would say less.
    if calls::unsteady(&per_round(alone, |timings| timings.p50_us)).is_none() {
        let gain = |row: usize| {
            let many = median(samples[row].iter().map(Sample::throughput));
            many / median(alone[row].iter().map(Timings::rate))
        };
        table.notes.push(format!(
            "{CONNECTIONS} clients publish {:.1} times as much a second as one; directly it is {:.1} times.",
            gain(0),
            gain(1)
        ));
    }
    Ok(table)
}
