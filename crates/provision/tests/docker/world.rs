//! What the tests stand on: a driver, a cluster of one's own that is taken away at the end, and a small service.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engines::{Docker as Engine, Image};
use model::recipe::{Dump, File, Recipe, Run, Signal, Stop};
use model::secret::Secret;
use throome_provision::docker::{Docker, Options};
use throome_provision::{Name, Progress, Work};

/// The gateway that tests are.
pub(crate) const GATEWAY: &str = "gateway-of-tests";

/// An engine, a driver of it, and the name of a cluster that nobody else has.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) docker: Docker,
    pub(crate) cluster: String,
}

impl World {
    /// On the engine that all share.
    pub(crate) fn shared() -> World {
        World::on(engines::docker())
    }

    pub(crate) fn on(engine: Engine) -> World {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = format!("t{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let docker = gateway(&engine, GATEWAY);
        World { engine, docker, cluster }
    }

    pub(crate) fn name(&self, service: &str) -> Name {
        Name { cluster: self.cluster.as_str().into(), service: service.into() }
    }

    /// How the engine calls it.
    pub(crate) fn called(&self, service: &str) -> String {
        format!("throome-{}-{service}", self.cluster)
    }

    /// A service that runs this script of the shell.
    pub(crate) fn script(&self, service: &str, script: &str) -> Work {
        script_of(&self.cluster, service, script)
    }

    /// A service that serves `/data` by HTTP, with its file `word` in it.
    pub(crate) fn site(&self, service: &str) -> Work {
        site_of(&self.cluster, service)
    }

    /// What of the cluster is on the engine: containers, volumes, networks.
    pub(crate) fn left(&self) -> Vec<String> {
        let filter = format!("label=throome.cluster={}", self.cluster);
        let lists: [&[&str]; 3] = [
            &["ps", "--all", "--format", "container {{.Names}}", "--filter", &filter],
            &["volume", "ls", "--format", "volume {{.Name}}", "--filter", &filter],
            &["network", "ls", "--format", "network {{.Name}}", "--filter", &filter],
        ];
        let said = lists.into_iter().map(|list| self.engine.cli(list)).collect::<Vec<_>>().join("\n");
        said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// The same, of any cluster.
pub(crate) fn site_of(cluster: &str, service: &str) -> Work {
    let script = "ln -sf /throome/word /data/word; exec httpd -f -p 7000 -h /data";
    let mut work = script_of(cluster, service, script);
    work.recipe.files = vec![File { name: "word".to_owned(), text: Secret::new("canary") }];
    work
}

/// The same, of any cluster.
pub(crate) fn script_of(cluster: &str, service: &str, script: &str) -> Work {
    Work {
        name: Name { cluster: cluster.into(), service: service.into() },
        recipe: Recipe {
            image: Image::Tiny.name().to_owned(),
            prepare: Vec::new(),
            run: Run {
                program: "sh".to_owned(),
                args: vec!["-c".to_owned(), script.to_owned()],
                env: Vec::new(),
            },
            files: Vec::new(),
            data: "/data".to_owned(),
            port: 7000,
            network_port: 7000,
            stop: Stop { signal: Signal::Term, grace: Duration::from_secs(2) },
            dump: Dump::AtRest { format: "tar" },
        },
        image: None,
        env: Vec::new(),
        memory: None,
        cpus: None,
        bind: "127.0.0.1".parse().unwrap(),
        port: free_port(),
        secret: None,
        operation: "op-1".to_owned(),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for line in self.left() {
            let (kind, name) = line.split_once(' ').unwrap();
            let _ = match kind {
                "container" => self.engine.try_cli(&["rm", "--force", "--volumes", name]),
                kind => self.engine.try_cli(&[kind, "rm", name]),
            };
        }
    }
}

/// A driver as another gateway has it.
pub(crate) fn gateway(engine: &Engine, id: &str) -> Docker {
    Docker::new(Options { host: Some(engine.host().to_owned()), gateway: id.to_owned() })
}

/// A port that nobody has, and that no other test is given.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut given = GIVEN.lock().unwrap();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// Nobody listens.
pub(crate) fn quiet(_: Progress) {}

/// What is served there, as soon as anything is.
pub(crate) fn get(host: &str, port: u16, path: &str) -> Option<String> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Some(body) = try_get(host, port, path) {
            return Some(body);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

pub(crate) fn try_get(host: &str, port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((host, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// Asks again until it is so.
///
/// # Panics
/// When it is not so in time.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if let Some(value) = ask().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not in time")
}
