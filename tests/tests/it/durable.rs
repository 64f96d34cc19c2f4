//! kill -9 a hundred times during publishes, SQL writes, transactions and acknowledgements: nothing that was
//! answered is lost, nothing uncommitted is seen, no message is lost or stuck, and what comes again says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::lines::Lines;
use throome_e2e::{Connection, Gateway, Layout, turn};

const ROUNDS: u64 = 100;
/// By then even a busy machine has done enough in between.
const MOST: u64 = 400;
const TOPIC: &str = "work";
const GROUP: &str = "workers";
const BASE: &str = "/api/v1/clusters/shop";

/// Where a message stands.
type Place = (u64, u64);

/// What was asked for and what was answered, over all rounds.
#[derive(Default)]
struct Ledger {
    /// Rows written one by one: whether it was answered.
    rows: BTreeMap<u64, bool>,
    /// Pairs written in a transaction.
    pairs: BTreeMap<u64, Fate>,
    /// Messages whose publish was answered.
    published: BTreeMap<String, Place>,
    /// Publishes that were asked with a key and not answered: asked again after the crash.
    open: BTreeSet<String>,
    /// How often each message was delivered, as the last delivery said.
    delivered: BTreeMap<Place, u64>,
    /// Messages whose acknowledgement was answered.
    settled: BTreeSet<Place>,
    /// Those whose acknowledgement was sent and not answered.
    perhaps: BTreeSet<Place>,
}

impl Ledger {
    fn answered(&self) -> usize {
        self.rows.values().filter(|answered| **answered).count()
    }

    fn committed(&self) -> usize {
        self.pairs.values().filter(|fate| **fate == Fate::Committed).count()
    }

    /// Whether so many rounds should have done more.
    fn is_behind(&self, rounds: u64) -> bool {
        (self.committed() as u64) < rounds * 60 / ROUNDS
    }

    /// Whether the kills have met so much that losing something would show.
    fn is_enough(&self) -> bool {
        self.answered() > 100
            && self.committed() > 50
            && self.published.len() > 200
            && self.settled.len() > 50
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    RolledBack,
    /// Nothing was said of the end.
    Unknown,
    /// The end was never asked for.
    LeftOpen,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

#[test]
fn a_hundred_kills_lose_nothing_that_was_answered() {
    let _turn = turn::alone();
    let mut layout = Layout::default();
    layout.write_cluster(
        "shop",
        "name: Shop\nservices:\n  db: { type: sqlite }\n  queue: { type: log }\nhealth: { interval: 1 }\n",
    );
    let mut ledger = Ledger::default();
    let mut kills = 0;
    for round in 0..MOST {
        if round >= ROUNDS && ledger.is_enough() {
            break;
        }
        kills += 1;
        let gateway = layout.start();
        if round == 0 {
            prepare(&gateway);
        }
        check_rows(&gateway, &ledger);
        layout = one_round(gateway, round, &mut ledger);
    }
    println!(
        "{kills} kills: {} of {} rows answered, {} of {} transactions committed, {} messages published, {} acknowledged",
        ledger.answered(),
        ledger.rows.len(),
        ledger.committed(),
        ledger.pairs.len(),
        ledger.published.len(),
        ledger.settled.len()
    );
    assert!(ledger.is_enough(), "the kills met too little");
    let gateway = layout.start();
    check_rows(&gateway, &ledger);
    drain(&gateway, &mut ledger);
}

fn prepare(gateway: &Gateway) {
    for statement in [
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, note TEXT NOT NULL)",
        "CREATE TABLE pairs (id INTEGER NOT NULL, side TEXT NOT NULL, PRIMARY KEY (id, side))",
    ] {
        let body = json!({ "query": statement });
        let _ = gateway.call("POST", &format!("{BASE}/db/execute"), Some(&body)).expect(200);
    }
    let topic = json!({ "topic": TOPIC, "num_partitions": 3 });
    let _ = gateway.call("POST", &format!("{BASE}/queue/topics"), Some(&topic)).expect(201);
}

/// All four at work until the gateway is gone.
fn one_round(gateway: Gateway, round: u64, ledger: &mut Ledger) -> Layout {
    let (to, is_behind) = (gateway.control, ledger.is_behind(round));
    let Ledger { rows, pairs, published, open, delivered, settled, perhaps } = ledger;
    // Another moment of the work each time, and a later one where little gets done.
    let moment = Duration::from_millis((20 + round * 37 % 150) * if is_behind { 4 } else { 1 });
    // While it is there for sure: whoever is late finds it gone.
    let [for_rows, for_pairs, to_publish, to_settle] = std::array::from_fn(|_| gateway.control());
    std::thread::scope(|scope| {
        let at_work = [
            scope.spawn(move || write_rows(to, for_rows, rows)),
            scope.spawn(move || write_pairs(to, for_pairs, pairs)),
            scope.spawn(move || publish(to, to_publish, published, open)),
            scope.spawn(move || consume(to, to_settle, delivered, settled, perhaps)),
        ];
        std::thread::sleep(moment);
        let layout = gateway.kill();
        for work in at_work {
            work.join().unwrap();
        }
        layout
    })
}

/// Asks; `None` when the gateway is gone.
fn ask(to: SocketAddr, connection: &mut Connection, path: &str, body: &Value, fields: &str) -> Option<Value> {
    let text = request(to, "POST", &format!("{BASE}{path}"), Some(&body.to_string()));
    let text = text.replacen("\r\n", &format!("\r\n{fields}"), 1);
    connection.send(text);
    let reply = connection.try_reply("POST").ok()?;
    assert!(matches!(reply.status, 200 | 201), "{path} {body}: {reply}");
    Some(reply.json())
}

fn write_rows(to: SocketAddr, mut connection: Connection, rows: &mut BTreeMap<u64, bool>) {
    loop {
        let id = NEXT.fetch_add(1, Relaxed);
        rows.insert(id, false);
        let body = json!({ "query": "INSERT INTO rows VALUES ($1, $2)", "args": [id, format!("row {id}")] });
        let Some(answer) = ask(to, &mut connection, "/db/execute", &body, "") else { return };
        assert_eq!(answer["rows_affected"], 1);
        rows.insert(id, true);
    }
}

fn write_pairs(to: SocketAddr, mut connection: Connection, pairs: &mut BTreeMap<u64, Fate>) {
    loop {
        let id = NEXT.fetch_add(1, Relaxed);
        pairs.insert(id, Fate::LeftOpen);
        let Some(begun) = ask(to, &mut connection, "/db/transactions", &json!({}), "") else { return };
        let tx = begun["tx"].as_str().unwrap().to_owned();
        for side in ["left", "right"] {
            let body = json!({ "query": "INSERT INTO pairs VALUES ($1, $2)", "args": [id, side] });
            if ask(to, &mut connection, &format!("/db/execute?tx={tx}"), &body, "").is_none() {
                return;
            }
        }
        let keeps = !id.is_multiple_of(4);
        pairs.insert(id, if keeps { Fate::Unknown } else { Fate::RolledBack });
        let end = if keeps { "commit" } else { "rollback" };
        let path = format!("/db/transactions/{tx}/{end}");
        if ask(to, &mut connection, &path, &json!({}), "").is_none() {
            return;
        }
        if keeps {
            pairs.insert(id, Fate::Committed);
        }
    }
}

fn publish(
    to: SocketAddr,
    mut connection: Connection,
    published: &mut BTreeMap<String, Place>,
    open: &mut BTreeSet<String>,
) {
    let again: Vec<String> = open.iter().cloned().collect();
    let fresh = std::iter::repeat_with(|| {
        let number = NEXT.fetch_add(1, Relaxed);
        format!("{}-{number}", if number.is_multiple_of(2) { "keyed" } else { "plain" })
    });
    for message in again.into_iter().chain(fresh) {
        let key = message.starts_with("keyed").then(|| format!("Idempotency-Key: {message}\r\n"));
        if key.is_some() {
            open.insert(message.clone());
        }
        let body = json!({ "topic": TOPIC, "message": message, "key": message.len().to_string() });
        let fields = key.unwrap_or_default();
        let Some(answer) = ask(to, &mut connection, "/queue/publish", &body, &fields) else { return };
        let result = &answer["results"][0];
        let place = (result["partition"].as_u64().unwrap(), result["offset"].as_u64().unwrap());
        open.remove(&message);
        published.insert(message, place);
    }
}

/// Acknowledges two of three; the third comes again.
fn consume(
    to: SocketAddr,
    mut connection: Connection,
    delivered: &mut BTreeMap<Place, u64>,
    settled: &mut BTreeSet<Place>,
    perhaps: &mut BTreeSet<Place>,
) {
    let path =
        format!("{BASE}/queue/consume?topic={TOPIC}&group={GROUP}&credit=20&format=ndjson&lease_ms=500");
    let Some(mut lines) = Lines::open(to, &path, "") else { return };
    while let Some(line) = lines.json(Duration::from_secs(5)) {
        let Some((place, ack)) = note(&line, delivered, settled) else { continue };
        if place.1 % 3 == 2 && delivered[&place] < 2 {
            continue;
        }
        perhaps.insert(place);
        let body = json!({ "topic": TOPIC, "group": GROUP, "ack": [ack] });
        if ask(to, &mut connection, "/queue/ack", &body, "").is_none() {
            return;
        }
        perhaps.remove(&place);
        settled.insert(place);
    }
}

/// Writes a delivery down, and insists that it may be one.
fn note(
    line: &Value,
    delivered: &mut BTreeMap<Place, u64>,
    settled: &BTreeSet<Place>,
) -> Option<(Place, String)> {
    if line["event"] != "message" {
        return None;
    }
    let place = (line["partition"].as_u64().unwrap(), line["offset"].as_u64().unwrap());
    assert!(!settled.contains(&place), "acknowledged, and delivered again: {line}");
    let delivery = line["delivery"].as_u64().unwrap();
    let before = delivered.insert(place, delivery).unwrap_or(0);
    assert!(delivery > before, "delivered before as number {before}: {line}");
    Some((place, line["ack"].as_str().unwrap().to_owned()))
}

fn check_rows(gateway: &Gateway, ledger: &Ledger) {
    let all = |query: &str| -> Vec<Value> {
        let body = json!({ "query": query });
        let answer = gateway.call("POST", &format!("{BASE}/db/query"), Some(&body)).expect(200).json();
        assert!(answer.get("truncated").is_none(), "{}", answer["row_count"]);
        answer["rows"].as_array().unwrap().clone()
    };
    let there: BTreeSet<u64> =
        all("SELECT id FROM rows").iter().map(|row| row["id"].as_u64().unwrap()).collect();
    for (id, answered) in &ledger.rows {
        assert!(!answered || there.contains(id), "row {id} was answered, and is lost");
    }
    assert!(there.iter().all(|id| ledger.rows.contains_key(id)));
    let mut sides: BTreeMap<u64, u64> = BTreeMap::new();
    for row in all("SELECT id FROM pairs") {
        *sides.entry(row["id"].as_u64().unwrap()).or_default() += 1;
    }
    for (id, fate) in &ledger.pairs {
        let sides = sides.get(id).copied().unwrap_or(0);
        let right = match fate {
            Fate::Committed => sides == 2,
            Fate::RolledBack | Fate::LeftOpen => sides == 0,
            Fate::Unknown => sides == 0 || sides == 2,
        };
        assert!(right, "transaction {id} is {fate:?}, and {sides} of its rows are there");
    }
}

/// Consumes all that is left: then every message that was answered has been seen, and none is stuck.
fn drain(gateway: &Gateway, ledger: &mut Ledger) {
    let Ledger { published, delivered, settled, perhaps, .. } = ledger;
    let path =
        format!("{BASE}/queue/consume?topic={TOPIC}&group={GROUP}&credit=500&format=ndjson&wait_ms=3000");
    let mut lines = Lines::open(gateway.control, &path, "").unwrap();
    let mut connection = gateway.control();
    let end = Instant::now() + Duration::from_secs(60);
    while let Some(line) = lines.json(Duration::from_secs(10)) {
        assert!(Instant::now() < end, "there is no end");
        let Some((place, ack)) = note(&line, delivered, settled) else { continue };
        let body = json!({ "topic": TOPIC, "group": GROUP, "ack": [ack] });
        let answer = ask(gateway.control, &mut connection, "/queue/ack", &body, "").unwrap();
        assert_eq!(answer["acknowledged"], 1, "{line}");
        settled.insert(place);
    }
    let lost: Vec<_> =
        published.iter().filter(|(_, place)| !settled.contains(place) && !perhaps.contains(place)).collect();
    assert!(lost.is_empty(), "published, and never delivered: {lost:?}");
    let places: BTreeSet<&Place> = published.values().collect();
    assert_eq!(places.len(), published.len(), "two messages in one place");
    let groups = gateway.show(&format!("{BASE}/queue/groups?topic={TOPIC}"));
    assert_eq!(groups["groups"][0]["lag"], 0, "{groups}");
}
