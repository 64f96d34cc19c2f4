//! Many routes: what looking one up among thousands costs, against one route and against the peers, and how much
//! memory a route takes.

use std::time::Duration;

use super::field::{Absent, tell_absent};
use super::{Judged, Lineup, Worth, closed_loop_words, notes, per_round, worth};
use crate::contestants::{Contestant, Proxy, Routes, Setup};
use crate::measure::{Better, Sample, interleave, median, sample, void_reasons};
use crate::proc::{self, Memory};
use crate::report::{Section, Table};
use crate::rig::Rig;
use crate::wrk::{Requests, route_prefix};

/// Throughput may fall by this share at most between one route and many.
const GOAL_KEPT: f64 = 0.95;

/// With more routes than this, those who look through all of them one by one are left out: their start and each of
/// their answers take a time that grows with the number, as the smaller ones show.
const MANY: usize = 5_000;

/// One contestant with a number of routes.
struct Entry {
    proxy: Proxy,
    contestant: Contestant,
    routes: usize,
    memory: Memory,
}

/// The given numbers of routes, of which the first must be 1: the others are compared with it.
pub fn run(rig: &Rig, lineup: &Lineup, counts: &[usize]) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let mut entries = Vec::new();
    let mut absent = Vec::new();
    for &routes in counts {
        for proxy in lineup.all().filter(|proxy| routes <= MANY || !looks_through_all(*proxy)) {
            let setup = Setup { routes: Routes::Prefixes(routes), ..Setup::plain(backend.address) };
            match start(rig, proxy, &setup) {
                Ok(entry) => entries.push(entry),
                Err(error) => absent.push(Absent {
                    name: format!("{}, {routes}", proxy.name()),
                    reason: format!("{error:#}"),
                }),
            }
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
         `location` for each, HAProxy a `map_beg` file, Envoy a map of prefixes, Traefik a router and Caddy a matcher for \
         each; the last two look through all of them and are left out with more than {MANY}. {} Memory is what the program holds besides its \
         files, just after the start, shared pages divided; a route's is the growth against one route.",
        closed_loop_words(rig, rig.pace.short_seconds)
    );
    let mut table = table(lineup, &entries, &samples);
    tell_absent(&absent, &mut table);
    Ok(Section { title: "Many routes".to_owned(), about, tables: vec![table] })
}

fn looks_through_all(proxy: Proxy) -> bool {
    match proxy {
        Proxy::Traefik | Proxy::Caddy => true,
        Proxy::Throome | Proxy::Nginx | Proxy::Haproxy | Proxy::Envoy => false,
    }
}

fn start(rig: &Rig, proxy: Proxy, setup: &Setup) -> anyhow::Result<Entry> {
    let contestant = proxy.start(rig, setup)?;
    std::thread::sleep(Duration::from_millis(500));
    let memory = proc::memory(&contestant.pids()?)?;
    let routes = setup.routes.prefixes().count();
    contestant.check_answer(&format!("{}200b", route_prefix(routes - 1)), 200)?;
    Ok(Entry { proxy, contestant, routes, memory })
}

pub(super) const HEAD: [&str; 9] = [
    "program and routes",
    "CPU µs each",
    "against one route",
    "against the best peer",
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
    for (index, entry) in entries.iter().enumerate() {
        // With as many routes, the subject first if it is there; and the same program with the fewest.
        let group: Vec<usize> =
            (0..entries.len()).filter(|other| entries[*other].routes == entry.routes).collect();
        let own_first = entries.iter().position(|other| other.proxy == entry.proxy).unwrap_or(index);
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
        let is_judged = group.first().is_some_and(|first| entries[*first].proxy == lineup.subject);
        let compared: &[usize] = if is_judged { &group } else { &[] };
        let figures: Vec<Vec<f64>> = compared.iter().map(|other| cpu[*other].clone()).collect();
        let group_samples: Vec<Vec<Sample>> = compared.iter().map(|other| samples[*other].clone()).collect();
        let peers =
            Judged { figures: &figures, better: Better::Lower, goal: None, worth: worth(&group_samples) };
        let row = group.iter().position(|other| *other == index).unwrap_or_default();
        let goal = if entry.proxy == lineup.subject { lineup.goal(GOAL_KEPT) } else { None };
        table.rows.push(vec![
            names[index].clone(),
            format!("{:.1}", median(cpu[index].iter().copied())),
            against_own(&cpu, Better::Lower, None, pair_cost_worth),
            peers.cell(row),
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
