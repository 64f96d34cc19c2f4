//! The data API as a person meets it first: a key, SQL, a transaction, messages; told alike by activity, metrics,
//! the live stream and the commands.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::lines::{Line, Lines};
use throome_e2e::process::{gateway_binary, wait_for};
use throome_e2e::{Gateway, Layout, turn};

const DEV: &str = "/api/v1/clusters/dev";

#[track_caller]
fn post(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let reply = gateway.call("POST", &format!("{DEV}{path}"), Some(body));
    assert!(matches!(reply.status, 200 | 201), "{path} {body}: {reply}");
    reply.json()
}

/// A command against the gateway; what it printed.
#[track_caller]
fn throome(gateway: &Gateway, args: &[&str]) -> String {
    let output = Command::new(gateway_binary())
        .args(args)
        .env("THROOME_URL", format!("http://{}", gateway.control))
        .env("THROOME_CLUSTER", "dev")
        .env_remove("THROOME_TOKEN")
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "throome {args:?}\n{said}{told}");
    said.into_owned()
}

#[test]
fn a_key_a_table_a_transaction_and_messages() {
    let _turn = turn::together();
    let gateway = Layout::default().run("dev");
    wait_for("the cluster", Duration::from_secs(5), || {
        (gateway.call("GET", DEV, None).status == 200).then_some(())
    });
    let mut live = Lines::open(gateway.control, "/api/v1/live?topics=activity&cluster=dev", "").unwrap();
    assert!(live.head().contains("text/event-stream"), "{}", live.head());

    post(&gateway, "/cache/set", &json!({ "key": "hello", "value": "world" }));
    assert_eq!(post(&gateway, "/cache/get", &json!({ "key": "hello" }))["value"], "world");
    sql(&gateway);
    messages(&gateway);
    commands(&gateway);
    told_alike(&gateway, &mut live);
}

fn sql(gateway: &Gateway) {
    let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, at TIMESTAMP)";
    post(gateway, "/db/execute", &json!({ "query": create }));
    let insert = json!({ "query": "INSERT INTO notes (text) VALUES ($1), ($2)", "args": ["one", "two"] });
    assert_eq!(post(gateway, "/db/execute", &insert)["rows_affected"], 2);
    let query = json!({ "query": "SELECT id, text FROM notes WHERE text = $1", "args": ["two"] });
    let found = post(gateway, "/db/query", &query);
    assert_eq!(found["rows"], json!([{ "id": 2, "text": "two" }]), "{found}");
    assert_eq!(found["columns"][0]["name"], "id");
    assert_eq!(found["row_count"], 1);

    let tx = post(gateway, "/db/transactions", &json!({}))["tx"].as_str().unwrap().to_owned();
    let inside = format!("/db/execute?tx={tx}");
    post(gateway, &inside, &json!({ "query": "INSERT INTO notes (text) VALUES ($1)", "args": ["three"] }));
    let count = json!({ "query": "SELECT count(*) AS n FROM notes" });
    assert_eq!(post(gateway, "/db/query", &count)["rows"][0]["n"], 2, "others do not see it yet");
    assert_eq!(post(gateway, &format!("/db/query?tx={tx}"), &count)["rows"][0]["n"], 3);
    post(gateway, &format!("/db/transactions/{tx}/commit"), &json!({}));
    assert_eq!(post(gateway, "/db/query", &count)["rows"][0]["n"], 3);
    let over = gateway.call("POST", &format!("{DEV}/db/query?tx={tx}"), Some(&count));
    assert_eq!((over.status, over.json()["code"].as_str()), (404, Some("transaction_ended")));

    let batch = json!({ "statements": [
        { "query": "INSERT INTO notes (text) VALUES ($1)", "args": ["four"] },
        { "query": "SELECT text FROM notes ORDER BY id DESC LIMIT 1" },
    ] });
    let results = post(gateway, "/db/batch", &batch);
    assert_eq!(results["results"][0]["rows_affected"], 1);
    assert_eq!(results["results"][1]["rows"], json!([{ "text": "four" }]));
}

fn messages(gateway: &Gateway) {
    let several = json!({ "topic": "orders", "messages": [
        { "message": "one", "key": "a" }, { "message": "two", "headers": { "kind": "test" } }, { "message": [116, 104, 114, 101, 101] },
    ] });
    let published = post(gateway, "/queue/publish", &several);
    assert_eq!(published["results"][2], json!({ "topic": "orders", "partition": 0, "offset": 2 }));

    let path = format!("{DEV}/queue/consume?topic=orders&group=mail");
    let mut stream = Lines::open(gateway.control, &path, "Accept: text/event-stream\r\n").unwrap();
    assert_eq!(event(&mut stream).0, "hello");
    let (_, first, id) = event(&mut stream);
    assert_eq!((first["value"].as_str(), first["delivery"].as_u64()), (Some("one"), Some(1)), "{first}");
    assert_eq!(first["key"], "a");
    drop(stream);
    // Resumed behind the first: the two that were not received come again, the first one does not.
    let fields = format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n");
    let mut stream = Lines::open(gateway.control, &path, &fields).unwrap();
    assert_eq!(event(&mut stream).0, "hello");
    let (_, second, _) = event(&mut stream);
    let (_, third, _) = event(&mut stream);
    assert_eq!([&second["value"], &third["value"]], ["two", "three"]);
    assert_eq!(second["headers"]["kind"], "test");
    let ack =
        json!({ "topic": "orders", "group": "mail", "ack": [first["ack"], second["ack"], third["ack"]] });
    assert_eq!(post(gateway, "/queue/ack", &ack)["acknowledged"], 3);
    // Whoever comes when another has just left reads on at once.
    drop(stream);
    post(gateway, "/queue/publish", &json!({ "topic": "orders", "message": "four" }));
    let mut lines = Lines::open(gateway.control, &format!("{path}&format=ndjson&wait_ms=1000"), "").unwrap();
    assert_eq!(lines.json(Duration::from_secs(2)).unwrap()["event"], "hello");
    let mut fourth = lines.json(Duration::from_secs(2)).expect("the fourth message");
    if fourth["event"] == "assignment" {
        fourth = lines.json(Duration::from_secs(2)).expect("the fourth message");
    }
    assert_eq!(fourth["value"], "four", "{fourth}");
    let ack = json!({ "topic": "orders", "group": "mail", "ack": [fourth["ack"]] });
    assert_eq!(post(gateway, "/queue/ack", &ack)["acknowledged"], 1);
    let groups = gateway.show(&format!("{DEV}/queue/groups?topic=orders"));
    assert_eq!(groups["groups"][0]["lag"], 0, "{groups}");
}

/// The next event of a stream: its name, its data, its id.
fn event(stream: &mut Lines) -> (String, Value, String) {
    let (mut name, mut data, mut id) = (String::new(), Value::Null, String::new());
    loop {
        let Line::Text(line) = stream.next(Duration::from_secs(5)) else { panic!("no event: {name} {data}") };
        match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
            Some(("event", value)) => value.clone_into(&mut name),
            Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
            Some(("id", value)) => value.clone_into(&mut id),
            None if line.is_empty() && !name.is_empty() => return (name, data, id),
            _ => {}
        }
    }
}

fn commands(gateway: &Gateway) {
    assert_eq!(throome(gateway, &["cache", "get", "hello"]).trim_end(), "world");
    let csv =
        throome(gateway, &["sql", "-o", "csv", "-c", "SELECT id, text FROM notes WHERE id <= 2 ORDER BY id"]);
    assert_eq!(csv.replace("\r\n", "\n"), "id,text\n1,one\n2,two\n");
    throome(gateway, &["publish", "orders", "from the command line"]);
    let heard = throome(gateway, &["consume", "orders", "--group", "cli", "-n", "5", "-o", "raw"]);
    assert_eq!(heard.lines().last(), Some("from the command line"), "{heard}");
    assert!(throome(gateway, &["topic", "list"]).contains("orders"));
    assert!(throome(gateway, &["group", "list", "orders"]).contains("mail"));
}

fn told_alike(gateway: &Gateway, live: &mut Lines) {
    let activity = gateway.show("/api/v1/activity?cluster=dev&limit=1000");
    let records = activity["activities"].as_array().unwrap();
    let told = |service: &str, operation: &str| {
        records.iter().any(|record| record["service"] == service && record["operation"] == operation)
    };
    let all = [
        ("cache", "SET"),
        ("cache", "GET"),
        ("db", "EXECUTE"),
        ("db", "QUERY"),
        ("db", "BATCH"),
        ("db", "BEGIN"),
        ("db", "TX_EXECUTE"),
        ("db", "COMMIT"),
        ("queue", "PUBLISH"),
        ("queue", "SUBSCRIBE"),
        ("queue", "ACK"),
    ];
    for (service, operation) in all {
        assert!(told(service, operation), "{service} {operation} is not in {activity}");
    }
    let shapes: Vec<&str> = records.iter().filter_map(|record| record["shape"].as_str()).collect();
    assert!(shapes.iter().any(|shape| shape.contains("WHERE text = $1")), "{shapes:?}");
    assert!(shapes.iter().all(|shape| !shape.contains("four")), "no values: {shapes:?}");

    let mut heard = String::new();
    wait_for("the same on the live stream", Duration::from_secs(5), || {
        while let Line::Text(line) = live.next(Duration::from_millis(100)) {
            heard.push_str(&line);
        }
        let all = all.iter().all(|(_, operation)| heard.contains(&format!("\"operation\":\"{operation}\"")));
        all.then_some(())
    });
    let metrics = gateway.call("GET", "/metrics", None).expect(200).text();
    for service in ["cache", "db", "queue"] {
        let counted = metrics.lines().any(|line| {
            line.starts_with("throome_requests_total{") && line.contains(&format!("service=\"{service}\""))
        });
        assert!(counted, "{service} is not counted: {metrics}");
    }
    let cluster = gateway.show(&format!("{DEV}/metrics"));
    assert!(cluster["services"]["db"]["requests"].as_u64().unwrap() >= 8, "{cluster}");
}
