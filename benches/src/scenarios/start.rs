//! How long a start takes: from just before the program is executed to the first 200 on its health path.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Judged, Lineup, Worth, range};
use crate::client::{Connection, get};
use crate::contestants::{Launch, Setup};
use crate::measure::{Better, interleave, median};
use crate::process::{Placement, Process};
use crate::report::{Section, Table};
use crate::rig::Rig;

/// Between two questions; short against the milliseconds measured, long enough to leave the program its core.
const PAUSE: Duration = Duration::from_micros(100);

/// The product's own goal, in milliseconds.
const GOAL_MS: f64 = 50.0;

/// The median of many starts, interleaved.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let setup = Setup::plain(backend.address);
    let launches: Vec<Launch> =
        lineup.all().map(|proxy| proxy.prepare(rig, &setup)).collect::<anyhow::Result<_>>()?;
    let milliseconds = interleave(&launches, rig.pace.starts, |launch, _| {
        Ok(time_to_health(launch).with_context(|| launch.name.clone())?.as_secs_f64() * 1e3)
    })?;
    let mut table = Table::new("", &["program", "ms", "least to most", "against the best peer"]);
    let judged = Judged { figures: &milliseconds, better: Better::Lower, goal: None, worth: Worth::Sound };
    for (row, launch) in launches.iter().enumerate() {
        let its = &milliseconds[row];
        table.rows.push(vec![
            launch.name.clone(),
            format!("{:.1}", median(its.iter().copied())),
            range(its),
            judged.cell(row),
        ]);
    }
    if lineup.goal(GOAL_MS).is_some() {
        let own = median(milliseconds[0].iter().copied());
        let met = if own < GOAL_MS { "met" } else { "missed" };
        table.notes.push(format!("Goal: under {GOAL_MS:.0} ms, {met}."));
    }
    let about = format!(
        "{} starts each, interleaved, on any core; asked every {} µs. Throome's control door, the others' own health \
         answer. All but the first start find the program in the page cache, and Throome its data directory.",
        rig.pace.starts,
        PAUSE.as_micros()
    );
    Ok(Section { title: "Start".to_owned(), about, tables: vec![table] })
}

fn time_to_health(launch: &Launch) -> anyhow::Result<Duration> {
    let (address, path) = launch.health;
    let request = get(address, path);
    let begin = Instant::now();
    let mut process = Process::start(&launch.invocation, Placement::Anywhere, &launch.log)?;
    loop {
        let answer = Connection::open_sized(address, 8 * 1024).and_then(|mut open| open.exchange(&request));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(begin.elapsed());
        }
        process.check_alive()?;
        anyhow::ensure!(
            begin.elapsed() < Duration::from_secs(15),
            "no health after 15 s: {}",
            process.last_words()
        );
        std::thread::sleep(PAUSE);
    }
}
