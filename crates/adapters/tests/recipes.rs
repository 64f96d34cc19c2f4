//! The recipes of kinds, carried out: as containers and as programs of this machine, each used through its own adapter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "recipes/dumps.rs"]
mod dumps;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use model::{EndpointSpec, Secret, ServiceSpec};
use provision::docker::{self, Docker};
use provision::process::{self, Processes};
use provision::{Data, Name, Provisioner, Started, State, Work};
use serde_json::json;
use throome_adapters::key_value::{SetOptions, Value};
use throome_adapters::queue::Message;
use throome_adapters::sql::Statement;
use throome_adapters::{Adapter, Driver, Home, driver};
use tokio::time::Instant;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A first start, with Java on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// One that no quoting may miss.
const SECRET: &str = "ca'na\"ry \\ $x ü";

/// A service that is run, and by whom.
struct Run<'p> {
    provisioner: &'p dyn Provisioner,
    driver: &'static dyn Driver,
    settled: ServiceSpec,
    work: Work,
}

impl<'p> Run<'p> {
    fn new(provisioner: &'p dyn Provisioner, asked: serde_json::Value) -> Self {
        Run::called(provisioner, asked, "run")
    }

    fn called(provisioner: &'p dyn Provisioner, asked: serde_json::Value, called: &str) -> Self {
        let asked: ServiceSpec = serde_json::from_value(asked).unwrap();
        let driver = driver(&asked.kind).unwrap();
        let runs = driver.runs().unwrap();
        // Tests of either sort run at the same time, and a port is free for both until one of them has begun.
        let apart = if provisioner.word() == "docker" { 1000 } else { 2000 };
        let apart = apart + if called == "run" { 0 } else { 5000 };
        let port = provision::free(HERE, runs.port + apart).unwrap();
        let settled = model::provision::settle(runs, &asked, provisioner.word(), port, Secret::new(SECRET));
        let service = format!("{}-{called}-{}", asked.kind, std::process::id());
        let name = Name { cluster: "recipes".into(), service: service.into() };
        let recipe = driver.recipe(&settled, &provisioner.site(&name, port)).unwrap();
        let work = Work {
            name,
            recipe,
            image: None,
            env: Vec::new(),
            memory: None,
            cpus: None,
            bind: HERE,
            port,
            secret: Some(Secret::new(SECRET)),
            operation: "op-1".into(),
        };
        Run { provisioner, driver, settled, work }
    }

    async fn start(&self) -> Started {
        self.provisioner.fetch(&self.work, &|_| {}).await.unwrap();
        self.provisioner.start(&self.work, &|_| {}).await.unwrap()
    }

    fn connect(&self, at: &Started, password: Option<&str>) -> Arc<dyn Adapter> {
        let mut service = self.settled.clone();
        (service.host, service.port) = (Some(at.host.clone()), Some(at.port));
        if let Some(password) = password {
            service.password = Some(Secret::new(password));
        }
        let endpoint: EndpointSpec = service.all_endpoints().remove(0);
        let home = Home { cluster: "recipes".into(), service: "it".into(), dir: "unused".into() };
        self.driver.connect(&endpoint, &service, &home).unwrap()
    }

    /// Waits until it answers as its clients will ask.
    async fn ready(&self, at: &Started) -> Arc<dyn Adapter> {
        let adapter = self.connect(at, None);
        let began = Instant::now();
        while let Err(failure) = adapter.probe(Duration::from_secs(2)).await {
            assert!(began.elapsed() < PATIENCE, "{:?}: {failure:?}\n{}", self.work.name, self.said().await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        adapter
    }

    async fn said(&self) -> String {
        use futures_util::StreamExt;
        let ask = provision::Ask { tail: Some(20), ..provision::Ask::default() };
        let Ok(lines) = self.provisioner.logs(&self.work.name, &ask).await else { return String::new() };
        let lines: Vec<_> = lines.collect().await;
        lines.into_iter().filter_map(|line| Some(line.ok()?.text)).collect::<Vec<_>>().join("\n")
    }

    /// From its first start to its end.
    async fn is_whole(&self, told: impl Fn(&Started) -> String) {
        let at = self.start().await;
        let adapter = self.ready(&at).await;
        assert_eq!(uses(&*adapter).await, 0, "nothing was there before");
        let told = told(&at);
        assert!(!told.contains("ca'na") && !told.contains("ca\\'na"), "{told}");
        if self.driver.runs().unwrap().password {
            let stranger = self.connect(&at, Some("another"));
            stranger.probe(Duration::from_secs(2)).await.expect_err("it asks for the password");
        }
        adapter.close().await.unwrap();
        self.provisioner.stop(&self.work.name).await.unwrap();
        let found = self.provisioner.find(&self.work.name).await.unwrap().unwrap();
        assert_eq!((found.state, found.has_data), (State::Stopped, true));
        let archive = self.archive().await;
        let at = self.start().await;
        let adapter = self.ready(&at).await;
        assert_eq!(uses(&*adapter).await, 1, "its data are those of before");
        adapter.close().await.unwrap();
        if let Some(archive) = archive {
            self.loads(&archive).await;
        }
        self.provisioner.remove(&self.work.name, Data::Remove).await.unwrap();
        assert_eq!(self.provisioner.find(&self.work.name).await.unwrap(), None);
    }
}

/// Writes something more, and says how much of it was there.
async fn uses(adapter: &dyn Adapter) -> u64 {
    let soon = Instant::now() + Duration::from_secs(30);
    if let Some(keys) = adapter.key_value() {
        let had = keys.get(b"k").await.unwrap();
        keys.set(b"k", Value::plain("v"), SetOptions::default()).await.unwrap();
        return u64::from(had.is_some());
    }
    if let Some(sql) = adapter.sql() {
        let statement = |query: &str| Statement { query: query.into(), args: Arc::new([]) };
        let make = statement("CREATE TABLE IF NOT EXISTS lines (word TEXT)");
        sql.execute(&make, soon).await.unwrap();
        sql.execute(&statement("INSERT INTO lines VALUES ('v')"), soon).await.unwrap();
        let all = sql.execute(&statement("UPDATE lines SET word = 'w'"), soon).await.unwrap();
        return all - 1;
    }
    let queue = adapter.queue().unwrap();
    let message = Message { key: None, value: "v".into(), headers: Vec::new() };
    let receipts = queue.publish("lines", &[message], None).await.unwrap();
    receipts.into_iter().next().unwrap().unwrap().offset
}

fn kinds() -> [serde_json::Value; 2] {
    [
        json!({ "type": "redis", "username": "app", "database": "20", "provision": true }),
        json!({ "type": "postgres", "database": "the \"shop\"", "provision": true }),
    ]
}

async fn in_a_container(asked: serde_json::Value) {
    let engine = engines::docker();
    let options = docker::Options { host: Some(engine.host().to_owned()), gateway: "recipes".to_owned() };
    let docker = Docker::new(options);
    let run = Run::new(&docker, asked);
    run.is_whole(|at| engine.cli(&["inspect", &at.id])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_and_postgres_run_in_containers() {
    for asked in kinds() {
        in_a_container(asked).await;
    }
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_runs_in_a_container() {
    in_a_container(json!({ "type": "kafka", "provision": true })).await;
}

/// As a program of this machine, by whoever `user` is where this is root.
async fn as_a_program(asked: serde_json::Value, user: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let user = user.map(str::to_owned);
    let options = process::Options { dir: dir.path().to_owned(), gateway: "recipes".into(), user };
    let processes = Processes::new(options);
    let run = Run::new(&processes, asked);
    let told = |at: &Started| {
        let of = |what: &str| std::fs::read(format!("/proc/{}/{what}", at.id)).unwrap();
        [of("cmdline"), of("environ")].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    };
    run.is_whole(told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_and_postgres_run_as_programs_of_this_machine() {
    for asked in kinds() {
        as_a_program(asked, None).await;
    }
}

/// With a Kafka that is installed nowhere: its scripts, and the jars that all tests share. Where it is stands in the
/// environment, which a process cannot change of itself; so the test runs once more, in a process of its own.
#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_runs_as_a_program_of_this_machine() {
    use std::os::unix::fs::MetadataExt;
    if std::env::var_os("KAFKA_HOME").is_some() {
        // Nobody else may read the jars.
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        return as_a_program(json!({ "type": "kafka", "provision": true }), is_root.then_some("root")).await;
    }
    // Sees to it that the jars are there.
    let _ = engines::Engines::shared().kafka();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let versions = std::fs::read_dir(root.join(".cache/kafka")).unwrap().map(|entry| entry.unwrap().path());
    let jars = versions.filter(|path| path.join("complete").exists()).max().unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(jars, home.path().join("libs")).unwrap();
    for script in std::fs::read_dir(root.join("test/images/kafka-root/opt/kafka/bin")).unwrap() {
        let script = script.unwrap();
        std::fs::copy(script.path(), home.path().join("bin").join(script.file_name())).unwrap();
    }
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kafka_runs_as_a_program_of_this_machine"])
        .env("KAFKA_HOME", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout) + String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}
