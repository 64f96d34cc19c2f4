//! What a file asks for and cannot be started: how it is tried, and what is told of it.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

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
    let clusters = Hands::world(dir.path(), &[std::sync::Arc::clone(&hands)]).await;
    clusters.begin_watch();
    // The next try is eight seconds away.
    hands.heard("start", 4).await;
    *hands.cannot_start.lock().unwrap() = None;
    let corrected = Instant::now();
    write(&dir, 5998);
    hands.heard("start", 5).await;
    let waited = corrected.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}
