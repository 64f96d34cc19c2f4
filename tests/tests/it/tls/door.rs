//! Who is greeted with what, who is let in, and what services are told of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use throome_e2e::fixture::one_service;
use throome_e2e::process::{free_port, resident_kib, wait_for};
use throome_e2e::{Layout, turn};

use super::{Authority, Curl, seen};

#[test]
fn the_name_chooses_the_certificate_and_services_learn_of_https() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("first", &["first.example"]);
    authority.issue("shop", &["shop.example", "*.shop.example"]);
    let listener = free_port();
    let (gateway, _service) = one_service(&format!(
        "proxy:\n  tls: {{ certificates: [ {first}, {shop} ] }}\n  listeners:\n    - {{ name: inside, host: 127.0.0.1, \
         port: {listener}, tls: {{ certificates: [ {first} ], min_version: \"1.3\" }} }}\n",
        first = authority.pair("first"),
        shop = authority.pair("shop"),
    ));
    let to = gateway.traffic;
    assert_eq!(authority.shown("shop.example", to), "CN = shop, O = \"Example, Inc.\"");
    assert_eq!(authority.shown("a.shop.example", to), "CN = shop, O = \"Example, Inc.\"");
    assert_eq!(authority.shown("first.example", to), "CN = first, O = \"Example, Inc.\"");
    let echo = authority.curl("a.shop.example", to, &["--tls-max", "1.2"]).echo();
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
    assert!(seen(&echo, "forwarded")[0].ends_with(";proto=https"), "{echo:#}");
    let spoken = |flag: &str| {
        authority.curl("shop.example", to, &[flag, "-o", "/dev/null", "-w", "%{http_version}"]).out
    };
    assert_eq!((spoken("--http2"), spoken("--http1.1")), ("2".to_owned(), "1.1".to_owned()));
    let echo = authority.curl("shop.example", to, &["--http2"]).echo();
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
    // 60: the certificate is not for that name.
    assert_eq!(authority.curl("b.a.shop.example", to, &[]).code, 60);
    assert_ne!(Authority::new().curl("shop.example", to, &[]).code, 0, "of an authority that is not known");
    // 35: no version that both speak.
    let inside = SocketAddr::from(([127, 0, 0, 1], listener));
    assert_eq!(authority.curl("first.example", inside, &["--tls-max", "1.2"]).code, 35);
    assert_eq!(seen(&authority.curl("first.example", inside, &[]).echo(), "x-forwarded-proto"), ["https"]);
    // Whoever does not speak TLS is not answered in the clear.
    let mut plain = TcpStream::connect(to).unwrap();
    plain.write_all(b"GET /echo HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP/"), "{}", said.escape_ascii());
    for line in [
        "throome_tls_handshake_failures_total{door=\"traffic\",reason=\"not_tls\"} 1",
        "throome_tls_handshake_failures_total{door=\"traffic\",reason=\"by_client\"} 1",
        "throome_tls_handshake_failures_total{door=\"traffic\",reason=\"protocol\"} 1",
    ] {
        // Counted when the gateway has heard of it, which may be after the client has gone.
        wait_for(line, Duration::from_secs(5), || {
            gateway.call("GET", "/metrics", None).expect(200).text().contains(line).then_some(())
        });
    }
    assert!(!gateway.log().contains("handshake"), "{}", gateway.log());
}

/// Every spelling of an identity that only the gateway may say.
const FORGED: &[&str] = &[
    "-HX-Client-Cert-Subject: CN=root",
    "-HX_Client_Cert_Subject: CN=root",
    "-Hx-client_cert-subject: CN=root",
    "-HX-CLIENT-CERT-FINGERPRINT: 00",
    "-HX_CLIENT-CERT_SAN: DNS:root",
];

/// By TLS 1.3 a client hears of it when it sends or reads, whichever comes first.
fn refused(client: &Curl) -> bool {
    matches!(client.code, 55 | 56)
}

#[test]
fn who_a_client_is_is_what_its_certificate_says() {
    let _turn = turn::together();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.issue("shop", &["shop.example"]);
    ours.issue("ann", &["ann.example"]);
    other.issue("eve", &["ann.example"]);
    let shows = |authority: &Authority, name: &str| {
        let path = |end: &str| authority.path(&format!("{name}.{end}")).display().to_string();
        vec!["--cert".to_owned(), path("pem"), "--key".to_owned(), path("key")]
    };
    for (mode, is_open) in [("off", true), ("optional", true), ("required", false)] {
        let ca = if mode == "off" { String::new() } else { format!(", ca: {}", ours.ca()) };
        let (gateway, _service) = one_service(&format!(
            "proxy: {{ tls: {{ certificates: [ {} ], client_auth: {{ mode: {mode}{ca} }} }} }}\n",
            ours.pair("shop")
        ));
        let ask = |shows: Vec<String>| {
            let args: Vec<&str> = shows.iter().map(String::as_str).chain(FORGED.iter().copied()).collect();
            ours.curl("shop.example", gateway.traffic, &args)
        };
        let stranger = ask(Vec::new());
        if is_open {
            let echo = stranger.echo();
            for name in ["x-client-cert-subject", "x-client-cert-fingerprint", "x-client-cert-san"] {
                assert!(seen(&echo, name).is_empty(), "{mode}: {echo:#}");
            }
        } else {
            assert!(refused(&stranger), "{mode}: {}", stranger.err);
        }
        // curl speaks HTTP/2 where it can.
        let mut by_http1 = shows(&ours, "ann");
        by_http1.push("--http1.1".to_owned());
        let (echo, by_http1) = (ask(shows(&ours, "ann")).echo(), ask(by_http1).echo());
        if mode == "off" {
            assert!(seen(&echo, "x-client-cert-subject").is_empty(), "{echo:#}");
            continue;
        }
        for echo in [&echo, &by_http1] {
            assert_eq!(seen(echo, "x-client-cert-subject"), ["O=Example\\, Inc.,CN=ann"]);
            assert_eq!(seen(echo, "x-client-cert-san"), ["DNS:ann.example"]);
        }
        let digest = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(ours.path("ann.pem"))
            .output()
            .unwrap();
        let digest = String::from_utf8(digest.stdout).unwrap().to_lowercase().replace(':', "");
        let digest = digest.trim().rsplit('=').next().unwrap().to_owned();
        assert_eq!(seen(&echo, "x-client-cert-fingerprint"), [digest]);
        let eve = ask(shows(&other, "eve"));
        assert!(refused(&eve), "{mode}: {} {}", eve.out, eve.err);
    }
}

#[test]
fn a_door_that_cannot_be_secured_does_not_open() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("shop", &["shop.example"]);
    authority.issue("other", &["shop.example"]);
    let dir = authority.dir.path().display().to_string();
    let layout = Layout::default().with_file(&format!(
        "proxy: {{ tls: {{ certificates: [ {{ cert: {dir}/shop.pem, key: {dir}/other.key }} ] }} }}\n\
         server: {{ tls: {{ certificates: [ {{ cert: {dir}/none.pem, key: {dir}/shop.key }} ] }} }}\n"
    ));
    let (code, said) = layout.start_in_vain();
    assert_eq!(code, 8);
    for part in [
        &format!(
            "proxy.tls.certificates[0].key: {dir}/other.key is not the key of the certificate in {dir}/shop.pem"
        ),
        &format!("server.tls.certificates[0].cert: {dir}/none.pem is not there"),
        "2 problems; nothing was started",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn the_control_door_is_secured_the_same_way() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("shop", &["shop.example", "localhost"]);
    authority.issue("ann", &["ann.example"]);
    let layout = Layout::default().with_file(&format!(
        "server: {{ tls: {{ certificates: [ {} ], client_auth: {{ mode: required, ca: {} }} }} }}\n",
        authority.pair("shop"),
        authority.ca()
    ));
    let mut gateway = layout.command("serve").stderr(std::process::Stdio::null()).spawn().unwrap();
    let port = layout.control.port();
    let path = |file: &str| authority.path(file).display().to_string();
    let curl = |more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "10", "--cacert", &authority.ca()])
            .args(more)
            .arg(format!("https://localhost:{port}/health"))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let shows = ["--cert", &path("ann.pem"), "--key", &path("ann.key")];
    let health = wait_for("the door", Duration::from_secs(20), || {
        let (code, out) = curl(&shows);
        (code == Some(0)).then_some(out)
    });
    assert!(health.contains("\"status\""), "{health}");
    assert!(matches!(curl(&[]).0, Some(55 | 56)));
    let _ = gateway.kill();
    let _ = gateway.wait();
}

#[test]
fn a_thousand_idle_connections_are_light() {
    let _turn = turn::alone();
    let authority = Authority::new();
    authority.issue("shop", &["shop.example"]);
    let (gateway, _service) =
        one_service(&format!("proxy: {{ tls: {{ certificates: [ {} ] }} }}\n", authority.pair("shop")));
    let ask = |count: usize| {
        let mut all: Vec<_> =
            (0..count).map(|_| authority.connect("shop.example", gateway.traffic)).collect();
        for one in &mut all {
            assert_eq!(one.ask("GET /echo HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap().status, 200);
        }
        all
    };
    // What is used again and again is there.
    drop(ask(50));
    let before = resident_kib(gateway.pid());
    let kept = ask(1000);
    let each = (resident_kib(gateway.pid()) - before) as f64 / 1000.0;
    println!("an idle TLS connection takes {each:.1} KiB");
    assert!(each < 20.0, "{each} KiB each");
    drop(kept);
}
