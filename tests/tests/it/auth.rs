//! Who may use the control door: on loopback whoever means it, beyond it whoever holds the token.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use throome_e2e::{Gateway, Layout, Reply, turn};

/// One request with these fields to the control door.
fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    gateway.control().ask(format!("{method} {path} HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n"))
}

#[test]
fn on_loopback_names_and_origins_are_looked_at() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let port = gateway.control.port();
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.0.0.2"] {
        let host = format!("{host}:{port}");
        assert_eq!(ask(&gateway, "GET", "/api/v1/clusters", &[("Host", &host)]).status, 200, "{host}");
    }
    // A page of another site can point its own name here.
    for host in ["evil.test", "evil.test:9000", "localhost.evil.test", "127.0.0.1.evil.test", "10.0.0.1", ""]
    {
        let reply = ask(&gateway, "GET", "/api/v1/clusters", &[("Host", host)]);
        assert!(matches!(reply.status, 400 | 403), "{host}: {reply}");
    }
    let host = format!("127.0.0.1:{port}");
    let own = format!("http://127.0.0.1:{port}");
    let delete = |origin: &str| {
        ask(&gateway, "DELETE", "/api/v1/clusters/none", &[("Host", &host), ("Origin", origin)])
    };
    // And it can send requests here, but not hide where they come from.
    for origin in ["http://evil.test", "null", "https://localhost.evil.test", "http://127.0.0.1:1"] {
        assert_eq!(delete(origin).expect(403).json()["code"], "permission_denied", "{origin}");
    }
    assert_eq!(delete(&own).status, 404);
    assert_eq!(ask(&gateway, "DELETE", "/api/v1/clusters/none", &[("Host", &host)]).status, 404);
    // A token that was never issued is ignored, so that clients that insist on one work.
    let some = [("Host", host.as_str()), ("Authorization", "Bearer whatever")];
    assert_eq!(ask(&gateway, "GET", "/api/v1/clusters", &some).status, 200);
}

/// The token as the log prints it.
fn token(gateway: &Gateway) -> String {
    let log = gateway.log();
    let after = log.split("shown this once:").nth(1).unwrap_or_else(|| panic!("no token in {log}"));
    after.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn beyond_loopback_a_token_is_printed_once_and_asked_for() {
    let _turn = turn::together();
    let layout = Layout::default().with_file("server: { host: 0.0.0.0 }\n");
    let gateway = layout.start();
    let token = token(&gateway);
    assert!(token.len() >= 32, "{token}");
    let bearer = format!("Bearer {token}");
    for path in ["/api/v1/clusters", "/metrics", "/api/v1/events", "/api/v1/routes", "/api/v1/kinds"] {
        let refused = ask(&gateway, "GET", path, &[("Host", "gateway.test")]);
        assert_eq!(refused.expect(401).json()["code"], "unauthenticated", "{path}");
        let wrong =
            ask(&gateway, "GET", path, &[("Host", "gateway.test"), ("Authorization", "Bearer wrong")]);
        assert_eq!(wrong.status, 401, "{path}");
        let right = ask(&gateway, "GET", path, &[("Host", "gateway.test"), ("Authorization", &bearer)]);
        assert_eq!(right.status, 200, "{path}: {right}");
    }
    // To anybody `/health` says its status, and nothing else.
    let health = ask(&gateway, "GET", "/health", &[("Host", "gateway.test")]).expect(200).json();
    assert_eq!(health.as_object().unwrap().keys().collect::<Vec<_>>(), ["status"], "{health}");

    let files = files_below(gateway.dir());
    let holds =
        |path: &&PathBuf| fs::read(path).unwrap().windows(token.len()).any(|part| part == token.as_bytes());
    let found: Vec<_> = files.iter().filter(|path| !path.ends_with("stderr")).filter(holds).collect();
    assert!(found.is_empty(), "{found:?}");
    let store = files.iter().find(|path| path.extension().is_some_and(|end| end == "db" || end == "sqlite"));
    let mode = fs::metadata(store.unwrap_or_else(|| panic!("{files:?}"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");

    let layout = gateway.kill();
    fs::write(layout.dir().join("stderr"), "").unwrap();
    let gateway = layout.start();
    assert!(!gateway.log().contains("shown this once"), "{}", gateway.log());
    let right =
        ask(&gateway, "GET", "/api/v1/clusters", &[("Host", "gateway.test"), ("Authorization", &bearer)]);
    assert_eq!(right.status, 200);
    let other = Layout::default().with_file("server: { host: 0.0.0.0 }\n").start();
    assert_ne!(self::token(&other), token);
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn letting_anybody_in_must_be_said_twice() {
    let _turn = turn::together();
    let open = "server: { host: 0.0.0.0 }\nauth: { mode: off }\n";
    let (code, said) = Layout::default().with_file(open).start_in_vain();
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("auth.mode") && said.contains("--insecure"), "{said}");
    let gateway = Layout::default().with_file(open).with_args(&["--insecure"]).start();
    assert_eq!(ask(&gateway, "GET", "/api/v1/clusters", &[("Host", "anything.test")]).status, 200);
    // On loopback it may be said once.
    let gateway = Layout::default().with_file("auth: { mode: off }\n").start();
    assert_eq!(gateway.call("GET", "/api/v1/clusters", None).status, 200);
}

#[test]
fn metrics_may_be_public() {
    let _turn = turn::together();
    let gateway = Layout::default()
        .with_file("server: { host: 0.0.0.0 }\nmonitoring: { public: true, metrics_path: /m }\n")
        .start();
    let metrics = ask(&gateway, "GET", "/m", &[("Host", "gateway.test")]).expect(200).text();
    assert!(metrics.contains("throome_cluster_total"), "{metrics}");
    assert_eq!(ask(&gateway, "GET", "/api/v1/clusters", &[("Host", "gateway.test")]).status, 401);
    assert_eq!(ask(&gateway, "GET", "/metrics", &[("Host", "gateway.test")]).status, 401);
}

#[test]
fn the_doors_keep_to_themselves() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    gateway.create(&json!({ "name": "Shop", "cluster_id": "shop", "services": {} }));
    for path in ["/api/v1/clusters", "/health", "/metrics", "/openapi.json"] {
        assert_eq!(gateway.get(path).expect(404).json()["code"], "not_found", "{path}");
        assert_eq!(gateway.call("GET", path, None).status, 200, "{path}");
    }
}
