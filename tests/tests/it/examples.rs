//! The examples that run by one command: each is started by it, every line of its page is typed and answers what the page
//! shows, and nothing is left when it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engines::{Engines, secrets};
use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, gateway_binary, signal, wait_for};
use throome_e2e::{Connection, turn};

use crate::{guides, peers};

/// The ports of each example's services: the variable that chooses one, and the port when it is left out.
const BASIC: &[(&str, &str)] = &[("MOCK_HTTP_PORT", "3000"), ("MOCK_SECOND_PORT", "3003")];
const CHAT: &[(&str, &str)] = &[("MOCK_WEBSOCKET_PORT", "3001")];
const DASHBOARD: &[(&str, &str)] = &[("MOCK_SSE_PORT", "3002")];
const MICROSERVICES: &[(&str, &str)] = &[
    ("USERS_PORT", "3010"),
    ("PRODUCTS_PORT", "3011"),
    ("PRODUCTS_TWO_PORT", "3012"),
    ("PRODUCTS_NEXT_PORT", "3013"),
    ("ORDERS_PORT", "3014"),
    ("AUDIT_PORT", "3015"),
    ("RECOMMENDATIONS_PORT", "3016"),
];

/// A script that Ctrl-C ends, also where whoever runs the tests does not heed it, and has left that to them.
fn script(path: &Path) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(path);
    command
}

#[test]
fn basic_works_as_it_stands() {
    let _turn = turn::together();
    Example::start("basic", BASIC).type_page().end();
}

#[test]
fn the_chat_works_as_it_stands() {
    let _turn = turn::together();
    let example = Example::start("websocket-chat", CHAT).type_page();
    assert!(page_of(&example, "/chat").contains("<title>Chat</title>"));
    example.end();
}

/// Two clients of somebody else's library talk, and whoever stays is told when the gateway goes.
#[test]
fn people_chat_through_the_gateway() {
    let _turn = turn::together();
    let example = Example::start("websocket-chat", CHAT);
    let script = root().join("tests/clients/examples/chat_clients.py");
    let mut clients = Command::new(peers::tool("PEERS_PYTHON"))
        .arg("-B")
        .arg(script)
        .args([example.port("8080").to_string(), example.port("3001").to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clients.stdout.take().unwrap()).lines().map(Result::unwrap);
    let cases: Vec<String> = said.by_ref().take_while(|line| line != "# 34 of 34").collect();
    assert!(cases.len() == 34 && cases.iter().all(|line| line.starts_with("ok ")), "{cases:#?}");
    example.end();
    assert_eq!(said.next().as_deref(), Some("told 1001"));
    assert!(clients.wait().unwrap().success());
}

#[test]
fn the_dashboard_works_as_it_stands() {
    let _turn = turn::together();
    let example = Example::start("sse-dashboard", DASHBOARD).type_page();
    assert!(page_of(&example, "/dashboard").contains("<title>Dashboard</title>"));
    example.end();
}

/// Who is cut off again and again, and says what it has seen last, misses nothing and hears nothing twice.
#[test]
fn a_follower_that_is_cut_off_goes_on_where_it_was() {
    let _turn = turn::together();
    let example = Example::start("sse-dashboard", DASHBOARD);
    let mut last = 30;
    let cut = || {
        Connection::open(([127, 0, 0, 1], example.port("3002")).into())
            .ask("POST /cut HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    for round in 0..5 {
        let mut stream = Connection::open(example.traffic());
        stream.send(format!(
            "GET /dashboard/events HTTP/1.1\r\nHost: {}\r\nLast-Event-ID: {last}\r\n\r\n",
            example.traffic()
        ));
        let head = stream.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        // Beyond what was there when it came back, so that some come while it looks on.
        for _ in 0..40 - 8 * round {
            let _ = stream.until("\nid: ");
            let id: u64 = stream.until("\n").trim().parse().unwrap();
            assert_eq!(id, last + 1);
            last = id;
        }
        if round % 2 == 0 {
            // The service cuts it off instead: no end is said, and none is made up on the way.
            assert_eq!(cut().status, 200);
            let rest = stream.until_closed(Duration::from_secs(5)).unwrap();
            assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{}", rest.escape_ascii());
        }
    }
    example.end();
}

#[test]
fn the_microservices_work_as_they_stand() {
    let _turn = turn::together();
    Example::start("microservices", MICROSERVICES).type_page().end();
}

/// What is said to take the place of the embedded engines does, and nobody who orders notices.
#[test]
fn real_engines_take_the_place_of_embedded_ones() {
    let _turn = turn::together();
    let (redis, postgres) = (Engines::shared().redis(), Engines::shared().postgres());
    let (_, password) = secrets::POSTGRES_OWNER;
    let page = fs::read_to_string(root().join("examples/microservices/README.md")).unwrap();
    let shown = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let here = [
        ("port: 6379", format!("port: {}", redis.port)),
        ("port: 5432", format!("port: {}", postgres.port)),
        ("username: shop", format!("username: {}", secrets::POSTGRES_OWNER.0)),
        ("database: shop", format!("database: {}", secrets::POSTGRES_DATABASE)),
    ];
    let moved = here.iter().fold(shown.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no {from} in {text}");
        text.replace(from, to)
    });
    let dir = tempfile::tempdir().unwrap();
    // All three are valid. A Kafka takes long to start, and is asked by other tests.
    let all = dir.path().join("all.yaml");
    fs::write(&all, with_lines(&moved, &["cache", "db", "queue"])).unwrap();
    let output = Command::new(gateway_binary())
        .arg("validate")
        .arg(&all)
        .env("DB_PASSWORD", password)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = dir.path().join("mine.yaml");
    fs::write(&file, with_lines(&moved, &["cache", "db"])).unwrap();

    // Those of an earlier run.
    let _ = postgres.psql("DROP TABLE IF EXISTS orders");
    let _ = redis.redis_cli(&["DEL", "product:3"]);
    let more = [("CLUSTER_FILE", file.to_str().unwrap()), ("DB_PASSWORD", password)];
    let example = Example::start_with("microservices", MICROSERVICES, &more);
    let body = json!({ "user": 2, "product": 3, "quantity": 2 }).to_string();
    let ask = request(example.traffic(), "POST", "/shop/orders", Some(&body));
    let order = Connection::open(example.traffic()).ask(ask).expect(201).json();
    assert_eq!(order["total"], "240.00");
    assert_eq!(postgres.psql("SELECT customer || ' ' || total FROM orders"), "Grace 240.00");
    assert!(redis.redis_cli(&["GET", "product:3"]).contains("Chair"));
    example.end();
    let _ = postgres.psql("DROP TABLE orders");
}

/// The example's file with these services as they are shown.
fn with_lines(shown: &str, services: &[&str]) -> String {
    let config = fs::read_to_string(root().join("examples/microservices/config.yaml")).unwrap();
    services.iter().fold(config, |config, service| {
        let of = |text: &str| {
            let mut lines = text.lines().filter(|line| line.starts_with(&format!("  {service}: {{")));
            lines.next().unwrap_or_else(|| panic!("no {service} in {text}")).to_owned()
        };
        config.replace(&of(&config), &of(shown))
    })
}

/// The mock servers by their one command, and every line of their page.
#[test]
fn the_mock_servers_work_as_they_stand() {
    let _turn = turn::together();
    let mut command = script(&root().join("test/mock/run.sh"));
    let mut ports = Vec::new();
    for (variable, shown) in [BASIC[0], CHAT[0], DASHBOARD[0]] {
        let port = free_port();
        command.env(variable, port.to_string());
        ports.push((shown, port));
    }
    let mut mocks = Script(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let said = BufReader::new(mocks.0.stdout.take().unwrap()).lines();
    let up: Vec<String> = said.take(3).map(Result::unwrap).collect();
    assert!(up.len() == 3 && up.iter().all(|line| line.contains(": http://127.0.0.1:")), "{up:?}");
    let page = fs::read_to_string(root().join("test/mock/README.md")).unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (typed, faults) = guides::faults_beside("test/mock/README.md", &page, nobody, &ports);
    assert!(typed > 3 && faults.is_empty(), "{} of {typed} blocks:\n\n{}", faults.len(), faults.join("\n\n"));
    assert_eq!(mocks.interrupt(), Some(130));
    nobody_listens(&ports);
}

/// A port that is taken is told, with the name that chooses another, and nothing goes on running.
#[test]
fn a_port_that_is_taken_is_told() {
    let _turn = turn::together();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, word) in
        [("MOCK_HTTP_PORT", "basic: one did not start"), ("THROOME_PROXY_PORT", "basic: somebody listens")]
    {
        let mut command = script(&root().join("examples/basic/run.sh"));
        for (service, _) in BASIC {
            command.env(service, free_port().to_string());
        }
        let output = command
            .env("THROOME_SERVER_PORT", free_port().to_string())
            .env("THROOME_BIN", gateway_binary())
            .env(variable, &port)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for word in [port.as_str(), variable, word] {
            assert!(said.contains(word), "no {word} in {said}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A page of a browser.
fn page_of(example: &Example, path: &str) -> String {
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", example.traffic());
    Connection::open(example.traffic()).ask(ask).expect(200).text()
}

/// An example that runs, on ports of its own.
struct Example {
    name: &'static str,
    /// The ports that its page names, and those that they are.
    ports: Vec<(&'static str, u16)>,
    script: Script,
    output: tempfile::NamedTempFile,
}

impl Example {
    /// Types its one command, and waits until it says that it runs.
    fn start(name: &'static str, services: &[(&'static str, &'static str)]) -> Example {
        Example::start_with(name, services, &[])
    }

    /// The same with more in its environment.
    fn start_with(
        name: &'static str,
        services: &[(&'static str, &'static str)],
        more: &[(&str, &str)],
    ) -> Example {
        let doors = [("THROOME_SERVER_PORT", "9000"), ("THROOME_PROXY_PORT", "8080")];
        let mut command = script(&root().join("examples").join(name).join("run.sh"));
        let mut ports = Vec::new();
        for (variable, shown) in doors.iter().chain(services) {
            let port = free_port();
            command.env(variable, port.to_string());
            ports.push((*shown, port));
        }
        let output = tempfile::NamedTempFile::new().unwrap();
        let script = command
            .env("THROOME_BIN", gateway_binary())
            .env("MOCK_SSE_EVERY", "0.1")
            .env_remove("THROOME_TOKEN")
            .env_remove("CLUSTER_FILE")
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.reopen().unwrap())
            .stderr(output.as_file().try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut example = Example { name, ports, script: Script(script), output };
        wait_for("the example's word", Duration::from_secs(60), || {
            let ended = example.script.0.try_wait().unwrap();
            assert!(ended.is_none(), "{name} has ended ({ended:?}): {}", example.said());
            example.said().contains(" says what there is to see").then_some(())
        });
        example
    }

    fn port(&self, shown: &str) -> u16 {
        self.ports.iter().find(|(named, _)| *named == shown).unwrap().1
    }

    fn traffic(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port("8080")))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.output.path()).unwrap()
    }

    /// Types its page, which must work as it stands.
    fn type_page(self) -> Example {
        let name = format!("examples/{}/README.md", self.name);
        let page = fs::read_to_string(root().join(&name)).unwrap();
        let control = SocketAddr::from(([127, 0, 0, 1], self.port("9000")));
        let (typed, faults) = guides::faults_beside(&name, &page, control, &self.ports);
        assert!(typed > 3, "{name} has hardly a line to type");
        assert!(faults.is_empty(), "{} of {typed} blocks:\n\n{}", faults.len(), faults.join("\n\n"));
        self
    }

    /// Ctrl-C: everything ends, and nothing is left.
    fn end(mut self) {
        let said = self.said();
        let logs = said.lines().find_map(|line| line.trim().strip_prefix("logs ")).unwrap();
        let work = PathBuf::from(logs.trim().trim_end_matches("/*.log"));
        assert!(work.join("gateway.log").is_file(), "{work:?} of {said}");
        assert_eq!(self.script.interrupt(), Some(130), "{}", self.said());
        assert!(!work.exists(), "{work:?} is left");
        nobody_listens(&self.ports);
    }
}

/// A script that runs servers until it is stopped.
struct Script(Child);

impl Script {
    /// Ctrl-C, and its exit code.
    fn interrupt(&mut self) -> Option<i32> {
        signal(self.0.id(), "INT");
        let limit = Duration::from_secs(20);
        wait_for("the script's end", limit, || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            // A test has failed. The script ends what it has started, when it is asked.
            signal(self.0.id(), "TERM");
            let _ = self.0.wait();
        }
    }
}

fn nobody_listens(ports: &[(&str, u16)]) {
    for (shown, port) in ports {
        let listens = std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok();
        assert!(!listens, "somebody listens at {port}, which stands for {shown}");
    }
}
