//! The data door, secured: the same calls by both protocols, and nobody in the clear.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Layout, turn};

use super::Authority;

const CLUSTER: &str =
    "name: Shop\nservices:\n  cache: { type: memory }\n  db: { type: sqlite }\n  queue: { type: log }\n";

#[test]
fn data_calls_come_by_tls() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("data", &["localhost"]);
    let port = free_port();
    let layout = Layout::default().with_file(&format!(
        "data: {{ port: {port}, tls: {{ certificates: [ {} ], min_version: \"1.3\" }} }}\n",
        authority.pair("data"),
    ));
    layout.write_cluster("shop", CLUSTER);
    let gateway = layout.start();
    let curl = |path: &str, args: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--cacert", &authority.ca()])
            .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args(["-w", "|%{http_code}|%{http_version}"])
            .args(args)
            .arg(format!("https://localhost:{port}/api/v1/clusters/shop/{path}"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for (flag, version) in [("--http1.1", "|200|1.1"), ("--http2", "|200|2")] {
        for (path, body) in [
            ("cache/set", r#"{"key":"k","value":"v"}"#.to_owned()),
            ("cache/get", r#"{"key":"k"}"#.to_owned()),
            ("db/query", r#"{"query":"SELECT 1 AS n"}"#.to_owned()),
            ("queue/publish", r#"{"topic":"t","message":"one"}"#.to_owned()),
            // More than a record, and more than a window.
            ("cache/set", format!(r#"{{"key":"large","value":"{}"}}"#, "x".repeat(300_000))),
            ("cache/get", r#"{"key":"large"}"#.to_owned()),
        ] {
            let file = authority.path("body");
            std::fs::write(&file, &body).unwrap();
            let (code, out, err) = curl(path, &[flag, "-d", &format!("@{}", file.display())]);
            assert!(code == Some(0) && out.ends_with(version), "{flag} {path}: {out:.300} {err}");
        }
        // A stream, which goes on until its time is up.
        let stream = format!("queue/consume?topic=t&group=g{version}&format=ndjson&wait_ms=300");
        let (_, out, err) = curl(&stream.replace('|', "-"), &[flag, "-N"]);
        assert!(out.contains("\"one\"") && out.ends_with(version), "{flag}: {out} {err}");
    }
    // 35: no version that both speak.
    assert_eq!(curl("cache/get", &["--tls-max", "1.2"]).0, Some(35));
    let mut clear = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    clear.write_all(b"POST /api/v1/clusters/shop/cache/get HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = clear.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP/"), "{}", said.escape_ascii());
    let counted = "throome_tls_handshake_failures_total{door=\"data\",reason=\"not_tls\"} 1";
    wait_for(counted, Duration::from_secs(5), || {
        gateway.call("GET", "/metrics", None).expect(200).text().contains(counted).then_some(())
    });
    // It is replaced like those of other doors.
    authority.issue("data", &["localhost", "new.example"]);
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("the new certificate", Duration::from_secs(10), || {
        let said = Command::new("openssl")
            .args(["s_client", "-connect", &to.to_string(), "-verify_hostname", "new.example"])
            .args(["-CAfile", &authority.ca(), "-verify_return_error", "-brief"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        said.status.success().then_some(())
    });
}
