//! What must not grow: memory before a slow reader, and threads of services that are gone.

use std::time::Duration;

use engines::Engines;
use throome_adapters::queue::{ConsumeOptions, Message};

use super::{ack, connected, join, message, next, options, publish, queue, service, topic};

/// Of this process, in bytes.
fn memory() -> u64 {
    status("VmRSS:") * 1024
}

fn threads() -> u64 {
    status("Threads:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("it is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_reader_of_a_long_topic_holds_little() {
    const COUNT: usize = 100_000;
    let adapter = connected(&service(Engines::shared().kafka().port));
    let topic = topic(&adapter, "long", 4).await;
    for some in 0..COUNT / 1000 {
        let one = |n: usize| message(Some(&format!("k{n}")), vec![b'x'; 1000]);
        let messages: Vec<Message> = (some * 1000..(some + 1) * 1000).map(one).collect();
        publish(&adapter, &topic, &messages).await;
    }
    let before = memory();
    let mut reader = join(&adapter, &ConsumeOptions { credit: 50, ..options(&topic) }).await;
    let mut held = Vec::new();
    while held.len() < 50 {
        held.extend(next(&mut reader).await);
    }
    assert_eq!(held.len(), 50, "no more than its credit");
    // The client has fetched what it may, and fetches no more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = memory().saturating_sub(before);
    assert!(grown < 40 << 20, "{} MiB for a hundred that are 100 MB", grown >> 20);
    // It goes on where it stood, through all of it.
    let mut seen = held.len();
    assert_eq!(ack(&adapter, &topic, &held).await, 50);
    while seen < COUNT {
        let some = next(&mut reader).await;
        assert!(some.iter().all(|own| own.delivery == 1));
        seen += some.len();
        assert_eq!(ack(&adapter, &topic, &some).await, some.len() as u64);
    }
    assert_eq!(seen, COUNT);
    let grown = memory().saturating_sub(before);
    assert!(grown < 60 << 20, "{} MiB after all of it", grown >> 20);
    queue(&adapter).delete_topic(&topic).await.expect("it is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_holds_no_more_bytes_than_it_may() {
    let mut service = service(Engines::shared().kafka().port);
    service.options.insert("max_unsettled".to_owned(), "1mb".into());
    let adapter = connected(&service);
    let topic = topic(&adapter, "heavy", 1).await;
    let messages: Vec<Message> = (0..40).map(|_| message(None, vec![b'x'; 100_000])).collect();
    publish(&adapter, &topic, &messages).await;
    let mut reader = join(&adapter, &options(&topic)).await;
    let mut seen = Vec::new();
    while let Ok(some) = tokio::time::timeout(Duration::from_secs(2), next(&mut reader)).await {
        seen.extend(some);
    }
    assert!((8..=12).contains(&seen.len()), "{} of 100 kB were sent", seen.len());
    assert_eq!(ack(&adapter, &topic, &seen).await, seen.len() as u64);
    next(&mut reader).await;
}

/// In a process of its own, so that nobody else's threads are counted.
#[test]
fn services_that_are_gone_leave_no_thread() {
    const ASKED: &str = "THROOME_COUNT_THREADS";
    if std::env::var_os(ASKED).is_none() {
        // The name of this test alone, in the same program.
        let program = std::env::current_exe().expect("it runs");
        let name = "bounds::services_that_are_gone_leave_no_thread";
        let mut command = std::process::Command::new(program);
        let status = command.args(["--exact", name, "--nocapture"]).env(ASKED, "1").status();
        assert!(status.expect("it starts").success(), "see above");
        return;
    }
    let port = Engines::shared().kafka().port;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it is made");
    runtime.block_on(async {
        let warm = connected(&service(port));
        let topic = topic(&warm, "threads", 1).await;
        publish(&warm, &topic, &[message(None, "x")]).await;
        let one = async |close: bool| {
            let adapter = connected(&service(port));
            publish(&adapter, &topic, &[message(None, "x")]).await;
            let mut reader = join(&adapter, &options(&topic)).await;
            let some = next(&mut reader).await;
            ack(&adapter, &topic, &some).await;
            drop(reader);
            if close {
                adapter.close().await.expect("it closes");
            }
        };
        one(true).await;
        let before = threads();
        for round in 0..50 {
            one(round % 5 > 0).await;
        }
        // Streams that were not closed stay for their grace, and clients take a moment to go.
        for _ in 0..150 {
            if threads() <= before + 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{before} threads before, {} after fifty services", threads());
    });
}
