//! The memory of the whole process while large values go through it. A binary of its own, since others would be
//! counted.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bytes::Bytes;
use engines::Engines;
use model::{EndpointSpec, Role, ServiceSpec};
use throome_adapters::key_value::Reply;
use throome_adapters::{Home, driver};
use tokio::time::Instant;

const VALUE: usize = 256 << 10;
const TOGETHER: usize = 16;
/// What a few pipelines hold at once, with what the allocator keeps.
const BOUND: usize = 12 * VALUE * TOGETHER;

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
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says how much");
    let kib = line.trim().strip_suffix(" kB").and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number of kB") << 10
}
