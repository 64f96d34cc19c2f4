//! The memory of the whole process while a `memory` service is filled many times over: what an operator
//! watches, with the tables and what the allocator wastes. A binary of its own, since others would be counted.
#![cfg(target_os = "linux")]

use bytes::Bytes;
use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::{SetOptions, Value};
use throome_adapters::{Home, driver};

const BOUND: usize = 24 << 20;

#[tokio::test]
async fn the_process_stays_near_the_bound() {
    let before = resident();
    // Small values first, where tables and counts are nearly all there is.
    let small = fill(&[8]).await - before;
    assert!(small < BOUND + BOUND / 10, "{} KiB for {} KiB", small >> 10, BOUND >> 10);
    assert!(small > BOUND / 2, "{} KiB, and it should use what it may", small >> 10);
    // Then all sizes at once, after which an allocator keeps holes.
    let mixed = fill(&[8, 400, 20_000, 60, 1 << 20, 3000]).await - before;
    assert!(mixed < BOUND * 2, "{} KiB for {} KiB", mixed >> 10, BOUND >> 10);
}

/// Writes ten times the bound in values of these sizes by turns; gives the most memory there was.
async fn fill(sizes: &[usize]) -> usize {
    let mut service = ServiceSpec::of_kind("memory");
    service.options.insert("max_memory".to_owned(), BOUND.into());
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    let driver = driver("memory").expect("the kind is in the list");
    let home = Home { cluster: "bound".into(), service: "cache".into(), dir: "unused".into() };
    let adapter = driver.connect(&endpoint, &service, &home).expect("the options are right");
    let kv = adapter.key_value().expect("it keeps keys and values");
    let (mut written, mut most) = (0, 0);
    for (n, size) in sizes.iter().cycle().enumerate() {
        let key = format!("some:key:{n}");
        // As a body arrives: a part of a larger buffer, which must not stay with it.
        let value = Value::plain(Bytes::from(vec![b'x'; size + 2048]).slice(..*size));
        assert!(kv.set(key.as_bytes(), value, SetOptions::default()).await.expect("it fits"));
        // A read shares the buffer, which costs the counts of the shares.
        assert!(kv.get(key.as_bytes()).await.expect("it answers").is_some(), "the newest is there");
        written += size + 256;
        if n % 500 == 0 {
            most = most.max(resident());
        }
        if written > BOUND * 10 {
            break;
        }
    }
    most
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    // What was allocated alone: code that is met for the first time counts as resident as well.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it says how much");
    let kib = line.trim().strip_suffix(" kB").and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number of kB") << 10
}
