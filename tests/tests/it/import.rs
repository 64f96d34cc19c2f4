//! A Compose file taken over: what becomes of it is a cluster that a gateway runs.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use throome_e2e::process::{gateway_binary, wait_for};
use throome_e2e::{Layout, Service, turn};

#[test]
fn an_imported_cluster_is_served() {
    let _turn = turn::together();
    let service = Service::start("one");
    let layout = Layout::default();
    let gateway = layout.start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yaml");
    let port = service.address.port();
    let compose = format!(
        "name: shop\nservices:\n  web:\n    image: shop\n    ports: [\"127.0.0.1:{port}:80\"]\n    healthcheck: {{ test: curl -f \
         http://localhost/healthz }}\n  db:\n    image: mysql\n"
    );
    fs::write(&file, compose).unwrap();
    let output = Command::new(gateway_binary())
        .arg("import")
        .arg(&file)
        .arg("--output")
        .arg(gateway.clusters_dir())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("db: left out: `mysql`"), "{told}");
    let spec = wait_for("the cluster", Duration::from_secs(5), || {
        let reply = gateway.call("GET", "/api/v1/clusters/shop", None);
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!(spec["services"]["web"]["health"]["path"], "/healthz", "{spec}");
    let route = json!({ "id": "web", "cluster": "shop", "service": "web", "path": "/*" });
    let _ = gateway.call("POST", "/api/v1/routes", Some(&route)).expect(201);
    assert_eq!(gateway.get("/echo").status, 200);
}

/// Services that the gateway runs are such as its own reader takes, whatever is said of them.
#[test]
fn imported_services_that_are_run_are_valid() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    let compose = "name: stack\nservices:\n  cache:\n    image: valkey/valkey:8\n    command: valkey-server --requirepass 'it''s \\$$x'\n    \
         ports: [\"0.0.0.0:6380:6379\"]\n    mem_limit: 256m\n  db:\n    image: postgres:16\n    environment:\n      POSTGRES_USER: app\n      \
         POSTGRES_PASSWORD: \"123\"\n      TZ: UTC\n    ports: [5433:5432]\n    deploy: { resources: { limits: { cpus: '0.5', memory: 1g } } }\n  \
         reports:\n    image: bitnami/postgresql:16\n  queue:\n    image: confluentinc/cp-kafka:7.6.0\n    ports: [\"127.0.0.1:9092:9092\"]\n";
    let file = dir.path().join("compose.yaml");
    fs::write(&file, compose).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(gateway_binary()).args(args).current_dir(dir.path()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {err}");
        String::from_utf8(output.stdout).unwrap() + &err
    };
    run(&["import", "compose.yaml", "--output", "clusters"]);
    let read = run(&["validate", "clusters/stack/config.yaml"]);
    assert!(read.contains("cluster stack: 4 services"), "{read}");
}
