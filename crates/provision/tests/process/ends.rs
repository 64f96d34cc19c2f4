//! Ends: those that are asked for, and those that come by themselves.

use std::time::{Duration, Instant};

use model::recipe::{Signal, Stop};
use throome_provision::{Provisioner, State};

use crate::house::{House, kill, lives, pid, script, until};

#[tokio::test]
async fn a_program_that_is_killed_is_started_again() {
    let house = House::new();
    let work = script("web", "echo begun $$; exec sleep 1000");
    let first = pid(&house.start(&work).await);
    kill(first);
    until("its end is seen", async || {
        house.state(&work).await == State::Restarting { code: Some(137), count: 0 }
    })
    .await;
    until("it runs again", async || house.state(&work).await == State::Running).await;
    let second = house.found(&work).await.unwrap().id;
    assert_ne!(second, first.to_string());
    house.says(&work, &format!("begun {second}")).await;
    house.processes.stop(&work.name).await.unwrap();
    assert!(!lives(second.parse().unwrap()));
}

#[tokio::test]
async fn one_that_always_ends_is_started_later_each_time() {
    let house = House::new();
    let work = script("web", "date +%s%N; exit 7");
    house.start(&work).await;
    let many =
        async || matches!(house.state(&work).await, State::Restarting { code: Some(7), count } if count >= 4);
    until("it was started five times", many).await;
    // Between its second and its fifth start: 200, 400 and 800 ms.
    let times: Vec<i64> = house.lines(&work).await.iter().map(|line| line.parse().unwrap()).collect();
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    for (pause, least) in pauses.iter().zip([100, 200, 400, 800]) {
        assert!((least..least + 400).contains(pause), "{pauses:?}");
    }
    // Who asks for it need not wait.
    let begun = Instant::now();
    house.start(&work).await;
    house.processes.stop(&work.name).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(house.state(&work).await, State::Stopped);
    let said = house.lines(&work).await.len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.lines(&work).await.len(), said, "it was started after it was stopped");
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed_with_all_that_it_has_started() {
    let house = House::new();
    let deaf = "trap '' TERM; sleep 1000 & echo child $!; setsid sleep 1000 & echo child $!; while :; do wait; sleep 1; done";
    let mut work = script("web", deaf);
    work.recipe.stop = Stop { signal: Signal::Term, grace: Duration::from_millis(300) };
    let leader = pid(&house.start(&work).await);
    until("it has children", async || house.lines(&work).await.len() == 2).await;
    let lines = house.lines(&work).await;
    let mut pids: Vec<u32> =
        lines.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    pids.push(leader);
    assert!(pids.iter().all(|&pid| lives(pid)));
    let begun = Instant::now();
    house.processes.stop(&work.name).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!pids.iter().any(|&pid| lives(pid)), "{pids:?}");
}

#[tokio::test]
async fn one_that_listens_is_not_killed_and_what_it_leaves_is_asked_too() {
    let house = House::new();
    let mut work = script(
        "web",
        "trap 'echo in good order; exit 0' INT; sleep 1000 & echo child $!; while :; do wait; done",
    );
    work.recipe.stop = Stop { signal: Signal::Int, grace: Duration::from_secs(20) };
    // A shell cannot heed what whoever runs the tests has left it to ignore.
    let shell = std::mem::replace(&mut work.recipe.run.program, "env".to_owned());
    work.recipe.run.args.splice(0..0, ["--default-signal=INT".to_owned(), shell]);
    house.start(&work).await;
    house.says(&work, "child").await;
    let lines = house.lines(&work).await;
    let child: u32 = lines[0].rsplit_once(' ').unwrap().1.parse().unwrap();
    let begun = Instant::now();
    house.processes.stop(&work.name).await.unwrap();
    // A shell has its children in the background ignore SIGINT, and this one did not know of its end.
    assert!(!lives(child));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(house.lines(&work).await.contains(&"in good order".to_owned()));
}

#[tokio::test]
async fn what_a_killed_program_leaves_behind_is_not_in_the_way_of_the_next() {
    let house = House::new();
    let work = script("web", "sleep 1000 & echo child $!; wait");
    let leader = pid(&house.start(&work).await);
    house.says(&work, "child").await;
    let child: u32 = house.lines(&work).await[0].rsplit_once(' ').unwrap().1.parse().unwrap();
    kill(leader);
    until("it runs again", async || house.lines(&work).await.len() == 2).await;
    assert!(!lives(child));
    house.processes.stop(&work.name).await.unwrap();
}

#[tokio::test]
async fn all_are_stopped_at_once() {
    let house = House::new();
    let slow = "trap 'sleep 1; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let works: Vec<_> = (0..4).map(|number| script(&format!("web-{number}"), slow)).collect();
    for work in &works {
        house.start(work).await;
        house.says(work, "ready").await;
    }
    let begun = Instant::now();
    house.processes.stop_all().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for found in house.processes.list().await.unwrap() {
        assert_eq!(found.state, State::Stopped, "{found:?}");
    }
    // They are what they were, and start again.
    house.start(&works[0]).await;
    house.processes.stop_all().await;
}
