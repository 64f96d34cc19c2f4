//! Servers that go, come back, freeze, are promoted and demoted: what is told, and that it heals by itself.

use std::sync::Arc;
use std::time::Duration;

use engines::{Engines, secrets};
use model::{Code, Failure, Origin, Role};
use serde_json::json;
use throome_adapters::Adapter;
use throome_adapters::key_value::{SetOptions, Sought, Value};
use tokio::time::Instant;

use crate::{at, connected, eventually, kv, native, probe, run, soon, words};

async fn set(adapter: &Arc<dyn Adapter>, key: &str) -> Result<bool, Failure> {
    kv(adapter).set(key.as_bytes(), Value::plain("v"), SetOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_found_again() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    set(&adapter, "k").await.expect("it is there");
    server.kill();
    eventually("the connection is known to be broken", Duration::from_secs(2), || async {
        kv(&adapter).get(b"k").await.is_err_and(|failure| failure.retryable())
    })
    .await;
    let failure = set(&adapter, "k").await.expect_err("nobody listens");
    assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service));
    assert!(failure.retryable(), "nothing has left: a write may go elsewhere");
    assert!(failure.detail().contains("connection refused"), "{failure}");
    assert!(probe(&adapter).await.is_err());
    server.restart();
    // No waiting: the first request makes the connection.
    assert!(set(&adapter, "k").await.expect("it is there again"));
    probe(&adapter).await.expect("it is well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_under_way_may_have_been_done() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    set(&adapter, "k").await.expect("it is there");
    server.freeze();
    let under_way = tokio::spawn({
        let adapter = adapter.clone();
        async move { kv(&adapter).incr(b"n", 1).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.kill();
    let failure = under_way.await.expect("no panic").expect_err("the server is gone");
    assert_eq!(failure.origin(), Origin::Service);
    assert!(!failure.retryable(), "the sum may have been made: {failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_holds_nobody_for_ever() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    set(&adapter, "k").await.expect("it is there");
    server.freeze();
    // The loop of the house cuts the first ones off.
    let cut = tokio::time::timeout(Duration::from_millis(600), kv(&adapter).get(b"k")).await;
    assert!(cut.is_err(), "nobody answers");
    // From then on a new connection is tried, which ends by itself, with nothing sent.
    let began = Instant::now();
    let failure = set(&adapter, "k").await.expect_err("nobody answers");
    assert_eq!((failure.code(), failure.retryable()), (Code::Timeout, true), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let failure = adapter.probe(Duration::from_millis(300)).await.expect_err("nobody answers");
    assert_eq!(failure.code(), Code::Timeout);
    server.thaw();
    eventually("it answers again", Duration::from_secs(3), || async { set(&adapter, "k").await.is_ok() })
        .await;
    probe(&adapter).await.expect("it is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_seen_as_they_change() {
    let engines = Engines::own();
    let (server, second) = (engines.redis(), engines.redis_replica());
    let (primary, replica) = (connected(at(server.port)), connected(at(second.port)));
    eventually("the replica is linked", Duration::from_secs(10), || async { probe(&replica).await.is_ok() })
        .await;
    probe(&primary).await.expect("it is well");
    let (of_primary, of_replica) = (primary.seen().expect("it said"), replica.seen().expect("it said"));
    assert_eq!((of_primary.role, of_replica.role), (Role::Primary, Role::Replica));
    assert!(of_replica.lag.is_some());
    let before = of_primary.history.expect("it has one");
    assert_eq!(of_replica.history.map(|history| history.id), Some(before.id.clone()), "one history");

    // A write that comes to the wrong one does nothing, and says where to go.
    for failure in [
        set(&replica, "k").await.expect_err("it only reads"),
        run(&replica, "SET k v").await.expect_err("it only reads"),
    ] {
        assert!(failure.wants_primary() && failure.retryable(), "{failure}");
        assert_eq!(failure.native(), Some(("redis", "READONLY")));
    }

    // Of a pipeline nothing was done either, as long as it only reads beside.
    let pipeline = [words("GET k"), words("SET k v"), words("INCR n")];
    let failure = native(&replica).run_all(&pipeline, soon()).await.expect_err("nothing of it was done");
    assert!(failure.wants_primary(), "{failure}");
    let reads = native(&replica).run_all(&pipeline[..1], soon()).await.expect("it reads");
    assert!(reads.iter().all(Result::is_ok));

    server.kill();
    eventually("a replica without a primary says so", Duration::from_secs(10), || async {
        probe(&replica).await.is_ok() && replica.seen().is_some_and(|seen| seen.cut_off)
    })
    .await;
    let _ = second.redis_cli(&["REPLICAOF", "NO", "ONE"]);
    probe(&replica).await.expect("it stands by itself");
    let promoted = replica.seen().expect("it said");
    assert_eq!(promoted.role, Role::Primary);
    let history = promoted.history.expect("it has one");
    assert_ne!(history.id, before.id);
    assert_eq!(history.came_from, Some(before.id), "it went on from where the other was");
    set(&replica, "k").await.expect("it takes writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_demoted_is_seen_by_its_refusal() {
    let engines = Engines::own();
    let (server, second) = (engines.redis(), engines.redis_replica());
    let adapter = connected(at(server.port));
    probe(&adapter).await.expect("it is well");
    let _ = second.redis_cli(&["REPLICAOF", "NO", "ONE"]);
    let _ = server.redis_cli(&["REPLICAOF", "127.0.0.1", &second.port.to_string()]);
    let failure = set(&adapter, "k").await.expect_err("it only reads now");
    assert!(failure.wants_primary(), "{failure}");
    assert_eq!(adapter.seen().map(|seen| seen.role), Some(Role::Replica), "without any probe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinels_choose_another_and_it_is_followed() {
    let engines = Engines::own();
    let group = engines.redis_sentinel();
    let endpoints: Vec<_> = group.sentinels.iter().map(|sentinel| at(sentinel.port)).collect();
    let adapter = connected(json!({
        "endpoints": endpoints, "mode": "sentinel", "sentinel": { "master": secrets::SENTINEL_MASTER },
    }));
    set(&adapter, "before").await.expect("the first one takes it");
    assert_eq!(group.master.redis_cli(&["GET", "before"]), "v");
    // One sentinel less changes nothing.
    group.sentinels[0].kill();
    group.master.kill();
    let began = Instant::now();
    eventually("the other takes writes", Duration::from_secs(40), || async {
        set(&adapter, "after").await.is_ok()
    })
    .await;
    assert_eq!(group.replica.redis_cli(&["GET", "after"]), "v", "after {:?}", began.elapsed());
    probe(&adapter).await.expect("it is well");
    // The old one comes back as it was, and is made a replica: nothing is written to it.
    group.master.restart();
    for n in 0..50 {
        let _ = probe(&adapter).await;
        if let Ok(true) = set(&adapter, &format!("later:{n}")).await {
            assert_eq!(group.replica.redis_cli(&["GET", &format!("later:{n}")]), "v");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_that_lost_a_node_heals_when_it_is_back() {
    let engines = Engines::own();
    let nodes = engines.redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[0].port)], "mode": "cluster" }));
    for n in 0..20 {
        set(&adapter, &format!("key:{n}")).await.expect("all nodes answer");
    }
    nodes[2].kill();
    let (mut served, mut lost) = (0, 0);
    let began = Instant::now();
    for n in 0..20 {
        match kv(&adapter).get(format!("key:{n}").as_bytes()).await {
            Ok(_) => served += 1,
            Err(failure) => {
                assert_eq!(failure.origin(), Origin::Service, "{failure}");
                assert!(failure.is_of_part(), "the others serve on: {failure}");
                assert!(failure.detail().starts_with(&name(&nodes[2])), "{failure}");
                lost += 1;
            }
        }
    }
    assert!(lost > 0 && served > 0, "{served} served, {lost} lost");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    probe(&adapter).await.expect("the others are well");
    let lacks = adapter.lacks().expect("it says what is not");
    let expected = format!("1 of its 3 nodes cannot be asked for their keys ({}: ", name(&nodes[2]));
    assert!(lacks.starts_with(&expected), "{lacks}");
    nodes[2].restart();
    eventually("all of it is there again", Duration::from_secs(20), || async {
        for n in 0..20 {
            if set(&adapter, &format!("key:{n}")).await.is_err() {
                return false;
            }
        }
        probe(&adapter).await.is_ok() && adapter.lacks().is_none()
    })
    .await;
}

fn name(node: &engines::Server) -> String {
    format!("127.0.0.1:{}", node.port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_frozen_is_named() {
    let engines = Engines::own();
    let nodes = engines.redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[0].port)], "mode": "cluster" }));
    let node =
        nodes.iter().find(|node| node.redis_cli(&["SET", "{moving}", "x"]) == "OK").expect("one has it");
    probe(&adapter).await.expect("all are well");
    assert_eq!(adapter.lacks(), None);
    node.freeze();
    let soon = Instant::now() + Duration::from_millis(300);
    let get = [words("GET {moving}")];
    for late in [
        native(&adapter).run(&get[0], soon).await.expect_err("it is frozen"),
        native(&adapter).run_all(&get, soon).await.expect_err("it is frozen"),
        native(&adapter).run_together(&get, soon).await.expect_err("it is frozen"),
    ] {
        assert_eq!((late.code(), late.is_of_part()), (Code::Timeout, true), "{late}");
        assert!(late.detail().starts_with(&name(node)), "{late}");
    }
    assert_eq!(kv(&adapter).place(Sought::Key(b"{moving}")), Some(name(node)), "whoever gives up can say so");
    probe(&adapter).await.expect("the others are well");
    let lacks = adapter.lacks().expect("it says what is not");
    assert!(lacks.contains(&format!("{}: no answer", name(node))), "{lacks}");
    node.thaw();
    eventually("it is well", Duration::from_secs(10), || async {
        probe(&adapter).await.is_ok() && adapter.lacks().is_none()
    })
    .await;
}

/// What concerns no key is asked of whoever is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_without_its_first_node_answers_what_has_no_key() {
    let engines = Engines::own();
    let nodes = engines.redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[1].port)], "mode": "cluster" }));
    run(&adapter, "PING").await.expect("all nodes are there");
    nodes[0].kill();
    for line in ["PING", "PUBLISH channel message", "EVAL return'x' 0"] {
        eventually(line, Duration::from_secs(3), || async { run(&adapter, line).await.is_ok() }).await;
        run(&adapter, line).await.expect("another node answers");
    }
}
