//! The living state as doors use it: changes, files and the try loop, over real stores and directories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod act;
mod behind;
mod changes;
mod files;
mod hands;
mod history;
mod kept;
mod limits;
mod orphans;
mod plans;
mod probes;
mod routes;
mod tries;
mod upkeep;
mod url_routes;

use serde_json::Value;
use store::Store;
use tempfile::TempDir;
use throome_clusters::{By, Changed, Clusters, Listeners, Options};

/// A world of its own in a directory of its own.
struct World {
    clusters: Clusters,
    dir: TempDir,
}

impl World {
    async fn new() -> World {
        let dir = TempDir::new().unwrap();
        let clusters = open(&dir).await;
        World { clusters, dir }
    }

    async fn create(&self, body: Value) -> Value {
        let created = self.clusters.create(&body, by()).await;
        match created.unwrap_or_else(|e| panic!("{e}: {:?}", e.problems())) {
            Changed::Now(shown) => shown.body,
            Changed::Under(underway) => panic!("{:?} has to be started", underway.operation().steps),
        }
    }

    fn events(&self, kind: &str) -> Vec<String> {
        let filter = throome_clusters::EventFilter { kind: Some(kind.to_owned()), ..Default::default() };
        self.clusters.events().list(&filter, 100).0.into_iter().map(|event| event.message).collect()
    }
}

async fn open(dir: &TempDir) -> Clusters {
    open_with(dir, Listeners::default()).await
}

async fn open_with(dir: &TempDir, listeners: Listeners) -> Clusters {
    let store = Store::open(&dir.path().join(".throome")).unwrap();
    Clusters::open(Options {
        dir: dir.path().to_owned(),
        store,
        data_dir: dir.path().join(".throome"),
        listeners,
        provisioning: throome_clusters::Provisioning::default(),
    })
    .await
    .unwrap()
}

fn by() -> By {
    By { actor: "api".into(), request_id: Some("r-1".to_owned()) }
}
