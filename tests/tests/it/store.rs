//! The gateway's own state in a PostgreSQL that comes late, goes and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use ::engines::{Engines, Server, secrets};
use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, Service, turn};

const LIMIT: Duration = Duration::from_secs(20);

fn url(server: &Server) -> String {
    let (user, password) = secrets::POSTGRES_OWNER;
    format!("postgres://{user}:{password}@127.0.0.1:{}/{}", server.port, secrets::POSTGRES_DATABASE)
}

fn layout(server: &Server, service: &Service) -> Layout {
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ] }}\nroutes:\n  - {{ id: web, path: /web, service: web }}\n",
            service.endpoint()
        ),
    );
    let file = format!("store:\n  url: \"{}\"\n  pool: {{ max: 3, idle: 1 }}\n", url(server));
    layout.with_file(&file).with_args(&["--config", "throome.yaml"])
}

fn store_check(gateway: &Gateway) -> Value {
    let health = gateway.show("/health");
    let checks = health["checks"].as_array().unwrap().clone();
    let store = checks.into_iter().find(|check| check["name"] == "store").unwrap();
    assert_eq!(health["status"] == "healthy", store["status"] == "healthy", "{health}");
    store
}

fn until(gateway: &Gateway, status: &str) {
    wait_for("the word on the store", LIMIT, || (store_check(gateway)["status"] == status).then_some(()));
}

fn route(service: &Service, path: &str) -> Value {
    json!({ "path": path, "target_url": format!("http://{}/api", service.address) })
}

#[test]
fn a_store_that_is_late_is_said_and_taken_up_when_it_comes() {
    let _turn = turn::alone();
    let (server, service) = (Engines::own().postgres(), Service::start("web"));
    let gateway = layout(&server, &service).start();
    drop(gateway.call("POST", "/api/routes", Some(&route(&service, "/api"))).expect(201));
    let own = json!({ "id": "own", "cluster": "shop", "service": "web", "path": "/own" });
    drop(gateway.call("POST", "/api/v1/routes", Some(&own)).expect(201));
    // What happened is in the store a moment later.
    std::thread::sleep(Duration::from_secs(1));
    let layout = gateway.kill();
    server.kill();

    let gateway = layout.start();
    until(&gateway, "unhealthy");
    assert_eq!(gateway.get("/web").status, 200, "what files ask for runs");
    assert_eq!((gateway.get("/api").status, gateway.get("/own").status), (404, 404));
    let refused = gateway.call("POST", "/api/routes", Some(&route(&service, "/second"))).expect(503).json();
    assert_eq!((&refused["success"], &refused["code"]), (&json!(false), &json!("busy")), "{refused}");

    server.restart();
    until(&gateway, "healthy");
    wait_for("its routes", LIMIT, || (gateway.get("/api").status == 200).then_some(()));
    assert_eq!(gateway.get("/own").status, 200);
    let made = gateway.call("POST", "/api/routes", Some(&route(&service, "/second"))).expect(201).json();
    assert_eq!(made["data"]["id"], 2, "no number is given twice");
    wait_for("the history of both runs", LIMIT, || {
        let events = gateway.show("/api/v1/events?limit=1000")["events"].as_array().unwrap().clone();
        let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
        let ids: BTreeSet<String> = events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), events.len(), "{events:?}");
        (count("store.found") == 1 && count("cluster.loaded") == 2).then_some(())
    });
    no_secret(&gateway);
}

#[test]
fn a_store_that_goes_takes_nothing_along() {
    let _turn = turn::alone();
    let (server, service) = (Engines::own().postgres(), Service::start("web"));
    let gateway = layout(&server, &service).start();
    drop(gateway.call("POST", "/api/routes", Some(&route(&service, "/api"))).expect(201));
    for _ in 0..2 {
        server.kill();
        until(&gateway, "unhealthy");
        for path in ["/web", "/api"] {
            assert_eq!(gateway.get(path).status, 200, "{path}");
        }
        drop(gateway.call("POST", "/api/routes", Some(&route(&service, "/other"))).expect(503));
        drop(gateway.call("DELETE", "/api/routes/1", None).expect(503));
        assert_eq!(gateway.get("/api").status, 200, "a change that is not kept is none");
        server.restart();
        until(&gateway, "healthy");
    }
    drop(gateway.call("POST", "/api/routes", Some(&route(&service, "/other"))).expect(201));
    let gateway = gateway.kill().start();
    assert_eq!((gateway.get("/api").status, gateway.get("/other").status), (200, 200));
    no_secret(&gateway);
}

#[test]
fn what_can_never_be_well_stops_the_start() {
    let _turn = turn::together();
    let server = Engines::shared().postgres();
    let wrong = format!("postgres://throome:canary@127.0.0.1:{}/throome", server.port);
    let layout = Layout::default();
    let layout = layout.with_file(&format!("store: {{ url: \"{wrong}\" }}\n"));
    let (code, said) = layout.with_args(&["--config", "throome.yaml"]).start_in_vain();
    assert!(
        code != 0 && said.contains("password authentication failed") && !said.contains("canary"),
        "{said}"
    );
}

fn no_secret(gateway: &Gateway) {
    let (_, password) = secrets::POSTGRES_OWNER;
    let config = gateway.command("config").output().unwrap();
    let shown = format!("{}{}", gateway.log(), String::from_utf8_lossy(&config.stdout));
    assert!(!shown.contains(password), "{shown}");
}
