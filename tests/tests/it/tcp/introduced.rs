//! The PROXY protocol, in and out, with HAProxy and nginx at the other end; and strangers who try it.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use throome_e2e::gateway::request;
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

use super::{Program, TO_APP, at, cluster_of, connect, connect_from, listening, metric, rest};
use crate::tls::{Authority, seen};

/// A client that nobody would take for the proxy.
const CLIENT: [u8; 4] = [127, 0, 0, 77];

fn web(service: &Service) -> String {
    format!(
        "services:\n  web: {{ type: http, host: 127.0.0.1, port: {} }}\n\
         routes:\n  - {{ id: all, path: \"/*\", service: web, rate_limit: {{ requests: 1000, per: 1s }} }}\n",
        service.address.port()
    )
}

/// What the service sees of a request from the client's own address.
fn asked_from(source: [u8; 4], to: SocketAddr) -> Value {
    let mut stream = connect_from(source, to);
    let question = "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
    stream.write_all(question.as_bytes()).unwrap();
    let answer = String::from_utf8(rest(&mut stream).unwrap()).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn the_client_is_who_haproxy_says_it_is() {
    let _turn = turn::together();
    let service = Service::start("one");
    for (taken, how) in
        [("any", "send-proxy"), ("any", "send-proxy-v2"), ("v1", "send-proxy"), ("v2", "send-proxy-v2")]
    {
        let proxy = "trusted_proxies: [127.0.0.1]\n  workers: 1";
        let (layout, listener) = listening(&format!("proxy_protocol: {taken}"), proxy, &web(&service));
        let gateway = layout.start();
        let haproxy = Program::haproxy(&format!(
            "listen in\n  mode tcp\n  bind 127.0.0.1:PORT\n  server s {listener} {how}"
        ));
        let echo = asked_from(CLIENT, at(haproxy.port));
        // The client itself is not trusted: what it says of others is dropped.
        assert_eq!(seen(&echo, "x-forwarded-for"), ["127.0.0.77"], "{taken} {how}: {echo}");
        assert!(seen(&echo, "forwarded")[0].starts_with("for=127.0.0.77;"), "{taken} {how}: {echo}");
        assert_eq!(metric(&gateway, "throome_proxy_protocol_failures_total"), 0);
    }
}

#[test]
fn a_header_comes_before_tls_and_on_the_main_listener_too() {
    let _turn = turn::together();
    let service = Service::start("one");
    let authority = Authority::new();
    authority.issue("door", &["shop.example"]);
    let layout = Layout::default()
        .with_file(&format!(
            "proxy:\n  host: 127.0.0.1\n  proxy_protocol: v2\n  trusted_proxies: [127.0.0.1]\n  tls: {{ certificates: [ {} \
             ] }}\n",
            authority.pair("door")
        ))
        .with_args(&["--config", "throome.yaml"]);
    layout.write_cluster("shop", &web(&service));
    let gateway = layout.start();
    let haproxy = Program::haproxy(&format!(
        "listen in\n  mode tcp\n  bind 127.0.0.1:PORT\n  server s {} send-proxy-v2",
        gateway.traffic
    ));
    let echo = authority.curl("shop.example", at(haproxy.port), &["--interface", "127.0.0.77"]).echo();
    assert_eq!(seen(&echo, "x-forwarded-for"), ["127.0.0.77"]);
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
}

#[test]
fn a_proxy_that_speaks_for_itself_is_itself() {
    let _turn = turn::together();
    let service = Service::start("one");
    let proxy = "trusted_proxies: [127.0.0.1]\n  workers: 1";
    let (layout, listener) = listening("proxy_protocol: any", proxy, &web(&service));
    let _gateway = layout.start();
    for header in [b"PROXY UNKNOWN\r\n".as_slice(), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = Connection::open(listener);
        client.send(header);
        let echo = client.ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n").json();
        assert_eq!(seen(&echo, "x-forwarded-for"), ["10.9.8.7, 127.0.0.1"]);
    }
}

/// Closed without an answer.
#[track_caller]
fn turned_away(source: [u8; 4], to: SocketAddr, bytes: &[u8]) {
    let mut stream = connect_from(source, to);
    let _ = stream.write_all(bytes);
    let answer = rest(&mut stream).unwrap_or_default();
    assert_eq!(answer, b"", "{}", answer.escape_ascii());
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let _turn = turn::together();
    let service = Service::start("one");
    let proxy = "trusted_proxies: [127.0.0.2]\n  workers: 1\n  limits: { head_timeout: 500ms }";
    let (layout, listener) = listening("proxy_protocol: any", proxy, &web(&service));
    let gateway = layout.start();
    let count = |gateway: &Gateway, reason: &str| {
        metric(
            gateway,
            &format!("throome_proxy_protocol_failures_total{{door=\"traffic\",reason=\"{reason}\"}}"),
        )
    };
    let forged = "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    turned_away([127, 0, 0, 1], listener, forged.as_bytes());
    turned_away([127, 0, 0, 1], listener, b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(count(&gateway, "untrusted"), 2);
    let trusted = [127, 0, 0, 2];
    // Who is trusted must say a header, whole and in time.
    turned_away(trusted, listener, b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    turned_away(trusted, listener, b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(count(&gateway, "malformed"), 2);
    turned_away(trusted, listener, b"PROXY TCP4 10.0");
    assert_eq!(count(&gateway, "timeout"), 1);
    drop(connect_from(trusted, listener));
    wait_for("one that left", Duration::from_secs(5), || (count(&gateway, "left") == 1).then_some(()));
    // A listener that asks for none takes a header for what it is: no HTTP.
    let mut plain = Connection::open(gateway.traffic);
    plain.send(forged);
    assert_eq!(plain.reply().status, 400);
    assert!(service.deeds().iter().all(|deed| deed.what != "done"), "{:?}", service.deeds());
    let mut stream = connect_from(trusted, listener);
    stream.write_all(forged.replace("Host: a", "Host: a\r\nConnection: close").as_bytes()).unwrap();
    assert!(String::from_utf8(rest(&mut stream).unwrap()).unwrap().contains("10.0.0.1"));
}

#[test]
fn a_service_is_told_who_the_client_is() {
    let _turn = turn::together();
    let service = Service::start("one");
    for version in ["v1", "v2"] {
        let haproxy = Program::haproxy(&format!(
            "listen in\n  mode http\n  option forwardfor\n  bind 127.0.0.1:PORT accept-proxy\n  server s {}",
            service.address
        ));
        let cluster = cluster_of(&[haproxy.port], &format!(", proxy_protocol: {version}"));
        let (layout, listener) = listening(TO_APP, "workers: 1", &cluster);
        let gateway = layout.start();
        let echo = asked_from(CLIENT, listener);
        assert_eq!(seen(&echo, "x-forwarded-for").last().unwrap(), "127.0.0.77", "{version}: {echo}");
        drop(gateway);

        let nginx = Program::nginx();
        let cluster = cluster_of(&[nginx.port], &format!(", proxy_protocol: {version}"));
        let (layout, listener) = listening(TO_APP, "workers: 1", &cluster);
        let gateway = layout.start();
        let mut stream = connect_from(CLIENT, listener);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let answer = String::from_utf8(rest(&mut stream).unwrap()).unwrap();
        assert!(answer.ends_with(&format!("127.0.0.77 {}", listener.port())), "{version}: {answer}");
        wait_for("a probe that passes", Duration::from_secs(5), || {
            let facts = gateway.show("/api/v1/clusters/shop/services/app");
            (facts["status"] == "HEALTHY").then_some(())
        });
    }
}

#[test]
fn what_one_proxy_says_goes_on_to_the_next() {
    let _turn = turn::together();
    let nginx = Program::nginx();
    let listener = format!("{TO_APP}, proxy_protocol: v1");
    let proxy = "trusted_proxies: [127.0.0.1]\n  workers: 1";
    let (layout, listener) = listening(&listener, proxy, &cluster_of(&[nginx.port], ", proxy_protocol: v2"));
    let _gateway = layout.start();
    let mut stream = connect(listener);
    stream.write_all(b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 8443\r\n").unwrap();
    stream
        .write_all(
            request(listener, "GET", "/", None)
                .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    let answer = String::from_utf8(rest(&mut stream).unwrap()).unwrap();
    assert!(answer.ends_with("2001:db8::7 8443"), "{answer}");
}
