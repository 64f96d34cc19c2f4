//! The gateway starts while all engines are down: it says so, refuses calls in time, and needs nobody's hand when they
//! come.

use std::time::{Duration, Instant};

use ::engines::{Engines, Server};
use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, turn};

use super::{BASE, facts, three};

const TIMEOUT: Duration = Duration::from_secs(3);
/// What is asked of each, with what it is called there.
const CALLS: [(&str, &str, &str); 4] = [
    ("cache", "/cache/get", r#"{ "key": "hello" }"#),
    ("cache", "/cache/set", r#"{ "key": "hello", "value": "world" }"#),
    ("db", "/db/query", r#"{ "query": "SELECT 1 AS one" }"#),
    ("queue", "/queue/publish", r#"{ "topic": "orders", "message": "one" }"#),
];

#[test]
fn engines_that_are_down_at_the_start_are_said_and_recover() {
    let _turn = turn::alone();
    let engines = Engines::own();
    let servers = [("cache", engines.redis()), ("db", engines.postgres()), ("queue", engines.kafka())];
    servers.iter().for_each(|(_, server)| server.stop());
    let layout = Layout::default();
    let [redis, postgres, kafka] = [&servers[0].1, &servers[1].1, &servers[2].1];
    layout.write_cluster("shop", &three(redis, postgres, kafka, TIMEOUT));
    let gateway = layout.start();
    assert_eq!(gateway.call("GET", "/health", None).status, 200, "the gateway itself is well");
    wait_for("all are said to be down", Duration::from_secs(10), || {
        (gateway.show(&format!("{BASE}/health"))["status"] == "UNHEALTHY"
            && servers.iter().all(|(name, _)| facts(&gateway, name)["status"] == "UNHEALTHY"))
        .then_some(())
    });
    for (name, server) in &servers {
        let facts = facts(&gateway, name);
        let reason = facts["reason"].as_str().unwrap();
        assert!(reason.contains("refused") && reason.contains(&server.port.to_string()), "{name}: {reason}");
    }
    let mut slowest = Duration::ZERO;
    for (name, path, body) in CALLS {
        let (reply, took) = ask(&gateway, path, body);
        let problem = reply.json();
        assert!(matches!(reply.status, 502 | 503), "{path}: {reply}");
        let code = problem["code"].as_str().unwrap();
        assert!(["no_endpoint", "breaker_open", "bad_gateway"].contains(&code), "{path}: {reply}");
        assert_eq!(problem["service"], name, "{reply}");
        assert!(problem["detail"].as_str().unwrap().contains("refused"), "{path}: {reply}");
        slowest = slowest.max(took);
    }
    assert!(
        slowest < Duration::from_secs(1),
        "a service that is known to be down is no reason to wait: {slowest:?}"
    );
    let mut back = Vec::new();
    for (name, server) in &servers {
        back.push((name, recovery(&gateway, name, server)));
    }
    println!("down at the start: refused within {slowest:?}; back {back:?} after their starts");
}

/// Starts one of them, and says how long it takes until it answers all that it is asked, and is said to be well.
fn recovery(gateway: &Gateway, name: &str, server: &Server) -> Duration {
    server.restart();
    let up = Instant::now();
    let limit = Duration::from_secs(if name == "queue" { 10 } else { 3 });
    wait_for(&format!("{name} answers"), limit, || {
        let mut all = CALLS.iter().filter(|(service, ..)| *service == name);
        all.all(|(_, path, body)| ask(gateway, path, body).0.status == 200).then_some(())
    });
    wait_for(&format!("{name} is well"), limit, || {
        (facts(gateway, name)["status"] == "HEALTHY").then_some(())
    });
    up.elapsed()
}

fn ask(gateway: &Gateway, path: &str, body: &str) -> (throome_e2e::Reply, Duration) {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let began = Instant::now();
    let reply = gateway.call("POST", &format!("{BASE}{path}"), Some(&body));
    assert!(began.elapsed() < TIMEOUT + Duration::from_millis(800), "{path}: {:?}: {reply}", began.elapsed());
    (reply, began.elapsed())
}

/// A service whose credentials are wrong says so, wherever it is asked, and nowhere says what they are.
#[test]
fn wrong_credentials_are_said_and_never_shown() {
    const CANARY: &str = "canary-5b81e0";
    let _turn = turn::together();
    let engines = Engines::shared();
    let (redis, postgres, kafka) = (engines.redis_auth(), engines.postgres(), engines.kafka());
    let layout = Layout::default().with_args(&["--log-level", "trace"]);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  cache: {{ type: redis, host: 127.0.0.1, port: {}, username: app, password: {CANARY} }}\n  \
             db: {{ type: postgres, host: 127.0.0.1, port: {}, username: throome, password: {CANARY}, database: throome }}\n  \
             queue: {{ type: kafka, host: 127.0.0.1, port: {}, username: plain, password: {CANARY}, \
             sasl: {{ mechanism: PLAIN }} }}\nrouting: {{ timeout_ms: {} }}\n",
            redis.port,
            postgres.port,
            kafka.sasl_port(),
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    let mut outputs = Vec::new();
    for (_, path, body) in CALLS {
        let (reply, _) = ask(&gateway, path, body);
        assert!(reply.status >= 500, "{path}: {reply}");
        outputs.push((path.to_owned(), reply.to_string()));
    }
    let why = [("cache", "WRONGPASS"), ("db", "password authentication failed"), ("queue", "uthentication")];
    for (name, why) in why {
        wait_for(&format!("{name} says why"), Duration::from_secs(10), || {
            let facts = facts(&gateway, name);
            (facts["status"] == "UNHEALTHY" && facts["reason"].as_str().unwrap().contains(why)).then_some(())
        });
        let words = ["service", "get", &format!("shop/{name}")].map(str::to_owned);
        let said = std::process::Command::new(throome_e2e::process::gateway_binary())
            .args(&words)
            .env("THROOME_URL", format!("http://{}", gateway.control))
            .env_remove("THROOME_TOKEN")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(why), "{words:?}: {said}");
        outputs.push((format!("{words:?}"), said));
    }
    for (_, path, body) in CALLS {
        outputs.push((path.to_owned(), ask(&gateway, path, body).0.to_string()));
    }
    for path in ["", "/health", "/metrics", "/services/cache", "/services/db", "/services/queue"] {
        outputs.push((path.to_owned(), gateway.call("GET", &format!("{BASE}{path}"), None).text()));
    }
    for path in ["/metrics", "/api/v1/events?limit=1000", "/api/v1/activity?limit=1000", "/api/v1/clusters"] {
        outputs.push((path.to_owned(), gateway.call("GET", path, None).text()));
    }
    outputs.push(("the log".to_owned(), gateway.log()));
    outputs.push(("standard output".to_owned(), gateway.printed()));
    let masked = gateway.show(BASE);
    assert_eq!(masked["services"]["db"]["password"], "***", "{masked}");
    for (name, text) in &outputs {
        let line = text.lines().find(|line| line.contains(CANARY));
        assert_eq!(line, None, "in {name}");
    }
    let events = json!(outputs.iter().find(|(name, _)| name.contains("events")).map(|(_, text)| text));
    assert!(events.to_string().contains("endpoint.unhealthy"), "the canary's cage was looked at: {events}");
    println!("wrong credentials: {} outputs, and the password is in none", outputs.len());
}
