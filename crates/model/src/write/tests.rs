//! Specs to files: what changes in the text for what changed in the spec.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cluster_fields::{HEALTH, OUTLIER, RETRY, ROUTING};
use crate::field::Field;
use crate::testing::{GOOD, TestKinds};

fn env(name: &str) -> Option<String> {
    (name == "PW").then(|| "0123".to_owned())
}

fn spec_of(text: &str) -> ClusterSpec {
    let mut problems = Problems::default();
    let mut node = parse(text).unwrap();
    expand(&mut node, &env, &mut problems);
    let input = read_cluster(&node, &TestKinds, &mut problems);
    let input = input.unwrap_or_else(|| panic!("{problems:?} {text}"));
    input.settle("shop".parse().unwrap(), "2024-01-01T00:00:00Z".parse().unwrap())
}

/// The lines that go and come when the good file is written with a changed spec.
fn lines(change: impl FnOnce(&mut ClusterSpec)) -> (Vec<String>, Vec<String>) {
    let present = GOOD.replace("password: 0123", "password: ${PW}   # secret");
    let mut spec = spec_of(&present);
    change(&mut spec);
    let text = file_text(&spec, Some(&present), &TestKinds, &env);
    assert_eq!(spec_of(&text), spec);
    let only = |own: &str, other: &str| -> Vec<String> {
        own.lines().filter(|line| !other.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    (only(&present, &text), only(&text, &present))
}

fn check(change: impl FnOnce(&mut ClusterSpec), gone: &[&str], come: &[&str]) {
    let (own_gone, own_come) = lines(change);
    assert_eq!(
        (own_gone, own_come),
        (gone.iter().map(ToString::to_string).collect(), come.iter().map(ToString::to_string).collect())
    );
}

#[test]
fn the_same_spec_is_the_same_text() {
    assert_eq!(file_text(&spec_of(GOOD), Some(GOOD), &TestKinds, &env), GOOD);
    check(|_| {}, &[], &[]);
}

#[test]
fn only_what_changed_is_written() {
    check(
        |spec| spec.name = "Store".to_owned(),
        &["name: Shop   # for people"],
        &["name: Store   # for people"],
    );
    check(
        |spec| spec.routing.circuit_breaker.trials = 5,
        &["  circuit_breaker: { enabled: true, reset_timeout: 60 }"],
        &["  circuit_breaker: { enabled: true, reset_timeout: 60, trials: 5 }"],
    );
    check(|spec| spec.routing.retry_attempts = 1, &[], &["  retry_attempts: 1"]);
    check(
        |spec| spec.services[1].1.password = Some(crate::Secret::new("$${x}")),
        &["    password: ${PW}   # secret"],
        &["    password: $$$${x}   # secret"],
    );
    check(|spec| spec.services[1].1.port = Some(701), &[], &["    port: 701"]);
    check(|spec| spec.services[1].1.replicas[0].weight = 2, &[], &["        weight: 2"]);
    check(
        |spec| Arc::make_mut(&mut spec.routes[0]).path = "/v2/*".to_owned(),
        &[
            "  - { id: api, path: \"/api/*\", service: web, methods: [get, POST], timeout: 10, strategy: least_connections }",
        ],
        &[
            "  - { id: api, path: \"/v2/*\", service: web, methods: [get, POST], timeout: 10, strategy: least_connections }",
        ],
    );
}

#[test]
fn an_id_that_was_made_is_written_when_its_path_changes() {
    check(
        |spec| Arc::make_mut(&mut spec.routes[1]).path = "/people/:id".to_owned(),
        &["  - path: /users/:id"],
        &["  - path: /people/:id", "    id: shop-shop-example-users-id"],
    );
}

#[test]
fn things_come_and_go() {
    check(
        |spec| {
            let service = crate::ServiceSpec::of_kind("mem");
            spec.services.push(("more".to_owned(), service));
        },
        &[],
        &["  more:"],
    );
    check(
        |spec| drop(spec.routes.remove(0)),
        &[
            "  - { id: api, path: \"/api/*\", service: web, methods: [get, POST], timeout: 10, strategy: least_connections }",
        ],
        &[],
    );
    check(|spec| drop(spec.services.remove(2)), &["  cache:", "    type: mem", "    provision: true"], &[]);
}

#[test]
fn a_new_file_says_what_differs_from_the_defaults() {
    let spec = spec_of(
        "name: Shop\nservices:\n  db:\n    type: net\n    host: h\n    password: p\nroutes:\n  - { path: /, service: db, methods: [get] }\nrouting: { timeout_ms: 100 }\n",
    );
    let text = file_text(&spec, None, &TestKinds, &env);
    assert_eq!(
        text,
        "cluster_id: shop\nname: Shop\ncreated_at: 2024-01-01T00:00:00Z\nservices:\n  db:\n    type: net\n    host: h\n    port: 700\n    password: p\nroutes:\n  - id: shop-get\n    service: db\n    path: /\n    methods:\n      - GET\nrouting:\n  timeout_ms: 100\n"
    );
    assert_eq!(spec_of(&text), spec);
    assert_eq!(file_text(&spec, Some("a: ["), &TestKinds, &env), text);
}

/// Values that a shape takes.
fn valid(shape: Shape) -> BoxedStrategy<Json> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Json::from).boxed(),
        Shape::Integer(least, most) => (least..=most).prop_map(Json::from).boxed(),
        Shape::Number(least, most) => (least..=most).prop_map(Json::from).boxed(),
        Shape::SpanFrom(least) => {
            let millis = (least..least + 100_000).prop_map(|n| format!("{n}ms").into());
            prop_oneof![millis, (1..100_i64).prop_map(Json::from)].boxed()
        }
        Shape::Choice(words) => {
            let words: Vec<&str> =
                words.iter().filter(|word| word.later.is_none()).map(|word| word.text).collect();
            prop::sample::select(words).prop_map(Json::from).boxed()
        }
        Shape::List(inner) => prop::collection::vec(valid(*inner), 0..3).prop_map(Json::from).boxed(),
        Shape::Fields(fields) => some_of(fields),
        shape => panic!("no values of {shape:?} are made here"),
    }
}

fn some_of(fields: &'static [Field]) -> BoxedStrategy<Json> {
    let built = fields.iter().filter(|field| field.later.is_none());
    let entries: Vec<_> = built
        .map(|field| {
            let value = valid(field.shape);
            let value =
                if field.required { value.prop_map(Some).boxed() } else { prop::option::of(value).boxed() };
            value.prop_map(|value| (field.name.to_owned(), value))
        })
        .collect();
    entries
        .prop_map(|all| {
            Json::Object(all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
        })
        .boxed()
}

/// Cluster files without a fault.
fn any_file() -> impl Strategy<Value = Json> {
    let text = "[a-z][a-z $#:{}'\"0-9]{0,12}[a-z]";
    let service = prop_oneof![
        Just(json!({ "type": "mem" })),
        (text, 1..5_u16, some_of(HEALTH)).prop_map(|(password, port, health)| {
            json!({ "type": "net", "host": "h", "port": port, "password": password, "health": health })
        }),
        (prop::collection::btree_set(1..6_u16, 1..4), some_of(OUTLIER)).prop_map(|(ports, outlier)| {
            let endpoints: Vec<Json> =
                ports.iter().map(|port| json!({ "host": "h", "port": port })).collect();
            json!({ "type": "bare", "endpoints": endpoints, "outlier": outlier })
        }),
    ];
    let route = (1..9_u32, some_of(RETRY), prop::option::of("[a-z]{1,3}")).prop_map(|(n, mut retry, id)| {
        if retry["attempts"] == 1 {
            retry["hedge"] = Json::Null;
        }
        (n, json!({ "id": id, "path": format!("/{n}"), "service": "a", "retry": retry }))
    });
    let services = prop::collection::btree_map("[a-c]", service, 0..4);
    let routes = prop::collection::vec(route, 0..4);
    (text, services, routes, some_of(ROUTING), some_of(HEALTH)).prop_map(|(name, mut services, routes, routing, health)| {
        services.insert("a".to_owned(), json!({ "type": "mem" }));
        let (mut paths, mut ids) = (Vec::new(), Vec::new());
        let routes: Vec<Json> = routes
            .into_iter()
            .filter(|(n, route)| {
                let is_new = !paths.contains(n) && (route["id"].is_null() || !ids.contains(&route["id"]));
                paths.push(*n);
                ids.push(route["id"].clone());
                is_new
            })
            .map(|(_, route)| route)
            .collect();
        json!({ "name": name, "services": services, "routes": routes, "routing": routing, "health": health })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a file said and whatever a spec says now: the text reads back as the spec.
    #[test]
    fn what_is_written_is_the_spec(old in any_file(), new in any_file()) {
        let (old, new) = (emit(&escape(&old)), spec_of(&emit(&escape(&new))));
        prop_assert_eq!(&spec_of(&file_text(&new, None, &TestKinds, &env)), &new);
        let text = file_text(&new, Some(&old), &TestKinds, &env);
        prop_assert_eq!(spec_of(&text), new, "{}", text);
        prop_assert_eq!(file_text(&spec_of(&old), Some(&old), &TestKinds, &env), old);
    }
}

/// What routes say of what answers survives an edit as it was written, and a file that is made anew.
#[test]
fn everything_that_routes_say_is_kept() {
    let text = r#"services: { web: { type: mem }, canary: { type: mem } }
routes:
  # Most of it to web.
  - { id: a, path: "/a/{x}/*", split: [{ service: web, weight: 9 }, { service: canary }], affinity: { cookie: C, ttl: 60 } }
  - { id: b, path: /b, redirect: { scheme: https } }
  - id: c
    path: /c
    respond: { body: "x: y" } # said so
    response_headers: { set: { x-a: 1 }, remove: [server] }
  - { id: d, path: /d, service: web, mirror: { service: canary, share: 0.5 }, fallback: { respond: { status: 503 } }, strategy: consistent_hash }
"#;
    let spec = spec_of(text);
    assert_eq!(file_text(&spec, Some(text), &TestKinds, &env), text);
    let anew = file_text(&spec, None, &TestKinds, &env);
    assert_eq!(spec_of(&anew).routes, spec.routes, "{anew}");
    let mut changed = spec.clone();
    Arc::make_mut(&mut changed.routes[0]).split[0].weight = 8;
    let edited = file_text(&changed, Some(text), &TestKinds, &env);
    assert_eq!(edited, text.replace("weight: 9", "weight: 8"));
}
