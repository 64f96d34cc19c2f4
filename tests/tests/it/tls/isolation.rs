//! Who is let in at one door is let in nowhere else for it: neither by another name, nor by a ticket of another door.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use throome_e2e::fixture::one_service;
use throome_e2e::process::free_port;
use throome_e2e::turn;

use super::{Authority, seen};

/// What OpenSSL says of a connection on which one request is sent.
fn openssl(authority: &Authority, to: SocketAddr, name: &str, args: &[&str]) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &to.to_string(), "-servername", name, "-CAfile", &authority.ca()])
        .args(["-ign_eof"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = format!("GET /echo HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut client.stdin.take().unwrap(), request.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_door_asks_for_certificates_by_whatever_name_it_is_called() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("shop", &["shop.example", "*.shop.example"]);
    authority.issue("admin", &["admin.example"]);
    authority.issue("ann", &["ann.example"]);
    let open = free_port();
    let (gateway, _service) = one_service(&format!(
        "proxy:\n  tls: {{ certificates: [ {shop}, {admin} ], client_auth: {{ mode: required, ca: {ca} }} }}\n\
         \x20 listeners:\n    - {{ name: open, host: 127.0.0.1, port: {open}, tls: {{ certificates: [ {shop}, {admin} ] }} }}\n",
        shop = authority.pair("shop"),
        admin = authority.pair("admin"),
        ca = authority.ca(),
    ));
    let (closed, open) = (gateway.traffic, SocketAddr::from(([127, 0, 0, 1], open)));
    let pem = |end: &str| authority.path(&format!("ann.{end}")).display().to_string();
    let shows = ["-cert", &pem("pem"), "-key", &pem("key")];
    for name in ["shop.example", "a.shop.example", "admin.example", "nobody.example"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let answer = openssl(&authority, open, name, &[version]);
            assert!(answer.contains("HTTP/1.1 200"), "{name} {version}: {answer}");
            let answer = openssl(&authority, closed, name, &[version]);
            assert!(!answer.contains("HTTP/1.1"), "{name} {version}: {answer}");
            let answer = openssl(&authority, closed, name, &[&[version][..], &shows].concat());
            assert!(answer.contains("HTTP/1.1 200"), "{name} {version}: {answer}");
        }
    }
    // A session that began where nobody is asked goes on where nobody is asked.
    let kept = authority.path("session").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let begun = openssl(&authority, open, "shop.example", &[version, "-sess_out", &kept]);
        assert!(begun.contains("HTTP/1.1 200"), "{begun}");
        let again = openssl(&authority, open, "shop.example", &[version, "-sess_in", &kept]);
        assert!(again.contains("Reused, "), "the session is not taken up where it began: {again}");
        let answer = openssl(&authority, closed, "shop.example", &[version, "-sess_in", &kept]);
        assert!(!answer.contains("Reused, ") && !answer.contains("HTTP/1.1"), "{version}: {answer}");
    }
    // And what one connection has shown is told of its requests alone.
    let host = ["-HHost: admin.example", "--cert", &pem("pem"), "--key", &pem("key")];
    let told = authority.curl("shop.example", closed, &host).echo();
    assert_eq!(seen(&told, "x-client-cert-subject"), ["O=Example\\, Inc.,CN=ann"]);
    let told = authority.curl("shop.example", open, &host).echo();
    assert!(seen(&told, "x-client-cert-subject").is_empty(), "{told:#}");
}
