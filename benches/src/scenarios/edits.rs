//! Edits of routes under load: how soon each is seen, and whether anybody else notices.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::core_of;
use crate::client::{Connection, get};
use crate::contestants::{Setup, throome};
use crate::report::{Section, Table};
use crate::rig::{CONNECTIONS, Rig};
use crate::wrk::{Requests, Wrk};

const BY_API: usize = 900;
const BY_FILE: usize = 100;
/// What each should be seen within.
const GOAL: Duration = Duration::from_millis(50);

/// A thousand edits, by the API and by a file, while every core is busy.
pub fn run(rig: &Rig) -> anyhow::Result<Section> {
    let backend = rig.start_backend()?;
    let launch = throome::proxy(rig, &Setup::plain(backend.address))?;
    let (control, log) = (launch.health.0, launch.log.clone());
    let directory: PathBuf = log.parent().context("the directory of its files")?.join("clusters");
    let contestant = launch.start(rig.contestant_core())?;
    let traffic = contestant.address;
    eprintln!("edits: {}", contestant.name);
    let wrk = rig.wrk(CONNECTIONS);
    let done = AtomicBool::new(false);
    let (load, seen) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load(wrk, traffic, &done));
        std::thread::sleep(Duration::from_secs(1));
        let seen = by_api(control, traffic, backend.address)
            .and_then(|api| Ok((api, by_file(&directory, traffic, backend.address)?)));
        done.store(true, Relaxed);
        (load.join(), seen)
    });
    let (requests, errors) = load.map_err(|_| anyhow::anyhow!("the load has panicked"))??;
    let (mut api, mut file) = seen?;
    let mut table = Table::new("", &["edits", "how many", "half within ms", "99 of 100", "all", "goal"]);
    for (what, seen) in [("of `/api/routes`", &mut api), ("of a cluster file", &mut file)] {
        seen.sort();
        let at = |share: usize| seen[(seen.len() - 1) * share / 100];
        let ms = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1e3);
        let met = if at(100) <= GOAL { "met" } else { "missed" };
        let goal = format!("{met} ≤ {}", GOAL.as_millis());
        table.rows.push(vec![
            what.to_owned(),
            seen.len().to_string(),
            ms(at(50)),
            ms(at(99)),
            ms(at(100)),
            goal,
        ]);
    }
    table.notes.push(format!(
        "Meanwhile {requests} requests on {CONNECTIONS} connections, {errors} of which failed."
    ));
    let about = format!(
        "Routes made, changed and deleted one after the other, and a file replaced by renaming, while wrk loads the same core \
         on {CONNECTIONS} connections from {}, the gateway on {}: from before the edit is sent until a request on a kept \
         connection is answered by it.",
        core_of(rig.load_core()),
        core_of(rig.contestant_core()),
    );
    Ok(Section { title: "Edits under load".to_owned(), about, tables: vec![table] })
}

/// Load until it is done: how many requests, and how many of them failed.
fn load(wrk: Wrk<'_>, traffic: SocketAddr, done: &AtomicBool) -> anyhow::Result<(u64, u64)> {
    let (mut requests, mut errors) = (0, 0);
    while !done.load(Relaxed) {
        let outcome = wrk.run(traffic, &Requests::Get { path: "/200b".to_owned() }, 5)?;
        requests += outcome.requests;
        errors += outcome.errors;
    }
    Ok((requests, errors))
}

fn by_api(control: SocketAddr, traffic: SocketAddr, backend: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    let (mut door, mut client) = (Connection::open(control)?, Connection::open(traffic)?);
    let ask = get(traffic, "/edited");
    let (mut id, mut seen) = (None, Vec::new());
    for number in 0..BY_API {
        let began = Instant::now();
        // Both are answered, and by different bytes.
        let target = format!("http://{backend}/{}", if number % 2 == 0 { "200b" } else { "64k" });
        let route = json!({ "path": "/edited", "target_url": target }).to_string();
        let (method, path, body) = match id.take() {
            None => ("POST", "/api/routes".to_owned(), route),
            Some(id) if number % 10 == 9 => ("DELETE", format!("/api/routes/{id}"), String::new()),
            Some(id) => ("PUT", format!("/api/routes/{id}"), route),
        };
        let told = door.exchange(&request(control, method, &path, &body))?;
        ensure!(told.is_success(), "{method} {path}: {}", String::from_utf8_lossy(&told.body));
        let wanted = match (method, number % 2) {
            ("DELETE", _) => 200,
            (_, 0) => 200,
            _ => 64 * 1024,
        };
        if method != "DELETE" {
            let told: Value = serde_json::from_slice(&told.body)?;
            id = Some(told["data"]["id"].to_string());
        }
        // A route that is gone leaves its path to the one for all, which has 200 bytes.
        let length = client.exchange_discarding(&ask)?.length;
        ensure!(length == wanted, "edit {number} is acknowledged and not seen: {length} bytes");
        seen.push(began.elapsed());
    }
    Ok(seen)
}

fn by_file(clusters: &Path, traffic: SocketAddr, backend: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    let directory = clusters.join("edited");
    std::fs::create_dir_all(&directory)?;
    let mut client = Connection::open(traffic)?;
    let mut seen = Vec::new();
    for number in 0..=BY_FILE {
        let began = Instant::now();
        let text = format!(
            "services:\n  web: {{ type: http, host: {}, port: {}, health: {{ path: /200b, interval: 5s }} }}\n\
             routes:\n  - {{ id: edited, path: /64k/{number}, service: web, rewrite: /64k }}\n",
            backend.ip(),
            backend.port()
        );
        std::fs::write(directory.join("config.new"), text)?;
        std::fs::rename(directory.join("config.new"), directory.join("config.yaml"))?;
        let ask = get(traffic, &format!("/64k/{number}"));
        while client.exchange_discarding(&ask)?.length != 64 * 1024 {
            ensure!(began.elapsed() < Duration::from_secs(5), "edit {number} of the file is not seen");
        }
        // The first makes the cluster.
        if number > 0 {
            seen.push(began.elapsed());
        }
    }
    Ok(seen)
}

fn request(to: SocketAddr, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
