//! Routes from a path to a URL, as clients of seed 003 make them: where their requests go, how soon, and for how long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, Service, turn};

fn make(gateway: &Gateway, path: &str, target: &str, more: Value) -> Value {
    let mut body = json!({ "path": path, "target_url": target });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    gateway.call("POST", "/api/routes", Some(&body)).expect(201).json()["data"].clone()
}

/// The target that the service saw.
fn seen(gateway: &Gateway, path: &str) -> Result<String, u16> {
    let reply = gateway.get(path);
    if reply.status == 200 {
        Ok(reply.json()["target"].as_str().unwrap().to_owned())
    } else {
        Err(reply.status)
    }
}

#[test]
fn a_request_goes_to_the_url_and_keeps_its_query() {
    let _turn = turn::together();
    let service = Service::start("backend");
    let gateway = Layout::default().start();
    let url = |path: &str| format!("http://{}{path}", service.address);
    for (path, target) in [
        ("/api/users", "/users"),
        ("/bare", ""),
        ("/u/{id}/posts", "/users/{id}/all"),
        ("/files/*", "/store"),
    ] {
        make(&gateway, path, &url(target), json!({}));
    }
    make(&gateway, "/off", &url("/off"), json!({ "enabled": false }));
    make(&gateway, "/form", &url("/form"), json!({ "method": "POST" }));
    for (asked, target) in [
        ("/api/users?page=2&x", Ok("/users?page=2&x")),
        ("/api/users/7", Err(404)),
        ("/bare", Ok("/")),
        ("/u/7/posts", Ok("/users/7/all")),
        ("/files/a/b?c", Ok("/store/a/b?c")),
        ("/off", Err(404)),
        ("/form", Err(404)),
    ] {
        assert_eq!(seen(&gateway, asked), target.map(str::to_owned), "{asked}");
    }
    // After kill -9 they are there, and so is what they lead to.
    let gateway = gateway.kill().start();
    assert_eq!(seen(&gateway, "/u/8/posts"), Ok("/users/8/all".to_owned()));
    assert_eq!(gateway.show("/api/routes")["data"].as_array().unwrap().len(), 6);
}

#[test]
fn a_change_is_seen_at_once_and_touches_no_other_connection() {
    let _turn = turn::alone();
    let (one, other) = (Service::start("one"), Service::start("other"));
    let gateway = Layout::default().start();
    let url = |service: &Service, path: &str| format!("http://{}{path}", service.address);
    make(&gateway, "/kept", &url(&one, "/kept"), json!({}));
    let mut kept = gateway.traffic();
    let ask = format!("GET /kept HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.traffic);
    let mut slowest = Duration::ZERO;
    for n in 0..50 {
        let path = format!("/n/{n}");
        let id = make(&gateway, &path, &url(&one, "/first"), json!({}))["id"].clone();
        let began = Instant::now();
        wait_for("the new route", Duration::from_secs(2), || seen(&gateway, &path).ok());
        slowest = slowest.max(began.elapsed());
        let body = json!({ "path": path, "target_url": url(&other, "/second") });
        drop(gateway.call("PUT", &format!("/api/routes/{id}"), Some(&body)).expect(200));
        assert_eq!(seen(&gateway, &path), Ok("/second".to_owned()), "what is acknowledged holds");
        assert_eq!(kept.ask(&ask).status, 200, "the same connection as before");
        drop(gateway.call("DELETE", &format!("/api/routes/{id}"), None).expect(200));
        assert_eq!(seen(&gateway, &path), Err(404));
    }
    assert!(slowest < Duration::from_millis(200), "{slowest:?} on a machine that does other things too");
}
