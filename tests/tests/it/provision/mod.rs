//! Services that the gateway runs: made, used, restarted in every order, broken and taken away, as containers of a real engine
//! and as programs of this machine.

mod backups;
mod between;
mod commands;
mod crash;
mod engine;
mod faults;
mod files;
mod kept;
mod life;
mod orphans;
mod shapes;
mod steps;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use engines::{Docker, docker};
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, signal, wait_for};
use throome_e2e::reply::Reply;
use throome_e2e::{Connection, Gateway, Layout};

/// Longer than an engine needs to begin on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// By what services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Containers,
    Processes,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            By::Containers => "docker",
            By::Processes => "process",
        }
    }
}

/// A gateway that runs services, which go with it.
struct House {
    by: By,
    engine: Option<Docker>,
    /// Clusters are called so: several gateways share the engine.
    prefix: String,
    gateway: Option<Gateway>,
}

impl House {
    fn new(by: By) -> House {
        Self::on((by == By::Containers).then(docker), by)
    }

    fn on(engine: Option<Docker>, by: By) -> House {
        let kafka = format!("KAFKA_HOME={}", kafka_home().display());
        let host = engine.as_ref().map(|engine| engine.host().to_owned());
        Self::with(engine, by, host.as_deref(), "3m", &["env", &kafka])
    }

    /// One whose gateway finds its engine at this host, waits so long for what it starts, and is started by this command.
    fn with(engine: Option<Docker>, by: By, host: Option<&str>, ready: &str, wrapper: &[&str]) -> House {
        let docker = host.map_or("{ enabled: false }".to_owned(), |host| format!("{{ host: \"{host}\" }}"));
        let file = format!("provision: {{ docker: {docker}, ready_timeout: {ready} }}\n");
        let layout = Layout::default().with_file(&file).with_args(&["--config", "throome.yaml"]);
        let layout = layout.with_wrapper(wrapper);
        let prefix = format!("t{}x{}", std::process::id(), free_port());
        House { by, engine, prefix, gateway: Some(layout.start()) }
    }

    fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Makes a cluster of these services, each run by what the house has.
    fn create(&self, name: &str, services: &Value) -> Value {
        let body = self.body(name, services);
        self.call("POST", "/api/v1/clusters", Some(&body)).expect(201).json()
    }

    fn body(&self, name: &str, services: &Value) -> Value {
        let mut services = services.clone();
        for service in services.as_object_mut().unwrap().values_mut() {
            service["provision"] = json!(self.by.word());
            if service.get("port").is_none() {
                // The usual one is for one gateway of the machine, and several run here.
                service["port"] = json!(free_port());
            }
        }
        json!({ "name": name, "cluster_id": self.id(name), "config": { "services": services } })
    }

    /// A call that may take as long as an engine does.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let body = body.map(Value::to_string);
        self.control().ask(request(self.gateway().control, method, path, body.as_deref()))
    }

    /// A connection whose client waits long.
    fn control(&self) -> Connection {
        let control = self.gateway().control();
        control.stream.set_read_timeout(Some(LONG)).unwrap();
        control
    }

    /// A call of the data API that is answered well: a service that was just killed takes its time.
    fn data(&self, name: &str, call: &str, body: &Value) -> Value {
        let path = format!("/api/v1/clusters/{}/{call}", self.id(name));
        let end = Instant::now() + LONG;
        loop {
            let answer = self.call("POST", &path, Some(body));
            if matches!(answer.status, 200 | 201) {
                return answer.json();
            }
            assert!(answer.status >= 500 && Instant::now() < end, "{call}: {answer:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn set(&self, name: &str, key: &str, value: &str) {
        self.data(name, "cache/set", &json!({ "key": key, "value": value }));
    }

    fn get(&self, name: &str, key: &str) -> Value {
        self.data(name, "cache/get", &json!({ "key": key }))["value"].clone()
    }

    /// Waits until a cluster is healthy.
    fn healthy(&self, name: &str) {
        let path = format!("/api/v1/clusters/{}/health", self.id(name));
        wait_for(&format!("{name} is healthy"), LONG, || {
            let answer = self.call("GET", &path, None);
            (answer.status == 200 && answer.json()["status"] == "HEALTHY").then_some(())
        });
    }

    /// Waits until a service runs and is well, also one of a file that the gateway has only just written: its words stand
    /// there a moment before the service does.
    fn runs(&self, name: &str, service: &str) {
        let path = format!("/api/v1/clusters/{}/services/{service}", self.id(name));
        wait_for(&format!("{service} of {name} runs"), LONG, || {
            let answer = self.call("GET", &path, None);
            let facts = (answer.status == 200).then(|| answer.json())?;
            (facts["lifecycle"] == "running" && facts["health"] == "healthy").then_some(())
        });
    }

    fn delete(&self, name: &str, keep_data: bool) {
        let query = if keep_data { "?keep_data=true" } else { "" };
        let path = format!("/api/v1/clusters/{}{query}", self.id(name));
        drop(self.call("DELETE", &path, None).expect(200));
    }

    /// The gateway ends in this way, and another one comes in its place.
    fn again(&mut self, kill: bool) {
        let gateway = self.gateway.take().unwrap();
        let layout = if kill { gateway.kill() } else { stop(gateway) };
        self.gateway = Some(layout.start());
    }

    /// Waits until nothing that a gateway before has begun for a cluster is under way.
    fn put_in_order(&self, name: &str) {
        let operations = format!("/api/v1/operations?cluster={}&status=running", self.id(name));
        wait_for("what was left is put in order", LONG, || {
            (self.gateway().show(&operations)["count"] == 0).then_some(())
        });
    }

    /// The file of a cluster.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.gateway().cluster_file(&self.id(name))).unwrap_or_default()
    }

    /// What there is of a cluster besides its file: containers, volumes and networks, or programs and directories.
    fn left(&self, name: &str) -> Vec<String> {
        match &self.engine {
            Some(engine) => of_engine(engine, &format!("throome-{}", self.id(name))),
            None => {
                let dir = self.gateway().clusters_dir().join(".throome/processes").join(self.id(name));
                let mut left = programs_in(&dir);
                if dir.exists() {
                    left.push(dir.display().to_string());
                }
                left
            }
        }
    }

    /// What runs a service is killed.
    fn kill_service(&self, name: &str, service: &str) {
        match &self.engine {
            Some(engine) => {
                let container = format!("throome-{}-{service}", self.id(name));
                // Its first process ends as if it had crashed: the engine is not asked to end it.
                let pid = engine.cli(&["inspect", "--format", "{{.State.Pid}}", &container]);
                signal(pid.trim().parse().unwrap(), "KILL");
            }
            None => {
                let dir = self
                    .gateway()
                    .clusters_dir()
                    .join(".throome/processes")
                    .join(self.id(name))
                    .join(service);
                let run: Value =
                    serde_json::from_str(&fs::read_to_string(dir.join("run.json")).unwrap()).unwrap();
                signal(run["process"]["pid"].as_u64().unwrap().try_into().unwrap(), "KILL");
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let Some(gateway) = self.gateway.take() else { return };
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}---", gateway.log());
        }
        let layout = stop(gateway);
        for program in pids_in(layout.dir()) {
            signal(program, "KILL");
        }
        if let Some(engine) = &self.engine {
            let name = format!("throome-{}", self.prefix);
            for (kind, remove) in [("ps", "rm"), ("volume", "volume"), ("network", "network")] {
                for one in named(engine, kind, &name) {
                    let words: &[&str] =
                        if kind == "ps" { &["rm", "-f", &one] } else { &[remove, "rm", &one] };
                    let _ = engine.try_cli(words);
                }
            }
        }
    }
}

/// A house by processes whose `redis-server` does this, and is waited for so long.
fn redis_that(does: &str, ready: &str) -> (TempDir, House) {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("redis-server");
    fs::write(&program, format!("#!/bin/sh\n{does}\n")).unwrap();
    // Whoever runs it is not root.
    for path in [programs.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("PATH={}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    (programs, House::with(None, By::Processes, None, ready, &["env", &path]))
}

/// A Kafka that is installed nowhere: its scripts, and the jars that all tests share.
fn kafka_home() -> &'static Path {
    static HOME: LazyLock<TempDir> = LazyLock::new(|| {
        // Sees to it that the jars are there.
        let _ = engines::Engines::shared().kafka();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let versions = fs::read_dir(root.join(".cache/kafka")).unwrap().map(|entry| entry.unwrap().path());
        let jars = versions.filter(|path| path.join("complete").exists()).max().unwrap();
        let home = tempfile::tempdir().unwrap();
        // Whoever runs the broker reads it, and is somebody else.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        copy(&jars, &home.path().join("libs"));
        copy(&root.join("test/images/kafka-root/opt/kafka/bin"), &home.path().join("bin"));
        home
    });
    HOME.path()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
        let mode = file.metadata().unwrap().permissions().mode() | 0o444;
        fs::set_permissions(to.join(file.file_name()), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// The gateway is asked to end, and does.
fn stop(mut gateway: Gateway) -> Layout {
    gateway.signal("TERM");
    gateway.wait(LONG);
    gateway.kill()
}

fn of_engine(engine: &Docker, name: &str) -> Vec<String> {
    ["ps", "volume", "network"].iter().flat_map(|kind| named(engine, kind, name)).collect()
}

/// What an engine has of this kind whose name begins so.
fn named(engine: &Docker, kind: &str, name: &str) -> Vec<String> {
    let words: &[&str] = match kind {
        "ps" => &["ps", "-a", "--format", "{{.Names}}"],
        "volume" => &["volume", "ls", "--format", "{{.Name}}"],
        _ => &["network", "ls", "--format", "{{.Name}}"],
    };
    engine.cli(words).lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

/// The programs that say this directory among their words.
fn programs_in(dir: &Path) -> Vec<String> {
    pids_in(dir).into_iter().map(|pid| format!("pid {pid}: {}", words_of(pid))).collect()
}

fn pids_in(dir: &Path) -> Vec<u32> {
    let dir = dir.to_string_lossy();
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let works_in = |pid: &u32| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        words_of(*pid).contains(&*dir) || cwd.starts_with(&*dir)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(works_in).collect()
}

fn words_of(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Waits until nothing is left of a cluster.
fn gone(house: &House, name: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let left = house.left(name);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "of {name} is left: {left:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
