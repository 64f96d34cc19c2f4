//! Memory at rest: with no connection, and with thousands that have asked once and then stay open.

use std::time::Duration;

use anyhow::ensure;

use super::Lineup;
use crate::client::{Connection, get};
use crate::contestants::{Contestant, Setup};
use crate::proc::{self, Memory};
use crate::report::{Section, Table};
use crate::rig::Rig;

/// How many connections are open when memory is read.
const OPEN: [usize; 2] = [1_000, 10_000];
/// What every contestant is configured to hold for that.
const ROOM: usize = 11_000;
/// One for each client that may come, and the rest of a program.
const OPEN_FILES: u64 = ROOM as u64 + 1_000;
/// Time for a program to come to rest.
const REST: Duration = Duration::from_secs(1);

/// The product's own goal, in MiB.
const GOAL_MIB: f64 = 30.0;

/// Resident memory, and its growth for each connection.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let limit = proc::open_files_limit()?;
    ensure!(
        limit >= OPEN_FILES,
        "only {limit} files may be open, and {OPEN_FILES} are needed; run `ulimit -n 65536` before, or scripts/bench.sh, \
         which tries to"
    );
    let backend = rig.start_backend()?;
    let mut table = Table::new(
        "",
        &[
            "program",
            "resident MiB",
            "proportional MiB",
            "KiB a connection, 1,000",
            "KiB a connection, 10,000",
        ],
    );
    for (row, proxy) in lineup.all().enumerate() {
        let plain = proxy.start(rig, &Setup::plain(backend.address))?;
        eprintln!("idle: {}", plain.name);
        std::thread::sleep(REST);
        let memory = proc::memory(&plain.pids()?)?;
        let name = plain.name.clone();
        drop(plain);
        let roomy = proxy.start(rig, &Setup { connections: ROOM, ..Setup::plain(backend.address) })?;
        let mut cells = vec![name, mib(memory.resident_kib), mib(memory.proportional_kib)];
        cells.extend(growth(&roomy)?.map(|kib| format!("{kib:.1}")));
        table.rows.push(cells);
        if row == 0 && lineup.goal(GOAL_MIB).is_some() {
            let met = if (memory.resident_kib as f64) < GOAL_MIB * 1024.0 { "met" } else { "missed" };
            table.notes.push(format!("Goal: under {GOAL_MIB:.0} MiB resident, {met}."));
        }
    }
    let about = format!(
        "All processes of a program together; resident counts pages that they share once for each, proportional \
         divides them. No connection: as configured for {} of them. With connections: configured for {ROOM}, each \
         asked for 200 B once and then left open; growth of what it holds besides its files, against the same program \
         before the first one.",
        crate::contestants::USUAL_CONNECTIONS
    );
    Ok(Section { title: "Memory at rest".to_owned(), about, tables: vec![table] })
}

/// KiB for each connection, at each number of open ones.
fn growth(contestant: &Contestant) -> anyhow::Result<[f64; OPEN.len()]> {
    let request = get(contestant.address, "/200b");
    // One request first, so that what the program makes at its first request is not charged to connections.
    open_asked_once(contestant, &request)?;
    let before = at_rest(contestant)?;
    let mut connections = Vec::new();
    let mut growth = [0.0; OPEN.len()];
    for (slot, &count) in growth.iter_mut().zip(&OPEN) {
        while connections.len() < count {
            connections.push(open_asked_once(contestant, &request)?);
        }
        let grown = at_rest(contestant)?.own_kib as f64 - before.own_kib as f64;
        *slot = grown / count as f64;
    }
    Ok(growth)
}

fn open_asked_once(contestant: &Contestant, request: &[u8]) -> anyhow::Result<Connection> {
    let mut connection = Connection::open_sized(contestant.address, 2 * 1024)?;
    let answer = connection.exchange_discarding(request)?;
    ensure!(
        answer.is_success() && !answer.closes,
        "{} does not keep its connections: {answer:?}",
        contestant.name
    );
    Ok(connection)
}

fn at_rest(contestant: &Contestant) -> anyhow::Result<Memory> {
    std::thread::sleep(REST);
    proc::memory(&contestant.pids()?)
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}
