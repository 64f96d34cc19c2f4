//! The pages of codes: each shows a failure as the gateway tells it, and where it can be brought about in a
//! moment, it is.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::{Gateway, Layout, turn};

use super::{compare, root};

/// The id that pages show.
const ID: &str = "0100000000c0ffee42";

/// Codes that need more than a call: services that break, doors that are crowded or beyond loopback, faults of our own.
/// Other themes of these tests bring them about.
const ELSEWHERE: &[&str] = &[
    "bad_gateway",
    "breaker_open",
    "headers_too_large",
    "internal",
    "no_endpoint",
    "overloaded",
    "provision_failed",
    "rate_limited",
    "request_timeout",
    "timeout",
    "unauthenticated",
];

#[test]
fn every_page_of_a_code_shows_what_is_answered() {
    let _turn = turn::together();
    let mut told = provoked();
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("docs/errors")).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_string_lossy().into_owned();
        let page = fs::read_to_string(&path).unwrap();
        let (head, shown) = example(&page);
        assert!(page.contains(&format!("HTTP {}", shown["status"])), "{code}: the page names another status");
        assert!(head.contains(&format!("HTTP/1.1 {}", shown["status"])), "{code}: {head}");
        assert_eq!(shown["code"], code.as_str());
        assert_eq!(shown["type"], format!("https://throome.dev/errors/{code}"));
        assert!(shown["detail"] == shown["error"] && shown["detail"] == shown["message"], "{code}: {shown}");
        match told.remove(code.as_str()) {
            Some(said) => {
                if let Err(why) = compare::json(&shown.to_string(), &said.to_string()) {
                    faults.push(format!("{code}: {why}; it is answered so:\n{said:#}"));
                }
            }
            None => assert!(ELSEWHERE.contains(&code.as_str()), "{code} is brought about by nobody"),
        }
    }
    assert!(told.is_empty(), "codes without a page: {:?}", told.keys());
    assert!(faults.is_empty(), "{} pages show something else.\n{}", faults.len(), faults.join("\n"));
}

/// The head and the document that a page shows.
fn example(page: &str) -> (&str, Value) {
    let block = page.split("```http\n").nth(1).unwrap().split("```").next().unwrap();
    let (head, document) = block.split_once("\n\n").unwrap();
    (head, serde_json::from_str(document).unwrap())
}

/// A document for each code that a few calls bring about.
fn provoked() -> BTreeMap<&'static str, Value> {
    let layout = Layout::default();
    layout.write_cluster(
        "site",
        "services: { web: { type: http, host: 127.0.0.1, port: 1 } }\n\
         routes: [ { id: api, path: \"/api/*\", service: web } ]\n",
    );
    let gateway = layout.start();
    gateway.create(&whole_shop());
    let told = Told { gateway: &gateway, found: BTreeMap::new() };
    let mut told = of_the_cache(of_the_database(of_clusters(told)));
    drop(gateway.call("DELETE", "/api/v1/clusters/shop", None).expect(200));
    gateway.create(&shop(json!({ "cache": { "type": "memory" }, "sessions": { "type": "memory" } })));
    told.say("ambiguous_service", "POST", "/api/v1/clusters/shop/cache/get", "", &json!({ "key": "a" }));
    told.found
}

fn whole_shop() -> Value {
    shop(json!({
        "cache": { "type": "memory" }, "db": { "type": "sqlite" },
        "web": { "type": "http", "host": "127.0.0.1", "port": 1 },
    }))
}

fn shop(services: Value) -> Value {
    json!({ "name": "Shop", "cluster_id": "shop", "routing": { "timeout_ms": 1000 }, "services": services })
}

struct Told<'g> {
    gateway: &'g Gateway,
    found: BTreeMap<&'static str, Value>,
}

impl Told<'_> {
    fn ask(&self, method: &str, path: &str, field: &str, body: &Value) -> Value {
        let plain = request(self.gateway.control, method, path, Some(&body.to_string()));
        let asked = if field.starts_with("Host:") {
            plain.replacen(&format!("Host: {}", self.gateway.control), field, 1)
        } else {
            plain.replacen("\r\n\r\n", &format!("\r\n{field}\r\n\r\n").replace("\r\n\r\n\r\n", "\r\n\r\n"), 1)
        };
        self.gateway.control().ask(asked).json()
    }

    /// The document that a call is answered with, as a page has it.
    fn say(&mut self, code: &'static str, method: &str, path: &str, field: &str, body: &Value) {
        let document = self.ask(method, path, field, body);
        self.keep(code, document);
    }

    fn keep(&mut self, code: &'static str, mut document: Value) {
        assert_eq!(document["code"], code, "{document}");
        document["request_id"] = ID.into();
        let here = format!("{}/", self.gateway.dir().canonicalize().unwrap().display());
        self.found.insert(code, serde_json::from_str(&document.to_string().replace(&here, "./")).unwrap());
    }
}

fn of_clusters(mut told: Told<'_>) -> Told<'_> {
    let clusters = "/api/v1/clusters";
    let misspelt =
        json!({ "name": "M", "services": { "cache": { "type": "memory", "max_memroy": "64mb" } } });
    told.say("invalid_config", "POST", clusters, "", &misspelt);
    told.say("already_exists", "POST", clusters, "", &shop(json!({})));
    told.say("not_found", "GET", "/api/v1/clusters/shp", "", &Value::Null);
    told.say("not_built", "GET", "/api/v1/users", "", &Value::Null);
    let reply = told.gateway.call("GET", "/api/v1/clusters/shop", None);
    let version = format!("If-Match: {}", reply.field("etag").unwrap());
    let mut described = whole_shop();
    described["description"] = "Changed by somebody else".into();
    let changed = told.ask("PUT", "/api/v1/clusters/shop", &version, &described);
    assert!(changed["code"].is_null(), "{changed}");
    told.say("precondition_failed", "PUT", "/api/v1/clusters/shop", &version, &whole_shop());
    told.say("permission_denied", "GET", clusters, "Host: gateway.example", &Value::Null);
    let route = json!({ "id": "api", "path": "/api/*", "cluster": "site", "service": "web" });
    told.say("conflict", "PUT", "/api/v1/routes/api", "", &route);
    let drained = told.ask("POST", "/api/v1/clusters/shop/services/cache/drain", "", &json!({}));
    assert!(drained["code"].is_null(), "{drained}");
    told.say("draining", "POST", "/api/v1/clusters/shop/cache/get", "", &json!({ "key": "a" }));
    let undrained = told.ask("POST", "/api/v1/clusters/shop/services/cache/undrain", "", &json!({}));
    assert!(undrained["code"].is_null(), "{undrained}");
    told
}

fn of_the_cache(mut told: Told<'_>) -> Told<'_> {
    let call = |verb: &str| format!("/api/v1/clusters/shop/cache/{verb}");
    told.say("invalid_request", "POST", &call("get"), "", &json!({ "keey": "a" }));
    told.say("unsupported_ability", "POST", &call("get?service=web"), "", &json!({ "key": "a" }));
    told.say("unsupported_command", "POST", &call("command"), "", &json!(["LPUSH", "a", "1"]));
    told.ask("POST", &call("set"), "", &json!({ "key": "a", "value": "text" }));
    told.say("command_failed", "POST", &call("incr"), "", &json!({ "key": "a" }));
    told.say("too_large", "POST", &call("set"), "", &json!({ "key": "a", "value": "x".repeat(2 << 20) }));
    told.ask("POST", &call("incr"), "Idempotency-Key: k-1", &json!({ "key": "n" }));
    told.say("idempotency_mismatch", "POST", &call("incr"), "Idempotency-Key: k-1", &json!({ "key": "m" }));
    told
}

fn of_the_database(mut told: Told<'_>) -> Told<'_> {
    let call = |verb: &str| format!("/api/v1/clusters/shop/db/{verb}");
    let statement = |text: &str| json!({ "query": text });
    told.ask("POST", &call("execute"), "", &statement("CREATE TABLE users (email TEXT UNIQUE)"));
    let insert = statement("INSERT INTO users VALUES ('ada@example.org')");
    told.ask("POST", &call("execute"), "", &insert);
    told.say("constraint_violation", "POST", &call("execute"), "", &insert);
    told.say("query_failed", "POST", &call("query"), "", &statement("SELECT * FROM orders"));

    // Who writes waits for a transaction that writes.
    let begun = told.ask("POST", &call("transactions"), "", &json!({ "idle_ms": 60_000 }));
    let tx = begun["tx"].as_str().unwrap().to_owned();
    let wrote = told.ask("POST", &call(&format!("execute?tx={tx}")), "", &statement("DELETE FROM users"));
    assert_eq!(wrote["rows_affected"], 1, "{wrote}");
    let keyed = || told.ask("POST", &call("execute"), "Idempotency-Key: k-2", &insert);
    let both =
        std::thread::scope(|scope| [scope.spawn(keyed), scope.spawn(keyed)].map(|one| one.join().unwrap()));
    for document in both {
        let code = if document["code"] == "busy" { "busy" } else { "in_flight" };
        told.keep(code, document);
    }
    told.ask("POST", &call(&format!("transactions/{tx}/rollback")), "", &json!({}));
    told.say("transaction_ended", "POST", &call(&format!("query?tx={tx}")), "", &statement("SELECT 1"));
    told
}
