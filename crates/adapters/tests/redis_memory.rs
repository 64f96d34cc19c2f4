//! The memory of the whole process while large values go through it, and those that are too large do not. A binary of
//! its own, since others would be counted.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bytes::Bytes;
use engines::Engines;
use model::{Code, EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::Reply;
use throome_adapters::{Home, driver};
use tokio::time::Instant;

const VALUE: usize = 256 << 10;
const TOGETHER: usize = 16;
/// What a few pipelines hold at once, with what the allocator keeps.
const BOUND: usize = 12 * VALUE * TOGETHER;
/// Far more than any answer may have.
const HUGE: usize = 100 << 20;

#[tokio::test]
async fn pipelines_of_large_values_leave_nothing_behind() {
    let server = Engines::own().redis();
    let endpoint =
        EndpointSpec { host: "127.0.0.1".to_owned(), port: server.port, weight: 1, role: Role::Primary };
    let home = Home { cluster: "memory".into(), service: "cache".into(), dir: "unused".into() };
    let driver = driver("redis").expect("the kind is in the list");
    let adapter =
        driver.connect(&endpoint, &ServiceSpec::of_kind("redis"), &home).expect("the options are right");
    let native = adapter.key_value().and_then(|kv| kv.commands()).expect("it has commands of its own");

    let value = Bytes::from(vec![b'x'; VALUE]);
    let commands: Vec<Vec<Bytes>> = (0..TOGETHER)
        .flat_map(|n| {
            let key = Bytes::from(format!("large:{n}"));
            [vec!["SET".into(), key.clone(), value.clone()], vec!["GET".into(), key]]
        })
        .collect();
    let before = resident();
    let mut most = 0;
    for _ in 0..100 {
        let soon = Instant::now() + Duration::from_secs(20);
        let replies = native.run_all(&commands, soon).await.expect("it is carried out");
        let whole =
            |reply: &Result<Reply, _>| matches!(reply, Ok(Reply::Bytes(bytes)) if bytes.len() == VALUE);
        assert_eq!(replies.iter().filter(|reply| whole(reply)).count(), TOGETHER);
        drop(replies);
        most = most.max(resident());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < BOUND, "{} KiB for pipelines of {} KiB", grown >> 10, (VALUE * TOGETHER) >> 10);

    // One that is too large is not held at all, and of a pipeline no more than one request may have.
    assert_eq!(server.redis_cli(&["SETRANGE", "huge", &(HUGE - 1).to_string(), "x"]), HUGE.to_string());
    let before = most_resident();
    let get = |key: &'static str| vec![Bytes::from("GET"), Bytes::from(key)];
    let soon = || Instant::now() + Duration::from_secs(60);
    for _ in 0..5 {
        let failure = native.run(&get("huge"), soon()).await.expect_err("it is too large");
        assert_eq!(failure.code(), Code::TooLarge);
    }
    assert!(most_resident() - before < BOUND / 2, "{} KiB", (most_resident() - before) >> 10);
    let many = vec![get("large:0"); 2000];
    let replies = native.run_all(&many, soon()).await.expect("it is carried out");
    let fit = replies.iter().filter(|reply| reply.is_ok()).count();
    assert_eq!(fit, (64 << 20) / VALUE, "of {} MiB", (2000 * VALUE) >> 20);
    drop(replies);
    assert!(most_resident() - before < 2 * (64 << 20), "{} KiB", (most_resident() - before) >> 10);
}

fn resident() -> usize {
    status("VmRSS:")
}

/// The most that it ever was.
fn most_resident() -> usize {
    status("VmHWM:")
}

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it says how much");
    let kib = line.trim().strip_suffix(" kB").and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number of kB") << 10
}
