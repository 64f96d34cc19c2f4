//! One program against embedded services, and against real engines: three words of the cluster file (and where the
//! engines are) are all that differs. What it is answered is compared, answer by answer.

use std::time::Duration;

use ::engines::{Engines, secrets};
use serde_json::{Value, json};
use throome_e2e::lines::{Line, Lines};
use throome_e2e::{Gateway, Layout, turn};

use super::{BASE, until_healthy};

const EMBEDDED: &str =
    "services:\n  cache: { type: memory }\n  db: { type: sqlite }\n  queue: { type: log }\n";

/// What was answered, step by step, without what is another each time.
type Transcript = Vec<(String, Value)>;

#[test]
fn three_words_change_and_the_program_stays() {
    let _turn = turn::together();
    let engines = Engines::shared();
    let (redis, postgres, kafka) = (engines.redis(), engines.postgres(), engines.kafka());
    // The servers are shared with other tests: what is there under our names is of another run.
    let _ = redis.redis_cli(&["DEL", "hello", "counter"]);
    let _ = postgres.psql("DROP TABLE IF EXISTS notes");
    let (user, password) = secrets::POSTGRES_OWNER;
    let database = secrets::POSTGRES_DATABASE;
    let real = EMBEDDED
        .replace("type: memory", &format!("type: redis, host: 127.0.0.1, port: {}", redis.port))
        .replace(
            "type: sqlite",
            &format!(
                "type: postgres, host: 127.0.0.1, port: {}, username: {user}, password: {password}, database: {database}",
                postgres.port
            ),
        )
        .replace("type: log", &format!("type: kafka, host: 127.0.0.1, port: {}", kafka.port));
    let embedded = run(EMBEDDED);
    let against_engines = run(&real);
    let _ = postgres.psql("DROP TABLE notes");
    let pairs = || embedded.iter().zip(&against_engines);
    let differ: Vec<_> = pairs().filter(|(own, real)| own != real).collect();
    println!("same program: {} answers, {} of them differ", embedded.len(), differ.len());
    assert!(differ.is_empty(), "{differ:#?}");
    assert_eq!(embedded.len(), against_engines.len());
    assert!(embedded.len() > 25, "{}", embedded.len());
}

fn run(services: &str) -> Transcript {
    let layout = Layout::default();
    layout.write_cluster("shop", services);
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(15));
    let mut program = Program { gateway, transcript: Transcript::new() };
    program.keys();
    program.tables();
    program.messages();
    program.transcript
}

struct Program {
    gateway: Gateway,
    transcript: Transcript,
}

impl Program {
    /// Asks, and writes the answer down.
    #[track_caller]
    fn post(&mut self, path: &str, body: &Value) -> Value {
        let reply = self.gateway.call("POST", &format!("{BASE}{path}"), Some(body));
        let answer = reply.json();
        let mut told = answer.clone();
        forget_what_differs(&mut told);
        let step = path.split("tx=").next().unwrap_or(path);
        let step = if step.contains("transactions/") { "the end of a transaction" } else { step };
        self.transcript.push((format!("{step} {body}"), json!([reply.status, told])));
        answer
    }

    fn keys(&mut self) {
        self.post("/cache/set", &json!({ "key": "hello", "value": "world", "ttl": 600 }));
        self.post("/cache/get", &json!({ "key": "hello" }));
        self.post("/cache/incr", &json!({ "key": "counter", "by": 41 }));
        self.post("/cache/incr", &json!({ "key": "counter" }));
        self.post("/cache/incr", &json!({ "key": "hello" }));
        self.post("/cache/expire", &json!({ "key": "counter", "ttl": 100 }));
        self.post("/cache/delete", &json!({ "key": "counter" }));
        self.post("/cache/get", &json!({ "key": "counter" }));
    }

    fn tables(&mut self) {
        let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, at TIMESTAMPTZ)";
        self.post("/db/execute", &json!({ "query": create }));
        let insert = "INSERT INTO notes (id, text, at) VALUES ($1, $2, $3), ($4, $5, $6)";
        let args = json!([1, "one", "2026-01-02T03:04:05Z", 2, "two", null]);
        self.post("/db/execute", &json!({ "query": insert, "args": args }));
        let select = "SELECT id, text, at FROM notes WHERE text = $1 OR id = $2 ORDER BY id";
        self.post("/db/query", &json!({ "query": select, "args": ["two", 1] }));
        // What the server refuses has the same code, whoever it is.
        let one = "INSERT INTO notes (id, text) VALUES ($1, $2)";
        self.post("/db/execute", &json!({ "query": one, "args": [1, "again"] }));
        self.post("/db/query", &json!({ "query": "SELECT nothing FROM nowhere" }));
        let count = json!({ "query": "SELECT count(*) AS n FROM notes" });
        self.post("/db/query", &json!({ "query": count["query"], "read_only": true }));
        self.post("/db/query", &json!({ "query": "DELETE FROM notes", "read_only": true }));
        for end in ["rollback", "commit"] {
            let begun = self.post("/db/transactions", &json!({}));
            let tx = begun["tx"].as_str().unwrap().to_owned();
            self.post(&format!("/db/execute?tx={tx}"), &json!({ "query": one, "args": [3, "three"] }));
            self.post(&format!("/db/query?tx={tx}"), &count);
            self.post(&format!("/db/transactions/{tx}/{end}"), &json!({}));
            self.post("/db/query", &count);
            self.post(&format!("/db/query?tx={tx}"), &count);
        }
        self.post(
            "/db/batch",
            &json!({ "statements": [
                { "query": one, "args": [4, "four"] },
                { "query": "SELECT text FROM notes ORDER BY id DESC LIMIT 1" },
            ] }),
        );
        let fails = json!({ "statements": [
            { "query": one, "args": [5, "five"] }, { "query": one, "args": [5, "twice"] },
        ] });
        self.post("/db/batch", &fails);
        self.post("/db/query", &count);
    }

    fn messages(&mut self) {
        // A topic of this run alone, since brokers outlive it.
        let topic = format!("orders-{}", std::process::id());
        let begun = self.transcript.len();
        self.publish_and_read(&topic);
        for (step, told) in &mut self.transcript[begun..] {
            *step = step.replace(&topic, "orders");
            *told = serde_json::from_str(&told.to_string().replace(&topic, "orders")).unwrap();
        }
    }

    fn publish_and_read(&mut self, topic: &str) {
        self.post("/queue/topics", &json!({ "topic": topic }));
        self.post("/queue/topics", &json!({ "topic": topic }));
        let messages = json!({ "topic": topic, "messages": [
            { "message": "one", "key": "a" }, { "message": "two", "headers": { "kind": "test" } },
            { "message": [116, 104, 114, 101, 101] },
        ] });
        self.post("/queue/publish", &messages);
        let (first, id) = self.read(topic, "", 1).remove(0);
        // Resumed behind the first: the two that were not received come again, the first one does not.
        let rest = self.read(topic, &format!("Last-Event-ID: {id}\r\n"), 2);
        let acks: Vec<&Value> = [&first, &rest[0].0, &rest[1].0].map(|one| &one["ack"]).to_vec();
        let ack = json!({ "topic": topic, "group": "mail", "ack": acks });
        let acknowledged = self.gateway.call("POST", &format!("{BASE}/queue/ack"), Some(&ack)).expect(200);
        self.transcript.push(("three acknowledgements".to_owned(), acknowledged.json()));
        self.post("/queue/publish", &json!({ "topic": topic, "message": "four" }));
        self.read(topic, "", 1);
    }

    /// Reads so many messages as events, and goes.
    fn read(&mut self, topic: &str, fields: &str, count: usize) -> Vec<(Value, String)> {
        let path = format!("{BASE}/queue/consume?topic={topic}&group=mail");
        let fields = format!("Accept: text/event-stream\r\n{fields}");
        let mut stream = Lines::open(self.gateway.control, &path, &fields).unwrap();
        let (name, ..) = event(&mut stream);
        assert_eq!(name, "hello");
        let mut messages = Vec::new();
        while messages.len() < count {
            let (name, data, id) = event(&mut stream);
            if name != "assignment" {
                let mut told = data.clone();
                forget_what_differs(&mut told);
                self.transcript.push((name, told));
                messages.push((data, id));
            }
        }
        messages
    }
}

/// Names, tokens and times are another each time; what engines say of a refusal, how they call types, and what a topic
/// may take where nobody said so, is theirs.
fn forget_what_differs(value: &mut Value) {
    const THEIRS: [&str; 17] = [
        "bytes",
        "retention_bytes",
        "tx",
        "expires_at",
        "ack",
        "timestamp",
        "request_id",
        "detail",
        "message",
        "error",
        "hint",
        "sqlstate",
        "redis",
        "kafka",
        "sqlite",
        "type",
        "errors",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !THEIRS.contains(&name.as_str()));
            fields.values_mut().for_each(forget_what_differs);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_what_differs),
        _ => {}
    }
}

/// The next event of a stream: its name, its data, its id.
fn event(stream: &mut Lines) -> (String, Value, String) {
    let (mut name, mut data, mut id) = (String::new(), Value::Null, String::new());
    loop {
        let Line::Text(line) = stream.next(Duration::from_secs(10)) else {
            panic!("no event: {name} {data}")
        };
        match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
            Some(("event", value)) => value.clone_into(&mut name),
            Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
            Some(("id", value)) => value.clone_into(&mut id),
            None if line.is_empty() && !name.is_empty() => return (name, data, id),
            _ => {}
        }
    }
}
