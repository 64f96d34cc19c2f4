//! What ends by itself is started again by the engine, and what happens is told.

use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use throome_provision::docker::{Change, Changes};
use throome_provision::{Data, Provisioner, State};

use crate::world::{World, get, quiet, until};

#[tokio::test]
async fn a_killed_program_is_started_again() {
    let world = World::shared();
    let work = world.site("web");
    let started = world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    let pid = || world.engine.cli(&["inspect", "--format", "{{.State.Pid}}", &started.id]);
    let first = pid();
    assert!(Command::new("kill").args(["-9", &first]).status().unwrap().success());
    let second = until("it runs again", async || Some(pid()).filter(|pid| *pid != first && pid != "0")).await;
    assert_ne!(first, second);
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
    until("it is said to run", async || {
        world.docker.find(&work.name).await.unwrap().filter(|found| found.state == State::Running)
    })
    .await;
}

#[tokio::test]
async fn one_that_ends_again_and_again_is_said_to_restart() {
    let world = World::shared();
    let work = world.script("fails", "exit 3");
    world.docker.start(&work, &quiet).await.unwrap();
    let count = until("it restarts", async || match world.docker.find(&work.name).await.unwrap()?.state {
        State::Restarting { code: Some(3), count } => Some(count),
        _ => None,
    })
    .await;
    let more =
        until("it restarts more often", async || match world.docker.find(&work.name).await.unwrap()?.state {
            State::Restarting { count: more, .. } => Some(more).filter(|more| *more > count),
            _ => None,
        });
    more.await;
    world.docker.stop(&work.name).await.unwrap();
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
    // A recipe that is mended takes its place although it has never run well.
    let mended = throome_provision::Work { operation: "op-2".to_owned(), ..world.site("fails") };
    world.docker.start(&mended, &quiet).await.unwrap();
    assert_eq!(get("localhost", mended.port, "/word").as_deref(), Some("canary"));
}

#[tokio::test]
async fn one_that_nobody_starts_again_has_ended() {
    let world = World::shared();
    let work = world.script("once", "sleep 1; exit 4");
    let started = world.docker.start(&work, &quiet).await.unwrap();
    world.engine.cli(&["update", "--restart", "no", &started.id]);
    let ended = State::Ended { code: Some(4) };
    until("it has ended", async || {
        world.docker.find(&work.name).await.unwrap().filter(|found| found.state == ended)
    })
    .await;
    assert_eq!(world.docker.start(&work, &quiet).await.unwrap(), started);
    assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Running);
}

#[tokio::test]
async fn one_that_cannot_be_run_at_all_says_so() {
    let world = World::shared();
    let mut work = world.script("none", "");
    work.recipe.run.program = "no-such-program".to_owned();
    let failure = world.docker.start(&work, &quiet).await.unwrap_err();
    assert!(failure.detail().contains("no-such-program"), "{failure}");
    assert!(failure.detail().contains(&world.called("none")), "{failure}");
    world.docker.remove(&work.name, Data::Remove).await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_frozen_one_does_not_run_and_is_woken_by_a_start_and_before_a_stop() {
    let world = World::shared();
    let work = world.site("web");
    let started = world.docker.start(&work, &quiet).await.unwrap();
    for waken in [true, false] {
        world.engine.cli(&["pause", &started.id]);
        assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
        if waken {
            assert_eq!(world.docker.start(&work, &quiet).await.unwrap(), started);
            assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
        } else {
            world.docker.stop(&work.name).await.unwrap();
            assert_eq!(world.docker.find(&work.name).await.unwrap().unwrap().state, State::Stopped);
        }
    }
}

#[tokio::test]
async fn a_network_that_was_taken_from_under_it_is_made_again() {
    let world = World::shared();
    let work = world.site("web");
    world.docker.start(&work, &quiet).await.unwrap();
    world.docker.stop(&work.name).await.unwrap();
    world.engine.cli(&["network", "rm", &format!("throome-{}", world.cluster)]);
    world.docker.start(&work, &quiet).await.unwrap();
    assert_eq!(get("localhost", work.port, "/word").as_deref(), Some("canary"));
}

/// The next change that is of this service.
pub(crate) async fn heard(changes: &mut Changes, what: &Change) {
    let next = async { while changes.next().await.as_ref() != Some(what) {} };
    tokio::time::timeout(Duration::from_secs(20), next)
        .await
        .unwrap_or_else(|_| panic!("nobody said {what:?}"));
}

#[tokio::test]
async fn whatever_happens_to_a_container_is_told() {
    let world = World::shared();
    let work = world.site("web");
    let mut changes = world.docker.events();
    heard(&mut changes, &Change::Heard).await;
    let of_it = Change::Of(work.name.clone());
    let started = world.docker.start(&work, &quiet).await.unwrap();
    heard(&mut changes, &of_it).await;
    for words in [&["kill", &started.id] as &[&str], &["start", &started.id], &["rm", "--force", &started.id]]
    {
        while tokio::time::timeout(Duration::from_millis(300), changes.next()).await.is_ok() {}
        world.engine.cli(words);
        heard(&mut changes, &of_it).await;
    }
}
