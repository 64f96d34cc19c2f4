//! A pool that is full: who finds no room is told so in time, the server never sees more connections than were
//! agreed, and a client that leaves takes its statement with it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ::engines::{Engines, Server, secrets};
use serde_json::json;
use throome_e2e::calls::{Call, Calls, counts};
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, turn};

use super::{BASE, SLACK, failed_clearly, until_healthy};

const MOST: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(2);

fn small_pool() -> (Server, Gateway, Engines) {
    let engines = Engines::own();
    let postgres = engines.postgres();
    let layout = Layout::default();
    let (user, password) = secrets::POSTGRES_OWNER;
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  db: {{ type: postgres, host: 127.0.0.1, port: {}, username: {user}, password: {password}, \
             database: {}, pool: {{ max_connections: {MOST} }} }}\nrouting: {{ timeout_ms: {} }}\n",
            postgres.port,
            secrets::POSTGRES_DATABASE,
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(5));
    (postgres, gateway, engines)
}

/// Connections of the application, but for the one that watches over the server.
fn connections(postgres: &Server, of: &str) -> usize {
    let user = secrets::POSTGRES_OWNER.0;
    let query = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}' AND {of}");
    postgres.psql(&query).parse().unwrap()
}

/// Fifty clients a second of whom each would have a connection for half a second: six times too many.
#[test]
fn a_full_pool_says_so_in_time() {
    let _turn = turn::alone();
    let (postgres, gateway, _engines) = small_pool();
    let load = Calls::begin(gateway.control, 50, |number| {
        let body = json!({ "query": "SELECT $1::int8 AS n, pg_sleep(0.5)", "args": [number] });
        Call::post("sleep", format!("{BASE}/db/query"), body)
    });
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(6) {
        most = most.max(connections(&postgres, "true"));
        sleep(Duration::from_millis(50));
    }
    let told = load.finish();
    // At once: nobody who was refused is still in the way.
    let free = Instant::now();
    let one = json!({ "query": "SELECT 1 AS one" });
    let _ = gateway.call("POST", &format!("{BASE}/db/query"), Some(&one)).expect(200);
    let free = free.elapsed();
    println!("full pool: {}; {most} connections at most; free again after {free:?}", counts(&told));
    // One more watches over the server.
    assert!((MOST..=MOST + 1).contains(&most), "{most}");
    let good = told.iter().filter(|one| one.good()).count();
    assert!((MOST * 6..=MOST * 20).contains(&good), "{}", counts(&told));
    failed_clearly(&told, "sleep", &["busy", "overloaded", "timeout"], TIMEOUT + SLACK);
    let full = |one: &&throome_e2e::calls::Told| matches!(one.code(), "busy" | "overloaded");
    for one in told.iter().filter(full) {
        assert_eq!(one.status, 503, "{one}");
        assert_eq!(one.answer["retryable"], true, "nothing was done: {}", one.answer);
    }
    assert!(told.iter().filter(full).count() > 100, "{}", counts(&told));
    assert!(free < Duration::from_millis(500), "{free:?}");
    assert_eq!(super::facts(&gateway, "db")["status"], "HEALTHY", "a full pool is nobody's fault");
}

#[test]
fn a_client_that_leaves_takes_its_statement_with_it() {
    let _turn = turn::alone();
    let (postgres, gateway, _engines) = small_pool();
    let runs = "state = 'active' AND query LIKE '%pg_sleep(60)%'";
    for round in 0..8 {
        let body = json!({ "query": "SELECT pg_sleep(60)" }).to_string();
        let mut client = gateway.control();
        client.send(request(gateway.control, "POST", &format!("{BASE}/db/query"), Some(&body)));
        wait_for("the statement", Duration::from_secs(2), || {
            (connections(&postgres, runs) == 1).then_some(())
        });
        drop(client);
        let left = Instant::now();
        wait_for("its end", Duration::from_secs(2), || (connections(&postgres, runs) == 0).then_some(()));
        let gone = left.elapsed();
        println!("client {round} left: its statement ended after {gone:?}");
        assert!(gone < Duration::from_secs(1), "{gone:?}");
    }
    assert!(connections(&postgres, "true") <= MOST + 1);
    let one = json!({ "query": "SELECT 1 AS one" });
    let _ = gateway.call("POST", &format!("{BASE}/db/query"), Some(&one)).expect(200);
}
