//! Routes that answer on one listener, and names that nobody has.

use serde_json::json;
use throome_e2e::gateway::request;
use throome_e2e::process::free_port;
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

use super::{TO_APP, at, cluster_of, events, listening};
use crate::tls::{Authority, seen};

/// The status of an answer, and where it sends to.
fn asked(to: std::net::SocketAddr, path: &str) -> (u16, String) {
    let reply =
        Connection::open(to).ask(request(to, "GET", path, None).replace(&to.to_string(), "shop.example"));
    (reply.status, reply.field("location").unwrap_or_default().to_owned())
}

#[test]
fn all_that_comes_in_the_clear_is_sent_to_https() {
    let _turn = turn::together();
    let service = Service::start("one");
    let authority = Authority::new();
    authority.issue("door", &["shop.example"]);
    let clear = free_port();
    let layout = Layout::default()
        .with_file(&format!(
            "proxy:\n  tls: {{ certificates: [ {} ] }}\n  listeners: [ {{ name: clear, host: 127.0.0.1, port: {clear} }} ]\n",
            authority.pair("door")
        ))
        .with_args(&["--config", "throome.yaml"]);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, host: 127.0.0.1, port: {} }}\n\
             routes:\n  - {{ id: api, path: \"/api/*\", service: web }}\n  - {{ id: echo, path: /echo, service: web }}\n  \
             - {{ id: to-https, path: \"/*\", listener: clear, redirect: {{ scheme: https }} }}\n",
            service.address.port()
        ),
    );
    let gateway = layout.start();
    let expected = (307, "https://shop.example/api/x?y=1".to_owned());
    assert_eq!(asked(at(clear), "/api/x?y=1"), expected);
    assert_eq!(asked(at(clear), "/echo").0, 307);
    let echo = authority.curl("shop.example", gateway.traffic, &[]).echo();
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
    let explain = |listener: &str| {
        let body = json!({ "host": "shop.example", "path": "/api/x", "listener": listener });
        gateway.call("POST", "/api/v1/explain", Some(&body)).expect(200).json()
    };
    assert_eq!(explain("clear")["route"]["id"], "to-https");
    assert_eq!(explain("main")["route"]["id"], "api");
}

fn two_listeners() -> (Gateway, Service, std::net::SocketAddr) {
    let service = Service::start("one");
    let cluster = format!(
        "services:\n  web: {{ type: http, host: 127.0.0.1, port: {} }}\n\
         routes:\n  - {{ id: inner, path: /only, listener: wire, respond: {{ status: 202 }} }}\n  \
         - {{ id: outer, path: /only, listener: main, respond: {{ status: 203 }} }}\n",
        service.address.port()
    );
    let (layout, listener) = listening("protocol: http", "host: 127.0.0.1", &cluster);
    (layout.start(), service, listener)
}

#[test]
fn a_route_answers_on_its_listener_and_names_are_checked_wherever_they_come_from() {
    let _turn = turn::together();
    let (gateway, _service, listener) = two_listeners();
    assert_eq!(asked(listener, "/only").0, 202);
    assert_eq!(asked(gateway.traffic, "/only").0, 203);
    let route = |listener: &str| {
        let body = json!({ "id": "new", "cluster": "shop", "path": "/new", "listener": listener,
            "respond": { "status": 204 } });
        gateway.call("POST", "/api/v1/routes", Some(&body))
    };
    let refused = route("wier").expect(400).json();
    assert_eq!(refused["errors"][0]["path"], "listener", "{refused}");
    assert_eq!(refused["errors"][0]["suggestion"], "did you mean `wire`?", "{refused}");
    let _ = route("wire").expect(201);
    assert_eq!(asked(listener, "/new").0, 204);
    assert_eq!(asked(gateway.traffic, "/new").0, 404);
    // Two that answer the same on one listener are a conflict; on two they are not.
    let twice = json!({ "id": "twice", "cluster": "shop", "path": "/new", "listener": "wire",
        "respond": { "status": 200 } });
    let _ = gateway.call("POST", "/api/v1/routes", Some(&twice)).expect(409);
    let elsewhere = json!({ "id": "twice", "cluster": "shop", "path": "/new", "listener": "main",
        "respond": { "status": 200 } });
    let _ = gateway.call("POST", "/api/v1/routes", Some(&elsewhere)).expect(201);
    assert_eq!(asked(gateway.traffic, "/new").0, 200);
    assert_eq!(asked(listener, "/new").0, 204);
    // A file that names a listener which is not there is refused whole, and says where.
    let text = std::fs::read_to_string(gateway.cluster_file("shop")).unwrap();
    gateway.write_cluster("shop", &text.replace("listener: main", "listener: mian"));
    throome_e2e::process::wait_for("a refusal", std::time::Duration::from_secs(5), || {
        let told = events(&gateway, "cluster.refused");
        let message = told.first()?["message"].as_str()?.to_owned();
        assert!(message.contains("config.yaml:5:") && message.contains("did you mean `main`?"), "{message}");
        Some(())
    });
    assert_eq!(asked(gateway.traffic, "/only").0, 203);
}

#[test]
fn what_does_not_fit_together_stops_the_start() {
    let _turn = turn::together();
    let fails = |listener: &str, proxy: &str, cluster: &str, expected: &str| {
        let (layout, _) = listening(listener, proxy, cluster);
        let (code, said) = layout.start_in_vain();
        assert!(code == 8 && said.contains(expected), "{code}: {said}");
        let check = layout.command("serve").arg("--check").output().unwrap();
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(check.status.code() == Some(8) && said.contains(expected), "{said}");
    };
    let app = cluster_of(&[1], "");
    let at = "proxy.listeners[0]";
    fails("protocol: tcp, cluster: shop", "workers: 1", &app, &format!("{at}.service: is required"));
    fails("cluster: shop", "workers: 1", &app, &format!("{at}.cluster: says something only with"));
    fails(
        "proxy_protocol: v2",
        "workers: 1",
        &app,
        &format!("{at}.proxy_protocol: believes what proxies say of their clients"),
    );
    fails("protocol: http", "proxy_protocol: any", &app, "proxy.proxy_protocol: believes");
    let routed = "services: {}\nroutes:\n  - { id: r, path: /x, listener: wire, respond: { status: 200 } }\n";
    fails(TO_APP, "workers: 1", routed, "routes[0].listener: `wire` is not a listener that takes requests");
}

#[test]
fn a_listener_that_leads_nowhere_is_a_problem_for_a_check_and_stops_no_start() {
    let _turn = turn::together();
    let app = cluster_of(&[1], "");
    let cache = "services:\n  cache: { type: memory }\n";
    for (leads, cluster, checked, told) in [
        (
            "cluster: shop, service: ap",
            app.as_str(),
            "service: `ap` is not a service of the cluster `shop` (did you mean `app`?)",
            "There is no service `ap` in cluster `shop`",
        ),
        ("cluster: shop, service: cache", cache, "service: The service `cache` lives inside", "lives inside"),
        // It may still come by the API.
        ("cluster: shp, service: app", &app, "cluster: `shp` is no cluster (did you mean `shop`?)", "`shp`"),
    ] {
        let (layout, _) = listening(&format!("protocol: tcp, {leads}"), "workers: 1", cluster);
        let check = layout.command("serve").arg("--check").output().unwrap();
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        let expected = format!("proxy.listeners[0].{checked}");
        assert!(check.status.code() == Some(8) && said.contains(&expected), "{said}");
        let events = events(&layout.start(), "listener.leads_nowhere");
        assert!(events.len() == 1 && events[0]["message"].as_str().unwrap().contains(told), "{events:?}");
    }
}
