//! Which service a request reaches, which endpoint of it, and with which path.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

/// One request; the service that answered and the target that it saw, or the status.
fn ask(
    client: &mut Connection,
    method: &str,
    host: &str,
    target: &str,
    fields: &str,
) -> Result<(String, String), u16> {
    let reply = client
        .ask(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{fields}\r\n"));
    if reply.status != 200 {
        return Err(reply.status);
    }
    let echo = reply.json();
    let word = |key: &str| echo[key].as_str().unwrap().to_owned();
    Ok((word("service"), word("target")))
}

#[test]
fn the_most_exact_route_wins() {
    let _turn = turn::together();
    let (site, api) = (Service::start("site"), Service::start("api"));
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            r#"services:
  site: {{ type: http, endpoints: [ {} ] }}
  api: {{ type: http, endpoints: [ {} ] }}
routes:
  - {{ id: site, host: shop.test, path: "/*", service: site }}
  - {{ id: api, host: shop.test, path: "/api/*", service: api, strip_prefix: true }}
  - {{ id: exact, host: shop.test, path: "/api/site", service: site }}
  - {{ id: param, host: shop.test, path: "/users/:id/cards", service: api, rewrite: "/v2/cards/:id" }}
  - {{ id: summer, host: shop.test, path: "/été", service: api }}
  - {{ id: posts, host: shop.test, path: "/form", methods: [POST], service: api }}
  - {{ id: header, host: shop.test, path: "/beta", headers: {{ x-beta: "yes" }}, service: api }}
  - {{ id: query, host: shop.test, path: "/search", query: {{ v: "2" }}, service: api }}
  - {{ id: off, host: off.test, path: "/*", service: api, enabled: false }}
  - {{ id: any, path: "/any", service: api }}
"#,
            site.endpoint(),
            api.endpoint()
        ),
    );
    let gateway = layout.start();
    let mut client = gateway.traffic();
    let found = |service: &str, target: &str| Ok((service.to_owned(), target.to_owned()));
    for (method, host, target, fields, expected) in [
        ("GET", "shop.test", "/", "", found("site", "/")),
        ("GET", "SHOP.test:8080", "/x?q=1", "", found("site", "/x?q=1")),
        ("GET", "shop.test", "/api/users?x=1", "", found("api", "/users?x=1")),
        ("GET", "shop.test", "/api", "", found("api", "/")),
        ("GET", "shop.test", "/apis", "", found("site", "/apis")),
        ("GET", "shop.test", "/api/site", "", found("site", "/api/site")),
        ("GET", "shop.test", "/users/7/cards?x", "", found("api", "/v2/cards/7?x")),
        ("GET", "shop.test", "/users//cards", "", found("site", "/users//cards")),
        ("POST", "shop.test", "/form", "", found("api", "/form")),
        ("GET", "shop.test", "/form", "", found("site", "/form")),
        ("GET", "shop.test", "/beta", "X-Beta: yes\r\n", found("api", "/beta")),
        ("GET", "shop.test", "/beta", "X-Beta: no\r\n", found("site", "/beta")),
        ("GET", "shop.test", "/search?v=2&q=a", "", found("api", "/search?v=2&q=a")),
        ("GET", "shop.test", "/search?v=1", "", found("site", "/search?v=1")),
        ("GET", "off.test", "/", "", Err(404)),
        ("GET", "nobody.test", "/", "", Err(404)),
        ("GET", "nobody.test", "/any", "", found("api", "/any")),
        // A path is forwarded as received, and matched as it will be read.
        ("GET", "shop.test", "/a%20b/%C3%A9", "", found("site", "/a%20b/%C3%A9")),
        ("GET", "shop.test", "/%61pi/site", "", found("site", "/%61pi/site")),
        ("GET", "shop.test", "/%61pi/us%65rs", "", found("api", "/users")),
        ("GET", "shop.test", "//api//users", "", found("api", "/users")),
        ("GET", "shop.test", "//users/7/cards", "", found("api", "/v2/cards/7")),
        ("GET", "shop.test", "/see/https://a.test/", "", found("site", "/see/https://a.test/")),
        ("GET", "shop.test", "/%c3%a9t%C3%a9", "", found("api", "/%c3%a9t%C3%a9")),
        ("GET", "shop.test", "/api/../secret", "", Err(400)),
        ("GET", "shop.test", "/api/%2e%2e/secret", "", Err(400)),
        ("GET", "shop.test", "/api%2fsecret", "", Err(400)),
        ("GET", "shop.test", "/api%5csecret", "", Err(400)),
        ("GET", "shop.test", "/api;x=1", "", Err(400)),
        ("GET", "shop.test", "/api%00", "", Err(400)),
    ] {
        let got = ask(&mut client, method, host, target, fields);
        assert_eq!(got, expected, "{method} {host} {target} {fields}");
        if got == Err(400) {
            client = gateway.traffic();
        }
        let asked = json!({ "method": method, "host": host, "path": target,
            "headers": if fields.is_empty() { json!({}) } else { json!({ "x-beta": fields["X-Beta: ".len()..].trim() }) } });
        let explained = gateway.call("POST", "/api/v1/explain", Some(&asked));
        if let Ok((service, _)) = &expected {
            // What is explained is what happens.
            assert_eq!(explained.expect(200).json()["service"], format!("shop/{service}"), "{asked}");
        } else if explained.status == 200 {
            assert_eq!(explained.json()["route"], Value::Null, "{asked}");
        }
    }
}

/// A gateway with services `a`, `b`, `c` in one service `web` with this in its file, and that in its `routing`.
fn three(endpoints: impl Fn(&[Service; 3]) -> String, routing: &str) -> (Gateway, [Service; 3]) {
    let services = ["a", "b", "c"].map(Service::start);
    let layout = Layout::default();
    let web = endpoints(&services);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, {web} }}\nrouting: {{ {routing} }}\nroutes:\n  - {{ id: all, path: \"/*\", service: web }}\n"
        ),
    );
    let gateway = layout.start();
    wait_for("three healthy endpoints", Duration::from_secs(5), || {
        (gateway.show("/api/v1/clusters/shop/health")["status"] == "HEALTHY").then_some(())
    });
    (gateway, services)
}

/// Who answered how many of so many requests.
fn shares(gateway: &Gateway, method: &str, count: usize) -> BTreeMap<String, usize> {
    let mut client = gateway.traffic();
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let (service, _) = ask(&mut client, method, "a", "/echo", "").unwrap();
        *shares.entry(service).or_default() += 1;
    }
    shares
}

#[test]
fn each_strategy_shares_as_it_says() {
    let _turn = turn::together();
    let weighted = |services: &[Service; 3]| {
        let ports = services.each_ref().map(|service| service.address.port());
        let [a, b, c] = ports;
        format!(
            "endpoints: [ {{ host: 127.0.0.1, port: {a}, weight: 3 }}, {{ host: 127.0.0.1, port: {b}, weight: 1 }}, \
             {{ host: 127.0.0.1, port: {c}, weight: 0 }} ]"
        )
    };
    let even = |services: &[Service; 3]| {
        let [a, b, c] = services.each_ref().map(Service::endpoint);
        format!("endpoints: [ {a}, {b}, {c} ]")
    };
    for strategy in ["round_robin", "least_connections", "two_choices"] {
        let (gateway, _services) = three(even, &format!("strategy: {strategy}"));
        let shares = shares(&gateway, "GET", 300);
        // By latency one may look slow for the blink of an eye that this takes.
        let (most, least) = if strategy == "two_choices" { (299, 0) } else { (105, 95) };
        assert!(shares.values().all(|share| (least..=most).contains(share)), "{strategy}: {shares:?}");
    }
    let services = ["a", "b", "c"].map(Service::start);
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, {} }}\nrouting: {{ strategy: weighted }}\nroutes:\n  - {{ id: all, path: \"/*\", service: web }}\n",
            weighted(&services)
        ),
    );
    let gateway = layout.start();
    let shares = shares(&gateway, "GET", 200);
    assert_eq!(
        shares,
        BTreeMap::from([("a".to_owned(), 150), ("b".to_owned(), 50)]),
        "the third has no weight"
    );
}

#[test]
fn replicas_take_reads_and_the_primary_takes_writes() {
    let _turn = turn::together();
    let copies = |services: &[Service; 3]| {
        let [a, b, c] = services;
        format!(
            "host: 127.0.0.1, port: {}, replicas: [ {}, {} ]",
            a.address.port(),
            b.endpoint(),
            c.endpoint()
        )
    };
    let (gateway, mut services) = three(copies, "strategy: round_robin");
    assert_eq!(shares(&gateway, "GET", 60).len(), 3);
    assert_eq!(shares(&gateway, "POST", 30), BTreeMap::from([("a".to_owned(), 30)]));
    services[0].kill();
    let mut client = gateway.traffic();
    for _ in 0..20 {
        assert!(ask(&mut client, "GET", "a", "/echo", "").is_ok(), "reads go on");
        let refused = ask(&mut client, "POST", "a", "/echo", "").unwrap_err();
        assert!(matches!(refused, 502 | 503), "{refused}");
    }
}

#[test]
fn thousands_of_routes_are_found_and_changed() {
    let _turn = turn::alone();
    let service = Service::start("one");
    let layout = Layout::default();
    let routes: String = (0..3_000)
        .map(|n| format!("  - {{ id: r{n}, host: h{}.test, path: \"/p{n}/*\", service: web }}\n", n % 50))
        .collect();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ] }}\nroutes:\n{routes}",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    let mut client = gateway.traffic();
    for n in (0..3_000).step_by(97) {
        let target = format!("/p{n}/x");
        assert!(ask(&mut client, "GET", &format!("h{}.test", n % 50), &target, "").is_ok(), "{target}");
        assert_eq!(ask(&mut client, "GET", &format!("h{}.test", (n + 1) % 50), &target, ""), Err(404));
    }
    let began = std::time::Instant::now();
    let route =
        json!({ "id": "more", "cluster": "shop", "service": "web", "host": "h1.test", "path": "/more" });
    let _ = gateway.call("POST", "/api/v1/routes", Some(&route)).expect(201);
    assert!(ask(&mut client, "GET", "h1.test", "/more", "").is_ok());
    println!("a route among 3,000: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
}
