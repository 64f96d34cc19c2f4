//! What answers for a route and what goes with it: what is read, and the words in which each fault is told.

use crate::check::Problems;
use crate::read::read_cluster;
use crate::route::{AffinitySpec, HeadersSpec, MirrorSpec, PartSpec, RedirectSpec, RespondSpec};
use crate::testing::{TestKinds, lines};
use crate::{RouteSpec, Span};

const BEFORE: &str =
    "services: { web: { type: mem }, canary: { type: mem }, spare: { type: mem } }\nroutes:\n  - ";

/// One route of a cluster with three services, written in flow style.
fn read(route: &str) -> Result<RouteSpec, Vec<String>> {
    let mut problems = Problems::new(None);
    let node = crate::yaml::parse(&format!("{BEFORE}{route}\n")).unwrap_or_else(|e| panic!("{route}: {e:?}"));
    let input = read_cluster(&node, &TestKinds, &mut problems);
    input.map(|mut input| input.routes.remove(0)).ok_or_else(|| lines(problems))
}

/// What is told of a route, without its line and column.
fn told(route: &str) -> Vec<String> {
    let told = read(route).err().unwrap_or_default();
    told.iter().map(|line| line.splitn(3, ':').nth(2).unwrap_or_default().trim().to_owned()).collect()
}

fn check(route: &str, expected: &[&str]) {
    assert_eq!(told(route), expected, "{route}");
}

#[test]
fn what_a_route_may_say() {
    let route = read(
        "{ path: '/api/{v}/*', host: '*.Shop.example', split: [{ service: web, weight: 95 }, { service: canary }], mirror: { service: spare, share: 0.1 }, \
         rewrite: '/{v}/*', request_headers: { set: { host: inner.local, X-Gate: yes }, remove: [x-debug] }, \
         affinity: { cookie: GATE, ttl: 10m }, fallback: { respond: { status: 503, body: later } } }",
    )
    .unwrap();
    let part = |service: &str, weight| PartSpec { service: service.to_owned(), weight };
    assert_eq!(route.split, [part("web", 95), part("canary", 1)]);
    assert_eq!(route.mirror, Some(Box::new(MirrorSpec { service: "spare".to_owned(), share: 0.1 })));
    let set = [("host", "inner.local"), ("X-Gate", "yes")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let edits = HeadersSpec { set: set.into(), remove: vec!["x-debug".to_owned()], ..HeadersSpec::default() };
    assert_eq!(route.request_headers, Some(Box::new(edits)));
    let cookie = AffinitySpec {
        cookie: Some("GATE".to_owned()),
        ttl: Some(Span::secs(600)),
        ..AffinitySpec::default()
    };
    assert_eq!(route.affinity, Some(Box::new(cookie)));
    assert_eq!(route.leads(), "web 95, canary 1");

    let route = read("{ path: '/old/*', redirect: { to: 'https://new.example/*', status: 308 } }").unwrap();
    let redirect =
        RedirectSpec { status: 308, to: Some("https://new.example/*".to_owned()), ..RedirectSpec::default() };
    assert_eq!((route.leads(), route.redirect), ("redirect 308".to_owned(), Some(Box::new(redirect))));
    let route = read("{ path: /robots.txt, respond: { body: 'User-agent: *' }, response_headers: { set: { cache-control: no-store } } }").unwrap();
    let respond = RespondSpec { body: "User-agent: *".to_owned(), ..RespondSpec::default() };
    assert_eq!((route.leads(), route.respond), ("answer 200".to_owned(), Some(Box::new(respond))));
    assert_eq!(read("{ path: /, service: web }").unwrap().leads(), "web");
}

#[test]
fn one_thing_answers() {
    for (route, expected) in [
        (
            "{ path: / }",
            &["routes[0]: has nothing that answers (write `service`, `split`, `redirect` or `respond`)"][..],
        ),
        (
            "{ path: /, service: web, respond: {}, split: [] }",
            &[
                "routes[0].respond: stands beside `service`; a route has one of them",
                "routes[0].split: stands beside `service`; a route has one of them",
                "routes[0].split: gives no service a share",
            ],
        ),
        (
            "{ path: /, split: [{ service: web }, { service: web, weight: 0 }, { service: other }] }",
            &[
                "routes[0].split[1].service: `web` is split[0] too",
                "routes[0].split[2].service: `other` is not a service of this cluster (there are `web`, `canary`, `spare`)",
            ],
        ),
        ("{ path: /, split: [{ service: web, weight: 0 }] }", &["routes[0].split: gives no service a share"]),
        (
            "{ path: '/a/*', respond: { status: 404 }, strip_prefix: true, timeout: 5s, fallback: { service: web } }",
            &[
                "routes[0].strip_prefix: means nothing beside `respond`, which asks no service (take it away)",
                "routes[0].timeout: means nothing beside `respond`, which asks no service (take it away)",
                "routes[0].fallback: means nothing beside `respond`, which asks no service (take it away)",
            ],
        ),
        ("{ path: /a, respond: { status: 404 }, strip_prefix: false }", &[]),
        (
            "{ path: /, service: web, mirror: { service: web }, fallback: { service: web } }",
            &[
                "routes[0].mirror.service: answers already: it would be asked twice",
                "routes[0].fallback.service: is the service that cannot answer then",
            ],
        ),
        (
            "{ path: /, service: web, fallback: {} }",
            &["routes[0].fallback: says nothing (write `service` or `respond`)"],
        ),
        (
            "{ path: /, service: web, fallback: { service: spare, respond: {} } }",
            &["routes[0].fallback.respond: stands beside `service`; a fallback has one of them"],
        ),
        (
            "{ path: /, respond: { status: 204, body: x } }",
            &["routes[0].respond.body: stands beside the status 204, which has none"],
        ),
        (
            "{ path: /, respond: { content_type: text/html } }",
            &["routes[0].respond.content_type: is the kind of a `body`, and there is none"],
        ),
        (
            "{ path: /, service: web, mirror: { servce: spare } }",
            &[
                "routes[0].mirror.service: is required (which service)",
                "routes[0].mirror.servce: is not a known key (did you mean `service`?)",
            ],
        ),
    ] {
        check(route, expected);
    }
}

#[test]
fn a_redirect_leads_somewhere_that_no_client_chooses() {
    let to = |to: &str| told(&format!("{{ path: '/a/:x/*', redirect: {{ to: '{to}' }} }}"));
    for good in [
        "https://new.example",
        "http://new.example:81/b/{x}/*?c=d#e",
        "/b/:x",
        "/*?q",
        "https://[::1]:80/",
        "/",
    ] {
        assert_eq!(to(good), [""; 0], "{good}");
    }
    for (bad, message) in [
        ("new.example/x", "must be an address that begins with `http://` or `https://`, or a path"),
        ("//evil.example/*", "must be an address that begins with `http://` or `https://`, or a path"),
        ("ftp://new.example", "has the scheme `ftp`; it may be `http` or `https`"),
        ("javascript:alert(1)", "must be an address that begins with `http://` or `https://`, or a path"),
        ("https://{x}.example/", "has `{x}.example` for a host: it must be a name or an address as it is"),
        ("https://:x/", "has `:x` for a host: it must be a name or an address as it is"),
        (
            "https://user@new.example",
            "has `user@new.example` for a host: it must be a name or an address as it is",
        ),
        ("https:///x", "has `` for a host, which is empty"),
        ("https://new.example:99999", "has `new.example:99999` for a host, with a port that is not one"),
        ("/a b", "holds ` `, which no address may as it is"),
        ("/é", "holds `é`, which no address may as it is"),
        ("/b/:y", "has `:y`, and the path has none"),
        ("/a/{x}/*", "leads to itself"),
    ] {
        assert_eq!(to(bad), [format!("routes[0].redirect.to: {message}")], "{bad}");
    }
    for (route, expected) in [
        (
            "{ path: /a, redirect: {} }",
            &["routes[0].redirect: leads nowhere (write `to`, or `scheme`, `host`, `port` or `path`)"][..],
        ),
        (
            "{ path: /a, redirect: { to: /b, host: c, status: 304 } }",
            &[
                "routes[0].redirect.host: stands beside `to`, which says it (write it into `to`, or take `to` away)",
                "routes[0].redirect.status: 304 is no redirect: 301, 302, 303, 307 or 308",
            ],
        ),
        ("{ path: /a, redirect: { path: /a } }", &["routes[0].redirect.path: leads to itself"]),
        ("{ path: /a, redirect: { path: /a, scheme: https } }", &[]),
        (
            "{ path: /a, redirect: { path: '/*' } }",
            &["routes[0].redirect.path: has a `*`, and the path has none"],
        ),
    ] {
        check(route, expected);
    }
}

#[test]
fn headers_that_others_rely_on_are_not_changed() {
    const CONNECTION: &str =
        "concerns one connection or the length of a message, which only the gateway says";
    const IDENTITY: &str = "is what the gateway says of the client, which services trust";
    for (edits, expected) in [
        ("set: { Transfer_Encoding: x }", format!("set.Transfer_Encoding: {CONNECTION}")),
        ("add: { content-length: 1 }", format!("add.content-length: {CONNECTION}")),
        ("remove: [Connection]", format!("remove[0]: {CONNECTION}")),
        ("set: { X_Forwarded_For: x }", format!("set.X_Forwarded_For: {IDENTITY}")),
        ("remove: [x-client-cert-subject]", format!("remove[0]: {IDENTITY}")),
        ("add: { X-Request-ID: x }", format!("add.X-Request-ID: {IDENTITY}")),
        ("add: { host: x }", "add.host: may only be set, and only on the way to the service".to_owned()),
        ("set: { host: 'a b' }", "set.host: is not a host, or a host and its port".to_owned()),
        ("set: { 'a b': x }", "set.a b: is not the name of a header".to_owned()),
        ("set: { a: \"x\\r\\ny\" }", "set.a: holds `\\r`, which no header may".to_owned()),
        ("set: { a: ' x' }", "set.a: has spaces around it, which no reader keeps".to_owned()),
        ("set: { a_b: x, A-B: y }", "set.A-B: is set twice".to_owned()),
        ("set: { a: x }, remove: [A]", "remove[0]: is set too; `set` takes the place of what was there".to_owned()),
        (
            "set: { authorization: x }",
            "set.authorization: `authorization` is not built yet: waits for secrets in routes (every view of the route would show it)".to_owned(),
        ),
    ] {
        let route = format!("{{ path: /, service: web, request_headers: {{ {edits} }} }}");
        assert_eq!(told(&route), [format!("routes[0].request_headers.{expected}")], "{edits}");
    }
    check(
        "{ path: /, service: web, response_headers: { set: { Host: x }, remove: [Set-Cookie, server] } }",
        &["routes[0].response_headers.set.Host: may only be set, and only on the way to the service"],
    );
    check(
        "{ path: /, service: web, request_headers: { remove: [authorization], set: { host: 'a:80' } } }",
        &[],
    );
}

#[test]
fn affinity_goes_by_one_thing() {
    for (affinity, expected) in [
        ("cookie: GATE", None),
        ("cookie: GATE, ttl: 1h", None),
        ("cookie: sid, make: false", None),
        ("address: true", None),
        ("query: id", None),
        ("", Some(": says nothing to go by (write `cookie`, `header`, `query` or `address`)")),
        ("address: false", Some(": says nothing to go by (write `cookie`, `header`, `query` or `address`)")),
        ("cookie: a, header: b", Some(".header: stands beside `cookie`; affinity goes by one of them")),
        ("cookie: 'a=b'", Some(".cookie: `a=b` is not the name of a cookie")),
        ("header: 'a b'", Some(".header: `a b` is not the name of a header")),
        ("header: a, ttl: 5s", Some(".ttl: is for a `cookie`, and this goes by `header`")),
        (
            "cookie: a, ttl: 5s, make: false",
            Some(".ttl: is for a cookie that the gateway makes, and `make` is false"),
        ),
    ] {
        let route = format!("{{ path: /, service: web, affinity: {{ {affinity} }} }}");
        let expected: Vec<String> = expected.iter().map(|e| format!("routes[0].affinity{e}")).collect();
        assert_eq!(told(&route), expected, "{affinity}");
    }
}

#[test]
fn the_other_route_is_named_and_both_spellings_are_one() {
    let route = "{ id: one, path: '/u/:id', service: web }\n  - { path: '/u/{name}', service: canary }";
    check(route, &["routes[1]: matches the same requests as `one` (routes[0])"]);
    let on = "{ id: one, path: /u, service: web, listener: a }\n  - { path: /u, service: web, listener: ";
    check(&format!("{on}a }}"), &["routes[1]: matches the same requests as `one` (routes[0])"]);
    check(&format!("{on}b }}"), &[]);
    check(
        "{ path: '/u/:id', service: web, rewrite: '/{id}/{no}' }",
        &["routes[0].rewrite: has `{no}`, and the path has none"],
    );
}

#[test]
fn a_second_try_beside_the_first_needs_leave_for_two() {
    let hedged = read("{ path: /a, service: web, retry: { hedge: { after: 50ms } } }").unwrap();
    assert_eq!(hedged.retry.unwrap().hedge.unwrap().after.0, std::time::Duration::from_millis(50));
    check(
        "{ path: /a, service: web, retry: { attempts: 1, hedge: { after: 50ms } } }",
        &["routes[0].retry.hedge: is a second try, and `attempts` allows one"],
    );
}

#[test]
fn who_answers_no_requests_is_led_to_by_nobody() {
    let told = |services: &str, route: &str| -> Vec<String> {
        let mut problems = Problems::new(None);
        let text = format!("services: {{ {services} }}\nroutes:\n  - {route}\n");
        read_cluster(&crate::yaml::parse(&text).unwrap(), &TestKinds, &mut problems);
        lines(problems)
    };
    let services = "web: { type: mem }, db: { type: mute, host: h }, log: { type: mute, host: h }, kv: { type: mute, host: h }";
    let route = "{ path: /, split: [{ service: web }, { service: db }], mirror: { service: log }, fallback: { service: kv } }";
    let said =
        |name: &str| format!("`{name}` is of type `mute`, which answers no HTTP requests (these do: `web`)");
    assert_eq!(
        told(services, route),
        [
            format!("3:53: routes[0].split[1].service: {}", said("db")),
            format!("3:79: routes[0].mirror.service: {}", said("log")),
            format!("3:107: routes[0].fallback.service: {}", said("kv")),
        ]
    );
    assert_eq!(
        told("db: { type: mute, host: h }", "{ path: /, service: db }"),
        [
            "3:25: routes[0].service: `db` is of type `mute`, which answers no HTTP requests (no service of this cluster does)"
        ]
    );
}

#[test]
fn a_header_is_asked_for_once_whatever_its_case() {
    check(
        "{ path: /, service: web, headers: { X-A: '1', x-b: '2', x-a: '2' }, query: { a: '1', A: '2' } }",
        &[
            "routes[0].headers.x-a: is the header `X-A` too: the case of a name says nothing (keep one of them)",
        ],
    );
}
