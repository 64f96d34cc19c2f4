//! Data that outlive their service: whoever comes to their name takes them up, or is refused before anything is started.

use serde_json::{Value, json};
use throome_e2e::process::{free_port, wait_for};

use super::commands::throome;
use super::{By, House, LONG, gone};

#[test]
fn data_that_were_kept_are_taken_up_by_what_can_be_on_them_alone() {
    let house = House::new(By::Processes);
    house.create("kept", &json!({ "db": { "type": "postgres" } }));
    house.data("kept", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
    let path = format!("/api/v1/clusters/{}", house.id("kept"));
    let body = |services: Value| json!({ "name": "kept", "services": services });
    drop(house.call("PUT", &path, Some(&body(json!({})))).expect(200));
    let orphan = format!("process/{}/db", house.id("kept"));
    for (db, key) in [
        (json!({ "type": "redis", "port": free_port() }), "services.db.type"),
        (json!({ "type": "postgres", "password": "new", "port": free_port() }), "services.db.password"),
        (json!({ "type": "postgres", "username": "new", "port": free_port() }), "services.db.username"),
        (json!({ "type": "postgres", "database": "new", "port": free_port() }), "services.db.database"),
    ] {
        let asked = body(json!({ "db": db }));
        let plan = house.call("POST", &format!("{path}/plan"), Some(&asked)).expect(400).json();
        let refused = house.call("PUT", &path, Some(&asked)).expect(400).json();
        assert_eq!(plan["detail"], refused["detail"]);
        assert_eq!(refused["errors"][0]["path"], key, "{refused}");
        assert!(
            refused["hint"].as_str().unwrap().contains(&format!("throome orphan delete {orphan}")),
            "{refused}"
        );
    }
    drop(
        house
            .call("PUT", &path, Some(&body(json!({ "db": { "type": "postgres", "port": free_port() } }))))
            .expect(200),
    );
    let rows = house.data("kept", "db/query", &json!({ "query": "SELECT x FROM t" }));
    assert_eq!(rows["rows"], json!([{ "x": 7 }]));
    drop(house.call("PUT", &path, Some(&body(json!({})))).expect(200));
    // A file that asks for something else waits until they have gone.
    let file = format!("services:\n  db: {{ type: redis, provision: process, port: {} }}\n", free_port());
    house.gateway().write_cluster(&house.id("kept"), &file);
    wait_for("it is refused", LONG, || {
        let events = house.gateway().show("/api/v1/events?kind=cluster.refused");
        events.to_string().contains("data of a `postgres` are kept under this name").then_some(())
    });
    drop(throome(&house, &["orphan", "delete", &orphan, "--yes"]).ends(0));
    house.runs("kept", "db");
    house.set("kept", "a", "1");
    house.delete("kept", false);
    gone(&house, "kept");
}
