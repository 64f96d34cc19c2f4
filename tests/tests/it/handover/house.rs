//! A gateway whose program is changed, and clients that ask it meanwhile: on a connection for every request, and on one that
//! they keep.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, signal, wait_for};
use throome_e2e::{Connection, Gateway, Layout, Service};

pub(super) const BASE: &str = "/api/v1/clusters/shop";

/// Longer than a change takes on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A gateway whose program is changed: all its processes are ended with it.
pub(super) struct House {
    pub(super) gateway: Gateway,
    pub(super) pids: Vec<u32>,
}

impl House {
    pub(super) fn new(gateway: Gateway) -> House {
        let pids = vec![gateway.pid()];
        House { gateway, pids }
    }

    pub(super) fn pid(&self) -> u32 {
        *self.pids.last().unwrap()
    }

    /// Who holds the data directory.
    pub(super) fn holder(&self) -> Option<u32> {
        fs::read_to_string(self.gateway.clusters_dir().join(".throome/lock")).ok()?.trim().parse().ok()
    }

    pub(super) fn tell(&self) {
        signal(self.pid(), "USR2");
    }

    /// Waits until the next process has everything.
    pub(super) fn changed(&mut self) -> u32 {
        let before = self.pid();
        let next = wait_for("another process", LONG, || self.holder().filter(|pid| *pid != before));
        self.pids.push(next);
        self.event("gateway.took_over", &format!("of process {before}"));
        next
    }

    pub(super) fn change(&mut self) -> u32 {
        self.tell();
        self.changed()
    }

    /// Waits for an event of this kind with these words in it.
    pub(super) fn event(&self, kind: &str, words: &str) -> String {
        wait_for(kind, LONG, || {
            let all = self.gateway.show("/api/v1/events?limit=100");
            let told = all["events"].as_array()?.iter().filter(|event| event["kind"] == kind);
            let mut messages = told.filter_map(|event| event["message"].as_str());
            messages.find(|message| message.contains(words)).map(str::to_owned)
        })
    }

    /// Waits until the process is gone.
    pub(super) fn gone(&mut self, pid: u32) {
        wait_for("the end of the process before", LONG, || is_gone(pid).then_some(()));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.pids.extend(self.holder());
        for pid in self.pids.iter().skip(1).filter(|pid| !is_gone(**pid)) {
            signal(*pid, "KILL");
        }
    }
}

/// Whether it has ended; one that nobody has asked for its end yet has too.
pub(super) fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

pub(super) const SHOP: &str = "  cache: { type: memory }\n  db: { type: sqlite }\n  queue: { type: log }\n";

pub(super) fn write_shop(layout: &Layout, service: &Service) {
    layout.write_cluster(
        "shop",
        &format!(
            "name: Shop\nservices:\n  web: {{ type: http, endpoints: [ {} ], health: {{ path: /healthz }} }}\n{SHOP}\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 60s }}\n",
            service.endpoint()
        ),
    );
}

/// A gateway with everything, its data door, and this in its file.
pub(super) fn shop(file: &str, wrapper: &[&str]) -> (House, Service, SocketAddr) {
    let (service, port) = (Service::start("web"), free_port());
    let layout = Layout::default().with_wrapper(wrapper);
    write_shop(&layout, &service);
    let layout = layout.with_file(&format!("data: {{ port: {port} }}\n{file}"));
    (House::new(layout.start()), service, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Clients that open a connection for every request, as fast as they are answered.
pub(super) struct Fresh {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Fresh {
    pub(super) fn begin(doors: &[(SocketAddr, &'static str)]) -> Fresh {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |&(door, path): &(SocketAddr, &'static str)| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let (mut good, mut bad) = (0, Vec::new());
                while !stop.load(Relaxed) {
                    match once(door, path) {
                        Ok(()) => good += 1,
                        Err(why) => bad.push(why),
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                (good, bad)
            })
        };
        let threads = doors.iter().map(client).collect();
        Fresh { stop, threads }
    }

    /// How many were answered; none may be missing.
    pub(super) fn finish(self) -> usize {
        self.stop.store(true, Relaxed);
        let ends = self.threads.into_iter().map(|thread| thread.join().unwrap());
        ends.map(|(good, bad)| {
            assert!(
                bad.is_empty(),
                "{} of {} failed: {:?}",
                bad.len(),
                bad.len() + good,
                &bad[..bad.len().min(5)]
            );
            good
        })
        .sum()
    }
}

pub(super) fn once(door: SocketAddr, path: &str) -> Result<(), String> {
    let stream = std::net::TcpStream::connect(door).map_err(|error| format!("refused: {error}"))?;
    drop(stream.set_read_timeout(Some(LONG)));
    let mut connection = Connection::of(stream);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\n\r\n"));
    match connection.try_reply("GET") {
        Ok(reply) if reply.status == 200 => Ok(()),
        Ok(reply) => Err(reply.to_string()),
        Err(broken) => Err(broken.why),
    }
}

/// A client that asks engines on one connection, one call after the other, until it is told that an answer is the last.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) opened: u64,
    pub(super) done: [u64; 3],
    pub(super) longest: Duration,
}

impl Kept {
    pub(super) fn begin(door: SocketAddr) -> (Arc<AtomicBool>, JoinHandle<Kept>) {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        (stop, std::thread::spawn(move || Kept::default().run(door, &stopped)))
    }

    fn run(mut self, door: SocketAddr, stopped: &AtomicBool) -> Kept {
        let mut connection = None;
        for number in 0.. {
            if stopped.load(Relaxed) {
                break;
            }
            let (path, body) = match number % 3 {
                0 => ("cache/incr", json!({ "key": "n" })),
                1 => ("db/execute", json!({ "query": "INSERT INTO t DEFAULT VALUES" })),
                _ => ("queue/publish", json!({ "topic": "a", "message": number.to_string() })),
            };
            let own = connection.get_or_insert_with(|| {
                self.opened += 1;
                Connection::open(door)
            });
            let began = Instant::now();
            let reply = own.ask(request(door, "POST", &format!("{BASE}/{path}"), Some(&body.to_string())));
            assert!(matches!(reply.status, 200 | 201), "{path}: {reply}");
            self.longest = self.longest.max(began.elapsed());
            self.done[number % 3] += 1;
            if !reply.keeps_alive() {
                connection = None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }
}
