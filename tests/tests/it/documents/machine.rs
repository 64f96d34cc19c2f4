//! The machine of a document's reader: a directory with the programs in `bin/`, the engines on their usual ports with
//! the passwords of the documents, and the gateway that the reader has started.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engines::Engines;
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_e2e::gateway::request;
use throome_e2e::process::{gateway_binary, wait_for};
use throome_e2e::{Connection, Reply};

use super::page::Page;
use super::shape;

const CONTROL: ([u8; 4], u16) = ([127, 0, 0, 1], 9000);

/// How a reader starts the gateway when nothing is said.
const PLAINLY: &str = "./bin/throome";

pub(super) struct Machine {
    dir: TempDir,
    gateway: Option<Child>,
    /// The gateway file that the document shows. It is there only for who names it, since a gateway takes one that it
    /// finds.
    gateway_file: Option<String>,
    /// What the gateway has printed when it first served beyond loopback.
    token: Option<String>,
    /// The last answer that was asked for.
    answer: Option<Reply>,
    /// The cluster that was made last.
    cluster: Option<String>,
    /// The cluster file that was written last.
    file: Option<(String, String)>,
    _engines: [Engines; 2],
}

impl Machine {
    pub(super) fn new(page: &Page) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        for name in ["throome", "throome-cli"] {
            symlink(gateway_binary(), dir.path().join("bin").join(name)).unwrap();
        }
        let mut machine = Machine {
            dir,
            gateway: None,
            gateway_file: page.gateway_file().map(str::to_owned),
            token: None,
            answer: None,
            cluster: None,
            file: None,
            _engines: [usual_engines(), postgres_of_000()],
        };
        machine.start(PLAINLY);
        machine
    }

    /// Types a line. One that starts the gateway takes the place of the one that runs.
    #[track_caller]
    pub(super) fn type_line(&mut self, line: &str) {
        if line != PLAINLY && line.split(' ').next() == Some(PLAINLY) {
            let file = self.gateway_file.clone().filter(|_| line.contains("--config"));
            if let Some(text) = &file {
                self.write("throome.yaml", text);
            }
            self.start(line);
            self.serves_those_who_may(file.is_some_and(|text| text.contains("0.0.0.0")));
            // The document says it as another way, and goes on with the first.
            let _ = fs::remove_file(self.dir.path().join("throome.yaml"));
            return self.start(PLAINLY);
        }
        if line == PLAINLY {
            return self.start(line);
        }
        let output = Command::new("bash").args(["-ec", line]).current_dir(self.dir.path()).output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {said}{told}");
        assert!(!said.trim().is_empty() || !told.trim().is_empty(), "{line}: says nothing");
        assert!(!said.contains("/errors/"), "{line}: {said}");
    }

    /// Sends a request; what stands in braces is the cluster that was made last.
    #[track_caller]
    pub(super) fn request(&mut self, method: &str, path: &str, body: Option<&str>) {
        let path = match path.split_once('{') {
            Some((before, rest)) => {
                format!("{before}{}{}", self.some_cluster(), rest.split_once('}').unwrap().1)
            }
            None => path.to_owned(),
        };
        let reply = ask(method, &path, body);
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply}");
        match method {
            "POST" => self.cluster = Some(reply.json()["cluster_id"].as_str().unwrap().to_owned()),
            "DELETE" => {
                assert_eq!(ask("GET", &path, None).status, 404, "{path} is still there");
                self.cluster = None;
            }
            _ => {}
        }
        self.answer = Some(reply);
    }

    /// The cluster that was made last. Who has none makes one by the command that documents have for it.
    #[track_caller]
    fn some_cluster(&mut self) -> String {
        if self.cluster.is_none() {
            self.type_line("./bin/throome-cli create-cluster --name my-app");
            let list = ask("GET", "/api/v1/clusters", None).json();
            let clusters = list["clusters"].as_array().unwrap();
            let made = clusters.iter().find(|cluster| cluster["name"] == "my-app").unwrap();
            self.cluster = Some(made["cluster_id"].as_str().unwrap().to_owned());
        }
        self.cluster.clone().unwrap()
    }

    /// Compares the last answer with the one that the document shows.
    #[track_caller]
    pub(super) fn compare(&self, shown: &str) {
        let shown: Value = serde_json::from_str(shown).unwrap();
        let said = self.answer.as_ref().unwrap().json();
        if let Some(fault) = shape::differs(&shown, &said, "the answer") {
            panic!("{fault}: {said}");
        }
    }

    /// A gateway file loads, and a gateway starts with it.
    #[track_caller]
    pub(super) fn gateway_file(&mut self, text: &str) {
        self.write("checked.yaml", text);
        self.type_line("./bin/throome-cli validate-config checked.yaml");
        self.gateway_file = Some(text.to_owned());
        self.type_line("./bin/throome --config throome.yaml");
    }

    /// A cluster file is taken up while the gateway runs, and its services serve.
    #[track_caller]
    pub(super) fn cluster_file(&mut self, text: &str) {
        let own = text.lines().find_map(|line| line.strip_prefix("cluster_id: "));
        let id = own.map_or("sample", |own| own.trim_matches('"')).to_owned();
        self.write_cluster(&id, text);
        self.type_line(&format!("./bin/throome-cli validate-config clusters/{id}/config.yaml"));
        self.is_well(&id);
        serves(&id);
        self.cluster = Some(id.clone());
        self.file = Some((id, text.to_owned()));
    }

    /// What is shown of one service is added to that service in the file from before.
    #[track_caller]
    pub(super) fn part_of_service(&mut self, text: &str) {
        let (id, file) = self.file.clone().unwrap();
        let mut lines = text.lines().skip_while(|line| *line != "services:").skip(1);
        let service = lines.next().unwrap();
        let part: String = lines.map(|line| format!("{line}\n")).collect();
        let (before, behind) = file.split_once(&format!("{service}\n")).unwrap();
        self.write_cluster(&id, &format!("{before}{service}\n{part}{behind}"));
        let name = service.trim().trim_end_matches(':');
        let is_there = || {
            let spec = ask("GET", &format!("/api/v1/clusters/{id}"), None).json();
            (spec["services"][name]["pool"]["min_connections"] == 5).then_some(())
        };
        wait_for("the change of the file", Duration::from_secs(10), is_there);
        self.is_well(&id);
        serves(&id);
    }

    /// Series that are said to be there are there when something has been asked, in vain too.
    #[track_caller]
    pub(super) fn has_metrics(&self, names: &[&str]) {
        let Some((cluster, _)) = self.file.as_ref().filter(|_| !names.is_empty()) else {
            return assert!(names.is_empty(), "there is no cluster to ask anything of");
        };
        serves(cluster);
        let wrong = json!({ "query": "SELECT * FROM nowhere" }).to_string();
        let _ = ask("POST", &format!("/api/v1/clusters/{cluster}/db/query"), Some(&wrong)).expect(400);
        let said = ask("GET", "/metrics", None).expect(200).text();
        for name in names {
            assert!(said.lines().any(|line| line.starts_with(name)), "there is no {name} in {said}");
        }
    }

    /// Ends the gateway that runs and starts one by this line.
    #[track_caller]
    fn start(&mut self, line: &str) {
        self.end();
        let open = |name: &str| {
            let path = self.dir.path().join(name);
            fs::File::create(path).unwrap()
        };
        let gateway = Command::new("bash")
            .args(["-c", &format!("exec {line}")])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(open("out"))
            .stderr(open("err"))
            .spawn()
            .unwrap();
        let gateway = self.gateway.insert(gateway);
        wait_for(&format!("{line}: it answers"), Duration::from_secs(20), || {
            let gone = gateway.try_wait().unwrap();
            let log = || fs::read_to_string(self.dir.path().join("err")).unwrap();
            assert!(gone.is_none(), "{line}: it has stopped: {}", log());
            TcpStream::connect(std::net::SocketAddr::from(CONTROL)).ok()
        });
    }

    fn end(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            throome_e2e::process::signal(gateway.id(), "TERM");
            gateway.wait().unwrap();
        }
    }

    /// Beyond loopback it asks for the token that it has printed once, and on loopback for none.
    #[track_caller]
    fn serves_those_who_may(&mut self, beyond_loopback: bool) {
        if beyond_loopback && self.token.is_none() {
            let token = || {
                let printed = fs::read_to_string(self.dir.path().join("err")).unwrap();
                printed.split_whitespace().find(|word| word.starts_with("thr_")).map(str::to_owned)
            };
            self.token = Some(wait_for("the token", Duration::from_secs(10), token));
        }
        let status = ask("GET", "/api/v1/clusters", None).status;
        assert_eq!(status, if beyond_loopback { 401 } else { 200 });
        let mut list = Command::new(self.dir.path().join("bin/throome-cli"));
        list.arg("list-clusters").env("THROOME_TOKEN", self.token.as_deref().unwrap_or_default());
        let output = list.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[track_caller]
    fn is_well(&self, id: &str) {
        let mut said = String::new();
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(&format!("cluster {id} is well"), Duration::from_secs(20), || {
                let reply = ask("GET", &format!("/api/v1/clusters/{id}/health"), None);
                said = reply.text();
                (reply.status == 200 && reply.json()["status"] == "HEALTHY").then_some(())
            });
        }));
        let log = || fs::read_to_string(self.dir.path().join("err")).unwrap();
        assert!(asked.is_ok(), "cluster {id}: {said}\n{}", log());
    }

    fn write_cluster(&self, id: &str, text: &str) {
        fs::create_dir_all(self.dir.path().join("clusters").join(id)).unwrap();
        self.write(&format!("clusters/{id}/config.yaml"), text);
    }

    fn write(&self, path: &str, text: &str) {
        let path: &Path = &self.dir.path().join(path);
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

#[track_caller]
fn ask(method: &str, path: &str, body: Option<&str>) -> Reply {
    let control = CONTROL.into();
    Connection::open(control).ask(request(control, method, path, body))
}

/// What the SDKs' examples do with such a cluster: a key that is set is read, and a table made is asked.
#[track_caller]
fn serves(id: &str) {
    let call = |path: &str, body: Value| {
        ask("POST", &format!("/api/v1/clusters/{id}/{path}"), Some(&body.to_string())).expect(200).json()
    };
    call("cache/set", json!({ "key": "user:123", "value": "John Doe", "ttl": 60 }));
    assert_eq!(call("cache/get", json!({ "key": "user:123" }))["value"], "John Doe");
    call("db/execute", json!({ "query": "CREATE TABLE IF NOT EXISTS users (id SERIAL, name VARCHAR(100))" }));
    call("db/execute", json!({ "query": "INSERT INTO users (name) VALUES ($1)", "args": ["Alice"] }));
    assert_eq!(call("db/query", json!({ "query": "SELECT * FROM users" }))["rows"][0]["name"], "Alice");
}

/// Redis and PostgreSQL where they always are, with the user of 001 and 002.
fn usual_engines() -> Engines {
    let engines = Engines::own();
    let _redis = engines.start("redis@6379");
    let postgres = engines.start("postgres@5432");
    let _ = postgres.psql("CREATE ROLE \"user\" LOGIN PASSWORD 'pass'");
    let _ = postgres.psql("CREATE DATABASE mydb OWNER \"user\"");
    engines
}

/// The second PostgreSQL, which is 000's.
fn postgres_of_000() -> Engines {
    let engines = Engines::own();
    let postgres = engines.start("postgres@5433");
    let _ = postgres.psql("CREATE DATABASE mydb");
    let _ = postgres.psql("ALTER ROLE postgres PASSWORD 'password'");
    engines
}
