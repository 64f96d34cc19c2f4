//! A cache over HTTP: GET and SET through Throome's data API beside webdis before a Redis of its own.

use anyhow::ensure;

use super::{Goals, closed_loop_words, load_table};
use crate::client::Connection;
use crate::contestants::throome::{self, CLUSTER, Door};
use crate::contestants::{Contestant, webdis};
use crate::measure::{interleave, sample};
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

/// A contestant with how it is asked.
struct Entry {
    contestant: Contestant,
    get: Requests,
    set: Requests,
}

/// One table for each operation, service and door.
pub fn run(rig: &Rig, services: &[Service], doors: &[Door]) -> anyhow::Result<Section> {
    for program in ["wrk", "webdis", "redis-server", "taskset", "setpriv"] {
        require_program(program)?;
    }
    ensure!(
        rig.tools.throome.is_some(),
        "the cache is compared with throome itself only; there is no binary of it"
    );
    let redis = webdis::start_redis(rig)?;
    let peer = webdis_entry(webdis::prepare(rig, redis.address)?.start(rig.contestant_core())?);
    let mut tables = Vec::new();
    for (&service, &door) in services.iter().flat_map(|service| doors.iter().map(move |door| (service, door)))
    {
        let kept_in = match service {
            Service::Memory => "{ type: memory }".to_owned(),
            Service::Redis => format!("{{ type: redis, host: 127.0.0.1, port: {} }}", redis.address.port()),
        };
        let name = format!("throome, {}", service.name());
        let launch = throome::cache(rig, &name, &kept_in, door)?;
        let subject = throome_entry(launch.start(rig.contestant_core())?);
        tables.extend(both_operations(rig, &[&subject, &peer], service, door)?);
    }
    let about = format!(
        "One value of {VALUE_SIZE} bytes under one key. Throome by `POST …/cache/get` and `…/cache/set`; webdis with \
         one thread by `GET /GET/key` and `PUT /SET/key`, its Redis, which keeps nothing on disk, on the load core and \
         not counted. The goal is the data door's; the control door carries the same calls beside everything else that \
         it does. {}",
        closed_loop_words(rig, rig.pace.seconds)
    );
    Ok(Section { title: "Cache over HTTP".to_owned(), about, tables })
}

fn both_operations(
    rig: &Rig,
    entries: &[&Entry],
    service: Service,
    door: Door,
) -> anyhow::Result<Vec<Table>> {
    let mut tables = Vec::new();
    // SET first, so that GET finds something.
    for operation in ["SET", "GET"] {
        let is_set = operation == "SET";
        let content = if is_set { "" } else { "x" };
        let requests = |entry: &Entry| if is_set { entry.set.clone() } else { entry.get.clone() };
        for entry in entries {
            check(&entry.contestant, &requests(entry), content)?;
            sample(rig, &entry.contestant, &requests(entry), 1)?;
        }
        let samples = interleave(entries, rig.pace.rounds, |entry, round| {
            let name = &entry.contestant.name;
            let (door, rounds) = (door_name(door), rig.pace.rounds);
            eprintln!("cache {operation}, {door}: round {} of {rounds}, {name}", round + 1);
            sample(rig, &entry.contestant, &requests(entry), rig.pace.seconds)
        })?;
        let goals = Goals { cpu: (door == Door::Data).then_some(service.goal()), throughput: None };
        let names: Vec<String> = entries.iter().map(|entry| entry.contestant.name.clone()).collect();
        let caption = format!("{operation}, {}, {} door", service.name(), door_name(door));
        tables.push(load_table(&caption, &names, &samples, goals));
    }
    Ok(tables)
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
    Entry {
        contestant,
        get: post("get", serde_json::json!({ "key": "bench" })),
        set: post("set", serde_json::json!({ "key": "bench", "value": "x".repeat(VALUE_SIZE) })),
    }
}

fn webdis_entry(contestant: Contestant) -> Entry {
    Entry {
        contestant,
        get: Requests::Get { path: "/GET/bench".to_owned() },
        set: Requests::Body {
            method: "PUT",
            path: "/SET/bench".to_owned(),
            content_type: "text/plain",
            body: "x".repeat(VALUE_SIZE),
        },
    }
}
