//! What routes do on the way: split, redirect, answer, mirror, edit heads, keep a client, limit it, fall back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Gateway, Layout, Reply, Service, turn};

/// Two services of several endpoints, `a` and `b`, and these routes.
fn two_services(routes: &str) -> (Gateway, [Service; 4]) {
    let services = ["a1", "a2", "b1", "b2"].map(Service::start);
    let [a1, a2, b1, b2] = &services;
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  a: {{ type: http, endpoints: [ {}, {} ] }}\n  b: {{ type: http, endpoints: [ {}, {} ] }}\nroutes:\n{routes}",
            a1.endpoint(),
            a2.endpoint(),
            b1.endpoint(),
            b2.endpoint()
        ),
    );
    (layout.start(), services)
}

fn get(client: &mut Connection, target: &str, fields: &str) -> Reply {
    client.ask(format!("GET {target} HTTP/1.1\r\nHost: shop.test:81\r\n{fields}\r\n"))
}

fn who(reply: &Reply) -> String {
    reply.json()["service"].as_str().unwrap().to_owned()
}

/// The values that a service was told under this name, whatever its spelling.
fn told(reply: &Reply, name: &str) -> Vec<String> {
    let echo = reply.json();
    let fields = echo["fields"].as_array().unwrap().iter();
    let own = fields.filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name));
    own.map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_split_gives_each_service_its_share_and_a_key_stays_with_one() {
    let _turn = turn::together();
    let (gateway, _services) = two_services(
        r#"  - { id: split, path: "/split", split: [ { service: a, weight: 3 }, { service: b, weight: 1 } ] }
  - { id: kept, path: "/kept", split: [ { service: a }, { service: b } ], affinity: { header: x-user } }
"#,
    );
    let mut client = gateway.traffic();
    let mut shares = BTreeMap::new();
    for _ in 0..400 {
        *shares.entry(who(&get(&mut client, "/split", "").expect(200))[..1].to_owned()).or_insert(0) += 1;
    }
    assert!((240..=360).contains(&shares["a"]) && (40..=160).contains(&shares["b"]), "{shares:?}");
    let mut met = BTreeMap::new();
    for user in 0..20 {
        let fields = format!("X-User: user-{user}\r\n");
        let first = who(&get(&mut client, "/kept", &fields).expect(200));
        for _ in 0..3 {
            assert_eq!(who(&get(&mut client, "/kept", &fields).expect(200)), first, "user {user} moved");
        }
        *met.entry(first).or_insert(0) += 1;
    }
    assert!(met.len() >= 3, "twenty users are on {met:?} alone");
}

/// Every answer says when it was made: the service, or else the gateway, which never says it twice (RFC 9110 6.6.1).
#[test]
fn every_answer_has_one_date() {
    let _turn = turn::together();
    let (gateway, _services) = two_services(
        "\x20 - { id: fixed, path: /fixed, respond: { status: 304 } }\n\
         \x20 - { id: away, path: /away, redirect: { to: /there } }\n\
         \x20 - { id: undated, path: /undated, service: a, response_headers: { remove: [date] } }\n\
         \x20 - { id: dated, path: /dated, service: a, response_headers: { add: { date: never } } }\n\
         \x20 - { id: all, path: \"/*\", service: a }\n",
    );
    let mut client = gateway.traffic();
    for (target, dates) in
        [("/fixed", 1), ("/away", 1), ("/echo", 1), ("/nobody%zz", 1), ("/undated", 0), ("/dated", 1)]
    {
        let reply = get(&mut client, target, "");
        let said = reply.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("date"));
        assert_eq!(said.count(), dates, "{target}: {reply}");
        assert!(target != "/fixed" || reply.field("content-length").is_none(), "{reply}");
        if target == "/nobody%zz" {
            client = gateway.traffic();
        }
    }
}

#[test]
fn redirects_and_fixed_answers_need_no_service() {
    let _turn = turn::together();
    let (gateway, services) = two_services(
        r#"  - { id: moved, path: "/old/*", redirect: { to: "/new/*", status: 308 } }
  - { id: secure, path: "/secure", redirect: { scheme: https, port: 8443 } }
  - id: down
    path: "/down"
    respond: { status: 503, body: "back soon", content_type: "text/plain" }
    response_headers: { set: { retry-after: "60" } }
"#,
    );
    let mut client = gateway.traffic();
    let moved = get(&mut client, "/old/a/b?c=d", "").expect(308);
    assert_eq!(moved.field("location"), Some("/new/a/b?c=d"), "{moved}");
    let secure = get(&mut client, "/secure?x=1", "").expect(307);
    assert_eq!(secure.field("location"), Some("https://shop.test:8443/secure?x=1"));
    // A body that nobody wants is no next request.
    client.send(
        "POST /down HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\n",
    );
    let down = client.reply().expect(503);
    assert_eq!((down.text().as_str(), down.field("retry-after")), ("back soon", Some("60")));
    assert_eq!(down.field("content-type"), Some("text/plain"));
    assert!(get(&mut client, "/down", "").expect(503).keeps_alive());
    assert!(services.iter().all(|service| service.deeds().iter().all(|deed| deed.what == "accepted")));
    // Counted a moment after it is answered.
    wait_for("both are counted", Duration::from_secs(5), || {
        let shown = gateway.call("GET", "/metrics", None).text();
        shown.contains(r#"throome_route_requests_total{cluster_id="shop",route="down"} 2"#).then_some(())
    });
}

#[test]
fn heads_are_edited_in_either_spelling_and_identity_is_not_the_clients_to_say() {
    let _turn = turn::together();
    let (gateway, _services) = two_services(
        r#"  - id: edits
    path: "/echo"
    service: a
    request_headers: { set: { X-Team: blue, Host: inner.test }, add: { X-Extra: one }, remove: [ X-Debug ] }
    response_headers: { set: { X-Frame-Options: DENY }, remove: [ Content-Type ] }
"#,
    );
    let mut client = gateway.traffic();
    let fields = "X-Team: red\r\nx_team: red\r\nX-Debug: 1\r\nX_DEBUG: 1\r\nX-Keep: yes\r\n\
                  X-Client-Cert-Subject: root\r\nx_client_cert_subject: root\r\nX_Forwarded_For: 1.2.3.4\r\n";
    let reply = get(&mut client, "/echo", fields).expect(200);
    assert_eq!((told(&reply, "x-team"), told(&reply, "x_team")), (vec!["blue".to_owned()], vec![]));
    assert_eq!(told(&reply, "host"), ["inner.test"]);
    assert_eq!(
        (told(&reply, "x-extra"), told(&reply, "x-keep")),
        (vec!["one".to_owned()], vec!["yes".to_owned()])
    );
    for gone in ["x-debug", "x_debug", "x-client-cert-subject", "x_client_cert_subject", "x_forwarded_for"] {
        assert!(told(&reply, gone).is_empty(), "{gone} arrived: {}", reply.text());
    }
    assert_eq!(told(&reply, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((reply.field("x-frame-options"), reply.field("content-type")), (Some("DENY"), None));
}

#[test]
fn a_copy_goes_to_the_mirror_and_its_answer_to_nobody() {
    let _turn = turn::together();
    let (gateway, services) =
        two_services("  - { id: mirrored, path: \"/*\", service: a, mirror: { service: b } }\n");
    // Whoever gets copies may be as bad as it likes.
    services[2].freeze();
    let mut client = gateway.traffic();
    for n in 0..6 {
        let body = format!("order {n}");
        let reply = client.ask(format!(
            "POST /echo?n={n} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let echo = reply.expect(200).json();
        assert!(echo["service"].as_str().unwrap().starts_with('a') && echo["body"] == body, "{echo}");
    }
    services[2].thaw();
    let copies = || -> usize {
        let of = |service: &Service| {
            service.deeds().iter().filter(|deed| deed.what == "done" && deed.method == "POST").count()
        };
        services[2..].iter().map(of).sum()
    };
    wait_for("six copies", Duration::from_secs(5), || (copies() == 6).then_some(()));
}

#[test]
fn a_cookie_keeps_a_client_with_its_endpoint_until_that_goes() {
    let _turn = turn::together();
    let (gateway, mut services) = two_services(
        "  - { id: sticky, path: \"/*\", service: a, affinity: { cookie: GATE, make: true, ttl: 1h } }\n",
    );
    let mut client = gateway.traffic();
    let first = get(&mut client, "/echo", "").expect(200);
    let cookie = first.field("set-cookie").expect("a cookie is made").to_owned();
    assert!(cookie.starts_with("GATE=") && cookie.contains("HttpOnly") && cookie.contains("Max-Age=3600"));
    let back = format!("Cookie: a=b; {}\r\n", cookie.split(';').next().unwrap());
    for _ in 0..10 {
        let reply = get(&mut client, "/echo", &back).expect(200);
        assert_eq!((who(&reply), reply.field("set-cookie")), (who(&first), None));
    }
    let gone = usize::from(who(&first) == "a2");
    services[gone].kill();
    let moved = get(&mut client, "/echo", &back).expect(200);
    assert!(who(&moved) != who(&first) && moved.field("set-cookie").is_some(), "{moved}");
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let _turn = turn::together();
    let (gateway, _services) = two_services(
        "  - { id: limited, path: \"/*\", service: a, rate_limit: { requests: 2, per: 1m, key: \"header:X-Key\" } }\n",
    );
    let mut client = gateway.traffic();
    for left in ["1", "0"] {
        let reply = get(&mut client, "/echo", "X-Key: one\r\n").expect(200);
        assert_eq!(
            (reply.field("ratelimit-limit"), reply.field("ratelimit-remaining")),
            (Some("2"), Some(left))
        );
    }
    let refused = get(&mut client, "/echo", "X-Key: one\r\n").expect(429);
    let problem: Value = refused.json();
    assert_eq!(
        (&problem["code"], &problem["retryable"]),
        (&"rate_limited".into(), &true.into()),
        "{problem}"
    );
    assert_eq!((refused.field("retry-after"), refused.field("ratelimit-remaining")), (Some("30"), Some("0")));
    assert_eq!(get(&mut client, "/echo", "X-Key: two\r\n").status, 200, "another client has its own");
}

#[test]
fn a_fallback_answers_for_a_service_that_cannot() {
    let _turn = turn::together();
    let (gateway, mut services) = two_services(
        r#"  - { id: other, path: "/other", service: a, fallback: { service: b } }
  - { id: fixed, path: "/fixed", service: a, fallback: { respond: { status: 200, body: "[]", content_type: application/json } } }
  - { id: none, path: "/none", service: a }
"#,
    );
    let mut client = gateway.traffic();
    assert!(who(&get(&mut client, "/other", "").expect(200)).starts_with('a'));
    services[0].kill();
    services[1].kill();
    assert!(who(&get(&mut client, "/other", "").expect(200)).starts_with('b'));
    assert_eq!(get(&mut client, "/fixed", "").expect(200).text(), "[]");
    assert!(get(&mut client, "/none", "").status >= 502);
}
