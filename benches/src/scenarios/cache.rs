//! A cache over HTTP: GET and SET through Throome's data API beside webdis, both before the same Redis where that is
//! what Throome keeps values in; one request at a time on each connection, and several.

use std::time::Duration;

use anyhow::ensure;

use super::{Goals, closed_loop_words, load_table_beside};
use crate::client::Connection;
use crate::contestants::Contestant;
use crate::contestants::throome::{self, CLUSTER, Door};
use crate::contestants::webdis::{self, Redis};
use crate::measure::{Sample, interleave, median, sample};
use crate::redis_benchmark;
use crate::report::{Section, Table};
use crate::rig::{Rig, require_program};
use crate::wrk::Requests;

/// What Throome keeps the values in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Its own memory.
    Memory,
    /// The Redis that webdis asks.
    Redis,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }

    /// Processor time wished for against webdis, on the data door.
    fn goal(self) -> f64 {
        match self {
            Self::Memory => 0.40,
            Self::Redis => 0.55,
        }
    }
}

/// The size of the one value that is read and written.
const VALUE_SIZE: usize = 100;

/// Commands that belong together, in the parts where several do.
const DEPTH: usize = 10;

/// Who is asked.
enum Entry {
    Http(Box<Http>),
    /// Redis itself, for orientation.
    Direct,
}

/// A contestant with how it is asked.
struct Http {
    contestant: Contestant,
    get: Requests,
    set: Requests,
    /// Both with several commands in one request, of who has such a call.
    several: Option<(Requests, Requests)>,
}

/// One kind of work: what is asked of everybody in one table.
#[derive(Debug, Clone, Copy)]
struct Work {
    is_set: bool,
    way: Way,
}

/// How commands are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One request on a connection at a time.
    Alone,
    /// Several requests on each connection before their answers are read.
    Pipelined,
    /// Several commands in a request, by those who take that; by the others as before.
    InOne,
}

/// One table for each operation and door.
pub fn run(rig: &Rig, service: Service, doors: &[Door]) -> anyhow::Result<Section> {
    for program in ["wrk", "webdis", "redis-server", "redis-benchmark", "taskset", "setpriv"] {
        require_program(program)?;
    }
    let redis = webdis::start_redis(rig)?;
    let mut tables = Vec::new();
    for &door in doors {
        let mut entries = Vec::new();
        // Without it the others are measured alone: a way to try the measurement itself.
        if rig.tools.throome.is_some() {
            let kept_in = match service {
                Service::Memory => "{ type: memory }".to_owned(),
                Service::Redis => {
                    format!("{{ type: redis, host: 127.0.0.1, port: {} }}", redis.address.port())
                }
            };
            let name = format!("throome, {}", service.name());
            let launch = throome::cache(rig, &name, &kept_in, door)?;
            entries.push(throome_entry(launch.start(rig.contestant_core())?));
        }
        entries.push(webdis_entry(webdis::prepare(rig, redis.address)?.start(rig.contestant_core())?));
        if service == Service::Redis {
            entries.push(Entry::Direct);
        }
        // SET first, so that GET finds something.
        let ways: &[Way] = match door {
            Door::Control => &[Way::Alone],
            Door::Data => &[Way::Alone, Way::InOne, Way::Pipelined],
        };
        for (way, is_set) in ways.iter().flat_map(|way| [(*way, true), (*way, false)]) {
            tables.push(table(rig, &redis, &entries, Work { is_set, way }, service, door)?);
        }
    }
    let about = format!(
        "One value of {VALUE_SIZE} bytes under one key. Throome by `POST …/cache/get` and `…/cache/set`; webdis with \
         one thread and {} connections to Redis by `GET /GET/key` and `PUT /SET/key`. The one Redis, which keeps nothing on disk, is on the load core and \
         not counted; what a call costs it stands below each table. Where {DEPTH} commands are in a request, that is \
         `POST …/cache/pipeline` for Throome; webdis has no such call, so that {DEPTH} requests are sent to it at once on each \
         connection before their answers are read, as to both in the last tables. Figures are for one command. The goal is the data door's; the control door \
         carries the same calls beside everything else that it does. redis-benchmark, in the contestant's place and \
         with as many connections, asks Redis without anything in between, for orientation. {}",
        crate::rig::CONNECTIONS,
        closed_loop_words(rig, rig.pace.seconds)
    );
    Ok(Section { title: format!("Cache over HTTP: {}", service.name()), about, tables })
}

fn table(
    rig: &Rig,
    redis: &Redis,
    entries: &[Entry],
    work: Work,
    service: Service,
    door: Door,
) -> anyhow::Result<Table> {
    let way = match work.way {
        Way::Alone => String::new(),
        Way::Pipelined => format!(", {DEPTH} requests at once"),
        Way::InOne => format!(", {DEPTH} in a request"),
    };
    let caption = format!("{}, {}, {} door{way}", work.command()[0], service.name(), door_name(door));
    for entry in entries {
        if let Entry::Http(http) = entry {
            check(&http.contestant, &http.requests(work), if work.is_set { "" } else { "x" })?;
        }
        entry.sample(rig, redis, work, 1)?;
    }
    let taken = interleave(entries, rig.pace.rounds, |entry, round| {
        eprintln!("cache {caption}: round {} of {}, {}", round + 1, rig.pace.rounds, entry.name());
        entry.sample(rig, redis, work, rig.pace.seconds)
    })?;
    let samples: Vec<Vec<Sample>> =
        taken.iter().map(|its| its.iter().map(|(sample, _)| *sample).collect()).collect();
    let goals = Goals { cpu: (door == Door::Data).then_some(service.goal()), throughput: None };
    let names: Vec<String> = entries.iter().map(|entry| entry.name().to_owned()).collect();
    let compared = entries.iter().filter(|entry| matches!(entry, Entry::Http(_))).count();
    let mut table = load_table_beside(&caption, &names, &samples, goals, compared);
    // Of Throome's own memory Redis knows nothing.
    if service == Service::Redis {
        let own = names.iter().zip(&taken).map(|(name, its)| {
            let each =
                its.iter().map(|(sample, redis)| redis.as_secs_f64() * 1e6 / sample.requests.max(1) as f64);
            format!("{:.1} for {name}", median(each))
        });
        let own: Vec<String> = own.collect();
        table.notes.push(format!("Redis itself, CPU µs each: {}.", own.join(", ")));
    }
    Ok(table)
}

impl Work {
    /// Commands that are under way at once on each connection.
    fn depth(self) -> usize {
        if self.way == Way::Alone { 1 } else { DEPTH }
    }

    fn command(self) -> Vec<String> {
        let value = "x".repeat(VALUE_SIZE);
        let words: &[&str] = if self.is_set { &["SET", "bench", &value] } else { &["GET", "bench"] };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Http(http) => &http.contestant.name,
            Self::Direct => "redis-benchmark",
        }
    }

    /// What it came to, and how much of its time Redis spent on it.
    fn sample(
        &self,
        rig: &Rig,
        redis: &Redis,
        work: Work,
        seconds: u64,
    ) -> anyhow::Result<(Sample, Duration)> {
        match self {
            Self::Http(http) => {
                let before = redis.cpu_time()?;
                let sample = sample(rig, &http.contestant, &http.requests(work), seconds)?;
                let commands = sample.requests * http.commands(work);
                Ok((Sample { requests: commands, ..sample }, redis.cpu_time()? - before))
            }
            Self::Direct => {
                let load = redis_benchmark::Load {
                    redis: redis.address,
                    command: work.command(),
                    depth: work.depth(),
                };
                let calls = load.calls_in(rig, seconds)?;
                let before = redis.cpu_time()?;
                let sample = load.sample(rig, calls)?;
                Ok((sample, redis.cpu_time()? - before))
            }
        }
    }
}

impl Http {
    fn requests(&self, work: Work) -> Requests {
        let pick = |get: &Requests, set: &Requests| if work.is_set { set.clone() } else { get.clone() };
        match (work.way, &self.several) {
            (Way::Alone, _) => pick(&self.get, &self.set),
            (Way::InOne, Some((get, set))) => pick(get, set),
            (Way::Pipelined | Way::InOne, _) => {
                Requests::Pipelined { request: Box::new(pick(&self.get, &self.set)), depth: DEPTH }
            }
        }
    }

    /// Commands in a request.
    fn commands(&self, work: Work) -> u64 {
        if work.way == Way::InOne && self.several.is_some() { DEPTH as u64 } else { 1 }
    }
}

fn door_name(door: Door) -> &'static str {
    match door {
        Door::Control => "control",
        Door::Data => "data",
    }
}

/// Insists on a success whose body holds the value, where there is one to hold.
fn check(contestant: &Contestant, requests: &Requests, content: &str) -> anyhow::Result<()> {
    let request = requests.bytes(contestant.address);
    let answer = Connection::open(contestant.address)?.exchange(&request)?;
    let body = String::from_utf8_lossy(&answer.body);
    let value = content.repeat(VALUE_SIZE);
    ensure!(
        answer.is_success() && body.contains(&value),
        "{} answers {} {body:?}",
        contestant.name,
        answer.status
    );
    Ok(())
}

fn throome_entry(contestant: Contestant) -> Entry {
    let post = |call: &str, body: serde_json::Value| Requests::Body {
        method: "POST",
        path: format!("/api/v1/clusters/{CLUSTER}/cache/{call}"),
        content_type: "application/json",
        body: body.to_string(),
    };
    let several = |is_set| {
        let work = Work { is_set, way: Way::InOne };
        post("pipeline", vec![work.command(); DEPTH].into())
    };
    Entry::Http(Box::new(Http {
        contestant,
        get: post("get", serde_json::json!({ "key": "bench" })),
        set: post("set", serde_json::json!({ "key": "bench", "value": "x".repeat(VALUE_SIZE) })),
        several: Some((several(false), several(true))),
    }))
}

fn webdis_entry(contestant: Contestant) -> Entry {
    Entry::Http(Box::new(Http {
        contestant,
        get: Requests::Get { path: "/GET/bench".to_owned() },
        set: Requests::Body {
            method: "PUT",
            path: "/SET/bench".to_owned(),
            content_type: "text/plain",
            body: "x".repeat(VALUE_SIZE),
        },
        several: None,
    }))
}
