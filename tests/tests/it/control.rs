//! The control door as a client of the API sees it: its pages, its errors, and the bytes of a cache.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::lines::Lines;
use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, turn};

fn asked(gateway: &Gateway, method: &str, path: &str, fields: &str, body: &[u8]) -> throome_e2e::Reply {
    let mut client = gateway.control();
    let host = gateway.control;
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len()
    ));
    client.send(body);
    client.try_reply(method).unwrap_or_else(|broken| panic!("{method} {path}: {}", broken.why))
}

#[test]
fn the_front_page_speaks_json_and_html() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let front = gateway.show("/");
    assert!(
        front["service"] == "Throome Gateway" && front["version"].is_string() && front["status"] == "running",
        "{front}"
    );
    let page = asked(&gateway, "GET", "/", "Accept: text/html\r\n", b"").expect(200);
    assert!(page.field("content-type").unwrap().starts_with("text/html"), "{page}");
    let health = gateway.show("/api/v1/health");
    assert!(health["timestamp"].is_u64() && health["status"] == "healthy", "{health}");
}

#[test]
fn the_contract_is_served_as_it_is_checked_in() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract/openapi.json");
    let checked_in: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let served = gateway.show("/openapi.json");
    assert_eq!(served["paths"], checked_in["paths"], "`cargo xtask generate` writes it anew");
    // What it promises to be there is there: nothing is answered with 404 for want of a route.
    let asked = |path: &&String| !path.contains('{') && *path != "/api/v1/live";
    for path in served["paths"].as_object().unwrap().keys().filter(asked) {
        let reply = gateway.call("GET", path, None);
        assert!(!matches!(reply.status, 404 | 500), "{path}: {reply}");
    }
    // A stream has no end that could be waited for.
    let live = Lines::open(gateway.control, "/api/v1/live", "").unwrap();
    assert!(live.head().starts_with("HTTP/1.1 200"), "{}", live.head());
}

#[test]
fn the_swagger_page_needs_nobody_else() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    let page = asked(&gateway, "GET", "/swagger/", "Accept: text/html\r\n", b"").expect(200).text();
    let assets: Vec<&str> =
        page.split(['"', '\'']).filter(|word| word.ends_with(".js") || word.ends_with(".css")).collect();
    assert!(assets.len() >= 2, "{page}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is somebody else's");
        let path = format!("/swagger/{}", asset.trim_start_matches("./"));
        let reply = gateway.call("GET", &path, None);
        assert!(reply.status == 200 && !reply.body.is_empty(), "{path}: {}", reply.status);
    }
}

#[test]
fn every_answer_has_an_id_and_is_not_stored_and_errors_are_problems() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    for (method, path, body, status, code) in [
        ("GET", "/api/v1/clusters", "", 200, ""),
        ("GET", "/api/v1/nothing", "", 404, "not_found"),
        ("GET", "/api/v1/clusters/none", "", 404, "not_found"),
        ("DELETE", "/api/v1/clusters/none", "", 404, "not_found"),
        ("POST", "/api/v1/clusters", "{", 400, "invalid_request"),
        ("POST", "/api/v1/explain", r#"{"path":"/","pth":1}"#, 400, "invalid_request"),
        (
            "POST",
            "/api/v1/clusters",
            r#"{"name":"X","services":{"q":{"type":"mongodb","host":"a"}}}"#,
            422,
            "not_built",
        ),
        ("GET", "/api/v1/users", "", 422, "not_built"),
        ("GET", "/api/v1/clusters?limit=many", "", 400, "invalid_request"),
    ] {
        let reply = asked(&gateway, method, path, "X-Request-Id: my-id\r\n", body.as_bytes());
        assert_eq!(reply.field("x-request-id"), Some("my-id"), "{method} {path}: {reply}");
        assert_eq!(reply.field("cache-control"), Some("no-store"), "{method} {path}: {reply}");
        assert_eq!(reply.status, status, "{method} {path}: {reply}");
        if status >= 400 {
            let problem = reply.json();
            assert_eq!(reply.field("content-type"), Some("application/problem+json"), "{reply}");
            for key in [
                "type",
                "title",
                "status",
                "detail",
                "code",
                "retryable",
                "request_id",
                "errors",
                "error",
                "message",
            ] {
                assert!(problem.get(key).is_some(), "{key} is not in {problem}");
            }
            assert_eq!(
                (problem["code"].as_str(), problem["request_id"].as_str()),
                (Some(code), Some("my-id")),
                "{problem}"
            );
        }
    }
}

#[test]
fn a_change_that_was_not_seen_is_not_overwritten() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    gateway.create(&json!({ "name": "Shop", "cluster_id": "shop", "services": {} }));
    let read = gateway.call("GET", "/api/v1/clusters/shop", None).expect(200);
    let tag = format!("If-Match: {}\r\n", read.field("etag").unwrap());
    let put = |fields: &str, name: &str| {
        let mut spec = read.json();
        spec["name"] = json!(name);
        asked(&gateway, "PUT", "/api/v1/clusters/shop", fields, spec.to_string().as_bytes())
    };
    assert_eq!(put(&tag, "First").expect(200).json()["name"], "First");
    assert_eq!(put(&tag, "Second").expect(412).json()["code"], "precondition_failed");
    assert_eq!(gateway.show("/api/v1/clusters/shop")["name"], "First");
}

#[test]
fn a_cache_keeps_bytes_for_as_long_as_it_is_told() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    gateway.create(
        &json!({ "name": "Shop", "cluster_id": "shop", "services": { "cache": { "type": "memory" } } }),
    );
    let keys = "/api/v1/clusters/shop/cache/keys";
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let path = format!("{keys}/picture%2Fone");
    let stored = asked(&gateway, "PUT", &path, "Content-Type: image/png\r\n", &bytes);
    assert!(matches!(stored.status, 200 | 201 | 204), "{stored}");
    let got = asked(&gateway, "GET", &path, "", b"").expect(200);
    assert!(got.body == bytes && got.field("content-type") == Some("image/png"), "{}", got.body.len());
    assert_eq!(asked(&gateway, "PUT", &path, "If-None-Match: *\r\n", b"other").status, 412);
    assert_eq!(asked(&gateway, "DELETE", &path, "", b"").status / 100, 2);
    assert_eq!(asked(&gateway, "GET", &path, "", b"").status, 404);

    let call = |verb: &str, body: Value| {
        gateway.call("POST", &format!("/api/v1/clusters/shop/cache/{verb}"), Some(&body)).expect(200).json()
    };
    let _ = call("set", json!({ "key": "brief", "value": "life", "ttl": 0.3 }));
    assert_eq!(call("get", json!({ "key": "brief" }))["found"], true);
    wait_for("its end", Duration::from_secs(2), || {
        (call("get", json!({ "key": "brief" }))["found"] == false).then_some(())
    });
    let gone = call("get", json!({ "key": "brief" }));
    assert!(gone["found"] == false && gone["value"] == Value::Null, "{gone}");
    assert_eq!(call("incr", json!({ "key": "count", "by": 41 }))["value"], 41);
    assert_eq!(call("incr", json!({ "key": "count" }))["value"], 42);
    assert_eq!(call("delete", json!({ "key": "count" }))["deleted"], true);
    assert_eq!(call("delete", json!({ "key": "count" }))["deleted"], false);

    // Many at once on one connection, as a client library sends them.
    let mut client = gateway.control();
    let one = |n: usize| {
        let body = json!({ "key": format!("k{n}"), "value": n.to_string() }).to_string();
        request(gateway.control, "POST", "/api/v1/clusters/shop/cache/set", Some(&body))
    };
    client.send((0..100).map(one).collect::<String>());
    for _ in 0..100 {
        assert_eq!(client.reply().expect(200).json()["stored"], true);
    }
    let page = gateway.show(&format!("{keys}?match=k*&limit=1000"));
    assert_eq!(page["keys"].as_array().unwrap().len(), 100, "{page}");
}

#[test]
fn which_of_several_caches_is_meant_must_be_said() {
    let _turn = turn::together();
    let gateway = Layout::default().start();
    gateway.create(&json!({ "name": "Two", "cluster_id": "two",
        "services": { "one": { "type": "memory" }, "other": { "type": "memory" }, "web": { "type": "http", "host": "127.0.0.1", "port": 1 } } }));
    let key = json!({ "key": "a", "value": "1" });
    let refused = gateway.call("POST", "/api/v1/clusters/two/cache/set", Some(&key)).expect(400);
    assert!(refused.json()["code"] == "ambiguous_service" && refused.text().contains("other"), "{refused}");
    let _ = gateway.call("POST", "/api/v1/clusters/two/cache/set?service=one", Some(&key)).expect(200);
    let unfit = gateway.call("POST", "/api/v1/clusters/two/cache/set?service=web", Some(&key)).expect(422);
    assert_eq!(unfit.json()["code"], "unsupported_ability", "{unfit}");
}
