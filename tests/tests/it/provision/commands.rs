//! What is typed about services that the gateway runs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use throome_e2e::process::{gateway_binary, signal, wait_for};

use super::{By, House, LONG, gone};

/// What a command has said, and how it has ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    #[track_caller]
    pub(super) fn ends(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Types it where nobody sits.
pub(super) fn throome(house: &House, words: &[&str]) -> Said {
    let output = command(house, words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn command(house: &House, words: &[&str]) -> Command {
    let mut command = Command::new(gateway_binary());
    command.args(words).env("THROOME_URL", format!("http://{}", house.gateway().control));
    for name in ["THROOME_TOKEN", "THROOME_CLUSTER", "THROOME_BIN"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_service_is_worked_from_the_terminal() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        house.create("typed", &json!({ "cache": { "type": "redis" } }));
        house.set("typed", "a", "1");
        let name = format!("{}/cache", house.id("typed"));
        let mut follower = command(&house, &["service", "logs", &name, "-f"]);
        let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Ready to accept")), "{by:?}");
        signal(follower.id(), "INT");
        assert_eq!(follower.wait().unwrap().code(), Some(130), "{by:?}");

        let said = throome(&house, &["service", "restart", &name, "--reason", "a try"]).ends(0);
        for line in ["done     cache: stop", "done     cache: start", "`cache` answers again"] {
            assert!(said.err.contains(line), "{line}: {said:#?}");
        }
        assert_eq!(said.out, "");
        assert_eq!(house.get("typed", "a"), "1");
        let said = throome(&house, &["service", "logs", &name, "--tail", "2", "-t"]).ends(0);
        let times: Vec<&str> =
            said.out.lines().filter_map(|line| line.split_once(' ')).map(|(time, _)| time).collect();
        assert_eq!(times.len(), 2, "{said:?}");
        assert!(times.iter().all(|time| time.starts_with("20") && time.ends_with('Z')), "{said:?}");
        // Whoever follows sees the end of the service.
        let mut follower = command(&house, &["service", "logs", &name, "-f", "--tail", "1"]);
        let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        assert!(lines.next().is_some());
        let said = throome(&house, &["service", "stop", &name, "-q", "-o", "json"]).ends(0);
        assert!(said.err.is_empty() && said.out.contains("\"succeeded\""), "{said:?}");
        assert!(lines.map(Result::unwrap).any(|line| line.contains("bye bye")), "{by:?}");
        assert_eq!(follower.wait().unwrap().code(), Some(0), "{by:?}: the service has ended");
        drop(throome(&house, &["service", "start", &name]).ends(0));
        assert_eq!(house.get("typed", "a"), "1");
        house.delete("typed", false);
        gone(&house, "typed");
    }
}

/// A stream lives no longer than what opened it is worth.
#[test]
fn a_token_that_is_revoked_follows_no_log() {
    let house = House::new(By::Processes);
    house.create("heard", &json!({ "cache": { "type": "redis" } }));
    let token = house.call("POST", "/api/v1/tokens", Some(&json!({ "role": "viewer" }))).expect(201).json();
    let name = format!("{}/cache", house.id("heard"));
    let mut follower = command(&house, &["service", "logs", &name, "-f"]);
    let follower = follower.env("THROOME_TOKEN", token["token"].as_str().unwrap()).stdout(Stdio::piped());
    let mut follower = follower.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(lines.next().is_some());
    let path = format!("/api/v1/tokens/{}", token["id"].as_str().unwrap());
    drop(house.call("DELETE", &path, None).expect(200));
    let code = wait_for("it ends", LONG, || follower.try_wait().unwrap());
    assert_eq!(code.code(), Some(0));
    house.delete("heard", false);
}

#[test]
fn what_a_service_holds_goes_into_a_file_and_comes_back() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        let services = json!({ "cache": { "type": "redis" }, "db": { "type": "postgres" } });
        house.create("saved", &services);
        house.create("other", &services);
        house.data("saved", "db/execute", &json!({ "query": "CREATE TABLE t AS SELECT 7 AS x" }));
        house.set("saved", "a", "1");
        for (service, ending) in [("cache", "rdb"), ("db", "dump")] {
            let name = format!("{}/{service}", house.id("saved"));
            let made =
                throome(&house, &["backup", "create", &name, "--reason", "a try", "-o", "json"]).ends(0);
            let made: Value = serde_json::from_str(&made.out).unwrap();
            let id = made["id"].as_str().unwrap();
            let listed = throome(&house, &["backup", "list", &name, "-o", "name"]).ends(0);
            assert_eq!(listed.out, format!("{id}\n"), "{by:?} {service}");
            let file = house.gateway().dir().join(format!("{service}.{ending}"));
            let file = file.to_str().unwrap();
            drop(throome(&house, &["backup", "download", &name, id, file]).ends(0));
            let about: Value = serde_json::from_str(
                &throome(&house, &["backup", "get", &name, id, "-o", "json"]).ends(0).out,
            )
            .unwrap();
            let sum = Command::new("sha256sum").arg(file).output().unwrap();
            let sum = String::from_utf8(sum.stdout).unwrap();
            assert_eq!(sum.split(' ').next(), about["sha256"].as_str(), "{by:?} {service}");
            // It is brought to another service, and put in place of what that holds.
            let other = format!("{}/{service}", house.id("other"));
            drop(throome(&house, &["backup", "upload", &other, file, "--id", "brought"]).ends(0));
            let again = throome(&house, &["backup", "upload", &other, file, "--id", "brought"]).ends(5);
            assert!(again.err.contains("brought"), "{again:?}");
            drop(throome(&house, &["backup", "restore", &other, "brought", "--yes"]).ends(0));
            drop(throome(&house, &["backup", "delete", &name, id, "--yes"]).ends(0));
            drop(throome(&house, &["backup", "get", &name, id]).ends(3));
        }
        assert_eq!(house.get("other", "a"), "1", "{by:?}");
        let rows = house.data("other", "db/query", &json!({ "query": "SELECT x FROM t" }));
        assert_eq!(rows["rows"], json!([{ "x": 7 }]), "{by:?}");
        for name in ["saved", "other"] {
            house.delete(name, false);
            gone(&house, name);
        }
    }
}
