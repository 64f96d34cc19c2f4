//! SQL over HTTP to PostgreSQL: one row and ten thousand, one client and sixteen, beside tokio-postgres used directly,
//! and pgbench directly and through PgBouncer for orientation.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::{CLIENTS, QUERY, selects};
use crate::contestants::{Contestant, throome};
use crate::direct::postgres::{SELECT_ALL, SELECT_ONE, prepare};
use crate::direct::sqlite::{ROWS, person};
use crate::measure::{Sample, interleave, median, sample_over, sample_while};
use crate::pgbench::Load;
use crate::proc;
use crate::report::{Section, Table};
use crate::rig::{Rig, require_program};
use crate::scenarios::calls::{self, Direct, How, Timed, Waiting, ask, latency_table, path, result_table};
use crate::scenarios::{Goals, core_of, load_table_beside};
use crate::servers::{DATABASE, PASSWORD, Servers, USER};
use crate::timings::Timings;
use crate::wrk::{Outcome, Requests};

/// What a one-row statement may cost on top of the driver's own call at p50, in microseconds.
const GOAL_US: f64 = 100.0;

const DRIVER: &str = "tokio-postgres";

/// Everybody who takes part; without Throome the others are measured alone.
struct Parties {
    gateway: Option<Contestant>,
    servers: Servers,
    /// Where pgbench may write.
    directory: PathBuf,
}

/// One row alone, many at a time, and a large result.
pub(super) fn run(rig: &Rig) -> anyhow::Result<Section> {
    for program in ["wrk", "pgbench", "pgbouncer", "taskset", "setpriv"] {
        require_program(program)?;
    }
    let mut servers = Servers::new()?;
    servers.start(&["postgres"], rig.load_core())?;
    servers.start(&["pgbouncer"], rig.contestant_core())?;
    prepare(&servers.database("postgres")?)?;
    let gateway = match rig.tools.throome {
        Some(_) => Some(start(rig, &servers)?),
        None => None,
    };
    let parties = Parties { gateway, servers, directory: rig.directory_for("pgbench")? };
    let tables = vec![one_client(rig, &parties)?, many_clients(rig, &parties)?, all_rows(rig, &parties)?];
    let about = format!(
        "A table of {ROWS} rows of five columns in PostgreSQL, which is on {load} with the clients; nobody encrypts. Throome's `postgres` by \
         `POST …/{QUERY}` on its data door, keep-alive. Beside it tokio-postgres in a process on the same core as the \
         gateway ({core}): the same statements, prepared once, one connection for each caller, every cell read. What is \
         added is the difference of the two in each round. With one client, our own, which sleeps while it waits, since \
         the server needs the core; `cache/get` from Throome's own memory shows what HTTP and the gateway cost where no \
         database is asked. With {CLIENTS} clients, wrk for throome, tasks for the driver. For orientation pgbench with \
         the same statement: directly on {core} with statements prepared, and from {load} through PgBouncer in \
         transaction mode on {core}, whose processor time is then what stands here; before its version 1.21 PgBouncer keeps no \
         prepared statements in that mode, so that each is parsed anew. {rounds} interleaved rounds of {seconds} s.",
        load = core_of(rig.load_core()),
        core = core_of(rig.contestant_core()),
        rounds = rig.pace.rounds,
        seconds = rig.pace.short_seconds
    );
    Ok(Section { title: "SQL over HTTP: postgres".to_owned(), about, tables })
}

/// The gateway before the server, asked once with open eyes, so that nobody is fast at the wrong thing.
fn start(rig: &Rig, servers: &Servers) -> anyhow::Result<Contestant> {
    let at = servers.address("postgres")?;
    let service = format!(
        "db: {{ type: postgres, host: {}, port: {}, username: {USER}, password: {PASSWORD}, database: {DATABASE}, \
         sslmode: disable, pool: {{ max_connections: {CLIENTS} }} }}",
        at.ip(),
        at.port()
    );
    let gateway = throome::before(rig, &service)?.start(rig.contestant_core())?;
    ask(&gateway, "cache/set", &json!({ "key": "bench", "value": "x".repeat(100) }))?;
    let one = ask(&gateway, QUERY, &serde_json::from_str(&selects(SELECT_ONE)[0])?)?;
    ensure!(one.contains(&format!("\"name\":\"Person {}\"", person(0))), "another row came back: {one}");
    let all = ask(&gateway, QUERY, &json!({ "query": SELECT_ALL }))?;
    ensure!(all.contains(&format!("\"row_count\":{ROWS}")), "not all rows came back");
    Ok(gateway)
}

impl Parties {
    fn driver(&self, work: &'static str, callers: usize) -> anyhow::Result<Direct> {
        Ok(Direct::remote(work, &self.servers.database("postgres")?, callers))
    }

    /// The gateway, where there is one, its peer, and the floor.
    fn timed(&self, work: &'static str, bodies: Vec<String>) -> anyhow::Result<Vec<Timed<'_>>> {
        let http = |gateway, call: &'static str, bodies| Timed {
            name: format!("throome, {call}"),
            how: How::Http { gateway, call, bodies, waiting: Waiting::Asleep },
        };
        let driver = Timed { name: DRIVER.to_owned(), how: How::Direct(self.driver(work, 1)?) };
        Ok(match &self.gateway {
            None => vec![driver],
            Some(gateway) => {
                let floor = http(gateway, "cache/get", vec![json!({ "key": "bench" }).to_string()]);
                vec![http(gateway, QUERY, bodies), driver, floor]
            }
        })
    }

    /// Processor time of PgBouncer so far.
    fn pooler_time(&self) -> anyhow::Result<Duration> {
        proc::cpu_time(&proc::tree(self.servers.pid("pgbouncer")?)?)
    }

    /// pgbench alone, in the contestant's place.
    fn pgbench(&self, rig: &Rig, clients: usize, seconds: u64) -> anyhow::Result<Timings> {
        let load = Load { server: self.servers.database("postgres")?, clients, protocol: "prepared" };
        load.run(&self.directory, rig.contestant_core(), seconds)
    }

    /// pgbench as the load before PgBouncer, whose time is told.
    fn pooled(&self, rig: &Rig, clients: usize, seconds: u64) -> anyhow::Result<Timings> {
        let load = Load { server: self.servers.database("pgbouncer")?, clients, protocol: "extended" };
        let before = self.pooler_time()?;
        let timings = load.run(&self.directory, rig.load_core(), seconds)?;
        let cpu = self.pooler_time()? - before;
        Ok(Timings { cpu_seconds: Some(cpu.as_secs_f64()), ..timings })
    }
}

fn one_client(rig: &Rig, parties: &Parties) -> anyhow::Result<Table> {
    let pgbench = |seconds| parties.pgbench(rig, 1, seconds);
    let pooled = |seconds| parties.pooled(rig, 1, seconds);
    let mut all = parties.timed("postgres-select", selects(SELECT_ONE))?;
    all.push(Timed { name: "pgbench".to_owned(), how: How::Foreign(&pgbench) });
    all.push(Timed { name: "pgbench, PgBouncer".to_owned(), how: How::Foreign(&pooled) });
    let rounds = calls::rounds(rig, "SELECT", &all)?;
    Ok(latency_table("SELECT of one row by primary key, one client", &all, &rounds, Some(GOAL_US), 1))
}

fn all_rows(rig: &Rig, parties: &Parties) -> anyhow::Result<Table> {
    let bodies = vec![json!({ "query": SELECT_ALL }).to_string()];
    let mut all = parties.timed("postgres-rows", bodies)?;
    all.truncate(2);
    let rounds = calls::rounds(rig, "rows", &all)?;
    let mut table = result_table("SELECT of 10,000 rows, one client", &all, &rounds);
    table.notes.push(format!("Bytes are JSON for throome and the content of the cells for {DRIVER}."));
    Ok(table)
}

/// Who is loaded by many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    Throome,
    Driver,
    Pgbench,
    Pooler,
}

impl Loaded {
    fn name(self) -> &'static str {
        match self {
            Self::Throome => "throome, db/query",
            Self::Driver => DRIVER,
            Self::Pgbench => "pgbench",
            Self::Pooler => "PgBouncer",
        }
    }
}

fn many_clients(rig: &Rig, parties: &Parties) -> anyhow::Result<Table> {
    let requests = Requests::Bodies { path: path(QUERY), bodies: selects(SELECT_ONE) };
    let driver = parties.driver("postgres-select", CLIENTS)?;
    let seconds = rig.pace.short_seconds;
    let mut all = vec![Loaded::Throome, Loaded::Driver, Loaded::Pgbench, Loaded::Pooler];
    all.retain(|who| *who != Loaded::Throome || parties.gateway.is_some());
    let samples = interleave(&all, rig.pace.rounds, |who, round| {
        eprintln!("SELECT, {CLIENTS} clients: round {} of {}, {}", round + 1, rig.pace.rounds, who.name());
        match (who, &parties.gateway) {
            (Loaded::Throome, Some(gateway)) => sample_over(rig, gateway, &requests, seconds, CLIENTS),
            (Loaded::Pgbench, _) => Ok(Sample::of_its_own(&parties.pgbench(rig, CLIENTS, seconds)?)),
            (Loaded::Pooler, _) => sample_while(
                rig,
                || parties.pooler_time(),
                || Ok(outcome(&parties.pooled(rig, CLIENTS, seconds)?)),
            ),
            (Loaded::Throome | Loaded::Driver, _) => Ok(Sample::of_its_own(&driver.run(rig, seconds)?)),
        }
    })?;
    let names: Vec<String> = all.iter().map(|who| who.name().to_owned()).collect();
    let compared = all.len() - 2;
    let caption = format!("SELECT of one row, {CLIENTS} clients");
    let mut table = load_table_beside(&caption, &names, &samples, Goals::default(), compared);
    if let ([Loaded::Throome, ..], [own, .., pooler]) = (&all[..], &samples[..]) {
        let ratios =
            own.iter().zip(pooler).map(|(own, pooler)| own.cpu_per_request() / pooler.cpu_per_request());
        table.notes.push(format!("Throome's processor time is {:.2} of PgBouncer's.", median(ratios)));
    }
    Ok(table)
}

fn outcome(timings: &Timings) -> Outcome {
    Outcome { requests: timings.completed, seconds: timings.seconds, errors: timings.errors }
}
