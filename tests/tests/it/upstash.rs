//! The published client of Upstash, unchanged, against what is ours: a cache inside the gateway, and a real Redis
//! behind it.

use std::path::Path;
use std::process::Command;

use throome_e2e::{Layout, turn};

#[test]
fn the_published_client_works_as_it_is() {
    run("memory", "{ type: memory }", 20);
}

#[test]
fn the_published_client_has_all_of_redis() {
    let engines = engines::Engines::shared();
    let redis = engines.redis();
    let service =
        format!("{{ type: redis, host: {}, port: {} }}", redis.address().ip(), redis.address().port());
    run("redis", &service, 53);
}

/// Runs the client's own tests, of which so many must pass.
fn run(mode: &str, service: &str, passed: u32) {
    let _turn = turn::together();
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/upstash");
    let _installed = crate::guides::libraries();
    let layout = Layout::default();
    layout.write_cluster("shop", &format!("name: Shop\nservices:\n  cache: {service}\n"));
    let gateway = layout.start();
    let url = format!("http://{}/api/v1/clusters/shop/services/cache/upstash", gateway.control);
    let run = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(&client)
        .env("URL", url)
        .env("TOKEN", "any")
        .env("MODE", mode)
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}{told}");
    assert!(said.contains(&format!("# pass {passed}\n")), "the client's own tests did not run: {said}");
}
