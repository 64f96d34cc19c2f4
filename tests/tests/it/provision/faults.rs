//! What goes wrong while services are made: a clear error, and nothing is left.

use std::net::TcpListener;

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, wait_for};

use super::{By, House, LONG, gone, redis_that};

#[test]
fn a_port_that_is_taken_is_said_with_who_has_it() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        let port = free_port();
        let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let body = house.body("port", &json!({ "cache": { "type": "redis", "port": port } }));
        let refused = house.call("POST", "/api/v1/clusters", Some(&body)).expect(409).json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("Port {port}")) && detail.contains("(pid "), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("is free"), "{refused}");
        gone(&house, "port");
        assert_eq!(house.file("port"), "");
    }
}

/// One of two services cannot be run: the other is taken back too.
#[test]
fn one_that_does_not_answer_takes_all_back() {
    for by in [By::Containers, By::Processes] {
        let house = House::new(by);
        let bad = match by {
            // An image whose program ends at once.
            By::Containers => json!({ "type": "redis", "run": { "image": "throome-test/tiny" } }),
            // A database that refuses its own environment.
            By::Processes => {
                json!({ "type": "postgres", "run": { "env": { "PGOPTIONS": "-c nonsense=1", "LD_PRELOAD": "" } }, "username": "no\nname" })
            }
        };
        let body = house.body("bad", &json!({ "cache": { "type": "redis" }, "bad": bad }));
        let refused = house.call("POST", "/api/v1/clusters", Some(&body));
        assert!(refused.status >= 400, "{by:?}: {}", refused.text());
        gone(&house, "bad");
        assert_eq!(house.file("bad"), "");
        let shown = house.call("GET", &format!("/api/v1/clusters/{}", house.id("bad")), None);
        drop(shown.expect(404));
    }
}

/// One of two services, in a house where it never answers: its creation is under way. Its operation's path.
fn begin(house: &House, name: &str) -> String {
    let body = house.body(name, &json!({ "db": { "type": "postgres" }, "cache": { "type": "redis" } }));
    let to = house.gateway().control;
    let post = request(to, "POST", "/api/v1/clusters", Some(&body.to_string()));
    let begun =
        house.control().ask(post.replacen("\r\n", "\r\nPrefer: respond-async\r\n", 1)).expect(202).json();
    let path = format!("/api/v1/operations/{}", begun["id"].as_str().unwrap());
    let under_way = |operation: &Value| {
        let steps = operation["steps"].as_array().unwrap();
        let is_ready = |step: &Value| step["service"] == "cache" && step["action"] == "ready";
        steps.iter().any(|step| is_ready(step) && step["status"] == "running")
    };
    wait_for("something was started", LONG, || under_way(&house.gateway().show(&path)).then_some(()));
    path
}

fn cancel(house: &House, path: &str) {
    drop(house.call("DELETE", path, None).expect(202));
    wait_for("it has ended", LONG, || (house.gateway().show(path)["status"] == "canceled").then_some(()));
}

#[test]
fn what_is_cancelled_is_taken_back() {
    let (_programs, house) = redis_that("exec sleep 600", "3m");
    let path = begin(&house, "cancel");
    // Meanwhile nobody else changes it.
    let body = house.body("cancel", &json!({ "cache": { "type": "redis" } }));
    drop(house.call("POST", "/api/v1/clusters", Some(&body)).expect(409));
    cancel(&house, &path);
    gone(&house, "cancel");
    assert_eq!(house.file("cancel"), "");
}

/// Another program could not go on with what is under way.
#[test]
fn the_program_is_not_changed_in_the_middle_of_an_operation() {
    let (_programs, house) = redis_that("exec sleep 600", "3m");
    let path = begin(&house, "changed");
    let (gateway, id) = (house.gateway(), path.rsplit('/').next().unwrap());
    gateway.signal("USR2");
    let refused = wait_for("it is refused", LONG, || {
        let told = gateway.show("/api/v1/events?kind=gateway.not_replaced");
        Some(told["events"].as_array()?.first()?["message"].as_str()?.to_owned())
    });
    assert!(refused.contains(&format!("the operation {id} is under way")), "{refused}");
    assert_eq!(gateway.show(&path)["status"], "running");
    cancel(&house, &path);
    gone(&house, "changed");
}
