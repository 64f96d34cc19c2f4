//! Data calls that ask too much or never let go: clear answers, bounded memory, and others unharmed.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::lines::Lines;
use throome_e2e::process::{resident_kib, wait_for};
use throome_e2e::{Gateway, Layout, Reply, turn};

const SHOP: &str = "/api/v1/clusters/shop";

fn shop(options: &str) -> Gateway {
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "name: Shop\nservices:\n  cache: {{ type: memory }}\n  db: {{ type: sqlite {options} }}\n  \
             queue: {{ type: log }}\nrouting: {{ timeout_ms: 5000 }}\n"
        ),
    );
    layout.start()
}

#[track_caller]
fn post(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    gateway.call("POST", &format!("{SHOP}{path}"), Some(body))
}

#[track_caller]
fn done(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let reply = post(gateway, path, body);
    assert!(matches!(reply.status, 200 | 201), "{path} {body}: {reply}");
    reply.json()
}

#[track_caller]
fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

/// Resident memory of the gateway, in MiB.
fn memory(gateway: &Gateway) -> u64 {
    resident_kib(gateway.pid()) / 1024
}

/// The others answer, and quickly.
#[track_caller]
fn others_are_well(gateway: &Gateway) {
    let began = Instant::now();
    done(gateway, "/cache/set", &json!({ "key": "a", "value": "b" }));
    done(gateway, "/db/query", &json!({ "query": "SELECT 1 AS one" }));
    done(gateway, "/queue/publish", &json!({ "topic": "others", "message": "well" }));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i, 'a text of some length' AS t FROM n";

#[test]
fn a_million_rows_stream_and_a_reader_that_stops_holds_nobody_up() {
    let _turn = turn::alone();
    let gateway = shop("");
    others_are_well(&gateway);
    let before = memory(&gateway);
    let body = json!({ "query": NUMBERS, "args": [1_000_000] });
    let whole = done(&gateway, "/db/query", &body);
    assert_eq!(whole["row_count"], 1_000_000);
    assert_eq!(whole["rows"][999_999]["i"], 1_000_000);
    assert!(whole.get("truncated").is_none_or(|cut| cut == false));
    let after = memory(&gateway);
    assert!(after < before + 64, "{before} MiB before a million rows, {after} after");

    let cut = done(&gateway, "/db/query", &json!({ "query": NUMBERS, "args": [1_000_000], "max_rows": 10 }));
    assert_eq!((&cut["row_count"], &cut["truncated"]), (&json!(10), &json!(true)));

    // Ten readers that read a little and then nothing.
    let stuck: Vec<_> = (0..10)
        .map(|_| {
            let mut connection = gateway.control();
            connection.send(request(
                gateway.control,
                "POST",
                &format!("{SHOP}/db/query"),
                Some(&body.to_string()),
            ));
            connection
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..20 {
        others_are_well(&gateway);
    }
    done(&gateway, "/db/execute", &json!({ "query": "CREATE TABLE t (id INTEGER)" }));
    done(&gateway, "/db/execute", &json!({ "query": "INSERT INTO t VALUES (1)" }));
    let with_stuck = memory(&gateway);
    assert!(with_stuck < before + 128, "{before} MiB before, {with_stuck} with ten readers that stopped");
    drop(stuck);
    others_are_well(&gateway);
}

#[test]
fn what_takes_too_long_is_interrupted_and_what_is_wrong_is_named() {
    let _turn = turn::together();
    let gateway = shop("");
    for (query, args, expected) in [
        ("SELEC 1", json!([]), (400, "query_failed")),
        ("SELECT 1; SELECT 2", json!([]), (400, "query_failed")),
        ("SELECT $1", json!([]), (400, "query_failed")),
        ("SELECT $1", json!([1, 2]), (400, "query_failed")),
        ("SELECT * FROM nowhere", json!([]), (400, "query_failed")),
        ("", json!([]), (400, "query_failed")),
        ("SELECT 1", json!("one"), (400, "invalid_request")),
        ("SELECT $1", json!([18_446_744_073_709_551_615_u64]), (400, "invalid_request")),
    ] {
        let reply = post(&gateway, "/db/query", &json!({ "query": query, "args": args }));
        let (status, code) = code(&reply);
        assert_eq!((status, code.as_str()), expected, "{query}: {reply}");
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{reply}");
    }
    let began = Instant::now();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let late = post(&gateway, "/db/query", &json!({ "query": endless }));
    assert_eq!(code(&late), (504, "timeout".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(8));
    others_are_well(&gateway);
    // A client that goes takes its statement along: eight of them would hold every reader for five seconds.
    for _ in 0..8 {
        let mut connection = gateway.control();
        let body = json!({ "query": endless }).to_string();
        connection.send(request(gateway.control, "POST", &format!("{SHOP}/db/query"), Some(&body)));
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse().unwrap())
            .collect();
        fields[0] + fields[1]
    };
    let (before, began) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let busy = (ticks() - before) as f64 / 100.0 / began.elapsed().as_secs_f64();
    assert!(busy < 0.3, "{busy} of a core is at work for clients that have gone");
}

#[test]
fn a_transaction_left_open_keeps_others_waiting_and_ends_by_itself() {
    let _turn = turn::together();
    let gateway = shop("");
    done(&gateway, "/db/execute", &json!({ "query": "CREATE TABLE t (id INTEGER)" }));
    let began = done(&gateway, "/db/transactions", &json!({ "idle_ms": 1500 }));
    let tx = began["tx"].as_str().unwrap();
    let insert = json!({ "query": "INSERT INTO t VALUES (1)" });
    done(&gateway, &format!("/db/execute?tx={tx}"), &insert);
    // Reading goes on; writing waits, and is told so when its time is over.
    assert_eq!(
        done(&gateway, "/db/query", &json!({ "query": "SELECT count(*) AS n FROM t" }))["rows"][0]["n"],
        0
    );
    let waited = Instant::now();
    done(&gateway, "/db/execute", &insert);
    assert!(waited.elapsed() > Duration::from_millis(500), "{:?}", waited.elapsed());
    let over = post(&gateway, &format!("/db/transactions/{tx}/commit"), &json!({}));
    assert_eq!(code(&over), (404, "transaction_ended".to_owned()));
    assert_eq!(
        done(&gateway, "/db/query", &json!({ "query": "SELECT count(*) AS n FROM t" }))["rows"][0]["n"],
        1
    );

    let held = done(&gateway, "/db/transactions", &json!({ "idle_ms": 60_000 }));
    let busy = post(&gateway, "/db/execute", &insert);
    assert_eq!(code(&busy), (503, "busy".to_owned()), "{busy}");
    assert!(busy.json()["retryable"] == true && busy.field("Retry-After").is_some(), "{busy}");
    let path = format!("/db/transactions/{}/rollback", held["tx"].as_str().unwrap());
    done(&gateway, &path, &json!({}));
    done(&gateway, "/db/execute", &insert);
}

#[test]
fn a_consumer_that_never_acknowledges_fills_its_credit_and_no_more() {
    let _turn = turn::together();
    let gateway = shop("");
    let many: Vec<Value> = (0..2000).map(|i| json!({ "message": format!("{i:0>1000}") })).collect();
    for _ in 0..5 {
        let body = json!({ "topic": "work", "messages": &many[..1000] });
        assert_eq!(done(&gateway, "/queue/publish", &body)["results"].as_array().unwrap().len(), 1000);
    }
    let before = memory(&gateway);
    let path = format!("{SHOP}/queue/consume?topic=work&group=idle&credit=10&lease_ms=700&format=ndjson");
    let mut idle = Lines::open(gateway.control, &path, "").unwrap();
    let mut deliveries = Vec::new();
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        if let Some(line) = idle.json(Duration::from_millis(300))
            && line["event"] == "message"
        {
            deliveries.push((line["offset"].as_u64().unwrap(), line["delivery"].as_u64().unwrap()));
        }
    }
    // Ten at a time; each comes again when its lease is over.
    let firsts = deliveries.iter().filter(|(_, delivery)| *delivery == 1).count();
    assert_eq!(firsts, 10, "{deliveries:?}");
    assert!(deliveries.iter().any(|(_, delivery)| *delivery >= 3), "{deliveries:?}");
    assert!(memory(&gateway) < before + 32);
    // Another group is not concerned.
    let path = format!("{SHOP}/queue/consume?topic=work&group=other&credit=100&format=ndjson&wait_ms=500");
    let mut other = Lines::open(gateway.control, &path, "").unwrap();
    let mut seen = 0;
    while seen < 100 {
        let line = other.json(Duration::from_secs(5)).unwrap();
        seen += usize::from(line["event"] == "message");
    }
}

#[test]
fn a_thousand_topics_cost_little() {
    let _turn = turn::alone();
    let gateway = shop("");
    others_are_well(&gateway);
    let before = memory(&gateway);
    let mut control = gateway.control();
    for number in 0..1000 {
        let body = json!({ "topic": format!("topic-{number}"), "message": "one" }).to_string();
        let path = format!("{SHOP}/queue/publish");
        let reply = control.ask(request(gateway.control, "POST", &path, Some(&body)));
        assert_eq!(reply.status, 200, "{reply}");
    }
    let after = memory(&gateway);
    assert!(after < before + 64, "{before} MiB before a thousand topics, {after} after");
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.show(&format!("{SHOP}/queue/topics?limit=300{cursor}"));
        names.extend(page["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].to_string()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names.len(), 1001);
    let path = format!("{SHOP}/queue/consume?topic=topic-999&group=g&format=ndjson&wait_ms=200");
    let mut lines = Lines::open(gateway.control, &path, "").unwrap();
    assert_eq!(lines.json(Duration::from_secs(5)).unwrap()["event"], "hello");
    assert_eq!(lines.json(Duration::from_secs(5)).unwrap()["value"], "one");
}

/// The gateway with its data on a disk of a few megabytes, in a mount namespace of its own.
#[test]
fn a_full_disk_is_said_and_survived() {
    let _turn = turn::together();
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        "name: Shop\nservices:\n  cache: { type: memory }\n  db: { type: sqlite, path: small/app.db }\n  \
         queue: { type: log, path: small/queue.db }\n",
    );
    let small = layout.dir().join("small");
    fs::create_dir(&small).unwrap();
    let gateway = layout.with_wrapper(&[
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs -o size=6m tmpfs small && head -c 1m /dev/zero > small/ballast && exec \"$0\" \"$@\"",
    ])
    .start();
    done(&gateway, "/db/execute", &json!({ "query": "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)" }));
    let insert = json!({ "query": "INSERT INTO t (text) VALUES ($1)", "args": ["x".repeat(100_000)] });
    let mut answered = 0;
    let full = loop {
        let reply = post(&gateway, "/db/execute", &insert);
        if reply.status != 200 {
            break reply;
        }
        answered += 1;
        assert!(answered < 200, "there is no end to a disk of six megabytes");
    };
    assert!(full.status < 600 && full.json()["detail"].as_str().unwrap().contains("space"), "{full}");
    assert!(!full.text().contains("xxxx"), "{full}");
    let publish = json!({ "topic": "t", "message": "x".repeat(500_000) });
    let refused = wait_for("a publish that finds no room", Duration::from_secs(10), || {
        Some(post(&gateway, "/queue/publish", &publish)).filter(|reply| reply.status != 200)
    });
    assert!(refused.text().contains("space"), "{refused}");
    // What was answered is there, and what needs no disk works.
    let count = json!({ "query": "SELECT count(*) AS n FROM t" });
    wait_for("a read on the full disk", Duration::from_secs(10), || {
        let reply = post(&gateway, "/db/query", &count);
        (reply.status == 200 && reply.json()["rows"][0]["n"] == answered).then_some(())
    });
    done(&gateway, "/cache/set", &json!({ "key": "a", "value": "b" }));
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
    // With room again it works again, by itself.
    fs::remove_file(format!("/proc/{}/root{}/ballast", gateway.pid(), small.display())).unwrap();
    wait_for("a write that finds room", Duration::from_secs(15), || {
        (post(&gateway, "/db/execute", &insert).status == 200).then_some(())
    });
}
