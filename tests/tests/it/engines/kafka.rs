//! Kafka whose broker is restarted in good order, and killed, while messages are published and read: what was
//! answered is there once, the group gets all of it, and nothing that was acknowledged comes again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use ::engines::{Engines, Server};
use serde_json::{Value, json};
use throome_e2e::calls::{Call, Calls, Told, counts};
use throome_e2e::gateway::request;
use throome_e2e::lines::{Line, Lines};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, turn};

use super::{BASE, CODES, SLACK, failed_clearly, failing_until, until_healthy};

const RATE: u32 = 40;
const TOPIC: &str = "work";
const TIMEOUT: Duration = Duration::from_secs(3);
/// A broker that was killed is let in again when its last session is over, and then everybody looks for it.
const BACK: Duration = Duration::from_secs(20);

/// Where a message stands.
type Place = (u64, u64);

/// What a reader was given.
#[derive(Debug, Default)]
struct Read {
    delivered: BTreeMap<Place, String>,
    /// Their acknowledgement was answered.
    settled: BTreeSet<Place>,
    /// Deliveries beyond the first.
    again: usize,
    /// Streams that ended, each with the last thing that it said.
    ended: Vec<String>,
    wrong: Vec<String>,
}

#[test]
fn a_broker_of_kafka_is_restarted_and_killed() {
    let _turn = turn::alone();
    let engines = Engines::own();
    let kafka = engines.kafka();
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  queue: {{ type: kafka, host: 127.0.0.1, port: {} }}\nrouting: {{ timeout_ms: {} }}\n",
            kafka.port,
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(10));
    let topic = json!({ "topic": TOPIC, "num_partitions": 3 });
    let _ = gateway.call("POST", &format!("{BASE}/queue/topics"), Some(&topic)).expect(201);

    let stop = Arc::new(AtomicBool::new(false));
    let reader = read(&gateway, &stop);
    let load = Calls::begin(gateway.control, RATE, |number| {
        let body =
            json!({ "topic": TOPIC, "message": format!("m{number}"), "key": (number % 7).to_string() });
        Call::post("PUBLISH", format!("{BASE}/queue/publish"), body)
    })
    .flowing();
    sleep(Duration::from_secs(2));
    let mut back = Vec::new();
    for fault in [Server::stop, Server::kill] {
        fault(&kafka);
        sleep(Duration::from_secs(2));
        kafka.restart();
        let up = Instant::now();
        until_healthy(&gateway, BACK);
        until_published(&gateway, back.len());
        back.push(up.elapsed());
        sleep(Duration::from_secs(3));
    }
    let over = now_us();
    let told = load.finish();
    let failing = failing_until(&told, "PUBLISH", over);
    // What is still to come has its time; a stream may look for its broker a while.
    wait_until_read(&gateway, Duration::from_secs(20));
    stop.store(true, Ordering::Relaxed);
    let read = reader.join().unwrap();
    println!(
        "broker restarted and killed: {}; published again {back:?} after; {} read, {} again, {} streams ended: {:?}",
        counts(&told),
        read.delivered.len(),
        read.again,
        read.ended.len(),
        read.ended
    );
    assert!(read.wrong.is_empty(), "{:#?}", &read.wrong[..read.wrong.len().min(5)]);
    failed_clearly(&told, "PUBLISH", &CODES, TIMEOUT + SLACK);
    assert_eq!(failing, Duration::ZERO, "publishing fails on");
    assert!(told.iter().filter(|one| one.good()).count() > 100, "{}", counts(&told));

    let there = all_there(&kafka);
    published_are_there(&told, &there);
    for (place, value) in &there {
        assert_eq!(read.delivered.get(place), Some(value), "{place:?} was published, and never read");
    }
    assert_eq!(read.settled.len(), there.len(), "acknowledged, all of them");
}

/// Reads for a group, acknowledges two of three at once and the third when it comes again, and begins again behind
/// the last message when the stream ends.
fn read(gateway: &Gateway, stop: &Arc<AtomicBool>) -> JoinHandle<Read> {
    let (door, stop) = (gateway.control, Arc::clone(stop));
    std::thread::spawn(move || {
        let (mut read, mut last) = (Read::default(), None::<String>);
        while !stop.load(Ordering::Relaxed) {
            let path =
                format!("{BASE}/queue/consume?topic={TOPIC}&group=workers&lease_ms=2000&format=ndjson");
            let resume = last.as_ref().map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
            let Some(mut lines) = Lines::open(door, &path, &resume) else { continue };
            if !lines.head().starts_with("HTTP/1.1 200") {
                read.ended.push(lines.head().lines().next().unwrap_or_default().to_owned());
                sleep(Duration::from_millis(200));
                continue;
            }
            let mut said = String::new();
            loop {
                if stop.load(Ordering::Relaxed) {
                    return read;
                }
                match lines.next(Duration::from_millis(200)) {
                    Line::Text(line) if line.is_empty() => {}
                    Line::Text(line) => {
                        let event: Value = serde_json::from_str(&line).unwrap();
                        if event["event"] == "message" {
                            last = event["resume"].as_str().map(str::to_owned);
                            read.take(door, &event);
                        } else {
                            said = line;
                        }
                    }
                    Line::Quiet => {}
                    Line::Over => break,
                }
            }
            read.ended.push(said);
        }
        read
    })
}

impl Read {
    fn take(&mut self, door: std::net::SocketAddr, event: &Value) {
        let place = (event["partition"].as_u64().unwrap(), event["offset"].as_u64().unwrap());
        if self.settled.contains(&place) {
            self.wrong.push(format!("acknowledged, and delivered again: {event}"));
        }
        let value = event["value"].as_str().unwrap().to_owned();
        let seen = self.delivered.insert(place, value.clone());
        if let Some(seen) = &seen {
            self.again += 1;
            if *seen != value {
                self.wrong.push(format!("another message than before: {event}"));
            }
        }
        if seen.is_none() && place.1 % 3 == 2 {
            return;
        }
        let body = json!({ "topic": TOPIC, "group": "workers", "ack": [event["ack"]] }).to_string();
        let mut connection = throome_e2e::Connection::open(door);
        let reply = connection.ask(request(door, "POST", &format!("{BASE}/queue/ack"), Some(&body)));
        // One whose stream has ended meanwhile comes again, with another token.
        if reply.status == 200 && reply.json()["acknowledged"] == 1 {
            self.settled.insert(place);
        }
    }
}

/// Publishes until it is answered, each time another message.
fn until_published(gateway: &Gateway, round: usize) {
    let mut number = 0;
    wait_for("publishing goes on", BACK, || {
        number += 1;
        let body = json!({ "topic": TOPIC, "message": format!("try {round} {number}") });
        (gateway.call("POST", &format!("{BASE}/queue/publish"), Some(&body)).status == 200).then_some(())
    });
}

fn wait_until_read(gateway: &Gateway, limit: Duration) {
    let began = Instant::now();
    loop {
        let groups = gateway.call("GET", &format!("{BASE}/queue/groups?topic={TOPIC}"), None);
        if groups.status == 200 && groups.json()["groups"][0]["lag"] == 0 {
            return;
        }
        assert!(began.elapsed() < limit, "the group is still behind: {groups}");
        sleep(Duration::from_millis(200));
    }
}

/// Every message of the topic, as Kafka's own program reads it.
fn all_there(kafka: &Server) -> BTreeMap<Place, String> {
    let server = kafka.address().to_string();
    let ends = kafka.kafka_tool(
        "org.apache.kafka.tools.GetOffsetShell",
        &["--bootstrap-server", &server, "--topic", TOPIC],
    );
    let count: u64 = ends.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
    let said = kafka.kafka_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--bootstrap-server",
            &server,
            "--topic",
            TOPIC,
            "--from-beginning",
            "--max-messages",
            &count.to_string(),
            "--timeout-ms",
            "20000",
            "--property",
            "print.partition=true",
            "--property",
            "print.offset=true",
        ],
    );
    let there: BTreeMap<Place, String> = said
        .lines()
        .filter_map(|line| {
            let mut words = line.split('\t');
            let partition = words.next()?.strip_prefix("Partition:")?.parse().ok()?;
            let offset = words.next()?.strip_prefix("Offset:")?.parse().ok()?;
            Some(((partition, offset), words.next()?.to_owned()))
        })
        .collect();
    assert_eq!(there.len() as u64, count, "{said}");
    there
}

fn published_are_there(told: &[Told], there: &BTreeMap<Place, String>) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for value in there.values() {
        *times.entry(value).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "published twice: {twice:?}");
    for one in told.iter().filter(|one| one.good()) {
        let result = &one.answer["results"][0];
        let place = (result["partition"].as_u64().unwrap(), result["offset"].as_u64().unwrap());
        assert_eq!(there.get(&place), Some(&format!("m{}", one.number)), "answered, and not there: {one}");
    }
}
