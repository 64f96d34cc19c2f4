//! The published client of Neon, unchanged, against a real PostgreSQL behind each door; and the shape without its client,
//! which asks for values as JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use engines::{Engines, secrets};
use serde_json::{Value, json};
use throome_e2e::process::free_port;
use throome_e2e::{Gateway, Layout, turn};

const DOOR: &str = "/api/v1/clusters/shop/services/db/sql";

/// A gateway that asks for tokens at its control door, and for none at its data door, before a real server.
fn gateway() -> (Gateway, u16) {
    let server = Engines::shared().postgres();
    let (port, (user, password), database) =
        (server.port, secrets::POSTGRES_OWNER, secrets::POSTGRES_DATABASE);
    let data = free_port();
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "name: Shop\nservices:\n  db: {{ type: postgres, host: 127.0.0.1, port: {port}, username: {user}, \
             password: {password}, database: {database} }}\n  cache: {{ type: memory }}\n"
        ),
    );
    let file = format!("server: {{ host: 0.0.0.0 }}\ndata: {{ host: 127.0.0.1, port: {data} }}\n");
    (layout.with_file(&file).with_args(&["--config", "throome.yaml"]).start(), data)
}

/// One call with a token, which nobody else sees.
fn call(gateway: &Gateway, path: &str, token: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let reply = gateway.control().ask(format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    (reply.status, reply.json())
}

/// The token that the log prints, and one for the service.
fn token(gateway: &Gateway) -> String {
    let log = gateway.log();
    let after = log.split("shown this once:").nth(1).unwrap_or_else(|| panic!("no token in {log}"));
    let admin = after.split_whitespace().next().unwrap();
    let asked = json!({ "name": "app", "service": "shop/db" });
    let (status, made) = call(gateway, "/api/v1/tokens", admin, &[], &asked);
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// The client, installed once.
fn client() -> PathBuf {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/neon");
    if !client.join("node_modules/@neondatabase/serverless/package.json").is_file() {
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&client).output();
        let output =
            installed.unwrap_or_else(|error| panic!("npm, which comes with Node.js, is needed: {error}"));
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    }
    client
}

fn run(url: &str, token: &str, wrong: &str) {
    let run = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(client())
        .env("URL", url)
        .env("TOKEN", token)
        .env("WRONG", wrong)
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}{told}");
    let passed = if wrong.is_empty() { "# pass 15" } else { "# pass 16" };
    assert!(said.contains(passed), "the client's own tests did not run: {said}");
}

#[test]
fn the_published_client_works_as_it_is() {
    let _turn = turn::together();
    let (gateway, data) = gateway();
    let token = token(&gateway);
    run(&format!("http://127.0.0.1:{}{DOOR}", gateway.control.port()), &token, "yes");
    run(&format!("http://127.0.0.1:{data}{DOOR}"), "any", "");
    assert!(!gateway.log().contains(&token), "the token is in the log");
}

#[test]
fn values_are_json_for_whoever_does_not_ask_for_text() {
    let _turn = turn::together();
    let (gateway, _) = gateway();
    let token = token(&gateway);
    let query = "SELECT $1::int4 AS i, $2::int8 AS l, $3::numeric AS n, $4::bool AS b, $5::jsonb AS j, $6::int4[] AS a, \
                 $7::bytea AS y, $8::timestamptz AS t, $9::text AS s, 1.5::float8 AS f, ARRAY['x']::name[] AS names";
    let params = json!([1, 2, 12345.678, true, { "a": [1, null] }, [1, null], "\\x00ff", "2026-01-31T12:00:00Z", null]);
    let (status, told) = call(&gateway, DOOR, &token, &[], &json!({ "query": query, "params": params }));
    assert_eq!(status, 200, "{told}");
    let row = json!([{ "i": 1, "l": "2", "n": "12345.678", "b": true, "j": { "a": [1, null] }, "a": [1, null],
        "y": "\\x00ff", "t": "2026-01-31 12:00:00+00", "s": null, "f": 1.5, "names": ["x"] }]);
    assert_eq!(told["rows"], row);
    assert_eq!(
        (&told["command"], &told["rowCount"], &told["fields"][0]["dataTypeID"]),
        (&json!("SELECT"), &json!(1), &json!(23))
    );

    let several =
        json!({ "queries": [{ "query": "SELECT 1 AS a" }, { "query": "SELECT 2 AS a", "arrayMode": true }] });
    let (status, told) = call(&gateway, DOOR, &token, &[("Neon-Batch-Read-Only", "true")], &several);
    assert_eq!(
        (status, &told["results"][0]["rows"], &told["results"][1]["rows"]),
        (200, &json!([{ "a": 1 }]), &json!([[2]]))
    );

    let (status, told) = call(&gateway, DOOR, &token, &[], &json!({ "query": "SELECT nothing" }));
    assert_eq!((status, &told["code"], &told["sqlstate"]), (400, &json!("42703"), &json!("42703")));
    assert_eq!(told["type"], "https://throome.dev/errors/query_failed");
    let cache = DOOR.replace("/db/", "/cache/");
    assert_eq!(call(&gateway, &cache, &token, &[], &json!({ "query": "SELECT 1" })).0, 403);
}
