//! What an operator does to a service that the gateway runs, and what is left of it when he cancels.

use std::sync::Arc;
use std::time::Duration;

use model::view::{Operation, OperationStatus};
use provision::State;
use serde_json::json;
use tempfile::TempDir;
use throome_clusters::{Act, Clusters};

use super::by;
use super::hands::{Hands, name};

struct Shop {
    clusters: Clusters,
    hands: Arc<Hands>,
    dir: TempDir,
}

impl Shop {
    /// A cluster whose cache is run, and never answers.
    async fn new() -> Shop {
        let dir = TempDir::new().unwrap();
        let hands = Hands::new("process");
        hands.have(name("shop", "cache"), "own", State::Running);
        std::fs::create_dir_all(dir.path().join("shop")).unwrap();
        let file = json!({ "name": "Shop", "services": { "cache": {
            "type": "redis", "provision": "process", "host": "localhost", "port": hands.port, "password": "secret"
        } } });
        std::fs::write(dir.path().join("shop/config.yaml"), file.to_string()).unwrap();
        let clusters = Hands::world(dir.path(), &[Arc::clone(&hands)]).await;
        Shop { clusters, hands, dir }
    }

    /// Does this, cancels it once it was told this word, and shows what has become of it.
    async fn canceled(&self, act: Act, word: &str) -> Arc<Operation> {
        let before = self.hands.times(word);
        let acting = self.clusters.act("shop", "cache", act, None, by()).await.unwrap();
        let id = acting.operation().id.clone();
        let carried = tokio::spawn(acting.carry());
        self.hands.heard(word, before + 1).await;
        self.clusters.operations().cancel(&id, &by()).await.unwrap();
        self.hands.stops.add_permits(2);
        let failure =
            tokio::time::timeout(Duration::from_secs(20), carried).await.unwrap().unwrap().unwrap_err();
        assert!(failure.detail().contains("was canceled by api"), "{failure}");
        self.hands.stops.forget_permits(usize::MAX);
        self.clusters.operations().get(&id).await.unwrap()
    }

    /// Carries this out to its end, which comes since nobody has to answer.
    async fn stopped(&self) {
        self.hands.stops.add_permits(1);
        let acting = self.clusters.act("shop", "cache", Act::Stop, None, by()).await.unwrap();
        assert_eq!(acting.carry().await.unwrap().status, OperationStatus::Succeeded);
        assert!(!self.runs());
    }

    fn runs(&self) -> bool {
        self.hands.state(&name("shop", "cache")) == Some(State::Running)
    }

    fn is_marked(&self) -> bool {
        self.dir.path().join(".throome/stopped/shop@cache").exists()
    }
}

fn steps(operation: &Operation) -> Vec<String> {
    let said = |step: &model::view::OperationStep| format!("{} {:?}", step.name, step.status).to_lowercase();
    operation.steps.iter().map(said).collect()
}

#[tokio::test]
async fn a_restart_that_is_cancelled_leaves_it_running() {
    let shop = Shop::new().await;
    let ended = shop.canceled(Act::Restart, "stop").await;
    assert_eq!(ended.status, OperationStatus::Canceled);
    let expected = [
        "cache: stop done",
        "cache: start skipped",
        "cache: wait until it answers skipped",
        "cache: take back done",
    ];
    assert_eq!(steps(&ended), expected, "what was told to end ends, and begins again");
    assert!(shop.runs() && !shop.is_marked());
    shop.hands.stops.add_permits(1);
    let ended = shop.canceled(Act::Restart, "start").await;
    let expected = ["cache: stop done", "cache: start done", "cache: wait until it answers failed"];
    assert_eq!(
        (ended.status, &*steps(&ended)),
        (OperationStatus::Canceled, &expected.map(str::to_owned)[..])
    );
    assert!(shop.runs() && !shop.is_marked(), "its readiness is not waited for any more");
    assert!(shop.clusters.operations().is_busy("shop").is_none(), "the next one may come");
}

#[tokio::test]
async fn a_stop_that_is_cancelled_begins_it_again() {
    let shop = Shop::new().await;
    let ended = shop.canceled(Act::Stop, "stop").await;
    assert_eq!(ended.status, OperationStatus::Canceled);
    assert_eq!(steps(&ended), ["cache: stop done", "cache: take back done"]);
    assert!(shop.runs() && !shop.is_marked());
}

#[tokio::test]
async fn what_was_stopped_before_is_stopped_again() {
    let shop = Shop::new().await;
    shop.stopped().await;
    assert!(shop.is_marked());
    for act in [Act::Start, Act::Restart] {
        let before = shop.hands.told().len();
        shop.hands.stops.add_permits(1);
        let ended = shop.canceled(act, "start").await;
        assert_eq!(ended.status, OperationStatus::Canceled, "{act:?}");
        assert_eq!(steps(&ended).last().unwrap(), "cache: take back done", "{act:?}");
        assert!(!shop.runs() && shop.is_marked(), "{act:?}");
        let told = shop.hands.told()[before..].to_vec();
        assert_eq!(told.last(), Some(&"stop"), "{act:?}");
    }
    let ended = shop.canceled(Act::Stop, "stop").await;
    assert_eq!(steps(&ended), ["cache: stop done"], "it is as it was");
    assert!(!shop.runs() && shop.is_marked());
}
