//! What else an operator meets.

use engines::{Image, docker};
use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, wait_for};

use super::super::between::Fault::{Cut, Hangs, Refused};
use super::super::between::{Between, Spoilt};
use super::super::{By, House, LONG, gone, redis_that};
use super::detail;

fn by_containers() -> (House, Between) {
    let engine = docker();
    let between = Between::of(&engine);
    let house = House::with(Some(engine), By::Containers, Some(&between.host()), "60s", &["env"]);
    (house, between)
}

fn redis() -> Value {
    json!({ "cache": { "type": "redis" } })
}

/// What is said to a creation with these calls to the engine spoilt.
fn spoilt(spoilt: &[Spoilt]) -> Vec<String> {
    let (house, between) = by_containers();
    between.spoil(spoilt);
    let said = detail(&house.call("POST", "/api/v1/clusters", Some(&house.body("bad", &redis()))));
    between.over();
    gone(&house, "bad");
    vec![said]
}

pub(super) fn ends() -> Vec<String> {
    let (house, _between) = by_containers();
    let tiny = json!({ "cache": { "type": "redis", "run": { "image": Image::Tiny.name() } } });
    let other = detail(&house.call("POST", "/api/v1/clusters", Some(&house.body("ends", &tiny))));
    gone(&house, "ends");
    let (_programs, house) = redis_that("echo 'I cannot'; exit 1", "60s");
    let refused = house.call("POST", "/api/v1/clusters", Some(&house.body("ends", &redis())));
    assert!(refused.json()["hint"].as_str().unwrap_or_default().contains("I cannot"), "{}", refused.text());
    gone(&house, "ends");
    vec![other, detail(&refused)]
}

pub(super) fn no_engine() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    // A socket at which nobody listens any more.
    let left = dir.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let mut said = Vec::new();
    for socket in [left, dir.path().join("none.sock")] {
        let host = format!("unix://{}", socket.display());
        let house = House::with(None, By::Containers, Some(&host), "3m", &["env"]);
        said.push(detail(&house.call("POST", "/api/v1/clusters", Some(&house.body("none", &redis())))));
    }
    let layout = throome_e2e::Layout::default()
        .with_file("provision: { docker: { enabled: false }, process: { enabled: false } }\n")
        .with_args(&["--config", "throome.yaml"]);
    let body = json!({ "name": "none", "config": { "services": redis() } });
    said.push(detail(&layout.start().call("POST", "/api/v1/clusters", Some(&body))));
    said
}

pub(super) fn goes_away() -> Vec<String> {
    let (house, between) = by_containers();
    house.create("away", &redis());
    house.set("away", "a", "1");
    let path = format!("/api/v1/clusters/{}/services/cache", house.id("away"));
    between.spoil(&[Spoilt::always("", "", Cut)]);
    let unknown = || (house.gateway().show(&path)["lifecycle"] == "unknown").then_some(());
    wait_for("it is told", LONG, unknown);
    let said = vec![detail(&house.call("POST", &format!("{path}/restart"), None))];
    // It runs all the same, and is used.
    assert_eq!(house.get("away", "a"), "1");
    between.over();
    house.runs("away", "cache");
    house.delete("away", false);
    gone(&house, "away");
    said
}

pub(super) fn no_image() -> Vec<String> {
    let denied = "pull access denied for redis, repository does not exist or may require 'docker login'";
    spoilt(&[
        Spoilt::always("GET", "/images/", Refused(404, "No such image")),
        Spoilt::once("POST", "/images/create", Refused(404, denied)),
    ])
}

pub(super) fn full() -> Vec<String> {
    let full = Refused(500, "mkdir /var/lib/docker/volumes/x: no space left on device");
    spoilt(&[Spoilt::once("POST", "/volumes/create", full)])
}

pub(super) fn not_installed() -> Vec<String> {
    let house = House::with(None, By::Processes, None, "3m", &["env", "-u", "KAFKA_HOME"]);
    let body = house.body("none", &json!({ "queue": { "type": "kafka" } }));
    let said = detail(&house.call("POST", "/api/v1/clusters", Some(&body)));
    gone(&house, "none");
    vec![said]
}

pub(super) fn stranger() -> Vec<String> {
    let (house, _between) = by_containers();
    let engine = house.engine.as_ref().unwrap();
    let called = format!("throome-{}-cache", house.id("name"));
    engine.cli(&["create", "--name", &called, Image::Tiny.name()]);
    let said = detail(&house.call("POST", "/api/v1/clusters", Some(&house.body("name", &redis()))));
    assert!(engine.try_cli(&["inspect", &called]).is_ok(), "it is left alone");
    engine.cli(&["rm", &called]);
    gone(&house, "name");
    vec![said]
}

pub(super) fn not_ours() -> Vec<String> {
    let house = House::with(None, By::Processes, None, "3m", &["env"]);
    let id = house.id("theirs");
    let services = json!({ "cache": { "type": "redis", "host": "127.0.0.1", "port": free_port() } });
    house
        .gateway()
        .create(&json!({ "name": "theirs", "cluster_id": id, "config": { "services": services } }));
    vec![detail(&house.call("POST", &format!("/api/v1/clusters/{id}/services/cache/restart"), None))]
}

pub(super) fn under_way() -> Vec<String> {
    let (house, between) = by_containers();
    let body = house.body("busy", &redis());
    between.spoil(&[Spoilt::once("POST", "/containers/create", Hangs)]);
    let post = request(house.gateway().control, "POST", "/api/v1/clusters", Some(&body.to_string()));
    let post = post.replacen("\r\n", "\r\nPrefer: respond-async\r\n", 1);
    let begun = house.control().ask(post).expect(202).json();
    wait_for("it hangs", LONG, || (between.met() > 0).then_some(()));
    let said = detail(&house.call("POST", "/api/v1/clusters", Some(&body)));
    between.over();
    let operation = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
    wait_for("it has ended", LONG, || {
        (house.gateway().show(&operation)["status"] != "running").then_some(())
    });
    gone(&house, "busy");
    vec![said]
}

pub(super) fn deletion() -> Vec<String> {
    let (house, between) = by_containers();
    house.create("goes", &redis());
    let path = format!("/api/v1/clusters/{}", house.id("goes"));
    let mut said = Vec::new();
    for fault in [
        Spoilt::once("GET", "/version", Cut),
        Spoilt::once("DELETE", "/containers/", Refused(500, "driver failed to remove root filesystem")),
    ] {
        between.spoil(&[fault]);
        said.push(detail(&house.call("DELETE", &path, None)));
        between.over();
    }
    wait_for("nothing is left", LONG, || house.left("goes").is_empty().then_some(()));
    said
}
