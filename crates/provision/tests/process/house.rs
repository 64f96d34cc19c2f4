//! A directory to run services in, and what tests ask of them.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use model::recipe::{Dump, Recipe, Run, Signal, Stop};
use throome_provision::process::{Options, Processes};
use throome_provision::{Ask, Found, Line, Lines, Name, Provisioner, Started, State, Work};

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A directory of processes, which end with it.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) processes: Processes,
}

impl House {
    pub(crate) fn new() -> House {
        let dir = tempfile::TempDir::new().unwrap();
        let processes = gateway(dir.path());
        House { dir, processes }
    }

    /// The gateway is gone, its processes are not, and another one comes.
    pub(crate) fn another_gateway(&mut self) {
        self.processes = gateway(self.dir.path());
    }

    pub(crate) async fn start(&self, work: &Work) -> Started {
        self.processes.start(work, &|_| {}).await.unwrap()
    }

    pub(crate) async fn found(&self, work: &Work) -> Option<Found> {
        self.processes.find(&work.name).await.unwrap()
    }

    pub(crate) async fn state(&self, work: &Work) -> State {
        self.found(work).await.map_or(State::Absent, |found| found.state)
    }

    pub(crate) async fn lines(&self, work: &Work) -> Vec<String> {
        let lines = all(self.processes.logs(&work.name, &Ask::default()).await.unwrap()).await;
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Waits until it has said something with these words in it.
    #[track_caller]
    pub(crate) fn says<'a>(&'a self, work: &'a Work, words: &'a str) -> impl Future<Output = ()> + 'a {
        until(words, async move || self.lines(work).await.iter().any(|line| line.contains(words)))
    }

    pub(crate) fn place(&self, work: &Work) -> PathBuf {
        self.dir.path().join(&*work.name.cluster).join(&*work.name.service)
    }

    pub(crate) fn record(&self, work: &Work) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.place(work).join("run.json")).unwrap()).unwrap()
    }

    pub(crate) fn write_record(&self, work: &Work, record: &serde_json::Value) {
        std::fs::write(self.place(work).join("run.json"), record.to_string()).unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // What a failed test has left.
        for cluster in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            for service in std::fs::read_dir(cluster.path()).into_iter().flatten().flatten() {
                let text = std::fs::read(service.path().join("run.json")).unwrap_or_default();
                let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
                if let Some(pid) = record["process"]["pid"].as_u64()
                    && start_of(pid as u32) == record["process"]["start"].as_u64()
                {
                    kill_group(pid as u32);
                }
            }
        }
    }
}

pub(crate) fn gateway(dir: &Path) -> Processes {
    Processes::new(Options { dir: dir.to_owned(), gateway: "gateway-1".to_owned(), user: None })
}

/// A script to run, in the cluster `site`.
pub(crate) fn script(service: &str, text: &str) -> Work {
    Work {
        name: Name { cluster: "site".into(), service: service.into() },
        recipe: Recipe {
            image: "busybox".into(),
            prepare: Vec::new(),
            run: shell(text),
            files: Vec::new(),
            data: String::new(),
            port: 0,
            network_port: 0,
            stop: Stop { signal: Signal::Term, grace: Duration::from_secs(10) },
            dump: Dump::AtRest { format: "tar" },
        },
        image: None,
        env: Vec::new(),
        memory: None,
        cpus: None,
        bind: HERE,
        port: port(),
        secret: None,
        operation: "op-1".into(),
    }
}

pub(crate) fn shell(text: &str) -> Run {
    Run { program: "sh".into(), args: vec!["-c".into(), text.into()], env: Vec::new() }
}

/// A port that nobody has now.
pub(crate) fn port() -> u16 {
    TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) async fn all(lines: Lines) -> Vec<Line> {
    lines.map(Result::unwrap).collect().await
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let (what, place) = (what.to_owned(), std::panic::Location::caller());
    async move {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < LIMIT, "never: {what} ({place})");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn pid(started: &Started) -> u32 {
    started.id.parse().unwrap()
}

/// The moment of start of a process that runs.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    (fields.next()? != "Z").then_some(())?;
    fields.nth(18)?.parse().ok()
}

/// Whether a process runs.
pub(crate) fn lives(pid: u32) -> bool {
    start_of(pid).is_some()
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn kill_group(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
}
