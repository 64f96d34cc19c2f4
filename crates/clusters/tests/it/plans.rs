//! A plan of services that the gateway runs says what the change itself would.

use std::net::TcpListener;
use std::sync::Arc;

use model::view::Plan;
use model::{Code, Failure};
use provision::Data;
use serde_json::{Value, json};
use tempfile::TempDir;
use throome_clusters::{Changed, Clusters};

use super::by;
use super::hands::Hands;

/// A cluster whose database and cache are run, as programs.
async fn shop() -> (Clusters, Arc<Hands>, TempDir) {
    let dir = TempDir::new().unwrap();
    let (docker, process) = (Hands::new("docker"), Hands::new("process"));
    let services = json!({
        "db": { "type": "postgres", "provision": "process", "host": "localhost", "port": 5999,
            "username": "throome", "password": "first", "database": "throome" },
        "cache": { "type": "redis", "provision": "process", "host": "localhost", "port": 5998, "password": "first" },
    });
    std::fs::create_dir_all(dir.path().join("shop")).unwrap();
    let file = json!({ "name": "Shop", "services": services });
    std::fs::write(dir.path().join("shop/config.yaml"), file.to_string()).unwrap();
    let clusters = Hands::world(dir.path(), &[Arc::clone(&process), docker]).await;
    (clusters, process, dir)
}

/// What is said of this change, by the plan and by the change.
async fn told(clusters: &Clusters, db: &Value, more: &Value) -> (Result<Plan, Failure>, Option<Failure>) {
    let mut services = json!({ "db": db, "cache": { "type": "redis" } });
    services.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({ "name": "Shop", "services": services });
    let plan = clusters.plan("shop", &body).await;
    let changed = clusters.replace("shop", &body, None, Data::Keep, by()).await;
    (plan, changed.err())
}

#[tokio::test]
async fn what_a_change_is_refused_for_its_plan_is_refused_for() {
    let (clusters, process, _dir) = shop().await;
    let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = somebody.local_addr().unwrap().port();
    let own = json!({ "type": "postgres" });
    for (db, more, code, says) in [
        (
            json!({ "type": "postgres", "password": "new" }),
            json!({}),
            Code::InvalidConfig,
            "services.db.password",
        ),
        (
            json!({ "type": "postgres", "provision": "docker" }),
            json!({}),
            Code::InvalidConfig,
            "services.db.provision",
        ),
        (own.clone(), json!({ "cache": { "type": "memory" } }), Code::InvalidConfig, "services.cache.type"),
        (
            json!({ "type": "postgres", "run": { "memory": "1gb" } }),
            json!({}),
            Code::InvalidConfig,
            "run.memory",
        ),
        (own.clone(), json!({ "more": { "type": "redis", "port": taken } }), Code::Conflict, "is in use"),
        (
            own.clone(),
            json!({ "more": { "type": "redis", "port": 5999 } }),
            Code::Conflict,
            "that of `shop/db`",
        ),
    ] {
        let (plan, changed) = told(&clusters, &db, &more).await;
        let (plan, changed) = (plan.unwrap_err(), changed.expect("it is refused"));
        assert_eq!(
            (plan.code(), plan.detail(), plan.hint()),
            (changed.code(), changed.detail(), changed.hint())
        );
        assert!(plan.code() == code && plan.detail().contains(says), "{plan}");
    }
    assert_eq!(process.told(), [""; 0], "nothing was begun");
}

/// Whoever has asked for a plan has no port by that.
#[tokio::test]
async fn a_plan_promises_nothing() {
    let (clusters, process, _dir) = shop().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let body = |name: &str| {
        let services = json!({ "cache": { "type": "redis", "port": port } });
        json!({ "name": name, "cluster_id": name, "services": services })
    };
    let (one, two) = (body("one"), body("two"));
    let (first, second) = tokio::join!(clusters.plan("one", &one), clusters.plan("two", &two));
    assert!(first.unwrap().changes && second.unwrap().changes);
    let begun = clusters.create(&two, by()).await.unwrap();
    let refused = clusters.plan("one", &one).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict, "it is promised to the one that was begun");
    let busy = clusters.plan("two", &two).await.unwrap_err();
    assert!(busy.detail().contains("is being changed"), "{busy}");
    assert!(matches!(begun, Changed::Under(_)));
    drop(begun);
    assert_eq!(process.told(), [""; 0]);
}
