//! SQL over HTTP to an embedded engine: one row, ten thousand rows, one client and sixteen, beside rusqlite used directly.

use std::path::Path;

use anyhow::ensure;
use serde_json::json;

use super::{CLIENTS, QUERY, REQUESTS, selects};
use crate::contestants::{Contestant, throome};
use crate::direct::sqlite::{
    FILL, GROW_LOG, INSERT_ONE, PLACE, ROWS, SELECT_ALL, SELECT_ONE, TABLES, person,
};
use crate::measure::{Sample, interleave, sample_over};
use crate::report::{Section, Table};
use crate::rig::{Rig, require_program};
use crate::scenarios::calls::{self, Direct, How, Timed, Waiting, ask, latency_table, path, result_table};
use crate::scenarios::{Goals, core_of, load_table};
use crate::wrk::Requests;

/// What a one-row statement may cost on top of the driver's own call at p50, in microseconds.
const GOAL_US: f64 = 60.0;

const EXECUTE: &str = "db/execute";

/// Statements alone, many at a time, and a large result.
pub(super) fn run(rig: &Rig) -> anyhow::Result<Section> {
    for program in ["wrk", "taskset", "setpriv"] {
        require_program(program)?;
    }
    let gateway = throome::embedded(rig)?.start(rig.contestant_core())?;
    let directory = rig.directory_for("direct")?;
    prepare(&gateway)?;
    let tables = vec![
        select_alone(rig, &gateway, &directory)?,
        insert_alone(rig, &gateway, &directory)?,
        together(rig, &gateway, &directory, "SELECT", QUERY, selects(SELECT_ONE))?,
        together(rig, &gateway, &directory, "INSERT", EXECUTE, inserts())?,
        all_rows(rig, &gateway, &directory)?,
    ];
    let about = format!(
        "A table of {ROWS} rows of five columns in a file; throome's `sqlite` by `POST …/{QUERY}` and `…/{EXECUTE}` on \
         its data door, keep-alive. Beside it rusqlite in a process on the same core as the gateway ({}): the same \
         statements, prepared once and cached, values bound and read by type, WAL and `synchronous = FULL` on both \
         sides, the log grown to its size beforehand, and each INSERT its own commit. With one client, our own on {} sends one request after the other and \
         waits without sleeping; `cache/get` on the same door shows what HTTP and the gateway cost where nothing is \
         asked of a database. What is added is the difference of the two in each round. With {CLIENTS} clients, wrk \
         for throome, threads for rusqlite: each reads on its own connection, and they share the one that writes. {} \
         interleaved rounds of {} s.",
        core_of(rig.contestant_core()),
        core_of(rig.load_core()),
        rig.pace.rounds,
        rig.pace.short_seconds
    );
    Ok(Section { title: "SQL over HTTP: sqlite".to_owned(), about, tables })
}

fn prepare(gateway: &Contestant) -> anyhow::Result<()> {
    for statement in TABLES.into_iter().chain([FILL]).chain(GROW_LOG) {
        ask(gateway, EXECUTE, &json!({ "query": statement }))?;
    }
    ask(gateway, "cache/set", &json!({ "key": "bench", "value": "x".repeat(100) }))?;
    // Once with open eyes, so that nobody is fast at the wrong thing.
    let one = ask(gateway, QUERY, &serde_json::from_str(&selects(SELECT_ONE)[0])?)?;
    ensure!(one.contains(&format!("\"name\":\"Person {}\"", person(0))), "another row came back: {one}");
    let all = ask(gateway, QUERY, &json!({ "query": SELECT_ALL }))?;
    ensure!(all.contains(&format!("\"row_count\":{ROWS}")), "not all rows came back");
    Ok(())
}

fn inserts() -> Vec<String> {
    let body = |call| json!({ "query": INSERT_ONE, "args": [person(call), PLACE] }).to_string();
    (0..REQUESTS).map(body).collect()
}

/// The gateway, its peer, and the floor.
fn alone<'a>(
    gateway: &'a Contestant,
    directory: &Path,
    call: &'static str,
    bodies: Vec<String>,
    work: &'static str,
) -> Vec<Timed<'a>> {
    let get = json!({ "key": "bench" }).to_string();
    vec![
        Timed {
            name: format!("throome, {call}"),
            how: How::Http { gateway, call, bodies, waiting: Waiting::Awake },
        },
        Timed { name: "rusqlite".to_owned(), how: How::Direct(Direct::embedded(work, directory, 1)) },
        Timed {
            name: "throome, cache/get".to_owned(),
            how: How::Http { gateway, call: "cache/get", bodies: vec![get], waiting: Waiting::Awake },
        },
    ]
}

fn select_alone(rig: &Rig, gateway: &Contestant, directory: &Path) -> anyhow::Result<Table> {
    let all = alone(gateway, directory, QUERY, selects(SELECT_ONE), "select");
    let rounds = calls::rounds(rig, "SELECT", &all)?;
    Ok(latency_table("SELECT of one row by primary key, one client", &all, &rounds, Some(GOAL_US), 1))
}

fn insert_alone(rig: &Rig, gateway: &Contestant, directory: &Path) -> anyhow::Result<Table> {
    let mut all = alone(gateway, directory, EXECUTE, inserts(), "insert");
    all.truncate(2);
    let rounds = calls::rounds(rig, "INSERT", &all)?;
    Ok(latency_table("INSERT of one row, one client", &all, &rounds, Some(GOAL_US), 1))
}

fn all_rows(rig: &Rig, gateway: &Contestant, directory: &Path) -> anyhow::Result<Table> {
    let bodies = vec![json!({ "query": SELECT_ALL }).to_string()];
    let mut all = alone(gateway, directory, QUERY, bodies, "rows");
    all.truncate(2);
    let rounds = calls::rounds(rig, "rows", &all)?;
    let mut table = result_table("SELECT of 10,000 rows, one client", &all, &rounds);
    table.notes.push("Bytes are JSON for throome and the content of the cells for rusqlite.".to_owned());
    Ok(table)
}

/// Many clients at once.
fn together(
    rig: &Rig,
    gateway: &Contestant,
    directory: &Path,
    what: &str,
    call: &'static str,
    bodies: Vec<String>,
) -> anyhow::Result<Table> {
    let requests = Requests::Bodies { path: path(call), bodies };
    let work = if call == QUERY { "select" } else { "insert" };
    let peer = Direct::embedded(work, directory, CLIENTS);
    let seconds = rig.pace.short_seconds;
    let names = [format!("throome, {call}"), "rusqlite".to_owned()];
    let samples = interleave(&names, rig.pace.rounds, |name, round| {
        eprintln!("{what}, {CLIENTS} clients: round {} of {}, {name}", round + 1, rig.pace.rounds);
        if *name == names[0] {
            sample_over(rig, gateway, &requests, seconds, CLIENTS)
        } else {
            Ok(Sample::of_its_own(&peer.run(rig, seconds)?))
        }
    })?;
    Ok(load_table(&format!("{what} of one row, {CLIENTS} clients"), &names, &samples, Goals::default()))
}
