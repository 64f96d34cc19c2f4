//! What is bounded stays so: connections, and the memory of answers that have gone.

use std::sync::Arc;
use std::time::Duration;

use engines::Engines;
use model::Code;
use serde_json::json;

use crate::{CORES, at, connected, eventually, kv, probe, run};

fn connections(server: &engines::Server) -> usize {
    server.redis_cli(&["CLIENT", "LIST"]).lines().filter(|line| line.contains("name=throome")).count()
}

/// Runs it on a thread of each core, with a runtime as the traffic of that core has it.
fn on_cores<F>(work: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let threads: Vec<_> = (0..CORES)
        .map(|core| {
            let work = work(core);
            std::thread::spawn(move || {
                wire::cores::enter(core);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(work);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

#[test]
fn cores_have_their_own_and_share_when_there_is_no_room() {
    for most in [1, 2, 3, 5, 64] {
        let engines = Engines::own();
        let server = engines.redis();
        let mut said = at(server.port);
        said["pool"] = json!({ "max_connections": most });
        let adapter = connected(said);
        let counted = server.clone();
        // Connections live on the runtimes that opened them; others share them.
        let all_done = Arc::new(tokio::sync::Barrier::new(CORES));
        on_cores(move |core| {
            let (adapter, server) = (Arc::clone(&adapter), counted.clone());
            let all_done = Arc::clone(&all_done);
            async move {
                for turn in 0..40 {
                    kv(&adapter).incr(b"n", 1).await.expect("there is one to share");
                    run(&adapter, "PING").await.expect("there is one to share");
                    if core == 0 && turn % 10 == 5 {
                        let open = connections(&server);
                        assert!(open >= 1 && open <= most, "{open} are open where {most} may be");
                    }
                }
                if core == 0 && most == 64 {
                    assert!(connections(&server) > CORES, "each core has its own");
                }
                all_done.wait().await;
            }
        });
        assert_eq!(server.redis_cli(&["GET", "n"]), (CORES * 40).to_string(), "none twice, none lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_pool_says_so() {
    let engines = Engines::own();
    let server = engines.redis();
    let mut said = at(server.port);
    said["pool"] = json!({ "max_connections": 2 });
    let adapter = connected(said);
    run(&adapter, "PING").await.expect("it answers");
    let waiting = tokio::spawn({
        let adapter = Arc::clone(&adapter);
        async move { run(&adapter, "BLPOP nothing 2").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let failure = run(&adapter, "BLPOP nothing 2").await.expect_err("both are in use");
    assert_eq!(failure.code(), Code::Overloaded);
    assert!(failure.hint().is_some_and(|hint| hint.contains("max_connections")), "{failure:?}");
    run(&adapter, "PING").await.expect("what shares goes on");
    waiting.await.expect("no panic").expect("nothing came");
    run(&adapter, "BLPOP nothing 0.1").await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_open_as_shall_be() {
    let engines = Engines::own();
    let server = engines.redis();
    let mut said = at(server.port);
    said["pool"] = json!({ "min_connections": 7, "max_idle_time": "1s", "max_lifetime": "2s" });
    let adapter = connected(said);
    assert_eq!(connections(&server), 0, "nothing is opened before anybody asks");
    probe(&adapter).await.expect("it is well");
    assert_eq!(connections(&server), 7);
    // Old ones go and new ones come; nobody who asks meanwhile notices.
    for _ in 0..30 {
        adapter.sweep();
        probe(&adapter).await.expect("it is well");
        run(&adapter, "PING").await.expect("it answers");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eventually("there are seven again", Duration::from_secs(2), || async { connections(&server) == 7 }).await;
    let ages = server.redis_cli(&["CLIENT", "LIST"]);
    let age = |line: &str| line.split(' ').find_map(|part| part.strip_prefix("age=")?.parse::<u64>().ok());
    let ours = ages.lines().filter(|line| line.contains("name=throome"));
    assert!(ours.filter_map(age).all(|age| age <= 3), "{ages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_ones_are_closed_and_all_of_them_at_the_end() {
    let engines = Engines::own();
    let server = engines.redis();
    let mut said = at(server.port);
    said["pool"] = json!({ "max_idle_time": "1s" });
    let adapter = connected(said);
    run(&adapter, "PING").await.expect("it answers");
    run(&adapter, "BLPOP nothing 0.1").await.expect("it answers");
    kv(&adapter).get(b"k").await.expect("it answers");
    assert_eq!(connections(&server), 3);
    let all = server.redis_cli(&["CLIENT", "LIST"]);
    let ours =
        |version: &str| all.lines().filter(|l| l.contains("name=throome") && l.contains(version)).count();
    // Servers before 7 do not say which version is spoken.
    assert!(!all.contains("resp=") || (ours("resp=3"), ours("resp=2")) == (1, 2), "{all}");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    adapter.sweep();
    eventually("all are closed", Duration::from_secs(2), || async { connections(&server) == 0 }).await;
    kv(&adapter).get(b"k").await.expect("one is made again");
    adapter.close().await.expect("it closes");
    eventually("it is closed", Duration::from_secs(2), || async { connections(&server) == 0 }).await;
    for failure in [
        kv(&adapter).get(b"k").await.expect_err("it is closed"),
        run(&adapter, "BLPOP nothing 1").await.expect_err("it is closed"),
    ] {
        assert_eq!(failure.code(), Code::Draining, "{failure}");
    }
}
