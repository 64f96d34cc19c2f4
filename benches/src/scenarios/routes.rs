//! Many routes: what looking one up among thousands costs, against one route and against the peers, and how much
//! memory a route takes.

use std::time::Duration;

use super::{Judged, Lineup, Worth, closed_loop_words, notes, per_round, worth};
use crate::contestants::{Contestant, Proxy, Routes, Setup};
use crate::measure::{Better, Sample, interleave, median, sample, void_reasons};
use crate::proc::{self, Memory};
use crate::report::{Section, Table};
use crate::rig::Rig;
use crate::wrk::{Requests, route_prefix};

/// Throughput may fall by this share at most between one route and many.
const GOAL_KEPT: f64 = 0.95;

/// One contestant with a number of routes.
struct Entry {
    contestant: Contestant,
    routes: usize,
    memory: Memory,
}

/// The given numbers of routes, of which the first must be 1: the others are compared with it.
pub fn run(rig: &Rig, lineup: &Lineup, counts: &[usize]) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let mut entries = Vec::new();
    for &routes in counts {
        for proxy in lineup.all() {
            entries.push(start(
                rig,
                proxy,
                &Setup { routes: Routes::Prefixes(routes), ..Setup::plain(backend.address) },
            )?);
        }
    }
    for entry in &entries {
        sample(rig, &entry.contestant, &Requests::Routes { count: entry.routes }, 1)?;
    }
    let samples = interleave(&entries, rig.pace.rounds, |entry, round| {
        let name = &entry.contestant.name;
        eprintln!("routes: round {} of {}, {name} with {}", round + 1, rig.pace.rounds, entry.routes);
        sample(rig, &entry.contestant, &Requests::Routes { count: entry.routes }, rig.pace.short_seconds)
    })?;
    let about = format!(
        "Each route is one prefix; requests go to all of them in a scattered order, 200 B answers. nginx has a \
         `location` for each, HAProxy a `map_beg` file. {} Memory is what the program holds besides its \
         files, just after the start, shared pages divided; a route's is the growth against one route.",
        closed_loop_words(rig, rig.pace.short_seconds)
    );
    let table = table(lineup, &entries, &samples);
    Ok(Section { title: "Many routes".to_owned(), about, tables: vec![table] })
}

fn start(rig: &Rig, proxy: Proxy, setup: &Setup) -> anyhow::Result<Entry> {
    let contestant = proxy.start(rig, setup)?;
    std::thread::sleep(Duration::from_millis(500));
    let memory = proc::memory(&contestant.pids()?)?;
    let routes = setup.routes.prefixes().count();
    contestant.check_answer(&format!("{}200b", route_prefix(routes - 1)), 200)?;
    Ok(Entry { contestant, routes, memory })
}

const HEAD: [&str; 9] = [
    "program and routes",
    "CPU µs each",
    "against one route",
    "against the better peer",
    "a second",
    "against one route",
    "own memory MiB",
    "KiB a route",
    "errors",
];

fn table(lineup: &Lineup, entries: &[Entry], samples: &[Vec<Sample>]) -> Table {
    let names: Vec<String> =
        entries.iter().map(|entry| format!("{}, {}", entry.contestant.name, entry.routes)).collect();
    let mut table = Table::new("", &HEAD);
    table.notes = notes(&names, samples);
    let cpu = per_round(samples, Sample::cpu_per_request);
    let throughput = per_round(samples, Sample::throughput);
    // Entries lie in groups of one count each, the subject first in its group.
    let group = 1 + lineup.peers.len();
    for (index, entry) in entries.iter().enumerate() {
        let (first, own_first) = (index - index % group, index % group);
        let pair = [samples[index].clone(), samples[own_first].clone()];
        let pair_worth = worth(&pair);
        // Both starving alike says nothing of throughput, and still something of what a request costs.
        let failed = pair.iter().any(|its| !void_reasons(its).is_empty());
        let pair_cost_worth = if failed { Worth::Void } else { Worth::Sound };
        let against_own = |figures: &[Vec<f64>], better, goal, worth| {
            let pair = [figures[index].clone(), figures[own_first].clone()];
            let judged = Judged { figures: &pair, better, goal, worth };
            if index == own_first { String::new() } else { judged.cell(0) }
        };
        let peers = Judged {
            figures: &cpu[first..first + group],
            better: Better::Lower,
            goal: None,
            worth: worth(&samples[first..first + group]),
        };
        let goal = if own_first == 0 { lineup.goal(GOAL_KEPT) } else { None };
        table.rows.push(vec![
            names[index].clone(),
            format!("{:.1}", median(cpu[index].iter().copied())),
            against_own(&cpu, Better::Lower, None, pair_cost_worth),
            peers.cell(index - first),
            format!("{:.0}", median(throughput[index].iter().copied())),
            against_own(&throughput, Better::Higher, goal, pair_worth),
            format!("{:.1}", entry.memory.own_kib as f64 / 1024.0),
            growth(entry, &entries[own_first]),
            samples[index].iter().map(|sample| sample.errors).sum::<u64>().to_string(),
        ]);
    }
    table
}

fn growth(entry: &Entry, of_one: &Entry) -> String {
    if entry.routes == of_one.routes {
        return String::new();
    }
    let grown = entry.memory.own_kib as f64 - of_one.memory.own_kib as f64;
    format!("{:.2}", grown / (entry.routes - of_one.routes) as f64)
}
