//! Configuration: mistakes are told with file, line, column and fix; changes are picked up at once and concern nobody
//! else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, Service, turn};

/// A class of mistake: what the file says, and what must be said of it.
struct Mistake {
    text: &'static str,
    /// Line and column.
    at: &'static str,
    /// Words of the message, its suggestion among them.
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        text: "services: {}\nrouting: { strateg: weighted }\n",
        at: "2:12",
        says: &["strateg", "did you mean `strategy`"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: 127.0.0.1, port: eighty }\n",
        at: "2:45",
        says: &["services.web.port", "whole number", "`eighty`"],
    },
    Mistake { text: "services:\n  web: { type: http\nroutes: []\n", at: "3:7", says: &["bracket"] },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\n  web: { type: memory }\n",
        at: "3:3",
        says: &["web"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: \"${E2E_IS_NOT_SET}\", port: 1 }\n",
        at: "2:28",
        says: &["E2E_IS_NOT_SET", "${E2E_IS_NOT_SET:-default}"],
    },
    Mistake {
        text: "services:\n  web: { type: htp, host: a, port: 1 }\n",
        at: "2:16",
        says: &["`htp`", "did you mean `http`"],
    },
    Mistake { text: "services:\n  db: { type: postgres, host: a }\n", at: "2:15", says: &["not built yet"] },
    Mistake {
        text: "services:\n  web: { type: http, provision: docker }\n",
        at: "2:33",
        says: &["not built yet"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: web }\n  - { id: r, path: \"/b\", service: web }\n",
        at: "5:11",
        says: &["`r`", "routes[0]"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: web }\n  - { id: s, path: \"/a\", service: web }\n",
        at: "5:5",
        says: &["same requests"],
    },
    Mistake {
        text: "services:\n  web: { type: http, host: a, port: 1 }\nroutes:\n  - { id: r, path: \"/a\", service: wed }\n",
        at: "4:35",
        says: &["`wed`", "did you mean `web`"],
    },
    Mistake { text: "services: {}\nrouting: { strategy: hash }\n", at: "2:22", says: &["not built yet"] },
    Mistake { text: "cluster_id: elsewhere\nservices: {}\n", at: "1:13", says: &["directory"] },
];

impl Mistake {
    fn is_told_in(&self, said: &str) {
        let place = format!("shop/config.yaml:{}:", self.at);
        for words in self.says.iter().chain([&place.as_str()]) {
            assert!(said.contains(words), "{words:?} is not in {said:?}\nfor\n{}", self.text);
        }
    }
}

#[test]
fn a_wrong_file_stops_the_start_and_says_where_and_how() {
    let _turn = turn::together();
    for mistake in MISTAKES {
        let layout = Layout::default();
        layout.write_cluster("shop", mistake.text);
        let (code, said) = layout.start_in_vain();
        assert_eq!(code, 8, "{said}");
        mistake.is_told_in(&said);
    }
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let _turn = turn::together();
    let layout = Layout::default();
    layout.write_cluster("one", "services: {}\nroutin: {}\nrouting: { timeout_ms: -1 }\n");
    layout.write_cluster("two", "servces: {}\n");
    let (code, said) = layout.start_in_vain();
    assert_eq!(code, 8);
    for words in ["one/config.yaml:2:1", "one/config.yaml:3:", "two/config.yaml:1:1", "3 problems"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn a_wrong_gateway_file_stops_the_start() {
    let _turn = turn::together();
    for (text, says) in [
        ("server: { prt: 1 }\n", &["throome.yaml:1:11", "did you mean `port`"][..]),
        ("server: { port: many }\n", &["throome.yaml:1:17", "whole number"]),
        ("proxy:\n  tls: { certificates: [] }\n", &["throome.yaml:2:", "not built yet"]),
        ("auth: { mode: none }\n", &["throome.yaml:1:15", "auth.mode"]),
        ("errors: { timeout_status: 500 }\n", &["errors.timeout_status"]),
    ] {
        let (code, said) = Layout::default().with_file(text).start_in_vain();
        assert_eq!(code, 8, "{said}");
        for words in says {
            assert!(said.contains(words), "{words:?} is not in {said:?} for {text}");
        }
    }
}

#[test]
fn a_port_that_is_taken_is_said() {
    let _turn = turn::together();
    let layout = Layout::default();
    let _taken = std::net::TcpListener::bind(layout.traffic).unwrap();
    let traffic = layout.traffic;
    let (code, said) = layout.start_in_vain();
    assert!(
        code == 1 && said.contains(&traffic.port().to_string()) && said.contains("proxy.port"),
        "{code}: {said}"
    );
}

#[test]
fn a_second_gateway_on_the_same_directory_does_not_start() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let other =
        Layout::default().with_args(&["--clusters-dir", &gateway.clusters_dir().display().to_string()]);
    let (code, said) = other.start_in_vain();
    assert!(code == 1 && said.contains(".throome"), "{code}: {said}");
    // A check writes nothing, and a gateway that was killed leaves nothing that holds the next one up.
    let gateway = gateway.kill().start();
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
}

/// A cluster `shop` with a service behind `/*`, written as a person would.
fn shop(service: &Service) -> String {
    format!(
        "# The shop, by hand.\nname: Shop   # for people\nservices:\n  web:\n    type: http\n    \
         endpoints:\n      - {{ host: \"${{E2E_HOST:-127.0.0.1}}\", port: {} }}   # the only one\n\n\
         # Everything goes there.\nroutes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 30s }}\n",
        service.address.port()
    )
}

fn running() -> (Gateway, Service) {
    let service = Service::start("one");
    let layout = Layout::default();
    layout.write_cluster("shop", &shop(&service));
    let gateway = layout.start();
    assert_eq!(gateway.get("/echo").status, 200);
    (gateway, service)
}

fn refusals(gateway: &Gateway) -> Vec<String> {
    let events = gateway.show("/api/v1/events?limit=1000");
    let refused =
        events["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "cluster.refused");
    refused.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_wrong_edit_is_refused_with_an_event_and_what_runs_goes_on() {
    let _turn = turn::together();
    let (gateway, service) = running();
    for (count, mistake) in MISTAKES.iter().enumerate() {
        gateway.write_cluster("shop", mistake.text);
        let said = wait_for("the refusal", Duration::from_secs(3), || {
            let refusals = refusals(&gateway);
            (refusals.len() > count).then(|| refusals[0].clone())
        });
        mistake.is_told_in(&said);
        assert_eq!(gateway.get("/echo").status, 200);
    }
    gateway.write_cluster("shop", &shop(&service).replace("/*", "/new/*"));
    wait_for("the edit that is right", Duration::from_secs(3), || {
        (gateway.get("/echo").status == 404).then_some(())
    });
    assert_eq!(gateway.get("/new/x").status, 200);
    // The API refuses the same, with every place.
    let wrong = json!({ "name": "Wrong", "cluster_id": "wrong", "services": { "a": { "type": "htp" }, "b": { "typ": 1 } } });
    let refused = gateway.call("POST", "/api/v1/clusters", Some(&wrong)).expect(400).json();
    assert!(refused["errors"].as_array().unwrap().len() >= 2, "{refused}");
    assert_eq!(refused["code"], "invalid_config");
}

/// What a program has truncated and not written yet is no wish for a cluster without services.
#[test]
fn a_file_that_is_empty_is_refused() {
    let _turn = turn::together();
    let (gateway, service) = running();
    for empty in ["", "\n\n", "# Nothing but a comment.\n"] {
        let count = refusals(&gateway).len();
        std::fs::write(gateway.cluster_file("shop"), empty).unwrap();
        wait_for("the refusal", Duration::from_secs(3), || (refusals(&gateway).len() > count).then_some(()));
        assert_eq!(gateway.get("/echo").status, 200);
    }
    std::fs::write(gateway.cluster_file("shop"), shop(&service).replace("/*", "/new/*")).unwrap();
    wait_for("the rest", Duration::from_secs(3), || (gateway.get("/echo").status == 404).then_some(()));
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
