//! Changes of configuration, by file and by the API: picked up at once, kept as written, of no concern to others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, Service, turn};

/// A cluster `shop` with a service behind `/*`, written as a person would.
pub(crate) fn shop(service: &Service) -> String {
    format!(
        "# The shop, by hand.\nname: Shop   # for people\nservices:\n  web:\n    type: http\n    \
         endpoints:\n      - {{ host: \"${{E2E_HOST:-127.0.0.1}}\", port: {} }}   # the only one\n\n\
         # Everything goes there.\nroutes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 30s }}\n",
        service.address.port()
    )
}

pub(crate) fn running() -> (Gateway, Service) {
    let service = Service::start("one");
    let layout = Layout::default();
    layout.write_cluster("shop", &shop(&service));
    let gateway = layout.start();
    assert_eq!(gateway.get("/echo").status, 200);
    (gateway, service)
}

#[test]
fn edits_are_picked_up_within_half_a_second_and_routes_of_the_api_at_once() {
    let _turn = turn::alone();
    let (gateway, service) = running();
    let mut client = gateway.traffic();
    let mut status = |path: &str| client.ask(request(gateway.traffic, "GET", path, None)).status;
    let mut slowest = Duration::ZERO;
    gateway.write_cluster("shop", &shop(&service).replace("/*", "/only"));
    wait_for("the first edit", Duration::from_secs(3), || (status("/round0/x") == 404).then_some(()));
    for number in 0..5 {
        let path = format!("/round{number}/*");
        gateway.write_cluster("shop", &shop(&service).replace("/*", &path));
        let began = Instant::now();
        wait_for("the edit", Duration::from_secs(3), || {
            (status(&path.replace('*', "x")) == 200).then_some(())
        });
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    println!("edits of files: {slowest:?} at most");
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let route = json!({ "id": format!("api{number}"), "cluster": "shop", "service": "web", "path": format!("/api{number}") });
        let _ = gateway.call("POST", "/api/v1/routes", Some(&route)).expect(201);
        let began = Instant::now();
        wait_for("the route", Duration::from_secs(3), || {
            (status(&format!("/api{number}")) == 200).then_some(())
        });
        slowest = slowest.max(began.elapsed());
        let _ = gateway.call("DELETE", &format!("/api/v1/routes/api{number}"), None).expect(200);
        assert_eq!(status(&format!("/api{number}")), 404);
    }
    assert!(slowest < Duration::from_millis(50), "{slowest:?}");
    println!("routes of the API: {slowest:?} at most");
}

#[test]
fn a_file_that_comes_and_goes_is_a_cluster_that_comes_and_goes() {
    let _turn = turn::together();
    let (gateway, service) = running();
    gateway.write_cluster(
        "second",
        &shop(&service).replace("id: all, path", "id: second, host: second.test, path"),
    );
    let ask = || gateway.traffic().ask("GET /echo HTTP/1.1\r\nHost: second.test\r\n\r\n");
    wait_for("the new cluster", Duration::from_secs(3), || {
        (gateway.call("GET", "/api/v1/clusters/second", None).status == 200).then_some(())
    });
    assert_eq!(ask().status, 200);
    std::fs::remove_dir_all(gateway.clusters_dir().join("second")).unwrap();
    wait_for("its end", Duration::from_secs(3), || {
        (gateway.call("GET", "/api/v1/clusters/second", None).status == 404).then_some(())
    });
    // The first one matches every host.
    assert_eq!(ask().status, 200);
    let events = gateway.show("/api/v1/events?limit=100").to_string();
    assert!(events.contains("cluster.created") && events.contains("cluster.deleted"), "{events}");
}

#[test]
fn comments_and_references_survive_an_edit_through_the_api() {
    let _turn = turn::together();
    let (gateway, _service) = running();
    let mut cluster = gateway.show("/api/v1/clusters/shop");
    cluster["routing"] = json!({ "timeout_ms": 4000 });
    let put = gateway.call("PUT", "/api/v1/clusters/shop", Some(&cluster)).expect(200).json();
    assert_eq!(put["routing"]["timeout_ms"], 4000, "{put}");
    let text = std::fs::read_to_string(gateway.cluster_file("shop")).unwrap();
    for kept in [
        "# The shop, by hand.",
        "# for people",
        "${E2E_HOST:-127.0.0.1}",
        "# the only one",
        "# Everything goes there.",
    ] {
        assert!(text.contains(kept), "{kept:?} is not in\n{text}");
    }
    assert!(text.contains("4000"), "{text}");
    assert_eq!(gateway.get("/echo").status, 200);
    // What was written is what a new start reads.
    let gateway = gateway.kill().start();
    assert_eq!(gateway.show("/api/v1/clusters/shop")["routing"]["timeout_ms"], 4000);
}

#[test]
fn the_same_name_twice_is_a_conflict() {
    let _turn = turn::together();
    let (gateway, _service) = running();
    let again = json!({ "name": "Shop", "cluster_id": "shop", "services": {} });
    assert_eq!(
        gateway.call("POST", "/api/v1/clusters", Some(&again)).expect(409).json()["code"],
        "already_exists"
    );
    let route = |id: &str, path: &str| json!({ "id": id, "cluster": "shop", "service": "web", "path": path });
    let taken = gateway.call("POST", "/api/v1/routes", Some(&route("all", "/elsewhere")));
    assert_eq!(taken.status, 409, "{taken}");
    let same = gateway.call("POST", "/api/v1/routes", Some(&route("other", "/*")));
    assert!(matches!(same.status, 400 | 409) && same.text().contains("all"), "{same}");
    let owned = gateway.call("DELETE", "/api/v1/routes/all", None);
    assert_eq!(owned.status, 409, "{owned}");
    let outside = json!({ "name": "Out", "cluster_id": "../out", "services": {} });
    assert_eq!(gateway.call("POST", "/api/v1/clusters", Some(&outside)).status, 400);
    assert!(!gateway.dir().join("out").exists());
}

/// Connections, counters and health of what a change does not concern are left alone.
#[test]
fn a_change_concerns_nobody_else() {
    let _turn = turn::together();
    let (gateway, service) = running();
    let mut socket = gateway.traffic();
    socket.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.until("hello");
    let mut events = gateway.traffic();
    events.send("GET /events?n=40&ms=100 HTTP/1.1\r\nHost: a\r\n\r\n");
    events.until("event 0\n");
    let mut slow = gateway.traffic();
    slow.send("GET /slow?ms=2500 HTTP/1.1\r\nHost: a\r\n\r\n");
    let before = gateway.show("/api/v1/clusters/shop/services/web");
    let requests = requests(&gateway);

    for number in 0..20 {
        let route = json!({ "id": "moving", "cluster": "shop", "service": "web", "path": format!("/moving{number}") });
        if number == 0 {
            let _ = gateway.call("POST", "/api/v1/routes", Some(&route)).expect(201);
        } else {
            let _ = gateway.call("PUT", "/api/v1/routes/moving", Some(&route)).expect(200);
        }
    }
    let other = shop(&service).replace("id: all, path: \"/*\"", "id: other, host: other.test, path: \"/*\"");
    gateway.write_cluster("other", &other);
    let edited = shop(&service) + "  - { id: more, path: \"/more\", service: web }\n";
    gateway.write_cluster("shop", &edited);
    wait_for("the edits", Duration::from_secs(3), || {
        let there = |id: &str| gateway.call("GET", &format!("/api/v1/routes/{id}"), None).status == 200;
        (there("more") && there("other")).then_some(())
    });

    socket.send("still here");
    assert_eq!(socket.until("still here"), "still here");
    events.until("event 39\n");
    assert_eq!(slow.reply().status, 200);
    let after = gateway.show("/api/v1/clusters/shop/services/web");
    for fact in ["since", "health", "breaker", "rotation"] {
        assert_eq!(after["endpoints"][0][fact], before["endpoints"][0][fact], "{fact}: {before} {after}");
    }
    assert_eq!(after["since"], before["since"]);
    assert!(self::requests(&gateway) >= requests, "counters begin anew");
}

fn requests(gateway: &Gateway) -> u64 {
    let metrics: Value = gateway.show("/api/v1/clusters/shop/metrics");
    metrics["requests"].as_u64().unwrap()
}

/// What is refused because of another file is taken up when that has changed, and nobody touches it again.
#[test]
fn a_route_that_moves_from_file_to_file_arrives() {
    let _turn = turn::together();
    let (gateway, service) = running();
    let moved = shop(&service).replace("id: all", "id: moved");
    gateway.write_cluster("other", &moved);
    wait_for("the refusal", Duration::from_secs(3), || {
        gateway.show("/api/v1/events?limit=100").to_string().contains("cluster.refused").then_some(())
    });
    gateway.write_cluster("shop", &shop(&service).replace("/*", "/shop/*"));
    wait_for("the route", Duration::from_secs(3), || {
        (gateway.call("GET", "/api/v1/routes/moved", None).status == 200).then_some(())
    });
    let events = gateway.show("/api/v1/events?limit=100").to_string();
    assert_eq!(events.matches("cluster.refused").count(), 1, "{events}");
}
