//! What services hold, written into files and put back: all of it or nothing, whatever happens in the middle.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::reply::Reply;

use super::{By, House, LONG, gone};

#[test]
fn by_containers_what_was_there_comes_back() {
    comes_back(By::Containers);
}

#[test]
fn by_processes_what_was_there_comes_back() {
    comes_back(By::Processes);
}

impl House {
    fn of(&self, service: &str, rest: &str) -> String {
        format!("/api/v1/clusters/{}/services/{service}/{rest}", self.id("kept"))
    }

    fn back_up(&self, service: &str) -> String {
        let operation = self.call("POST", &self.of(service, "backups"), None).expect(200).json();
        assert_eq!(
            (&operation["kind"], &operation["status"]),
            (&json!("service.backup"), &json!("succeeded"))
        );
        operation["id"].as_str().unwrap().to_owned()
    }

    fn restore(&self, service: &str, backup: &str) -> Reply {
        self.call("POST", &self.of(service, "restore"), Some(&json!({ "backup": backup })))
    }

    fn topics(&self) -> Value {
        let path = format!("/api/v1/clusters/{}/queue/topics", self.id("kept"));
        let topics = self.call("GET", &path, None).expect(200).json();
        let name =
            |topic: &Value| topic["name"].as_str().or_else(|| topic["topic"].as_str()).unwrap().to_owned();
        topics["topics"].as_array().unwrap().iter().map(name).collect()
    }

    fn rows(&self, name: &str) -> Value {
        self.data(name, "db/query", &json!({ "query": "SELECT x FROM t ORDER BY x" }))["rows"].clone()
    }

    /// The file of a backup, where it lies.
    fn dump_file(&self, service: &str, id: &str) -> PathBuf {
        let backup = self.gateway().show(&self.of(service, &format!("backups/{id}")));
        let file = format!("{id}.{}", backup["format"].as_str().unwrap());
        self.gateway().clusters_dir().join(".throome/backups").join(self.id("kept")).join(service).join(file)
    }
}

const SERVICES: [&str; 3] = ["cache", "db", "queue"];

fn comes_back(by: By) {
    let house = House::new(by);
    let services = json!({
        "cache": { "type": "redis" }, "db": { "type": "postgres", "database": "shop" }, "queue": { "type": "kafka" },
    });
    house.create("kept", &services);
    house.set("kept", "a", "1");
    house.data("kept", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
    house.data("kept", "queue/topics", &json!({ "topic": "orders" }));
    house.data("kept", "queue/publish", &json!({ "topic": "orders", "message": "tea" }));
    let backups = SERVICES.map(|service| house.back_up(service));
    for (service, id) in SERVICES.iter().zip(&backups) {
        let list = house.gateway().show(&house.of(service, "backups"));
        assert_eq!((&list["count"], &list["backups"][0]["id"]), (&json!(1), &json!(id)), "{list}");
        let file = house.call("GET", &house.of(service, &format!("backups/{id}/file")), None).expect(200);
        assert_eq!(file.body, fs::read(house.dump_file(service, id)).unwrap(), "{service}");
    }

    // Everything becomes otherwise, and all of that is undone.
    house.set("kept", "a", "2");
    house.set("kept", "b", "2");
    house.data("kept", "db/execute", &json!({ "query": "UPDATE t SET x = 8" }));
    house.data("kept", "db/execute", &json!({ "query": "CREATE TABLE later (y int)" }));
    house.data("kept", "queue/topics", &json!({ "topic": "later" }));
    let file = house.file("kept");
    what_does_not_serve_leads_back(&house);
    for (service, id) in SERVICES.iter().zip(&backups) {
        let operation = house.restore(service, id).expect(200).json();
        assert_eq!(operation["status"], "succeeded", "{operation}");
    }
    house.healthy("kept");
    assert_eq!((house.get("kept", "a"), house.get("kept", "b")), (json!("1"), json!(null)));
    assert_eq!(house.rows("kept"), json!([{ "x": 7 }]));
    let tables = json!({ "query": "SELECT count(*)::int AS n FROM pg_tables WHERE tablename = 'later'" });
    assert_eq!(house.data("kept", "db/query", &tables)["rows"], json!([{ "n": 0 }]));
    assert_eq!(house.topics(), json!(["orders"]));
    let sent = house.data("kept", "queue/publish", &json!({ "topic": "orders", "message": "more tea" }));
    assert_eq!(sent["results"][0]["offset"], 1, "what was there is there: {sent}");
    assert_eq!(house.file("kept"), file, "ports and secrets are what they were");

    what_is_damaged_changes_nothing(&house, &backups);

    // They outlive their cluster, and are good for another one.
    house.delete("kept", false);
    gone(&house, "kept");
    house.create("other", &json!({ "db": { "type": "postgres" } }));
    let from = format!("{}/db", house.id("kept"));
    let path = format!("/api/v1/clusters/{}/services/db/restore", house.id("other"));
    drop(house.call("POST", &path, Some(&json!({ "backup": backups[1], "from": from }))).expect(200));
    assert_eq!(house.rows("other"), json!([{ "x": 7 }]));
    house.delete("other", false);
    gone(&house, "other");
    let one = house.of("cache", &format!("backups/{}", backups[0]));
    drop(house.call("DELETE", &one, None).expect(200));
    drop(house.call("GET", &one, None).expect(404));
    let left = house.gateway().show(&house.of("cache", "backups"));
    assert_eq!(
        (&left["count"], &left["next_cursor"]),
        (&json!(2), &json!(null)),
        "those that were brought: {left}"
    );
    let first = house.gateway().show(&house.of("cache", "backups?limit=1"));
    let rest = format!("backups?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = house.gateway().show(&house.of("cache", &rest));
    assert_eq!(json!([first["backups"][0], second["backups"][0]]), left["backups"], "the newest first");
    assert_eq!(second["next_cursor"], json!(null));
}

/// An archive that is whole, and of which no broker can begin: what was there before is put back, and serves.
fn what_does_not_serve_leads_back(house: &House) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("meta.properties"), "version=1\nnode.id=nobody\n").unwrap();
    let tar = std::process::Command::new("tar").arg("-C").arg(dir.path()).args(["-c", "."]).output().unwrap();
    let path = house.of("queue", "backups/other/file");
    drop(upload(house, &path, &tar.stdout).expect(201));
    let failed = house.restore("queue", "other");
    assert!(failed.status >= 500, "{failed}");
    house.healthy("kept");
    assert_eq!(house.topics(), json!(["later", "orders"]));
    let operations = house.gateway().show(&format!("/api/v1/operations?cluster={}", house.id("kept")));
    let steps = operations["operations"][0]["steps"].as_array().unwrap().clone();
    assert_eq!(
        (&steps.last().unwrap()["action"], &steps.last().unwrap()["status"]),
        (&json!("undo"), &json!("done"))
    );
    let before = operations["operations"][0]["id"].as_str().unwrap();
    let kept = house.gateway().show(&house.of("queue", &format!("backups/{before}")));
    assert_eq!(kept["origin"], "restore", "what was there before stays: {kept}");
}

/// A dump that has suffered on the disk is found out before anything happens; one that somebody brings and that is none is
/// found out by whoever reads it.
fn what_is_damaged_changes_nothing(house: &House, backups: &[String; 3]) {
    for (service, id) in SERVICES.iter().zip(backups) {
        let whole = fs::read(house.dump_file(service, id)).unwrap();
        for (name, body) in [("half", &whole[..whole.len() / 2]), ("nonsense", b"this is no dump".as_slice())]
        {
            let path = house.of(service, &format!("backups/{name}/file"));
            let kept = upload(house, &path, body).expect(201).json();
            assert_eq!((&kept["origin"], &kept["bytes"]), (&json!("upload"), &json!(body.len())), "{kept}");
            assert_eq!(upload(house, &path, body).status, 409, "an id is given once");
            let refused = house.restore(service, name);
            assert!(!(200..300).contains(&refused.status), "{service} {name}: {refused}");
            let text = refused.text();
            assert!(text.contains("detail") && text.len() < 8000, "{service} {name}: {text}");
        }
        let file = house.dump_file(service, id);
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        fs::write(&file, &damaged).unwrap();
        assert_eq!(house.restore(service, id).status, 409, "{service}: its hash is another");
        fs::write(&file, &whole).unwrap();
    }
    let other = house.call(
        "POST",
        &house.of("db", "restore"),
        Some(&json!({ "backup": backups[0], "from": format!("{}/cache", house.id("kept")) })),
    );
    assert_eq!(other.status, 409, "of another kind: {other}");
    assert_eq!(house.restore("db", "../db").status, 400);
    assert_eq!(house.restore("db", "no-such").status, 404);
    house.healthy("kept");
    assert_eq!(house.get("kept", "a"), "1");
    assert_eq!(house.rows("kept"), json!([{ "x": 7 }]));
    assert_eq!(house.topics(), json!(["orders"]));
}

fn upload(house: &House, path: &str, body: &[u8]) -> Reply {
    let mut bytes = request(house.gateway().control, "PUT", path, None).into_bytes();
    let head = bytes.len() - 2;
    bytes.truncate(head);
    bytes.extend(
        format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n", body.len()).bytes(),
    );
    bytes.extend(body);
    house.control().ask(bytes)
}

#[test]
fn a_gateway_that_is_killed_in_a_restore_leaves_all_or_nothing() {
    let mut house = House::new(By::Processes);
    house.create("kept", &json!({ "queue": { "type": "kafka" }, "db": { "type": "postgres" } }));
    house.data("kept", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
    house.data("kept", "queue/topics", &json!({ "topic": "orders" }));
    let backups = [house.back_up("queue"), house.back_up("db")];
    house.data("kept", "queue/topics", &json!({ "topic": "later" }));
    house.data("kept", "db/execute", &json!({ "query": "UPDATE t SET x = 8" }));
    for round in 0_u64..6 {
        let (service, backup) = if round % 3 == 2 { ("db", &backups[1]) } else { ("queue", &backups[0]) };
        let asked = json!({ "backup": backup }).to_string();
        let body = request(house.gateway().control, "POST", &house.of(service, "restore"), Some(&asked));
        let head = body.replacen("\r\n", "\r\nPrefer: respond-async\r\n", 1);
        assert_eq!(house.control().ask(head).status, 202);
        sleep(Duration::from_millis(if service == "db" { 60 } else { 250 + 900 * round }));
        house.again(true);
        house.healthy("kept");
        let topics = house.topics();
        assert!(topics == json!(["orders"]) || topics == json!(["later", "orders"]), "{round}: {topics}");
        let rows = house.rows("kept");
        assert!(rows == json!([{ "x": 7 }]) || rows == json!([{ "x": 8 }]), "{round}: {rows}");
        // What was left is in order: the next one goes through.
        let operation = house.restore(service, backup).expect(200).json();
        assert_eq!(operation["status"], "succeeded", "{operation}");
        if service == "queue" {
            house.data("kept", "queue/topics", &json!({ "topic": "later" }));
        }
    }
    house.delete("kept", false);
    gone(&house, "kept");
}

/// In a container the program that loads a dump is the engine's, and goes on when the gateway is gone, until the next one
/// comes.
#[test]
fn a_load_in_a_container_ends_with_its_gateway() {
    let mut house = House::new(By::Containers);
    house.create("kept", &json!({ "db": { "type": "postgres" } }));
    let execute = |house: &House, query: &str| {
        house.data("kept", "db/execute", &json!({ "query": query }));
    };
    let rows = |house: &House, query: &str| {
        house.data("kept", "db/query", &json!({ "query": query }))["rows"].clone()
    };
    // Four seconds to load: a second for each row that is indexed.
    execute(&house, "CREATE TABLE t AS SELECT 7 AS x FROM generate_series(1, 4)");
    let slow = "BEGIN PERFORM pg_sleep(1); RETURN $1; END";
    execute(&house, &format!("CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS '{slow}'"));
    execute(&house, "CREATE INDEX ON t (slow(x))");
    let backup = house.back_up("db");
    execute(&house, "DROP TABLE t");
    execute(&house, "CREATE TABLE t AS SELECT 8 AS x");
    let databases = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1";
    let usual = rows(&house, databases);

    let asked = json!({ "backup": backup }).to_string();
    let body = request(house.gateway().control, "POST", &house.of("db", "restore"), Some(&asked));
    let head = body.replacen("\r\n", "\r\nPrefer: respond-async\r\n", 1);
    assert_eq!(house.control().ask(head).status, 202);
    wait_for("the load is under way", LONG, || (rows(&house, databases) != usual).then_some(()));
    house.again(true);
    house.healthy("kept");
    assert_eq!(house.rows("kept"), json!([{ "x": 8 }]));
    sleep(Duration::from_secs(5));
    assert_eq!(house.rows("kept"), json!([{ "x": 8 }]), "nobody goes on with it");
    let operation = house.restore("db", &backup).expect(200).json();
    assert_eq!(operation["status"], "succeeded", "{operation}");
    assert_eq!(house.rows("kept"), json!([{ "x": 7 }, { "x": 7 }, { "x": 7 }, { "x": 7 }]));
    assert_eq!(rows(&house, databases), usual, "no second database is left");
    house.delete("kept", false);
    gone(&house, "kept");
}
