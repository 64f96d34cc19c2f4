//! Thousands of WebSockets that say nothing: what each costs, and how soon all have heard one message.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Lineup, core_of, range};
use crate::contestants::{Service, Setup};
use crate::measure::median;
use crate::proc::{self, Memory};
use crate::process::Placement;
use crate::report::{Section, Table};
use crate::rig::Rig;

/// How many are open when memory is read, the last as far as files allow: a proxy has two for each.
const OPEN: [usize; 2] = [1_000, 10_000];
/// Files that a program has open besides.
const OTHER_FILES: u64 = 2_000;
/// Time for a program to come to rest.
const REST: Duration = Duration::from_secs(1);
const BROADCASTS: usize = 7;

/// The product's own goal, in KiB for each.
const GOAL_KIB: f64 = 5.0;

/// Memory for each WebSocket, and a broadcast to all.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let files = proc::open_files_limit()?;
    let room = usize::try_from(files.saturating_sub(OTHER_FILES) / 2)?;
    ensure!(room > OPEN[0], "only {files} files may be open; run `ulimit -n 65536` before");
    let most = OPEN[1].min(room);
    let mut table = Table::new(
        "",
        &[
            "program",
            "KiB a WebSocket, 1,000",
            &format!("KiB a WebSocket, {most}"),
            "goal",
            "ms to all",
            "least to most",
            "CPU µs a message",
        ],
    );
    let mut ends = Ends::start(rig)?;
    for (row, proxy) in lineup.all().enumerate() {
        // nginx lets go of some when less than a sixteenth is free.
        let setup = Setup {
            connections: most + most / 10,
            service: Service::WebSocket,
            ..Setup::plain(ends.service)
        };
        let contestant = proxy.start(rig, &setup)?;
        eprintln!("websockets: {}", contestant.name);
        let pids = contestant.pids()?;
        let at_rest = || -> anyhow::Result<Memory> {
            std::thread::sleep(REST);
            proc::memory(&pids)
        };
        ends.open(contestant.address, 1)?;
        let before = at_rest()?.own_kib as f64;
        let mut each = Vec::new();
        for count in [OPEN[0], most] {
            ends.open(contestant.address, count)?;
            each.push((at_rest()?.own_kib as f64 - before) / count as f64);
        }
        // What is made at the first message to each is there afterwards.
        ends.broadcast()?;
        let cpu = proc::cpu_time(&pids)?;
        let took: Vec<f64> = (0..BROADCASTS).map(|_| ends.broadcast()).collect::<anyhow::Result<_>>()?;
        let cpu = proc::cpu_time(&pids)?.saturating_sub(cpu);
        let goal = lineup
            .goal(GOAL_KIB)
            .filter(|_| row == 0)
            .map(|goal| format!("{} ≤ {goal}", if each[1] <= goal { "met" } else { "missed" }));
        table.rows.push(vec![
            contestant.name.clone(),
            format!("{:.1}", each[0]),
            format!("{:.1}", each[1]),
            goal.unwrap_or_else(|| "peer".to_owned()),
            format!("{:.1}", median(took.iter().copied())),
            range(&took),
            format!("{:.1}", cpu.as_secs_f64() * 1e6 / (BROADCASTS * most) as f64),
        ]);
        ends.close()?;
    }
    let about = format!(
        "WebSockets over HTTP/1.1 in the clear that say nothing: growth of what a program holds besides its files, against \
         the same program with one. Then the service says 100 B to each in turn, {BROADCASTS} times: from its first byte \
         until the last client has heard. Both ends are one program on {}, the contestant is on {}. As many as open files \
         allow ({files} here, two for each), at most {}.",
        core_of(rig.load_core()),
        core_of(rig.contestant_core()),
        OPEN[1]
    );
    Ok(Section { title: "WebSockets at rest".to_owned(), about, tables: vec![table] })
}

/// The program with both ends; ends when dropped.
struct Ends {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    service: SocketAddr,
}

impl Ends {
    fn start(rig: &Rig) -> anyhow::Result<Self> {
        let service = rig.free_address()?;
        let program = rig.tools.backend.with_file_name("sockets");
        let mut command = match rig.load_core() {
            Placement::Core(core) => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]).arg(&program);
                command
            }
            Placement::Anywhere => Command::new(&program),
        };
        command.args(["--listen", &service.to_string()]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take().context("its input")?;
        let answers = BufReader::new(process.stdout.take().context("its output")?).lines();
        let mut ends = Self { process, orders, answers, service };
        ends.hear()?;
        Ok(ends)
    }

    fn hear(&mut self) -> anyhow::Result<String> {
        Ok(self.answers.next().context("the program with both ends has failed, and said why")??)
    }

    fn order(&mut self, what: &str) -> anyhow::Result<String> {
        writeln!(self.orders, "{what}")?;
        self.hear()
    }

    fn open(&mut self, proxy: SocketAddr, count: usize) -> anyhow::Result<()> {
        self.order(&format!("open {proxy} {count}")).map(drop)
    }

    /// In milliseconds.
    fn broadcast(&mut self) -> anyhow::Result<f64> {
        Ok(self.order("broadcast")?.parse::<f64>()? / 1e3)
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.order("close").map(drop)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
