//! The four that document 000 prints.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

use engines::docker;
use serde_json::json;
use throome_e2e::Layout;
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, gateway_binary, wait_for};

use super::super::between::Between;
use super::super::{By, House, LONG, gone, redis_that};
use super::detail;

/// A gateway that may go where it likes, but for one socket. Root needs no leave, unless that is taken from it.
pub(super) fn permission() -> Vec<String> {
    let engine = docker();
    let between = Between::of(&engine);
    let socket = between.socket();
    chown(&socket, Some(65534), Some(65534)).expect("this test needs root");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    let all = "-dac_override,-dac_read_search";
    let setpriv =
        ["setpriv", &format!("--bounding-set={all}"), &format!("--inh-caps={all}")].map(str::to_owned);
    let words: Vec<&str> = setpriv.iter().map(String::as_str).collect();
    let house = House::with(Some(engine), By::Containers, Some(&between.host()), "3m", &words);
    let body = house.body("socket", &json!({ "cache": { "type": "redis" } }));
    let said = detail(&house.call("POST", "/api/v1/clusters", Some(&body)));
    assert_eq!(house.file("socket"), "");
    // With leave it works.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    drop(house.call("POST", "/api/v1/clusters", Some(&body)).expect(201));
    house.delete("socket", false);
    gone(&house, "socket");
    vec![said]
}

pub(super) fn ports() -> Vec<String> {
    let mut said = Vec::new();
    for by in [By::Containers, By::Processes] {
        let house =
            House::with((by == By::Containers).then(docker), by, engine_of(by).as_deref(), "3m", &["env"]);
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let mut body = house.body("port", &json!({ "cache": { "type": "redis", "port": port } }));
        said.push(detail(&house.call("POST", "/api/v1/clusters", Some(&body))));
        // What it advises: without a port it takes one that is free.
        body["config"]["services"]["cache"].as_object_mut().unwrap().remove("port");
        drop(house.call("POST", "/api/v1/clusters", Some(&body)).expect(201));
        house.delete("port", false);
        gone(&house, "port");
        let (code, words) = second_at(house.gateway().control.port());
        assert_ne!(code, 0);
        said.extend(words.lines().map(str::to_owned));
    }
    said
}

fn engine_of(by: By) -> Option<String> {
    (by == By::Containers).then(|| docker().host().to_owned())
}

/// Another gateway at a door that is taken.
fn second_at(port: u16) -> (i32, String) {
    let layout = Layout::default();
    let mut layout = layout;
    layout.control.set_port(port);
    layout.start_in_vain()
}

/// `localhost` is `[::1]` first, as on many machines, and what the gateway runs listens on `127.0.0.1`.
pub(super) fn refused() -> Vec<String> {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    fs::write(hosts.path(), "::1 localhost\n127.0.0.1 localhost\n").unwrap();
    let bind = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.path().display());
    let elsewhere = ["unshare", "--mount", "sh", "-c", &bind];
    let first =
        Command::new(elsewhere[0]).args(&elsewhere[1..]).args(["getent", "ahosts", "localhost"]).output();
    let first = String::from_utf8(first.unwrap().stdout).unwrap();
    assert!(first.starts_with("::1"), "this test needs root, for a file of hosts of its own: {first}");
    let mut said = Vec::new();
    for by in [By::Containers, By::Processes] {
        let house =
            House::with((by == By::Containers).then(docker), by, engine_of(by).as_deref(), "3m", &elsewhere);
        house.create("local", &json!({ "cache": { "type": "redis" } }));
        assert!(house.file("local").contains("host: localhost"), "{}", house.file("local"));
        house.set("local", "a", "1");
        assert_eq!(house.get("local", "a"), "1");
        // Commands find the gateway by that name too, which listens on 127.0.0.1 alone.
        let url = format!("http://localhost:{}", house.gateway().control.port());
        let mut status = Command::new(elsewhere[0]);
        status.args(&elsewhere[1..]).arg(gateway_binary()).args(["--url", &url, "status"]);
        let output = status.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        house.delete("local", false);
        gone(&house, "local");
    }
    // One that listens on ::1 alone is reached by that name too; where nobody listens, it says where.
    let house = House::with(None, By::Processes, None, "3m", &elsewhere);
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    house.gateway().write_cluster(
        &house.id("six"),
        &format!(
            "services:\n  six: {{ type: tcp, host: localhost, port: {port} }}\n  none: {{ type: redis, host: localhost, port: {} }}\n",
            free_port()
        ),
    );
    let facts = |service: &str| {
        let path = format!("/api/v1/clusters/{}/services/{service}", house.id("six"));
        let answer = house.call("GET", &path, None);
        if answer.status == 200 { answer.json() } else { json!({}) }
    };
    wait_for("it is reached at [::1]", LONG, || (facts("six")["healthy"] == true).then_some(()));
    let none = wait_for("it is refused", LONG, || {
        let endpoint = facts("none")["endpoints"][0].clone();
        (endpoint["health"] == "unhealthy").then_some(endpoint)
    });
    said.push(none["reason"].as_str().unwrap().to_owned());
    said
}

/// A program that runs and never answers; and a client that does not wait for one that does.
pub(super) fn times_out() -> Vec<String> {
    let (programs, house) = redis_that("echo 'I think about it'; exec sleep 600", "3s");
    let body = house.body("late", &json!({ "cache": { "type": "redis" } }));
    let refused = house.call("POST", "/api/v1/clusters", Some(&body));
    let hint = refused.json()["hint"].as_str().unwrap_or_default().to_owned();
    assert!(hint.contains("I think about it"), "{hint}");
    gone(&house, "late");

    // The real one, after a while.
    fs::write(
        programs.path().join("redis-server"),
        "#!/bin/sh\nsleep 1\nPATH=${PATH#*:} exec redis-server \"$@\"\n",
    )
    .unwrap();
    let mut control = house.control();
    control.send(request(house.gateway().control, "POST", "/api/v1/clusters", Some(&body.to_string())));
    std::thread::sleep(Duration::from_millis(300));
    drop(control);
    wait_for("it is made although nobody waits", LONG, || (!house.file("late").is_empty()).then_some(()));
    house.healthy("late");
    house.delete("late", false);
    gone(&house, "late");
    vec![detail(&refused)]
}
