//! One program takes another's place. Apart from all other tests: whose the engines are is said once for the process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

use std::time::{Duration, Instant};

use disk::Disk;
use model::Code;
use serde_json::json;
use store::Store;
use throome_clusters::{Access, By, Clusters, Options, Order, RequestId, Shape, Tries};

const SHOP: &str = "name: Shop
services:
  web: { type: http, endpoints: [ { host: 127.0.0.1, port: 9 } ] }
  cache: { type: memory }
";

fn by() -> By {
    By { actor: "api".into(), request_id: None }
}

async fn change(clusters: &Clusters, path: &str) -> Result<(), Code> {
    let route = json!({ "cluster": "shop", "service": "web", "path": path });
    clusters.create_route(&route, by()).await.map(|_| ()).map_err(|failure| failure.code())
}

fn begin(clusters: &Clusters) -> Tries {
    let order = Order {
        operation: "GET",
        shape: Shape::Text("test".into()),
        access: Access::Read,
        rerun: true,
        uploads: false,
        patience: Duration::ZERO,
        key: None,
        request_id: RequestId::make(),
    };
    let service = clusters.snapshot().service("shop", "cache").unwrap().clone();
    Tries::begin(service, None, order, clusters.activity().clone())
}

#[tokio::test]
async fn a_store_that_fails_at_the_wrong_moment_holds_changes_up_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (data_dir, left) = (dir.path().join(".throome"), dir.path().join("left"));
    std::fs::create_dir(dir.path().join("shop")).unwrap();
    std::fs::write(dir.path().join("shop/config.yaml"), SHOP).unwrap();
    let store = Store::open(&data_dir).unwrap();
    let options = Options {
        dir: dir.path().to_owned(),
        store,
        data_dir: data_dir.clone(),
        listeners: Default::default(),
        provisioning: throome_clusters::Provisioning::default(),
    };
    let clusters = Clusters::open_beside(options).await.unwrap();
    let changes = clusters.hold_changes().await;
    let disk = Disk::open(&data_dir.join("store.db")).unwrap();
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        disk.write(move |c| c.execute_batch(&sql))
    };
    rename("tokens", "away").await.unwrap();
    changes.take_up(&left).await.unwrap_err();
    assert_eq!(change(&clusters, "/a").await, Err(Code::Busy));
    rename("away", "tokens").await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while let Err(code) = change(&clusters, "/a").await {
        assert!(code == Code::Busy && Instant::now() < until, "{code:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(begin(&clusters).next().await.unwrap());

    // Whoever gives its place away refuses at once what it never does again.
    let waiting = Instant::now();
    clusters.hold_changes().await.give_away(&left).await;
    let refused = begin(&clusters).next().await.unwrap_err();
    assert_eq!((refused.code(), refused.retryable()), (Code::Busy, true));
    assert_eq!(change(&clusters, "/b").await, Err(Code::Busy));
    assert!(waiting.elapsed() < Duration::from_secs(5), "{:?}", waiting.elapsed());
}
