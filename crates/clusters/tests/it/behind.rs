//! What appears when a gateway has put in order what a crash has left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::view::OperationStatus;
use provision::{Name, State};
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_clusters::{Changed, Clusters};

use super::by;
use super::hands::{Hands, name};

/// A world in which the creation of `shop` was cut off, and is taken back.
struct After {
    clusters: Clusters,
    hands: Arc<Hands>,
    cache: Name,
    dirs: [TempDir; 2],
}

fn shop() -> Value {
    let services = json!({ "cache": { "type": "redis", "provision": "process" } });
    json!({ "name": "Shop", "cluster_id": "shop", "config": { "services": services } })
}

async fn after_a_crash() -> After {
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let before = Hands::new("process");
    let clusters = Hands::world(dirs[0].path(), &[Arc::clone(&before)]).await;
    begin(&clusters).await;
    before.heard("start", 1).await;
    // All that a killed gateway leaves is on its disk.
    copy(dirs[0].path(), dirs[1].path());
    let hands = Hands::new("process");
    let clusters = Hands::world(dirs[1].path(), &[Arc::clone(&hands)]).await;
    clusters.begin_watch();
    hands.heard("remove", 1).await;
    let filter = throome_clusters::OperationFilter::default();
    while clusters
        .operations()
        .list(&filter, 10)
        .await
        .0
        .iter()
        .any(|operation| operation.status == OperationStatus::Running)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    After { clusters, hands, cache: name("shop", "cache"), dirs }
}

/// It never ends: nobody listens where it would be ready.
async fn begin(clusters: &Clusters) {
    match clusters.create(&shop(), by()).await.unwrap() {
        Changed::Under(underway) => {
            let clusters = clusters.clone();
            drop(tokio::spawn(async move { underway.carry(&clusters).await }));
        }
        Changed::Now(_) => panic!("there is something to start"),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn data_that_are_made_late_are_taken_away() {
    let after = after_a_crash().await;
    after.hands.have(after.cache.clone(), "own", State::Absent);
    after.hands.heard("remove", 2).await;
    assert_eq!(after.hands.state(&after.cache), None);
}

#[tokio::test]
async fn what_is_begun_anew_is_left_alone() {
    let after = after_a_crash().await;
    begin(&after.clusters).await;
    after.hands.heard("start", 1).await;
    let removed = after.hands.times("remove");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(after.hands.times("remove"), removed, "{:?}", after.hands.told());
    assert_eq!(after.hands.state(&after.cache), Some(State::Running));
}

/// A file that appears and goes decides nothing about data.
#[tokio::test]
async fn what_a_file_has_asked_for_keeps_its_data() {
    let After { clusters: _clusters, hands, cache, dirs } = after_a_crash().await;
    let dir = dirs[1].path().join("shop");
    std::fs::create_dir_all(&dir).unwrap();
    let service = json!({ "type": "redis", "provision": "process", "host": "localhost", "port": hands.port,
        "password": "secret" });
    let file = json!({ "name": "Shop", "services": { "cache": service } });
    std::fs::write(dir.join("config.yaml"), file.to_string()).unwrap();
    hands.heard("start", 1).await;
    std::fs::remove_dir_all(&dir).unwrap();
    let stays = async {
        while hands.state(&cache) != Some(State::Absent) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        hands.state(&cache)
    };
    hands.stops.add_permits(10);
    let stays = tokio::time::timeout(Duration::from_secs(30), stays).await.expect("what ran is taken away");
    assert_eq!(stays, Some(State::Absent), "its data are there");
}
