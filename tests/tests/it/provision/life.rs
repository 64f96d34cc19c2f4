//! A cluster whose services the gateway runs, from its making to its end.

use serde_json::json;
use throome_e2e::process::free_port;

use super::{By, House, gone};

#[test]
fn by_containers_all_of_it_works_and_nothing_is_left() {
    all_of_it(By::Containers);
}

#[test]
fn by_processes_all_of_it_works_and_nothing_is_left() {
    all_of_it(By::Processes);
}

/// Redis, PostgreSQL and Kafka without hosts, in the shape that document 000 prints.
fn all_of_it(by: By) {
    let house = House::new(by);
    let created = house.create(
        "all",
        &json!({
            "redis-1": { "type": "redis", "port": free_port() },
            "postgres-1": { "type": "postgres", "port": free_port(), "database": "mydb" },
            "kafka-1": { "type": "kafka", "port": free_port() },
        }),
    );
    assert_eq!(created["status"], "HEALTHY", "{created}");
    house.set("all", "user:123", "John Doe");
    assert_eq!(house.get("all", "user:123"), "John Doe");
    house.data("all", "db/execute", &json!({ "query": "CREATE TABLE users (id SERIAL, name VARCHAR(100))" }));
    house.data("all", "db/execute", &json!({ "query": "INSERT INTO users (name) VALUES ('Ada')" }));
    let found = house.data("all", "db/query", &json!({ "query": "SELECT name FROM users" }));
    assert_eq!(found["rows"], json!([{ "name": "Ada" }]));
    house.data("all", "queue/topics", &json!({ "topic": "orders" }));
    let sent = house.data("all", "queue/publish", &json!({ "topic": "orders", "message": "tea" }));
    assert_eq!(sent["results"][0]["offset"], 0, "{sent}");
    for (service, says) in
        [("redis-1", "Ready to accept"), ("postgres-1", "ready to accept"), ("kafka-1", "tarted")]
    {
        let path = format!("/api/v1/clusters/{}/services/{service}/logs?tail=all", house.id("all"));
        let log = house.call("GET", &path, None).expect(200);
        assert!(log.text().contains(says), "{service} says: {}", log.text());
        assert!(!log.text().contains('\u{1}'), "{service}: what the engine puts between is not shown");
        let facts = house.gateway().show(&format!("/api/v1/clusters/{}/services/{service}", house.id("all")));
        assert_eq!(facts["lifecycle"], "running", "{facts}");
    }
    let operations = house.gateway().show(&format!("/api/v1/operations?cluster={}", house.id("all")));
    let operation = &operations["operations"][0];
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("cluster.create"), &json!("succeeded")));
    assert!(
        operation["steps"].as_array().unwrap().iter().all(|step| step["status"] == "done"),
        "{operation}"
    );
    house.delete("all", false);
    gone(&house, "all");
    assert_eq!(house.file("all"), "");
}

#[test]
fn by_containers_it_stays_what_it_is() {
    stays(By::Containers);
}

#[test]
fn by_processes_it_stays_what_it_is() {
    stays(By::Processes);
}

/// The answer to a stop or a start is the truth at once: of the facts, and of what is asked next.
#[test]
fn whoever_waited_for_a_stop_or_a_start_goes_by_it() {
    let house = House::new(By::Processes);
    house.create("told", &json!({ "cache": { "type": "redis" }, "queue": { "type": "kafka" } }));
    house.set("told", "a", "1");
    house.data("told", "queue/topics", &json!({ "topic": "orders" }));
    for service in ["cache", "queue"] {
        let path = format!("/api/v1/clusters/{}/services/{service}", house.id("told"));
        let facts = || {
            let facts = house.gateway().show(&path);
            [&facts["lifecycle"], &facts["health"]].map(|fact| fact.as_str().unwrap().to_owned())
        };
        drop(house.call("POST", &format!("{path}/stop"), None).expect(200));
        assert_eq!(facts(), ["stopped", "unhealthy"], "{service}");
        drop(house.call("POST", &format!("{path}/start"), None).expect(200));
        assert_eq!(facts(), ["running", "healthy"], "{service}");
        match service {
            "cache" => assert_eq!(house.get("told", "a"), "1"),
            _ => drop(house.data("told", "queue/publish", &json!({ "topic": "orders", "message": "tea" }))),
        }
    }
    house.delete("told", false);
    gone(&house, "told");
}

/// Restarts in every order: the same ports, secrets and data.
fn stays(by: By) {
    let mut house = House::new(by);
    house.create("stays", &json!({ "cache": { "type": "redis" }, "db": { "type": "postgres" } }));
    house.set("stays", "a", "1");
    house.data("stays", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
    let file = house.file("stays");
    assert!(file.contains("password:") && file.contains("port:"), "{file}");
    type Change = fn(&mut House);
    let changes: [(&str, Change); 6] = [
        ("each is restarted", |house| {
            for service in ["cache", "db"] {
                let path = format!("/api/v1/clusters/{}/services/{service}/restart", house.id("stays"));
                drop(house.call("POST", &path, None).expect(200));
            }
        }),
        ("the gateway is killed", |house| house.again(true)),
        ("the gateway is stopped", |house| house.again(false)),
        ("a service is killed", |house| house.kill_service("stays", "db")),
        ("both are killed", |house| {
            house.kill_service("stays", "cache");
            house.again(true);
        }),
        ("a service is stopped over a restart, and started", |house| {
            let path = |verb| format!("/api/v1/clusters/{}/services/cache/{verb}", house.id("stays"));
            drop(house.call("POST", &path("stop"), None).expect(200));
            let start = path("start");
            house.again(false);
            std::thread::sleep(std::time::Duration::from_secs(3));
            let facts =
                house.gateway().show(&format!("/api/v1/clusters/{}/services/cache", house.id("stays")));
            assert_ne!(facts["lifecycle"], "running", "{facts}");
            drop(house.call("POST", &start, None).expect(200));
        }),
    ];
    for (what, change) in changes {
        change(&mut house);
        house.healthy("stays");
        assert_eq!(house.get("stays", "a"), "1", "{what}");
        let rows = house.data("stays", "db/query", &json!({ "query": "SELECT x FROM t" }));
        assert_eq!(rows["rows"], json!([{ "x": 7 }]), "{what}");
        assert_eq!(house.file("stays"), file, "{what}");
    }
    house.delete("stays", false);
    gone(&house, "stays");
}

#[test]
fn two_clusters_have_services_of_the_same_name() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        for name in ["one", "two"] {
            house.create(name, &json!({ "cache": { "type": "redis" } }));
            house.set(name, "who", name);
        }
        assert_eq!((house.get("one", "who"), house.get("two", "who")), (json!("one"), json!("two")));
        house.delete("one", false);
        gone(&house, "one");
        assert_eq!(house.get("two", "who"), "two");
        house.delete("two", false);
        gone(&house, "two");
    }
}

#[test]
fn data_are_kept_for_a_cluster_of_the_same_name() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        let services = json!({ "cache": { "type": "redis" }, "db": { "type": "postgres" } });
        house.create("kept", &services);
        house.set("kept", "a", "1");
        house.data("kept", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
        house.delete("kept", true);
        assert_eq!(house.file("kept"), "");
        assert!(!house.left("kept").is_empty(), "{by:?}: its data are there");
        house.create("kept", &services);
        assert_eq!(house.get("kept", "a"), "1", "{by:?}");
        let rows = house.data("kept", "db/query", &json!({ "query": "SELECT x FROM t" }));
        assert_eq!(rows["rows"], json!([{ "x": 7 }]), "{by:?}");
        house.delete("kept", false);
        gone(&house, "kept");
    }
}

#[test]
fn services_come_and_go_in_a_running_cluster() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        house.create("grows", &json!({ "cache": { "type": "redis" } }));
        house.set("grows", "a", "1");
        let path = format!("/api/v1/clusters/{}", house.id("grows"));
        let mut document = house.gateway().show(&path);
        for key in ["id", "healthy", "status"] {
            document.as_object_mut().unwrap().remove(key);
        }
        document["services"]["second"] =
            json!({ "type": "redis", "provision": by.word(), "port": free_port() });
        let plan = house.call("POST", &format!("{path}/plan"), Some(&document)).expect(200).json();
        assert!(plan.to_string().contains("second"), "{plan}");
        drop(house.call("PUT", &path, Some(&document)).expect(200));
        house.healthy("grows");
        assert_eq!(house.data("grows", "cache/get?service=cache", &json!({ "key": "a" }))["value"], "1");
        document["services"].as_object_mut().unwrap().remove("second");
        drop(house.call("PUT", &format!("{path}?keep_data=false"), Some(&document)).expect(200));
        assert!(!house.left("grows").iter().any(|one| one.contains("second")), "{:?}", house.left("grows"));
        assert_eq!(house.get("grows", "a"), "1");
        house.delete("grows", false);
        gone(&house, "grows");
    }
}
