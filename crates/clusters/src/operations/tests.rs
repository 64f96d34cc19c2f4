//! Operations begin, are followed and ended, and what a crash has left is found.

use std::time::Duration;

use model::view::{OperationStep, StepStatus};
use store::{EventFilter, Pool};
use tempfile::TempDir;

use super::*;

fn begin_of(cluster: &str) -> Begin {
    let planned = |name: &str, service: &str, action| Planned {
        name: name.to_owned(),
        service: Some(service.to_owned()),
        action,
    };
    Begin {
        kind: OperationKind::ClusterCreate,
        cluster: cluster.to_owned(),
        service: None,
        by: by("api"),
        steps: vec![planned("cache: pull", "cache", "pull"), planned("cache: start", "cache", "start")],
    }
}

fn by(actor: &'static str) -> By {
    By { actor: actor.into(), request_id: Some("r-1".to_owned()) }
}

fn touched(service: &str) -> Touched {
    Touched { provisioner: "a".to_owned(), service: service.to_owned(), had_data: false, had_it: false }
}

fn failure() -> Failure {
    Failure::service(Code::Timeout, "It did not answer.")
}

/// A run of a gateway over this store.
struct World {
    store: Store,
    dir: TempDir,
}

impl World {
    fn new() -> World {
        World { store: Store::in_memory().unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self) -> Operations {
        Operations::new(self.store.clone(), Events::default(), self.dir.path().to_owned())
    }
}

fn step(view: &Operation, name: &str) -> OperationStep {
    view.steps.iter().find(|step| step.name == name).unwrap().clone()
}

fn told(operations: &Operations) -> Vec<(String, String, String)> {
    let (events, _) = operations.0.events.list(&EventFilter::default(), 10);
    events.into_iter().map(|event| (event.kind, event.actor, event.message)).collect()
}

#[tokio::test]
async fn an_operation_is_written_down_carried_out_and_found_again() {
    let world = World::new();
    let operations = world.run();
    let running = operations.begin(begin_of("shop")).await.unwrap();
    let id = running.id();
    assert_eq!(world.store.operation(&id).await.unwrap().unwrap(), *running.view(), "before it goes on");
    running.add_steps(vec![Planned { name: "cache: pull".into(), service: None, action: "pull" }]);

    let pull = running.step("cache: pull");
    pull.says("asking the registry");
    pull.bytes(5, 0);
    let view = operations.get(&id).await.unwrap();
    assert_eq!(step(&view, "cache: pull").done_bytes, Some(5));
    assert_eq!((step(&view, "cache: pull").total_bytes, view.status), (None, OperationStatus::Running));
    pull.bytes(7, 9);
    pull.done("");
    let start = running.step(1);
    start.failed(&failure(), (0..200).map(|n| format!("{n} {}", "ä".repeat(1000))).collect());
    drop(running.step("cache: pull (2)"));
    running.undone(0, "removed");
    let last = running.end(Err(&failure())).await;

    let pull = step(&last, "cache: pull");
    assert_eq!(
        (pull.status, pull.detail.as_deref(), pull.total_bytes),
        (StepStatus::Undone, Some("removed"), Some(9))
    );
    assert!(pull.started_at <= pull.ended_at && pull.duration_ms.is_some());
    let start = step(&last, "cache: start");
    assert_eq!((start.status, start.detail.as_deref()), (StepStatus::Failed, Some("It did not answer.")));
    assert_eq!(start.log.len(), LINES_KEPT);
    assert!(start.log[0].starts_with("100 ä") && start.log[0].len() < 1100 && start.log[0].ends_with('…'));
    assert_eq!(step(&last, "cache: pull (2)").detail.as_deref(), Some("broken off"));
    assert_eq!(
        (last.status, last.error.as_ref().unwrap()["code"].as_str()),
        (OperationStatus::Failed, Some("timeout"))
    );
    assert_eq!(last.error.as_ref().unwrap()["request_id"], "r-1");
    assert!(last.ended_at.is_some() && last.duration_ms.is_some());

    assert_eq!(*operations.get(&id).await.unwrap(), *last);
    assert_eq!(world.run().get(&id).await.unwrap(), last, "after a restart too");
    assert_eq!(operations.get("none").await.unwrap_err().code(), Code::NotFound);
    let (kind, actor, message) = told(&operations).remove(0);
    assert_eq!((kind.as_str(), actor.as_str()), ("operation.failed", "api"));
    assert!(message.starts_with("cluster.create") && message.ends_with("It did not answer."), "{message}");
}

const LINES_KEPT: usize = 100;

#[tokio::test]
async fn a_cluster_is_changed_by_one_at_a_time() {
    let world = World::new();
    let operations = world.run();
    let first = operations.begin(begin_of("shop")).await.unwrap();
    let refused = operations.begin(begin_of("shop")).await.err().unwrap();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(
        refused.detail().contains(&first.id()) && refused.detail().contains("cluster.create"),
        "{refused}"
    );
    assert_eq!(operations.is_busy("shop"), Some(first.id()));
    let other = operations.begin(begin_of("blog")).await.unwrap();
    assert!(first.id() < other.id(), "later ids sort later");
    first.end(Ok(())).await;
    assert_eq!(operations.is_busy("shop"), None);
    drop(other);
    assert!(operations.begin(begin_of("shop")).await.is_ok());
}

#[tokio::test]
async fn whoever_follows_sees_the_first_and_the_last_and_then_the_end() {
    let world = World::new();
    let operations = world.run();
    let running = operations.begin(begin_of("shop")).await.unwrap();
    let id = running.id();
    let mut following = operations.follow(&id).await.unwrap();
    let first = following.next().await.unwrap();
    assert_eq!(first, running.view());
    let step = running.step(0);
    assert_eq!(following.next().await.unwrap().steps[0].status, StepStatus::Running);
    // A thousand of these in no time are no thousand changes, and the last of them is there.
    let mut changes = 0;
    for n in 1..=1000 {
        step.bytes(n, 1000);
        while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, following.next()).await {
            changes += 1;
        }
    }
    assert!((1..1000).contains(&changes), "{changes}");
    step.bytes(1001, 2000);
    step.bytes(1002, 2000);
    assert_eq!(following.now().unwrap().steps[0].done_bytes, Some(1002));
    assert!(following.now().is_none());
    step.done("");
    running.end(Ok(())).await;
    let last = following.next().await.unwrap();
    assert_eq!((last.status, last.steps[1].status), (OperationStatus::Succeeded, StepStatus::Skipped));
    assert!(following.next().await.is_none());
    // Whoever comes late sees the same end.
    let mut late = operations.follow(&id).await.unwrap();
    assert_eq!(late.next().await.unwrap(), last);
    assert!(late.next().await.is_none() && late.now().is_none());
}

#[tokio::test]
async fn an_operation_is_canceled_once_it_runs_and_not_after() {
    let world = World::new();
    let operations = world.run();
    let running = operations.begin(begin_of("shop")).await.unwrap();
    let id = running.id();
    let step = running.step(0);
    let waits = tokio::spawn(running.canceled());
    assert!(!running.is_canceled());
    let view = operations.cancel(&id, &by("token:ops")).await.unwrap();
    assert!(view.canceling && view.status == OperationStatus::Running);
    assert!(operations.cancel(&id, &by("api")).await.is_ok(), "twice is the same as once");
    waits.await.unwrap();
    running.canceled().await;
    assert!(running.is_canceled());
    drop(step);
    let failure = running.cancellation();
    assert!(failure.detail().ends_with("was canceled by token:ops."), "{failure}");
    let last = running.end(Err(&failure)).await;
    assert_eq!((last.status, last.canceling), (OperationStatus::Canceled, false));
    assert_eq!(last.steps[0].detail.as_deref(), Some("canceled"));
    let (kind, actor, _) = told(&operations).remove(0);
    assert_eq!((kind.as_str(), actor.as_str()), ("operation.canceled", "token:ops"));
    let late = operations.cancel(&id, &by("api")).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    assert!(late.detail().ends_with("has ended: canceled."), "{late}");
    assert_eq!(operations.cancel("none", &by("api")).await.unwrap_err().code(), Code::NotFound);

    // It was too late: what was asked for is done.
    let running = operations.begin(begin_of("shop")).await.unwrap();
    operations.cancel(&running.id(), &by("api")).await.unwrap();
    assert_eq!(running.end(Ok(())).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn what_a_crash_leaves_is_found_and_closed_before_anything_else_happens() {
    let world = World::new();
    let operations = world.run();
    assert!(operations.unfinished().await.unwrap().is_empty());
    let running = operations.begin(begin_of("shop")).await.unwrap();
    let id = running.id();
    running.touch(touched("cache")).await.unwrap();
    running.touch(Touched { had_data: true, ..touched("cache") }).await.unwrap();
    running.touch(touched("db")).await.unwrap();
    running.step(0).done("");
    assert!(operations.unfinished().await.unwrap().is_empty(), "this run carries it out");
    drop(running);
    assert_eq!(operations.get(&id).await.unwrap().status, OperationStatus::Failed);
    // One that had made nothing leaves nothing.
    drop(operations.begin(begin_of("blog")).await.unwrap());
    let over = async || {
        while world.store.unfinished_operations(&operations.gateway().await.unwrap()).await.unwrap().len() > 1
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over()).await.unwrap();

    let again = world.run();
    let left = again.unfinished().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].operation.id.as_str(), &left[0].touched),
        (id.as_str(), &vec![touched("cache"), touched("db")])
    );
    assert_eq!(again.begin(begin_of("shop")).await.err().unwrap().code(), Code::Conflict);
    assert!(again.cancel(&id, &by("api")).await.unwrap_err().detail().contains("put in order"));
    assert_eq!(again.unfinished().await.unwrap(), left, "until it is closed");
    let mut following = again.follow(&id).await.unwrap();
    assert_eq!(following.next().await.unwrap().status, OperationStatus::Running);
    let detail = "What it had made is removed.";
    again.close_unfinished(&id, OperationStatus::Failed, detail).await.unwrap();
    let last = following.next().await.unwrap();
    assert_eq!((last.status, last.steps[1].status), (OperationStatus::Failed, StepStatus::Skipped));
    let error = last.error.as_ref().unwrap();
    assert_eq!((&error["detail"], &error["request_id"]), (&detail.into(), &"r-1".into()));
    assert_eq!(*again.get(&id).await.unwrap(), *last);
    let (kind, actor, message) = told(&again).remove(0);
    assert_eq!((kind.as_str(), actor.as_str()), ("operation.failed", "start"));
    assert!(message.ends_with(detail));
    assert!(again.unfinished().await.unwrap().is_empty());
    assert!(again.close_unfinished(&id, OperationStatus::Failed, "").await.is_err());
    assert!(again.begin(begin_of("shop")).await.is_ok());
}

#[tokio::test]
async fn several_left_of_one_cluster_are_closed_one_after_the_other() {
    let world = World::new();
    for _ in 0..2 {
        let running = world.run().begin(begin_of("shop")).await.unwrap();
        running.touch(touched("cache")).await.unwrap();
    }
    let operations = world.run();
    let left = operations.unfinished().await.unwrap();
    let ids: Vec<&str> = left.iter().map(|one| one.operation.id.as_str()).collect();
    assert_eq!(operations.is_busy("shop").as_deref(), Some(ids[0]));
    operations.close_unfinished(ids[0], OperationStatus::Succeeded, "It was whole.").await.unwrap();
    assert_eq!(operations.is_busy("shop").as_deref(), Some(ids[1]));
    operations.close_unfinished(ids[1], OperationStatus::Failed, "It was not.").await.unwrap();
    assert_eq!(operations.is_busy("shop"), None);
}

#[tokio::test]
async fn another_gateway_of_the_same_store_is_left_alone_and_can_be_watched() {
    let world = World::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Operations::new(world.store.clone(), Events::default(), elsewhere.path().to_owned());
    let running = other.begin(begin_of("shop")).await.unwrap();
    let operations = world.run();
    assert!(operations.unfinished().await.unwrap().is_empty());
    let refused = operations.cancel(&running.id(), &by("api")).await.unwrap_err();
    assert!(refused.detail().contains("not carried out by this gateway"), "{refused}");
    let mut following = operations.follow(&running.id()).await.unwrap();
    assert_eq!(following.next().await.unwrap().status, OperationStatus::Running);
    running.end(Ok(())).await;
    assert_eq!(following.next().await.unwrap().status, OperationStatus::Succeeded);
    assert!(following.next().await.is_none());
}

#[tokio::test]
async fn pages_have_what_memory_knows_better() {
    let world = World::new();
    let operations = world.run();
    let mut ids = Vec::new();
    for n in 0..5 {
        let running = operations.begin(begin_of(&format!("c{n}"))).await.unwrap();
        ids.insert(0, running.id());
        let failure = failure();
        running.end(if n == 1 { Err(&failure) } else { Ok(()) }).await;
    }
    // In the store it runs still, as after a crash.
    let broken = operations.begin(begin_of("broken")).await.unwrap();
    broken.touch(touched("cache")).await.unwrap();
    ids.insert(0, broken.id());
    drop(broken);
    let running = operations.begin(begin_of("runs")).await.unwrap();
    ids.insert(0, running.id());

    let mut filter = OperationFilter::default();
    let mut seen = Vec::new();
    loop {
        let (page, next) = operations.list(&filter, 3).await;
        assert!(page.len() <= 3);
        seen.extend(page.iter().map(|one| one.id.clone()));
        let Some(next) = next else { break };
        filter.before = Some(next);
    }
    assert_eq!(seen, ids);
    for (status, count) in [
        (OperationStatus::Running, 1),
        (OperationStatus::Failed, 2),
        (OperationStatus::Succeeded, 4),
        (OperationStatus::Canceled, 0),
    ] {
        let filter = OperationFilter { status: Some(status), ..OperationFilter::default() };
        assert_eq!(operations.list(&filter, 10).await.0.len(), count, "{status:?}");
    }
    world.store.close().await;
    assert_eq!(operations.list(&OperationFilter::default(), 10).await.0.len(), 2, "what memory has");
}

#[tokio::test]
async fn nothing_begins_while_the_store_is_away_and_no_end_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let away = Store::at("postgres://nobody@127.0.0.1:1/none", Pool::default()).unwrap();
    let operations = Operations::new(away, Events::default(), dir.path().to_owned());
    let refused = operations.begin(begin_of("shop")).await.err().unwrap();
    assert_eq!(
        (refused.code(), refused.detail()),
        (Code::Busy, "The store has not come yet: nothing was changed.")
    );

    let world = World::new();
    let operations = world.run();
    let running = operations.begin(begin_of("shop")).await.unwrap();
    world.store.close().await;
    assert!(running.touch(touched("cache")).await.is_err(), "then nothing may be made");
    let last = running.end(Ok(())).await;
    assert_eq!(last.status, OperationStatus::Succeeded);
    assert_eq!(operations.get(&last.id).await.unwrap(), last, "memory has it");
    assert_eq!(operations.is_busy("shop"), None);
    assert_eq!(operations.begin(begin_of("shop")).await.err().unwrap().code(), Code::Draining);
    assert_eq!(operations.is_busy("shop"), None, "it never was");
}

#[tokio::test]
async fn what_this_run_could_not_take_back_is_put_in_order_by_it() {
    let world = World::new();
    let operations = world.run();
    let left = operations.begin(begin_of("shop")).await.unwrap();
    let id = left.id();
    left.touch(touched("cache")).await.unwrap();
    assert!(!operations.has_broken());
    left.leave(&failure());
    let shown = operations.get(&id).await.unwrap();
    assert_eq!(shown.status, OperationStatus::Failed, "whoever waits is told at once");
    assert_eq!(shown.error.as_ref().unwrap()["detail"], failure().detail());
    assert!(operations.has_broken());
    assert_eq!(operations.begin(begin_of("shop")).await.err().unwrap().code(), Code::Conflict);
    let found = operations.unfinished().await.unwrap();
    assert_eq!((found.len(), &found[0].touched), (1, &vec![touched("cache")]));
    operations.close_unfinished(&id, OperationStatus::Succeeded, "").await.unwrap();
    assert!(!operations.has_broken() && operations.unfinished().await.unwrap().is_empty());
    assert_eq!(operations.get(&id).await.unwrap(), shown, "how it ended stays");
    operations.begin(begin_of("shop")).await.unwrap().end(Ok(())).await;
}
