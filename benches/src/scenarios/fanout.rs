//! Consuming over HTTP: how long a message takes to two hundred groups and to one, and how fast one consumer is.

use anyhow::Context;
use serde_json::json;

use super::calls::{Direct, ask, cpu_us, errors, void_notes, worth};
use super::{Judged, core_of, per_round, percent};
use crate::consumers::fanout::{Report, SETTLED_AT_ONCE};
use crate::contestants::{Contestant, throome};
use crate::direct::log::{MESSAGE, message};
use crate::measure::{Better, interleave, median};
use crate::process::Invocation;
use crate::report::{Section, Table};
use crate::rig::{Rig, require_program};
use crate::timings::Timings;

/// Groups that follow the one topic, and messages published in a second.
const LOADS: [(usize, u32); 4] = [(1, 20), (200, 20), (1, 100), (200, 100)];

/// Messages that one consumer takes in a round, those that it may have unsettled, those settled with one call.
const COUNT: usize = 20_000;
const CREDIT: usize = 1_000;
const BATCH: usize = 250;

/// Messages of a publish that fills the topic.
const FILLED_AT_ONCE: usize = 500;

/// Fan-out, then one consumer alone.
pub fn run(rig: &Rig) -> anyhow::Result<Section> {
    for program in ["taskset", "setpriv"] {
        require_program(program)?;
    }
    let gateway = throome::embedded(rig)?.start(rig.contestant_core())?;
    let reports = interleave(&LOADS, rig.pace.rounds, |&(groups, rate), round| {
        eprintln!("fan-out: round {} of {}, {groups} groups, {rate} a second", round + 1, rig.pace.rounds);
        fan_out(rig, &gateway, groups, rate)
    })?;
    let drained = drain(rig, &gateway)?;
    let about = format!(
        "Messages of {MESSAGE} B on a topic of one partition of throome's `log`, read by `GET …/queue/consume` as lines \
         of JSON on the data door. Fan-out: every group has one consumer and gets every message; publishes come at \
         a steady rate, whatever becomes of it, and latency is from when a publish was due (its commit to the disk is \
         in it) to when our reader had the message. All readers share {} with the publishers: reading {} streams one \
         after the other is in the figures. Groups have the default credit and acknowledge {SETTLED_AT_ONCE} messages at a time. Then one consumer with credit {CREDIT} \
         takes {COUNT} messages that are there and acknowledges {BATCH} at a time, beside the engine used directly, \
         which reads pages of {BATCH} and writes its progress down after each. {} interleaved rounds of {} s, the \
         gateway on {}.",
        core_of(rig.load_core()),
        LOADS[1].0,
        rig.pace.rounds,
        rig.pace.short_seconds,
        core_of(rig.contestant_core()),
    );
    let tables = vec![fan_out_table(&reports), drained];
    Ok(Section { title: "Consuming over HTTP".to_owned(), about, tables })
}

/// One round on a topic of its own, which is gone afterwards with all its groups.
fn fan_out(rig: &Rig, gateway: &Contestant, groups: usize, rate: u32) -> anyhow::Result<Report> {
    ask(gateway, "queue/topics", &json!({ "topic": "fanout" }))?;
    let mut arguments = vec!["fanout".to_owned()];
    arguments.extend(place(gateway, "fanout")?);
    arguments.extend([
        format!("--groups={groups}"),
        format!("--rate={rate}"),
        format!("--seconds={}", rig.pace.short_seconds),
    ]);
    let output = Invocation::new(&rig.tools.consumers, arguments).output(rig.load_core())?;
    remove(gateway, "fanout")?;
    serde_json::from_slice(&output.stdout).context("the readers printed no figures")
}

fn remove(gateway: &Contestant, topic: &str) -> anyhow::Result<()> {
    let path = super::calls::path(&format!("queue/topics/{topic}"));
    let request = format!("DELETE {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address);
    let answer = crate::client::Connection::open(gateway.address)?.exchange(request.as_bytes())?;
    anyhow::ensure!(answer.is_success(), "the topic is not removed: {}", answer.status);
    Ok(())
}

fn place(gateway: &Contestant, topic: &str) -> anyhow::Result<Vec<String>> {
    let pids: Vec<String> = gateway.pids()?.iter().map(u32::to_string).collect();
    Ok(vec![
        gateway.address.to_string(),
        format!("--queue={}", super::calls::path("queue")),
        format!("--topic={topic}"),
        format!("--watch={}", pids.join(",")),
    ])
}

const FAN_OUT_HEAD: [&str; 9] = [
    "groups, messages a second",
    "p50 ms",
    "p99 ms",
    "max ms",
    "publish p50 ms",
    "CPU µs a delivery",
    "own core",
    "published late",
    "errors",
];

fn fan_out_table(reports: &[Vec<Report>]) -> Table {
    let mut table = Table::new("From publish to delivery", &FAN_OUT_HEAD);
    for (&(groups, rate), its) in LOADS.iter().zip(reports) {
        let arrivals: Vec<Timings> = its.iter().map(|report| report.arrivals.clone()).collect();
        let publishes: Vec<Timings> = its.iter().map(|report| report.publishes.clone()).collect();
        let settlements = its.iter().map(|report| report.settlements.clone()).collect();
        let name = format!("{groups}, {rate}");
        let all = [arrivals.clone(), publishes.clone(), settlements];
        let notes = void_notes(&[&name, &name, &name], &all);
        let void = !notes.is_empty();
        table.notes.extend(notes);
        let ms = |figure: f64| if void { format!("void ({figure:.2})") } else { format!("**{figure:.2}**") };
        let middle = |figure: fn(&Timings) -> f64| median(arrivals.iter().map(figure));
        let busy = |timings: &Timings| timings.cpu_seconds.unwrap_or(f64::NAN) / timings.seconds;
        table.rows.push(vec![
            name,
            ms(middle(|timings| timings.p50_us) / 1e3),
            ms(middle(|timings| timings.p99_us) / 1e3),
            format!("{:.2}", arrivals.iter().map(|timings| timings.max_us).fold(0.0, f64::max) / 1e3),
            format!("{:.2}", median(publishes.iter().map(|timings| timings.p50_us)) / 1e3),
            format!("{:.1}", middle(cpu_us)),
            percent(median(arrivals.iter().map(busy))),
            its.iter().map(|report| report.late).sum::<u64>().to_string(),
            all.iter().flatten().map(|timings| timings.errors).sum::<u64>().to_string(),
        ]);
    }
    table
}

/// One consumer of what is there, beside the engine.
fn drain(rig: &Rig, gateway: &Contestant) -> anyhow::Result<Table> {
    ask(gateway, "queue/topics", &json!({ "topic": "drain" }))?;
    for first in (0..COUNT).step_by(FILLED_AT_ONCE) {
        let messages: Vec<_> =
            (first..first + FILLED_AT_ONCE).map(|number| json!({ "message": message(number) })).collect();
        ask(gateway, "queue/publish", &json!({ "topic": "drain", "messages": messages }))?;
    }
    let peer = Direct::embedded("consume", &rig.directory_for("direct")?, 1)
        .told(format!("--count={COUNT}"))
        .told(format!("--batch={BATCH}"));
    let names = ["throome, queue/consume", "the engine"];
    let groups = std::cell::Cell::new(0);
    let take = |name: &&str| {
        if *name != names[0] {
            return peer.run(rig, 0);
        }
        // A group that has read nothing: each round begins at the first message.
        let group = groups.replace(groups.get() + 1);
        let mut arguments = vec!["drain".to_owned()];
        arguments.extend(place(gateway, "drain")?);
        arguments.extend([
            format!("--group=g{group}"),
            format!("--count={COUNT}"),
            format!("--credit={CREDIT}"),
            format!("--batch={BATCH}"),
        ]);
        let output = Invocation::new(&rig.tools.consumers, arguments).output(rig.load_core())?;
        serde_json::from_slice(&output.stdout).context("the reader printed no figures")
    };
    for name in &names {
        take(name)?;
    }
    let rounds = interleave(&names, rig.pace.rounds, |name, round| {
        eprintln!("consume: round {} of {}, {name}", round + 1, rig.pace.rounds);
        take(name)
    })?;
    Ok(drain_table(&names, &rounds))
}

fn drain_table(names: &[&str], rounds: &[Vec<Timings>]) -> Table {
    let head = ["one consumer", "messages a second", "against the peer", "CPU µs each", "errors"];
    let mut table = Table::new("What is there, as fast as it goes", &head);
    table.notes = void_notes(names, rounds);
    let rates = per_round(rounds, Timings::rate);
    let judged = Judged { figures: &rates, better: Better::Higher, goal: None, worth: worth(rounds) };
    for (row, its) in rounds.iter().enumerate() {
        table.rows.push(vec![
            names[row].to_owned(),
            format!("{:.0}", median(rates[row].iter().copied())),
            judged.cell(row),
            format!("{:.1}", median(its.iter().map(cpu_us))),
            errors(its),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(p99_us: f64, lost: u64) -> Report {
        let first_error = (lost > 0).then(|| "a group did not get every message".to_owned());
        let arrivals = Timings {
            completed: 8_000,
            errors: lost,
            first_error,
            seconds: 2.0,
            p50_us: 2_000.0,
            p99_us,
            max_us: 9_000.0,
            cpu_seconds: Some(0.2),
            ..Timings::default()
        };
        let publishes = Timings { completed: 40, seconds: 2.0, p50_us: 1_000.0, ..Timings::default() };
        Report { late: 1, arrivals, settlements: publishes.clone(), publishes }
    }

    #[test]
    fn a_lost_message_voids_its_row_alone() {
        let sound = vec![report(4_000.0, 0); 3];
        let lost = vec![report(4_000.0, 0), report(4_000.0, 1), report(4_000.0, 0)];
        let table = fan_out_table(&[sound.clone(), lost, sound.clone(), sound]);
        assert_eq!(
            table.rows[0],
            ["1, 20", "**2.00**", "**4.00**", "9.00", "1.00", "25.0", "10 %", "3", "0"]
        );
        assert_eq!((table.rows[1][2].as_str(), table.rows[1][8].as_str()), ("void (4.00)", "1"));
        assert_eq!(table.notes.len(), 1, "{:?}", table.notes);
    }
}
