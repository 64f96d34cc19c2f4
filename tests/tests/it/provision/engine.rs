//! An engine that crashes, freezes and starts anew while the gateway runs: its services come back by themselves as they
//! were, and health says meanwhile what is wrong. An engine of the test's own.

use std::time::{Duration, Instant};

use engines::{Docker, Image, own_docker};
use serde_json::{Value, json};
use throome_e2e::process::wait_for;

use super::{By, House, LONG, gone};

/// Costs some 45 s: an engine is started three times, PostgreSQL's image is loaded into it, and it is seen to be frozen after 10 s.
#[test]
fn services_outlive_their_engine() {
    let engine = own_docker();
    engine.have(&[Image::Postgres]);
    let house = House::with(Some(engine.clone()), By::Containers, Some(engine.host()), "3m", &["env"]);
    house.create("lives", &json!({ "cache": { "type": "redis" }, "db": { "type": "postgres" } }));
    house.set("lives", "a", "1");
    house.data("lives", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
    let file = house.file("lives");
    type Change = fn(&Docker);
    let changes: [(&str, Change, Change); 3] = [
        ("it crashes", Docker::kill, Docker::restart),
        ("it is stopped with all that it runs", Docker::stop, Docker::restart),
        ("it freezes", Docker::freeze, Docker::thaw),
    ];
    for (what, away, back) in changes {
        away(&engine);
        told(&house, what);
        back(&engine);
        let began = Instant::now();
        wait_for(&format!("{what}: it is known to run again"), LONG, || {
            ["cache", "db"]
                .iter()
                .all(|service| facts(&house, service)["lifecycle"] == "running")
                .then_some(())
        });
        house.healthy("lives");
        eprintln!("{what}: all is well {:?} after it came back", began.elapsed());
        assert_eq!(house.get("lives", "a"), "1", "{what}");
        let rows = house.data("lives", "db/query", &json!({ "query": "SELECT x FROM t" }));
        assert_eq!(rows["rows"], json!([{ "x": 7 }]), "{what}");
        assert_eq!(house.file("lives"), file, "{what}: ports and passwords are the same");
    }
    // Somebody has tidied up while it was away: what a file asks for is made anew, on its data.
    engine.cli(&["rm", "--force", &format!("throome-{}-cache", house.id("lives"))]);
    house.healthy("lives");
    assert_eq!(house.get("lives", "a"), "1");
    house.delete("lives", false);
    gone(&house, "lives");
}

/// While the engine is away the gateway answers, and says so.
fn told(house: &House, what: &str) {
    wait_for(&format!("{what}: it is told"), LONG, || {
        let began = Instant::now();
        let shown = facts(house, "cache");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: it took {:?}", began.elapsed());
        (shown["lifecycle"] == "unknown").then_some(())
    });
    let health = house.gateway().call("GET", "/health", None);
    assert_eq!(health.status, 200, "{what}: {}", health.text());
}

fn facts(house: &House, service: &str) -> Value {
    house.gateway().show(&format!("/api/v1/clusters/{}/services/{service}", house.id("lives")))
}
