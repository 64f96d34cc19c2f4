//! The memory of the whole process while a `memory` service is filled many times over: what an operator
//! watches, with the tables and what the allocator wastes. A binary of its own, since others would be counted.
#![cfg(target_os = "linux")]

use bytes::Bytes;
use model::{EndpointSpec, HealthSpec, Role, ServiceSpec};
use throome_adapters::driver;
use throome_adapters::key_value::{SetOptions, Value};

const BOUND: usize = 48 << 20;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn the_process_stays_near_the_bound() {
    let mut service = ServiceSpec::of_kind("memory");
    service.options.insert("max_memory".to_owned(), BOUND.into());
    let endpoint = EndpointSpec { host: "embedded".to_owned(), port: 0, weight: 1, role: Role::Primary };
    for size in [8, 400, 20_000, 1 << 20] {
        let adapter = driver("memory").unwrap().connect(&endpoint, &service, &HealthSpec::default()).unwrap();
        let kv = adapter.key_value().unwrap();
        let before = resident();
        let mut most = 0;
        for n in 0..BOUND * 10 / (size + 256) {
            let key = format!("some:key:{n}");
            let value = Value::plain(Bytes::from(vec![b'x'; size]));
            assert!(kv.set(key.as_bytes(), value, SetOptions::default()).await.unwrap());
            // A read shares the buffer, which costs the counts of the shares.
            assert!(kv.get(key.as_bytes()).await.unwrap().is_some());
            if n % 1000 == 0 {
                most = most.max(resident().saturating_sub(before));
            }
        }
        println!("values of {size} bytes: {} MiB for {} MiB", most >> 20, BOUND >> 20);
        assert!(most < BOUND + BOUND / 4, "{size}: {} MiB", most >> 20);
        assert!(most > BOUND / 4, "{size}: {} MiB, and yet it holds what it may", most >> 20);
    }
}
