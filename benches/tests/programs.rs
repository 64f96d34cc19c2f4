//! The programs that load comes from and ends in, run as they are run in a benchmark.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use engines::{Engines, secrets};
use throome_bench::crowd;
use throome_bench::timings::Timings;

/// Ends with the test, whatever becomes of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_backend() -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_backend"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the backend starts");
    let output = child.stdout.take().expect("its output is a pipe");
    let running = Running(child);
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address).expect("it prints its address");
    (running, address.trim().to_owned())
}

fn crowd(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_crowd")).args(arguments).output().expect("crowd starts")
}

fn timings(program: &str, arguments: &[&str]) -> Timings {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn closedloop_times_each_answer_of_the_backend() {
    let (_backend, address) = start_backend();
    let directory = tempfile::tempdir().expect("a directory");
    let bodies = directory.path().join("bodies.json");
    std::fs::write(&bodies, r#"["{}","{\"a\":1}"]"#).expect("it can be written");
    let bodies = format!("--bodies={}", bodies.display());
    let program = env!("CARGO_BIN_EXE_closedloop");
    let timings = timings(program, &[&address, "--path=/call", &bodies, "--seconds=0.3"]);
    assert!(timings.completed > 10 && timings.errors == 0, "{timings:?}");
    assert_eq!(timings.bytes, timings.completed * 200, "{timings:?}");
}

#[test]
fn direct_uses_the_engines_without_a_gateway() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = format!("--directory={}", directory.path().display());
    let run =
        |work, extra: &str| timings(env!("CARGO_BIN_EXE_direct"), &[work, &place, "--seconds=0.2", extra]);
    let published = run("publish", "--batch=3");
    assert!(published.completed > 0 && published.commits == Some(published.completed), "{published:?}");
    assert_eq!(run("consume", "--count=500").completed, 500);
}

#[test]
fn direct_reads_rows_of_a_postgres() {
    let server = Engines::shared().postgres();
    let (user, password) = secrets::POSTGRES_OWNER;
    let place = format!(
        "host={} port={} user={user} password={password} dbname={} sslmode=disable",
        server.host(),
        server.port,
        secrets::POSTGRES_DATABASE
    );
    throome_bench::direct::postgres::prepare(&place).expect("the table is made and filled");
    let place = format!("--server={place}");
    let run = |work| timings(env!("CARGO_BIN_EXE_direct"), &[work, &place, "--seconds=0.3", "--callers=3"]);
    let one = run("postgres-select");
    assert!(one.completed > 3 && one.errors == 0 && one.p50_us > 0.0, "{one:?}");
    let all = run("postgres-rows");
    assert!(all.completed > 0 && all.errors == 0, "{all:?}");
    assert!(all.bytes > all.completed * 10_000 * 30, "{all:?}");
}

#[cfg(feature = "kafka")]
#[test]
fn direct_publishes_to_a_kafka_all_that_it_counts() {
    use throome_bench::direct::kafka;

    let server = Engines::shared().kafka();
    let broker = format!("{}:{}", server.host(), server.port);
    let topic = format!("bench-{}", std::process::id());
    kafka::make_topic(&broker, &topic).expect("the topic is made");
    let (place, named) = (format!("--server={broker}"), format!("--topic={topic}"));
    let run = |work: &str| {
        let arguments = [work, &place, &named, "--seconds=0.5", "--callers=5"];
        timings(env!("CARGO_BIN_EXE_direct"), &arguments)
    };
    let (waiting, batching) = (run("kafka-waiting"), run("kafka-batching"));
    assert!(waiting.completed > 5 && waiting.errors == 0 && waiting.p50_us > 0.0, "{waiting:?}");
    assert!(batching.completed > 5 && batching.errors == 0, "{batching:?}");
    let there = kafka::count(&broker, &topic).expect("offsets");
    assert_eq!(there, waiting.completed + batching.completed);
}

#[test]
fn crowd_asks_the_backend_at_a_rate_and_as_fast_as_it_answers() {
    let (_backend, address) = start_backend();
    let address = format!("--address={address}");
    let common = [&address, "--seconds=1", "--warm-up=0.2", "--connections=8"];
    let output = crowd(&[&["open", "--rate=500"], &common[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: crowd::tally::Report = serde_json::from_slice(&output.stdout).expect("one JSON document");
    // A Poisson count of 500 has a standard deviation of 22.
    assert!((350..650).contains(&report.completed), "{report:?}");
    assert_eq!(report.errors, 0, "{report:?}");
    assert!(
        report.p50_us > 0.0 && report.p50_us <= report.p99_us && report.p99_us <= report.max_us,
        "{report:?}"
    );
    let own = format!("--watch={}", std::process::id());
    let output = crowd(&[&["closed", "--speech=websocket", &own], &common[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: crowd::Report = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert!(report.completed > 500 && report.errors == 0, "{report:?}");
}

#[test]
fn crowd_refuses_what_it_cannot_do() {
    for arguments in
        [&["open", "--rate=0"][..], &["closed", "--at-once=0"], &["closed", "--connections=0"], &[]]
    {
        let output = crowd(arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    }
}
