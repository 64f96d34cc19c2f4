//! What the service is told: the fields of the request, who asked, by which id; and what stays behind.

use serde_json::Value;
use throome_e2e::fixture::one_service;
use throome_e2e::turn;

/// What the service saw of a field, each time it was there.
fn seen<'v>(echo: &'v Value, name: &str) -> Vec<&'v str> {
    let fields = echo["fields"].as_array().unwrap().iter();
    fields
        .filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name))
        .map(|field| field[1].as_str().unwrap())
        .collect()
}

#[test]
fn who_asked_is_passed_on_and_nothing_invented_by_the_client() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let echo = client
        .ask(
            "GET /echo HTTP/1.1\r\nHost: Shop.test:8080\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
             Forwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
             X-Client-Cert-Subject: CN=root\r\nKeep: this\r\n\r\n",
        )
        .expect(200)
        .json();
    assert_eq!(seen(&echo, "host"), ["Shop.test:8080"]);
    assert_eq!(seen(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["http"]);
    assert_eq!(seen(&echo, "x-forwarded-host"), ["Shop.test:8080"]);
    assert_eq!(seen(&echo, "forwarded"), ["for=127.0.0.1;host=\"Shop.test:8080\";proto=http"]);
    assert_eq!(seen(&echo, "keep"), ["this"]);
    assert!(
        seen(&echo, "x_forwarded_for").is_empty() && seen(&echo, "x-client-cert-subject").is_empty(),
        "{echo:#}"
    );
    assert!(!echo.to_string().contains("6.6.6.6"), "{echo:#}");
}

#[test]
fn a_trusted_proxy_is_appended_to() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("proxy: { trusted_proxies: [127.0.0.0/8] }\n");
    let mut client = gateway.traffic();
    let echo = client
        .ask(
            "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
             Forwarded: for=6.6.6.6\r\n\r\n",
        )
        .expect(200)
        .json();
    assert_eq!(seen(&echo, "x-forwarded-for"), ["6.6.6.6, 127.0.0.1"]);
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["https"]);
    assert_eq!(seen(&echo, "forwarded"), ["for=6.6.6.6, for=127.0.0.1;host=\"a\";proto=http"]);
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let reply = client.ask("GET /hop-by-hop HTTP/1.1\r\nHost: a\r\n\r\n").expect(200);
    assert_eq!(reply.field("x-kept"), Some("yes"));
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(reply.field(gone), None, "{reply}");
    }
    let echo = client
        .ask(
            "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\n\
             Proxy-Connection: keep-alive\r\nX-Kept: yes\r\n\r\n",
        )
        .expect(200)
        .json();
    assert_eq!(seen(&echo, "x-kept"), ["yes"]);
    for gone in ["x-mine", "keep-alive", "proxy-connection", "te", "connection"] {
        assert!(seen(&echo, gone).is_empty(), "{gone}: {echo:#}");
    }
}

#[test]
fn targets_in_absolute_form_name_their_host_themselves() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let echo =
        client.ask("GET http://shop.test/echo?a=1 HTTP/1.1\r\nHost: shop.test\r\n\r\n").expect(200).json();
    assert_eq!(echo["target"], "/echo?a=1");
    assert_eq!(seen(&echo, "host"), ["shop.test"]);
}

#[test]
fn a_request_has_one_id_everywhere() {
    let _turn = turn::together();
    let (gateway, service) = one_service("");
    let mut client = gateway.traffic();
    let reply = client.ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: my-own.id_1\r\n\r\n").expect(200);
    assert_eq!(reply.field("x-request-id"), Some("my-own.id_1"));
    assert_eq!(seen(&reply.json(), "x-request-id"), ["my-own.id_1"]);
    let made =
        client.ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: not well formed!\r\n\r\n").expect(200);
    let id = made.field("x-request-id").unwrap().to_owned();
    assert!(!id.contains(' ') && seen(&made.json(), "x-request-id") == [id.as_str()], "{made}");
    drop(service);
    let failed = client.ask("GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: lost\r\n\r\n");
    assert_eq!((failed.status, failed.json()["request_id"].as_str()), (502, Some("lost")), "{failed}");
    let records = gateway.show("/api/v1/clusters/shop/activity?limit=10");
    let ids: Vec<&str> = records["activities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["request_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["lost", id.as_str(), "my-own.id_1"], "{records}");
}
