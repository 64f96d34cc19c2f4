//! What a file asks for and cannot be started: how it is tried, and what is told of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Code;
use serde_json::json;
use tempfile::TempDir;
use throome_clusters::EventFilter;

use super::by;
use super::hands::Hands;

/// Its file says this port.
fn write(dir: &TempDir, port: u16) {
    let cache = json!({ "type": "redis", "provision": "process", "host": "localhost", "port": port,
        "password": "secret" });
    std::fs::create_dir_all(dir.path().join("shop")).unwrap();
    let file = json!({ "name": "Shop", "services": { "cache": cache } });
    std::fs::write(dir.path().join("shop/config.yaml"), file.to_string()).unwrap();
}

#[tokio::test]
async fn a_file_that_was_put_right_does_not_wait_for_what_was_wrong() {
    let dir = TempDir::new().unwrap();
    let hands = Hands::new("process");
    write(&dir, 5999);
    *hands.cannot_start.lock().unwrap() = Some("Port 5999 is in use.");
    let clusters = Hands::world(dir.path(), &[Arc::clone(&hands)]).await;
    clusters.begin_watch();
    let reason = || clusters.service_facts("shop", "cache").unwrap().reason;
    // The next try is eight seconds away.
    hands.heard("start", 4).await;
    assert!(reason().contains("it cannot be started: Port 5999 is in use."), "{}", reason());
    *hands.cannot_start.lock().unwrap() = None;
    let corrected = Instant::now();
    write(&dir, 5998);
    hands.heard("start", 5).await;
    let waited = corrected.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

/// What runs there goes on.
#[tokio::test]
async fn a_file_that_gives_two_services_one_port_is_refused() {
    let dir = TempDir::new().unwrap();
    let hands = Hands::new("process");
    write(&dir, 5999);
    let clusters = Hands::world(dir.path(), &[Arc::clone(&hands)]).await;
    clusters.begin_watch();
    hands.heard("start", 1).await;
    let service = |port: u16| json!({ "type": "redis", "provision": "process", "port": port });
    let both = json!({ "name": "Shop", "services": { "cache": service(5999), "other": service(5999) } });
    std::fs::write(dir.path().join("shop/config.yaml"), both.to_string()).unwrap();
    let refused = EventFilter { kind: Some("cluster.refused".to_owned()), ..EventFilter::default() };
    let told = async {
        loop {
            if let Some(event) = clusters.events().list(&refused, 1).0.pop() {
                break event.message;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is refused");
    assert!(told.contains("services.other.port: is that of `cache`"), "{told}");
    assert_eq!(hands.times("start"), 1);
    // That of another cluster's service is named too.
    let body = json!({ "name": "Else", "cluster_id": "else", "services": { "cache": service(5999) } });
    let failure = clusters.create(&body, by()).await.unwrap_err();
    let detail = "Port 5999 of `else/cache` is that of `shop/cache`, which this gateway runs.";
    assert_eq!((failure.code(), failure.detail()), (Code::Conflict, detail));
}
