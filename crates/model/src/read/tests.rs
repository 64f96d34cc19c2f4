//! Files and bodies to specs: what comes out of a good one, and what is told of a wrong one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cluster::ClusterSpec;
use crate::cluster_fields::{
    AFFINITY, BREAKER, ENDPOINT, FALLBACK, HEADERS, HEALTH, HEDGE, MIRROR, OUTLIER, REDIRECT, RESPOND, RETRY,
    ROUTING, RUN, SERVICE, SERVICE_HEALTH, SPLIT,
};
use crate::policy::{HealthSpec, OutlierSpec, RoutingSpec};
use crate::route::{
    AffinitySpec, FallbackSpec, HeadersSpec, MirrorSpec, PartSpec, RedirectSpec, RespondSpec, RetrySpec,
};
use crate::secrets::{keep_secrets, masked};
use crate::service::ServiceSpec;
use crate::testing::{GOOD, TestKinds, creation, lines};
use crate::yaml::parse;

const NOW: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

fn good() -> ClusterSpec {
    let mut problems = Problems::new(None);
    let input = read_cluster(&parse(GOOD).unwrap(), &TestKinds, &mut problems);
    assert_eq!(lines(problems), [""; 0]);
    input.unwrap().settle("shop".parse().unwrap(), NOW)
}

fn told(text: &str) -> Vec<String> {
    let mut problems = Problems::new(None);
    let input = read_cluster(&parse(text).unwrap(), &TestKinds, &mut problems);
    assert_eq!(input.is_none(), !problems.is_empty(), "{text}");
    lines(problems)
}

#[test]
fn a_good_file_becomes_a_spec() {
    let spec = good();
    assert_eq!((spec.name.as_str(), spec.created_at.to_string().as_str()), ("Shop", "2024-01-01T00:00:00Z"));
    let db = spec.service("db").unwrap();
    assert_eq!(db.port, Some(700));
    assert_eq!(db.replicas[0].port, 700);
    assert_eq!(db.password.as_ref().unwrap().reveal(), "0123");
    assert_eq!(db.database.as_deref(), Some("1.10"));
    assert_eq!(
        Value::Object(db.options.clone()),
        json!({ "token": "t0k3n", "pool": { "max": 20 }, "options": { "anything": ["goes", 1] } })
    );
    let web = spec.service("web").unwrap();
    assert_eq!(web.health(&spec.health).interval, crate::Span::secs(5));
    assert_eq!(web.all_endpoints()[1].role, crate::Role::Replica);
    assert_eq!(spec.routing.circuit_breaker.reset_timeout, crate::Span::secs(60));
    let [api, users] = spec.routes.as_slice() else { panic!("{:?}", spec.routes) };
    assert_eq!(
        (api.id.as_str(), api.methods.as_slice()),
        ("api", &["GET".to_owned(), "POST".to_owned()][..])
    );
    assert_eq!(
        (users.id.as_str(), users.host.as_deref()),
        ("shop-shop-example-users-id", Some("shop.example"))
    );
    assert_eq!((users.cluster.as_str(), users.headers["x-tenant"].as_str()), ("shop", "7"));
}

#[test]
fn an_empty_file_is_a_cluster_of_defaults() {
    let mut problems = Problems::new(None);
    let input = read_cluster(&parse("").unwrap(), &TestKinds, &mut problems).unwrap();
    let spec = input.settle("dev".parse().unwrap(), NOW);
    assert_eq!((spec.name.as_str(), spec.created_at, spec.services.len()), ("dev", NOW, 0));
    assert_eq!(spec.routing, RoutingSpec::default());
}

#[test]
fn made_ids_are_unique() {
    let text = "services: { a: { type: mem } }\nroutes:\n  - { path: /x, service: a }\n  - { path: /X, service: a }\n  - { path: /, service: a }\n  - { path: /x, service: a, methods: [get], id: c-x-2 }\n  - { path: '/x/*', service: a, methods: [put] }\n";
    let mut problems = Problems::new(None);
    let input = read_cluster(&parse(text).unwrap(), &TestKinds, &mut problems).unwrap();
    let spec = input.settle("c".parse().unwrap(), NOW);
    let ids: Vec<&str> = spec.routes.iter().map(|route| route.id.as_str()).collect();
    assert_eq!(ids, ["c-x", "c-x-3", "c-root", "c-x-2", "c-put-x-all"]);
}

#[test]
fn rules_between_parts() {
    for (text, expected) in [
        ("name: ''\n", &["1:7: name: is empty"][..]),
        (
            "name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            &["1:7: name: is longer than 64 characters"],
        ),
        (
            "services: { web: { type: mem }, db: { type: mem } }\nroutes:\n  - { path: /, service: wbe }\n  - { path: /x, service: other }\n",
            &[
                "3:25: routes[0].service: `wbe` is not a service of this cluster (did you mean `web`?)",
                "4:26: routes[1].service: `other` is not a service of this cluster (there are `web`, `db`)",
            ],
        ),
        (
            "routes:\n  - { path: /, service: a }\n",
            &["2:25: routes[0].service: `a` is not a service of this cluster"],
        ),
        (
            "cluster_id: c\nservices: { a: { type: mem } }\nroutes:\n  - { id: x, path: /, service: a, cluster: d }\n  - { id: x, path: /y, service: a, cluster: c }\n  - { id: 'x y', path: /z, service: a }\n",
            &[
                "4:44: routes[0].cluster: is not this cluster, `c` (leave it out)",
                "5:11: routes[1].id: `x` is the id of routes[0] too",
                "6:11: routes[2].id: is not an id: 1 to 128 letters, digits, `-`, `_`, `.` and `:`",
            ],
        ),
        (
            "services: { a: { type: mem } }\nroutes:\n  - { path: '/u/:id', service: a, host: H }\n  - { path: '/u/:x', service: a, host: h, methods: [GET] }\n  - { path: '/u/:y', service: a, host: h, methods: [put, get] }\n  - { path: '/u/:z', service: a, host: h, enabled: false }\n  - { path: '/u/:z', service: a, host: h }\n  - { path: '/u/:z', service: a, host: h, headers: { a: b } }\n",
            &[
                "5:5: routes[2]: matches the same requests as routes[1]",
                "7:5: routes[4]: matches the same requests as routes[0]",
            ],
        ),
        (
            "services: { a: { type: mem } }\nroutes:\n  - { path: '/a', service: a, methods: ['G T', ''], headers: { 'a b': c } }\n",
            &[
                "3:41: routes[0].methods[0]: `G T` is not a method",
                "3:48: routes[0].methods[1]: `` is not a method",
                "3:64: routes[0].headers.a b: is not the name of a header",
            ],
        ),
        (
            "services: { a: { type: mem } }\nroutes:\n  - { path: /a, service: a, strip_prefix: true }\n  - { path: /b, service: a, rewrite: '/c/*' }\n  - { path: '/d/:x', service: a, rewrite: '/:y' }\n  - { path: '/e/*', service: a, rewrite: '/*', strip_prefix: true }\n",
            &[
                "3:43: routes[0].strip_prefix: takes off what stands before `*`, and the path has none",
                "4:38: routes[1].rewrite: has a `*`, and the path has none",
                "5:43: routes[2].rewrite: has `:y`, and the path has none",
                "6:42: routes[3].rewrite: stands beside `strip_prefix`; a route has the one or the other",
            ],
        ),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn the_id_of_the_directory_counts() {
    let node = parse("cluster_id: a\nroutes:\n  - { cluster: c }\n").unwrap();
    let mut problems = Problems::new(Some("b/config.yaml"));
    check_id(&node, &"b".parse().unwrap(), &mut problems);
    assert_eq!(
        lines(problems),
        [
            "b/config.yaml:1:13: cluster_id: differs from the name of its directory, `b` (rename the one or take the other away)",
            "b/config.yaml:3:16: routes[0].cluster: is not this cluster, `b` (leave it out)",
        ]
    );
}

#[test]
fn every_class_of_mistake_in_one_file() {
    let text = "nmae: Shop\nservices:\n  web:\n    type: bare\n    host: http://web\n    port: 99999\n  db:\n    type: nett\n  c:\n    type: soon\n    host: h\n  d:\n    type: bare\nroutes:\n  - path: api\n    service: wbe\n    mirror: x\n  - service: d\nrouting:\n  strategy: ai\nhealth:\n  interval: never\n  enabled: 1\n";
    assert_eq!(
        told(text),
        [
            "1:1: nmae: is not a known key (did you mean `name`?)",
            "5:11: services.web.host: is a URL; a host is only a name or an address (write `web`)",
            "6:11: services.web.port: must be a whole number from 1 to 65535, not `99999`",
            "8:11: services.db.type: `nett` is not a kind (did you mean `net`?)",
            "10:11: services.c.type: the kind `soon` is not built yet: waits for part 9",
            "13:5: services.d: has no `host`, and `bare` services are not run by the gateway (start it yourself, and write its `host` and `port`)",
            "15:11: routes[0].path: must begin with `/` (write `/api`)",
            "16:14: routes[0].service: `wbe` is not a service of this cluster (did you mean `web`?)",
            "17:13: routes[0].mirror: must be a mapping, not the text `x`",
            "18:5: routes[1].path: is required (`/exact`, `/with/:name` or `/with/{name}`, or `/prefix/*`, which also matches `/prefix`)",
            "20:13: routing.strategy: `ai` is not built yet: waits for the adaptive strategy",
            "22:13: health.interval: is wrong: `never` is not a duration such as `10s`, `500ms` or `5m`",
            "23:12: health.enabled: must be `true` or `false`, not `1`",
        ]
    );
}

#[test]
fn a_route_of_the_api() {
    let read = |body: Value| {
        let mut problems = Problems::new(None);
        let route = read_route(&Node::from_json(&body), &mut problems);
        (route, lines(problems))
    };
    let (route, told) = read(
        json!({ "cluster": "c", "service": "s", "path": "/a", "methods": ["get", "GET"], "owner": "api", "timeout": 5 }),
    );
    assert_eq!((route.unwrap().methods, told), (vec!["GET".to_owned()], vec![]));
    let (route, told) = read(json!({ "service": "s", "path": "/a", "rewrite": "b", "listener": "X" }));
    assert_eq!(route, None);
    assert_eq!(
        told,
        [
            "rewrite: must begin with `/` (write `/b`)",
            "listener: is not a name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
            "cluster: is required (the cluster of the service; in a cluster file it is that cluster)",
        ]
    );
    let (_, told) = read(json!({ "cluster": "c", "service": "s", "path": "/a", "strip_prefix": true }));
    assert_eq!(told, ["strip_prefix: takes off what stands before `*`, and the path has none"]);
}

#[test]
fn creation_takes_both_shapes() {
    let read = |body: &Value| {
        let mut problems = Problems::new(None);
        let input = read_creation(body, &TestKinds, &mut problems);
        (input, lines(problems))
    };
    let flat = read(&creation()).0.unwrap();
    let body = json!({ "name": "Shop", "config": { "services": creation()["services"] } });
    assert_eq!(read(&body).0.unwrap(), flat);
    let body = json!({ "name": "Shop", "config": { "services": creation()["services"] }, "routes": [{ "path": "/", "service": "db" }] });
    assert_eq!(read(&body).0.unwrap().routes.len(), 1);
    assert_eq!(read(&json!({ "name": "Empty", "services": {} })).0.unwrap().services, []);
    // Who says an id is called by it.
    for body in [json!({ "cluster_id": "a" }), json!({ "config": { "cluster_id": "a" } })] {
        assert_eq!(read(&body).0.unwrap().name, None, "{body}");
    }

    for (body, expected) in [
        (
            json!({}),
            &[
                "name: is required where there is no `cluster_id` (a name for people, from which the id is made)",
            ][..],
        ),
        (json!({ "name": " " }), &["name: is empty"]),
        (json!([]), &["must be a mapping, not a list"]),
        (
            json!({ "name": "n", "services": {}, "config": { "services": {}, "x": 1, "routes": [{ "path": "/", "service": "a" }] } }),
            &[
                "config.x: is not a known key (known are `cluster_id`, `name`, `description`, `created_at`, `updated_at`, `services`, `routes`, `routing`, `health`, `ai`)",
                "config.services: stands beside `services` at the top; write one of them",
                "config.routes[0].service: `a` is not a service of this cluster",
            ],
        ),
        (
            json!({ "name": "n", "services": { "a": { "type": "net", "host": "h", "password": "***", "token": "***" } } }),
            &[
                "services.a.password: is the mask `***`, and there is no secret that it could keep",
                "services.a.token: is the mask `***`, and there is no secret that it could keep",
            ],
        ),
        (json!({ "name": "n", "healthy": true }), &["healthy: is not a known key (did you mean `health`?)"]),
    ] {
        assert_eq!(read(&body).1, expected, "{body}");
    }
}

#[test]
fn what_is_shown_can_be_sent_back() {
    let spec = good();
    let mut body = masked(&spec, &TestKinds);
    let shown = body.to_string();
    assert!(!shown.contains("t0k3n") && !shown.contains("0123"), "{shown}");
    for (key, value) in [("id", json!("shop")), ("healthy", json!(true)), ("status", json!("HEALTHY"))] {
        body[key] = value;
    }
    let mut problems = Problems::new(None);
    let mut input =
        read_replacement(&body, &TestKinds, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(keep_secrets(&mut input, &spec), []);
    let mut back = input.settle(spec.cluster_id.clone(), NOW);
    back.created_at = spec.created_at;
    assert_eq!(back, spec);
}

#[test]
fn a_mask_without_a_secret_is_told() {
    let body = json!({ "name": "Shop", "services": { "new": { "type": "net", "host": "h", "password": "***" }, "web": { "type": "net", "host": "h", "token": "***" } } });
    let mut problems = Problems::new(None);
    let mut input = read_replacement(&body, &TestKinds, &mut problems).unwrap();
    let told: Vec<String> = keep_secrets(&mut input, &good()).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "services.new.password: is the mask `***`, and there is no secret that it could keep",
            "services.web.token: is the mask `***`, and there is no secret that it could keep",
        ]
    );
}

/// Keys that a spec writes when everything in it is set, against its table.
#[test]
fn tables_and_specs_have_the_same_keys() {
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let table = |fields: &[Field], also: &[&str]| {
        fields
            .iter()
            .filter(|field| field.later.is_none() && !also.contains(&field.name))
            .map(|field| field.name.to_owned())
            .collect::<Vec<_>>()
    };
    let same = |mut spec: Vec<String>, mut table: Vec<String>| {
        spec.sort();
        table.sort();
        assert_eq!(spec, table);
    };
    let routing = RoutingSpec { per_try: Some(crate::Span::secs(1)), ..RoutingSpec::default() };
    same(keys(json!(routing.circuit_breaker)), table(BREAKER, &[]));
    same(keys(json!(routing)), table(ROUTING, &[]));
    same(keys(json!(HealthSpec::default())), table(HEALTH, &[]));
    same(keys(json!(HealthSpec::default())), table(SERVICE_HEALTH, &[]));
    same(keys(json!(OutlierSpec::default())), table(OUTLIER, &[]));
    let hedge = crate::route::HedgeSpec { after: crate::Span::secs(1) };
    same(keys(json!(hedge)), table(HEDGE, &[]));
    let per_try = Some(crate::Span::secs(1));
    let retry = RetrySpec { per_try, hedge: Some(hedge), ..RetrySpec::default() };
    same(keys(json!(retry)), table(RETRY, &[]));
    let endpoint = crate::EndpointSpec { host: "h".into(), port: 1, weight: 1, role: crate::Role::Primary };
    same(keys(json!(endpoint)), table(ENDPOINT, &[]));

    let mut spec = good();
    let mut route = (*spec.routes[1]).clone();
    route.methods = vec!["GET".to_owned()];
    route.query = route.headers.clone();
    route.strip_prefix = true;
    route.listener = Some("clear".into());
    route.timeout = Some(crate::Span::secs(1));
    route.strategy = Some(crate::Strategy::Weighted);
    route.rate_limit = Some(serde_json::from_value(json!({ "requests": 1, "burst": 1 })).unwrap());
    set_parts(&mut route);
    same(keys(json!(route)), table(ROUTE, &[]));
    same(keys(json!(route.split[0])), table(SPLIT, &[]));
    same(keys(json!(route.mirror)), table(MIRROR, &[]));
    same(keys(json!(route.redirect)), table(REDIRECT, &[]));
    same(keys(json!(route.respond)), table(RESPOND, &[]));
    same(keys(json!(route.request_headers)), table(HEADERS, &[]));
    same(keys(json!(route.affinity)), table(AFFINITY, &[]));
    same(keys(json!(route.fallback)), table(FALLBACK, &[]));
    spec.description = "d".to_owned();
    // Read from older files and not part of the spec.
    same(keys(json!(spec)), table(CLUSTER, &["updated_at", "ai"]));

    let mut service = ServiceSpec::of_kind("net");
    service.provision = Some(crate::service::Provision::Asked(true));
    service.run = Some(crate::RunSpec {
        image: Some("i".to_owned()),
        env: [("A".to_owned(), "b".to_owned())].into(),
        memory: Some(crate::size::Size(1 << 30)),
        cpus: Some(0.5),
        bind: Some(std::net::Ipv4Addr::LOCALHOST.into()),
    });
    same(keys(json!(service.run)), table(RUN, &[]));
    service.host = Some("h".to_owned());
    service.port = Some(1);
    service.weight = Some(1);
    service.endpoints = vec![endpoint.clone()];
    service.replicas = vec![endpoint];
    service.username = Some("u".to_owned());
    service.password = Some(crate::Secret::new("p"));
    service.database = Some("d".to_owned());
    service.container_id = Some("c".to_owned());
    service.outlier = Some(OutlierSpec::default());
    // The service's own `health` lies over the cluster's and stays among its options.
    same(keys(json!(service)), table(SERVICE, &["health"]));
}

/// Everything that a route may say of what answers, though no route may say it all.
fn set_parts(route: &mut RouteSpec) {
    let pairs = || [("x-a".to_owned(), "b".to_owned())].into();
    let headers = HeadersSpec { add: pairs(), set: pairs(), remove: vec!["x-c".to_owned()] };
    let respond = RespondSpec { status: 200, body: "b".to_owned(), content_type: Some("t".to_owned()) };
    let text = || Some("x".to_owned());
    route.split = vec![PartSpec { service: "web".to_owned(), weight: 1 }];
    route.mirror = Some(Box::new(MirrorSpec { service: "web".to_owned(), share: 1.0 }));
    route.redirect = Some(Box::new(RedirectSpec {
        status: 307,
        to: text(),
        scheme: text(),
        host: text(),
        port: Some(1),
        path: text(),
    }));
    route.request_headers = Some(Box::new(headers.clone()));
    route.response_headers = Some(Box::new(headers));
    route.affinity = Some(Box::new(AffinitySpec {
        cookie: text(),
        ttl: Some(crate::Span::secs(1)),
        make: false,
        header: text(),
        query: text(),
        address: true,
    }));
    route.fallback = Some(Box::new(FallbackSpec { service: text(), respond: Some(respond.clone()) }));
    route.respond = Some(Box::new(respond));
}

/// The default of a table is the default of its struct.
#[test]
fn tables_and_specs_have_the_same_defaults() {
    let check = |fields: &[Field], spec: Value| {
        for field in fields.iter().filter(|field| field.later.is_none()) {
            let Some(default) = field.default else { continue };
            let alone = parse(&format!("{}: {default}\n", field.name)).unwrap();
            assert_eq!(canonical(&alone, fields, &TestKinds)[field.name], spec[field.name], "{}", field.name);
        }
    };
    let routing = RoutingSpec::default();
    check(BREAKER, json!(routing.circuit_breaker));
    check(ROUTING, json!(routing));
    check(HEALTH, json!(HealthSpec::default()));
    check(OUTLIER, json!(OutlierSpec::default()));
    check(RETRY, json!(RetrySpec::default()));
    let least = json!({ "host": "h", "port": 1, "service": "s", "path": "/", "id": "i" });
    check(ENDPOINT, json!(serde_json::from_value::<crate::EndpointSpec>(least.clone()).unwrap()));
    let mut route = json!(serde_json::from_value::<RouteSpec>(least).unwrap());
    // Written only when it is set.
    route["strip_prefix"] = false.into();
    check(ROUTE, route);
    let part = json!({ "service": "s" });
    check(SPLIT, json!(serde_json::from_value::<PartSpec>(part.clone()).unwrap()));
    check(MIRROR, json!(serde_json::from_value::<MirrorSpec>(part).unwrap()));
    check(REDIRECT, json!(RedirectSpec::default()));
    check(RESPOND, json!(RespondSpec::default()));
    let mut affinity = json!(AffinitySpec::default());
    affinity["make"] = true.into();
    affinity["address"] = false.into();
    check(AFFINITY, affinity);
}

proptest! {
    /// Whatever is done to a good file, reading it answers or tells, and never panics.
    #[test]
    fn no_mutation_makes_it_panic(cuts in prop::collection::vec((0..GOOD.len(), 0..12_usize, "[-:#{}\\[\\] a-z0-9\n\"'$*/]{0,6}"), 1..5)) {
        let mut text = GOOD.to_owned();
        for (at, length, with) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &with);
        }
        let mut problems = Problems::new(None);
        if let Ok(mut node) = parse(&text) {
            crate::expand::expand(&mut node, &|name| Some(name.to_owned()), &mut problems);
            let input = read_cluster(&node, &TestKinds, &mut problems);
            prop_assert_eq!(input.is_none(), !problems.is_empty());
            prop_assert!(!problems.into_vec().iter().any(|problem| problem.message.starts_with("cannot be read")), "{}", text);
        }
    }

    /// Any value at all in the place of any key: told, or read.
    #[test]
    fn no_body_makes_it_panic(value in crate::yaml::tests::any_value(), key in 0..CLUSTER.len()) {
        let mut body = creation();
        body[CLUSTER[key].name] = value.clone();
        if let Some(services) = body["services"].as_object_mut() {
            services.insert("x".to_owned(), value);
        }
        let mut problems = Problems::new(None);
        let _ = read_creation(&body, &TestKinds, &mut problems);
        prop_assert!(!problems.into_vec().iter().any(|problem| problem.message.starts_with("cannot be read")), "{}", body);
    }
}
