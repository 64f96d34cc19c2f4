//! What a container has said: whole lines of both streams, the last ones, those since a time, and as they come.

use std::time::Duration;

use futures_util::StreamExt;
use model::Code;
use throome_provision::{Ask, Line, Provisioner, Source, Work};

use crate::world::{World, quiet, until};

async fn lines(world: &World, work: &Work, ask: &Ask) -> Vec<Line> {
    let read = world.docker.logs(&work.name, ask).await.unwrap();
    let all = async { read.map(|line| line.unwrap()).collect::<Vec<_>>().await };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("it ends")
}

/// A service that has said all that it will by now.
async fn said(world: &World, script: &str, count: usize) -> (Work, Vec<Line>) {
    let work = world.script("talks", &format!("{script}; exec sleep 1000"));
    world.docker.start(&work, &quiet).await.unwrap();
    let all = until("it has said all", async || {
        Some(lines(world, &work, &Ask::default()).await).filter(|lines| lines.len() >= count)
    })
    .await;
    (work, all)
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn lines_are_clean_and_say_by_which_way_and_when() {
    let world = World::shared();
    let before = jiff::Timestamp::now();
    let script = r"echo one; sleep 0.1; echo two >&2; sleep 0.1; printf 'three\r\n\nbytes \377\n'";
    let (_, all) = said(&world, script, 5).await;
    assert_eq!(texts(&all), ["one", "two", "three", "", "bytes \u{fffd}"]);
    let err: Vec<_> = all.iter().map(|line| line.source == Source::Err).collect();
    assert_eq!(err, [false, true, false, false, false]);
    assert!(all.is_sorted_by_key(|line| line.time));
    assert!(all[0].time >= before && all[0].time <= jiff::Timestamp::now());
}

#[tokio::test]
async fn the_last_lines_and_those_since_a_time_are_had() {
    let world = World::shared();
    let (work, all) = said(&world, "for i in 1 2 3 4 5; do echo $i; sleep 0.05; done", 5).await;
    let tail = Ask { tail: Some(2), ..Ask::default() };
    assert_eq!(texts(&lines(&world, &work, &tail).await), ["4", "5"]);
    assert_eq!(lines(&world, &work, &Ask { tail: Some(0), ..Ask::default() }).await, []);
    let since = Ask { since: Some(all[3].time), ..Ask::default() };
    assert_eq!(lines(&world, &work, &since).await, all[3..]);
    let both = Ask { since: Some(all[1].time), tail: Some(3), ..Ask::default() };
    assert_eq!(texts(&lines(&world, &work, &both).await), ["3", "4", "5"]);
}

#[tokio::test]
async fn a_long_line_is_one_line() {
    let world = World::shared();
    let (_, all) = said(&world, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end", 2).await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].text.len(), 100_000);
    assert_eq!(all[1].text, "end");
}

#[tokio::test]
async fn what_is_said_is_followed_until_the_program_ends() {
    let world = World::shared();
    let work = world.script("talks", "trap 'echo bye; exit 0' TERM; while :; do echo beat; sleep 0.2; done");
    world.docker.start(&work, &quiet).await.unwrap();
    let ask = Ask { follow: true, ..Ask::default() };
    let mut read = world.docker.logs(&work.name, &ask).await.unwrap();
    for _ in 0..5 {
        let line = tokio::time::timeout(Duration::from_secs(10), read.next()).await.unwrap();
        assert_eq!(line.unwrap().unwrap().text, "beat");
    }
    world.docker.stop(&work.name).await.unwrap();
    let rest =
        tokio::time::timeout(Duration::from_secs(10), read.collect::<Vec<_>>()).await.expect("it ends");
    assert_eq!(rest.last().unwrap().as_ref().unwrap().text, "bye");
    // What has ended has said what it has said.
    assert_eq!(lines(&world, &work, &Ask { tail: Some(1), ..Ask::default() }).await[0].text, "bye");
}

#[tokio::test]
async fn what_is_not_there_has_said_nothing() {
    let world = World::shared();
    let Err(failure) = world.docker.logs(&world.name("none"), &Ask::default()).await else {
        panic!("nobody is there")
    };
    assert_eq!(failure.code(), Code::NotFound);
    assert!(failure.detail().contains(&world.called("none")), "{failure}");
}
