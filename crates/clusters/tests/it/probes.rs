//! Probes that nearly all fail, of servers on loopback that answer all the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_clusters::{Clusters, Ending, Outcome, Settled};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::World;
use crate::tries::begin;

/// Answers every request, and says that it is well only while it is.
struct Server {
    port: u16,
    well: Arc<AtomicBool>,
}

impl Server {
    async fn begin() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let well = Arc::new(AtomicBool::new(true));
        let is_well = Arc::clone(&well);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let well = is_well.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    let _ = socket.read(&mut request).await;
                    let word = if well { "well" } else { "ill" };
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{word}", word.len());
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        Server { port, well }
    }
}

async fn world(servers: &[Server], panic_threshold: f64) -> World {
    let world = World::new().await;
    world.clusters.begin_watch();
    let endpoints: Vec<Value> =
        servers.iter().map(|server| json!({ "host": "127.0.0.1", "port": server.port })).collect();
    let health = json!({
        "path": "/up", "expect_body": "well", "interval": "100ms", "threshold": 1,
        "panic_threshold": panic_threshold,
    });
    world
        .create(json!({
            "cluster_id": "c", "name": "C",
            "services": { "web": { "type": "http", "endpoints": endpoints, "health": health } },
        }))
        .await;
    world
}

/// Waits until so many are found to pass their probes.
async fn until_well(clusters: &Clusters, count: usize) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let facts = clusters.service_facts("c", "web").unwrap();
        if facts.endpoints.iter().filter(|endpoint| endpoint.health == "healthy").count() == count {
            return;
        }
        assert!(Instant::now() < end, "{facts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The endpoints that a few requests go to, each of which is answered well.
async fn asked(clusters: &Clusters) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for _ in 0..12 {
        let mut tries = begin(clusters, false);
        let mut attempt = tries.next().await.unwrap();
        asked.insert(attempt.endpoint().label.to_string());
        attempt.heard(true);
        let Ok(Settled::Answer((), attempt)) = tries.settle(attempt, Ok(())) else { panic!("an answer") };
        attempt.end(Outcome::Good);
        tries.finish(Ending::Success(Some(200)));
    }
    asked
}

#[tokio::test]
async fn probes_that_nearly_all_fail_take_nobody_out() {
    let servers = [Server::begin().await, Server::begin().await, Server::begin().await];
    let world = world(&servers, 0.5).await;
    let clusters = &world.clusters;
    until_well(clusters, 3).await;
    // One of three is believed.
    servers[0].well.store(false, Ordering::Relaxed);
    until_well(clusters, 2).await;
    assert_eq!(asked(clusters).await.len(), 2);
    assert!(world.events("service.probes_doubted").is_empty());
    // Two of three are not.
    servers[1].well.store(false, Ordering::Relaxed);
    until_well(clusters, 1).await;
    assert_eq!(asked(clusters).await.len(), 3);
    let facts = clusters.service_facts("c", "web").unwrap();
    assert_eq!(facts.verdict, "serving_degraded");
    assert!(facts.endpoints[0].reason.contains("asked all the same"), "{facts:?}");
    let told = world.events("service.probes_doubted");
    assert!(told.len() == 1 && told[0].starts_with("2 of 3 endpoints fail their probes"), "{told:?}");
    // All three: what was answered since says that they serve.
    servers[2].well.store(false, Ordering::Relaxed);
    until_well(clusters, 0).await;
    assert_eq!(asked(clusters).await.len(), 3);
    assert_eq!(clusters.service_facts("c", "web").unwrap().verdict, "serving_degraded");
    servers.iter().for_each(|server| server.well.store(true, Ordering::Relaxed));
    until_well(clusters, 3).await;
    assert_eq!(asked(clusters).await.len(), 3);
    assert_eq!(world.events("service.probes_believed").len(), 1);
    assert_eq!(clusters.service_facts("c", "web").unwrap().verdict, "serving");
}

#[tokio::test]
async fn without_a_threshold_probes_are_always_believed() {
    let servers = [Server::begin().await, Server::begin().await];
    let World { clusters, dir: _dir } = world(&servers, 0.0).await;
    until_well(&clusters, 2).await;
    servers.iter().for_each(|server| server.well.store(false, Ordering::Relaxed));
    until_well(&clusters, 0).await;
    let failure = begin(&clusters, true).next().await.unwrap_err();
    assert_eq!(failure.code(), model::Code::NoEndpoint, "{failure}");
    assert_eq!(clusters.service_facts("c", "web").unwrap().verdict, "not_serving");
}
