//! Wrong documents and the exact words in which each is told.

use super::*;
use crate::cluster_fields::CLUSTER;
use crate::testing::{GOOD, TestKinds, lines};
use crate::yaml::parse;

fn told(text: &str) -> Vec<String> {
    let mut problems = Problems::new(None);
    let node = match parse(text) {
        Ok(node) => node,
        Err(found) => panic!("{text}: {found:?}"),
    };
    walk(&node, CLUSTER, &TestKinds, "", &mut problems);
    lines(problems)
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(told(text), expected, "{text}");
}

#[test]
fn a_good_file_has_no_problem() {
    check(GOOD, &[]);
    check("", &[]);
    check("services:\nroutes:\nname: ~\n", &[]);
}

/// A document, and what is told of it.
const WRONG: &[(&str, &[&str])] = &[
    (
        "nmae: x\nzzz: 1\nx-mine: 1\n",
        &[
            "1:1: nmae: is not a known key (did you mean `name`?)",
            "2:1: zzz: is not a known key (known are `cluster_id`, `name`, `description`, `created_at`, `updated_at`, `services`, `routes`, `routing`, `health`, `ai`)",
        ],
    ),
    ("- a\n", &["1:1: must be a mapping, not a list"]),
    (
        "name: [a]\ndescription: true\n",
        &[
            "1:7: name: must be a text, not a list",
            "2:14: description: must be a text, not `true` (put it in quotes)",
        ],
    ),
    (
        "health: { enabled: yes, interval: soon, timeout: 0, threshold: 0 }\n",
        &[
            "1:20: health.enabled: must be `true` or `false`, not the text `yes` (write `true`)",
            "1:35: health.interval: is wrong: `soon` is not a duration such as `10s`, `500ms` or `5m`",
            "1:50: health.timeout: must be at least 1ms",
            "1:64: health.threshold: must be a whole number from 1 to 100, not `0`",
        ],
    ),
    (
        "health: { interval: 10m, threshold: \"3\" }\n",
        &[
            "1:37: health.threshold: must be a whole number from 1 to 100, not the text `3` (take the quotes away)",
        ],
    ),
    (
        "routing: { retry_budget: 1.5, strategy: round-robin, timeout_ms: 1.5 }\n",
        &[
            "1:26: routing.retry_budget: must be a number from 0 to 1, not `1.5`",
            "1:41: routing.strategy: must be one of `round_robin`, `weighted`, `least_connections`, `two_choices`, `latency`, `hash`, `consistent_hash`, `sticky_session`, not the text `round-robin` (did you mean `round_robin`?)",
            "1:66: routing.timeout_ms: must be a whole number from 1 to 86400000, not `1.5`",
        ],
    ),
    (
        "routing: { strategy: ai }\n",
        &["1:22: routing.strategy: `ai` is not built yet: waits for the adaptive strategy"],
    ),
    (
        "routing: { strategy: fastest }\n",
        &[
            "1:22: routing.strategy: must be one of `round_robin`, `weighted`, `least_connections`, `two_choices`, `latency`, `hash`, `consistent_hash`, `sticky_session`, not the text `fastest`",
        ],
    ),
    (
        "routing: 5\nhealth: [1]\nservices: x\n",
        &[
            "1:10: routing: must be a mapping, not `5`",
            "2:9: health: must be a mapping, not a list",
            "3:11: services: must be a mapping, not the text `x`",
        ],
    ),
    (
        "ai: { enabled: true, model: other }\n",
        &[
            "1:7: ai.enabled: `enabled` is not built yet: waits for the adaptive strategy",
            "1:22: ai.model: `model` is not built yet: waits for the adaptive strategy",
        ],
    ),
    (
        "cluster_id: Not_One\ncreated_at: yesterday\n",
        &[
            "1:13: cluster_id: `Not_One` is not a cluster id: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
            "2:13: created_at: must be a time such as `2026-01-31T12:00:00Z`, not the text `yesterday`",
        ],
    ),
    (
        "routes:\n  - path: api\n  - service: a\n    path: /x\n    split: x\n    listener: Y\n    affinity: ~\n",
        &[
            "2:11: routes[0].path: must begin with `/` (write `/api`)",
            "5:12: routes[1].split: must be a list, not the text `x`",
            "6:15: routes[1].listener: is not a name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
        ],
    ),
    (
        "routes:\n  - { path: /, service: A b, methods: GET }\n",
        &[
            "2:25: routes[0].service: is not a name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
            "2:39: routes[0].methods: must be a list, not the text `GET`",
        ],
    ),
    (
        "services: { A: { type: mem }, b: ~, c: 5, d: {} }\n",
        &[
            "1:13: services.A: is not a name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
            "1:31: services.b: must be a mapping, not nothing",
            "1:40: services.c: must be a mapping, not `5`",
            "1:46: services.d.type: is required (one of `net`, `bare`, `mem`)",
        ],
    ),
    (
        "services:\n  a: { type: mme }\n  b: { type: soon, host: h, prt: 1 }\n  c: { type: other, host: 'http://x' }\n  d: { type: 5 }\n",
        &[
            "2:14: services.a.type: `mme` is not a kind (did you mean `mem`?)",
            "3:14: services.b.type: the kind `soon` is not built yet: waits for part 9",
            "4:14: services.c.type: `other` is not a kind (one of `net`, `bare`, `mem`)",
            "4:27: services.c.host: is a URL; a host is only a name or an address (write `x`)",
            "5:14: services.d.type: must be the name of a kind, not `5`",
        ],
    ),
    (
        "services:\n  a: { type: mem, host: h, port: 1, endpoints: [], provision: docker }\n",
        &[
            "2:19: services.a.host: means nothing for `mem`, which lives inside the gateway (take it away)",
            "2:28: services.a.port: means nothing for `mem`, which lives inside the gateway (take it away)",
            "2:37: services.a.endpoints: means nothing for `mem`, which lives inside the gateway (take it away)",
            "2:63: services.a.provision: `mem` lives inside the gateway and is not run by anything else (take it away)",
        ],
    ),
    ("services:\n  a: { type: mem, provision: false }\n", &[]),
    (
        "services:\n  a: { type: net, port: 7 }\n  b: { type: net, provision: process, port: 7 }\n  c: { type: net, provision: true, host: localhost, port: 7, run: { bind: 0.0.0.0 } }\n  d: { type: net, port: 8 }\n",
        &[
            "3:45: services.b.port: is that of `a`, which the gateway runs too (write another one; without `port` the gateway takes one that is free)",
            "4:59: services.c.port: is that of `a`, which the gateway runs too (write another one; without `port` the gateway takes one that is free)",
        ],
    ),
    // At another port, run by somebody else, or wherever there is room.
    (
        "services:\n  a: { type: net, port: 7 }\n  b: { type: net, port: 8 }\n  c: { type: net, host: localhost, port: 7 }\n  d: { type: bare, host: localhost, port: 7 }\n  e: { type: net }\n  f: { type: net }\n",
        &[],
    ),
    (
        "services:\n  a: { type: net }\n  b: { type: net, provision: false }\n  c: { type: net, provision: true, port: 1 }\n  d: { type: net, provision: doker, host: h }\n  e: { type: bare }\n  f: { type: bare, provision: docker }\n",
        &[
            "3:6: services.b: needs a `host` or `endpoints`, since `provision` is false",
            "5:30: services.d.provision: must be one of `docker`, `process`, not the text `doker` (did you mean `docker`?)",
            "6:6: services.e: has no `host`, and `bare` services are not run by the gateway (start it yourself, and write its `host` and `port`)",
            "7:31: services.f.provision: asks the gateway to run it, and `bare` services are not run by the gateway (start it yourself, and write its `host` and `port`)",
        ],
    ),
    (
        "services:\n  a: { type: net, provision: true, host: h, port: 1 }\n  b: { type: net, provision: true, host: localhost, port: 1 }\n  c: { type: net, provision: docker, host: localhost }\n  d: { type: net, provision: true, endpoints: [{ host: localhost }] }\n  e: { type: bare, provision: true, host: localhost, port: 1 }\n",
        &[
            "2:30: services.a.provision: contradicts `host`: a service that has an address is connected to (take `provision` away, or the address)",
            "4:30: services.c.provision: contradicts `host`: a service that has an address is connected to (take `provision` away, or the address)",
            "5:30: services.d.provision: contradicts `endpoints`: a service that has an address is connected to (take `provision` away, or the address)",
            "6:31: services.e.provision: asks the gateway to run it, and `bare` services are not run by the gateway (start it yourself, and write its `host` and `port`)",
        ],
    ),
    (
        "services:\n  a: { type: net, weight: 0 }\n  b: { type: net, replicas: [{ host: h }] }\n  c: { type: net, password: \"a\\nb\" }\n",
        &[
            "2:6: services.a: every endpoint has weight 0, so none would ever be asked",
            "3:29: services.b.replicas: stand beside a service that the gateway runs, which is one server (take them away, or start the servers yourself and write their addresses)",
            "4:29: services.c.password: holds a control character, which the server's own files have no room for",
        ],
    ),
    (
        "services:\n  a: { type: net, run: { image: 'redis:7 alpine', memory: 1mb, cpus: 0, bind: 10.0.0.1, env: { 1A: b, B: [] } } }\n  b: { type: net, run: { memory: much, imag: x } }\n  c: { type: net, provision: process, run: { image: a/b:c, memory: 512mb, cpus: 0.5, bind: 0.0.0.0 } }\n",
        &[
            "2:33: services.a.run.image: is not the name of an image (write it as `registry.example/name:tag`)",
            "2:59: services.a.run.memory: must be at least `6mb`",
            "2:70: services.a.run.cpus: must be a number from 0.01 to 1024, not `0`",
            "2:79: services.a.run.bind: must be one of `127.0.0.1`, `0.0.0.0`, not the text `10.0.0.1` (did you mean `127.0.0.1`?)",
            "2:96: services.a.run.env.1A: is not a name of the environment: letters, digits and `_`, not a digit first",
            "2:106: services.a.run.env.B: must be a text, not a list",
            "3:34: services.b.run.memory: `much` is not a size such as `64mb`, `1gb` or a number of bytes",
            "3:40: services.b.run.imag: is not a known key (did you mean `image`?)",
            "4:53: services.c.run.image: is of a container, and a process has none (take it away, or write `provision: docker`)",
            "4:68: services.c.run.memory: is of a container, and a process has none (take it away, or write `provision: docker`)",
            "4:81: services.c.run.cpus: is of a container, and a process has none (take it away, or write `provision: docker`)",
        ],
    ),
    (
        "services:\n  a: { type: net, host: h, run: {} }\n  b: { type: bare, host: h, port: 1, run: {} }\n  c: { type: mem, run: {} }\n",
        &[
            "2:33: services.a.run: says how the gateway runs it; a service that has an address is connected to (take `run` away, or the address)",
            "3:38: services.b.run: means nothing for `bare`, which is not run by the gateway (take it away)",
            "4:19: services.c.run: means nothing for `mem`, which lives inside the gateway (take it away)",
        ],
    ),
    (
        "services:\n  a: { type: bare, host: h }\n  b: { type: bare, endpoints: [{ host: h }] }\n  c: { type: net, host: h, endpoints: [{ host: i }] }\n",
        &[
            "2:6: services.a.port: is required",
            "3:32: services.b.endpoints[0].port: is required",
            "4:39: services.c.endpoints: stands beside `host`; a service has the one or the other (move `h` into `endpoints`)",
        ],
    ),
    (
        "services:\n  a: { type: net, endpoints: [{ host: h, port: 700 }, { host: H }] }\n  b: { type: net, host: h, replicas: [{ host: h }] }\n",
        &[
            "2:63: services.a.endpoints[1]: has the address of `services.a.endpoints[0]`, h:700",
            "3:47: services.b.replicas[0]: has the address of `services.b`, h:700",
        ],
    ),
    (
        "services:\n  a: { type: net, endpoints: [{ host: h, weight: 0 }] }\n  b: { type: net, host: h, weight: 1001 }\n  c: { type: net, endpoints: [{ host: h, weight: 9223372036854775807 }, { host: i, weight: 9223372036854775807 }] }\n",
        &[
            "2:6: services.a: every endpoint has weight 0, so none would ever be asked",
            "3:36: services.b.weight: must be a whole number from 0 to 1000, not `1001`",
            "4:50: services.c.endpoints[0].weight: must be a whole number from 0 to 1000, not `9223372036854775807`",
            "4:92: services.c.endpoints[1].weight: must be a whole number from 0 to 1000, not `9223372036854775807`",
        ],
    ),
    (
        "services:\n  a: { type: net, port: 5, endpoints: [{ host: h }], replicas: [{ host: i }] }\n  b: { type: net, host: h, replicas: [{ host: i, role: primary }] }\n",
        &[
            "2:25: services.a.port: stands beside `endpoints`; each of them has its own",
            "2:64: services.a.replicas: stands beside `endpoints`; each of them has its own",
            "3:56: services.b.replicas[0].role: a replica is not a primary (write all endpoints under `endpoints`, each with its role)",
        ],
    ),
    (
        "services:\n  a: { type: net, host: 'h:5', port: 70000, password: [s3cret], token: { a: s3cret } }\n",
        &[
            "2:25: services.a.host: has its port in it (write `h`, and `5` under `port`)",
            "2:38: services.a.port: must be a whole number from 1 to 65535, not `70000`",
            "2:55: services.a.password: must be a text, not a list",
            "2:72: services.a.token: must be a text, not a mapping",
        ],
    ),
    (
        "services:\n  a: { type: net, host: h, mode: safe, pool: { max: 0, mx: 1 } }\n",
        &[
            "2:34: services.a.mode: `safe` needs a `token`",
            "2:53: services.a.pool.max: must be a whole number from 1 to 100, not `0`",
            "2:56: services.a.pool.mx: is not a known key (did you mean `max`?)",
        ],
    ),
    (
        "services:\n  a: { type: net, host: h, mode: safe }\n",
        &["2:34: services.a.mode: `safe` needs a `token`"],
    ),
    (
        "services:\n  a:\n    port:6379\n",
        &["3:5: services.a: must be a mapping, not the text `port:6379` (put a space after the colon)"],
    ),
    (
        "services:\n  a: { type: mem, password: p, database: d }\n",
        &[
            "2:19: services.a.password: means nothing for `mem`, which has no such key (take it away)",
            "2:32: services.a.database: means nothing for `mem`, which has no such key (take it away)",
        ],
    ),
];

#[test]
fn every_fault_is_told_at_its_place() {
    for (text, expected) in WRONG {
        check(text, expected);
    }
}

#[test]
fn aliases_and_alternatives() {
    use crate::field::{Field, Shape, field, word};
    const FIELDS: &[Field] = &[
        field("read_timeout", Shape::Span, "Time.").aliases(&["readTimeout", "timeout"]).required(),
        field("limit", Shape::AnyOf(&[Shape::Integer(1, 9), Shape::Choice(&[word("none")])]), "A limit."),
        field("level", Shape::Choice(&[word("1.2"), word("1.3")]), "A level.").default("1.2"),
        field("names", Shape::MapOf(&Shape::Text), "Names."),
    ];
    let read = |text: &str| {
        let node = parse(text).unwrap();
        let mut problems = Problems::new(None);
        walk(&node, FIELDS, &TestKinds, "proxy", &mut problems);
        (canonical(&node, FIELDS, &TestKinds), lines(problems))
    };
    let (json, told) = read("readTimeout: 5\nlimit: none\nlevel: 1.3\nnames: { a: 007 }\nx-y: 1\n");
    assert_eq!(told, [""; 0]);
    assert_eq!(
        json,
        serde_json::json!({ "read_timeout": "5s", "limit": "none", "level": "1.3", "names": { "a": "007" } })
    );
    for (text, expected) in [
        (
            "timeout: 5\nread_timeout: 5\n",
            "2:1: proxy.read_timeout: says the same as `timeout`; write one of them",
        ),
        ("timout: 5\ntimeout: 1\n", "1:1: proxy.timout: is not a known key (did you mean `timeout`?)"),
        ("limit: 3\n", "1:1: proxy.read_timeout: is required (time)"),
        ("timeout: 1\nlimit: 10\n", "2:8: proxy.limit: must be a whole number from 1 to 9, not `10`"),
        (
            "timeout: 1\nlimit: nome\n",
            "2:8: proxy.limit: must be `none`, not the text `nome` (did you mean `none`?)",
        ),
        (
            "timeout: 1\nlimit: []\n",
            "2:8: proxy.limit: must be a whole number from 1 to 9, or `none`, not a list",
        ),
        (
            "timeout: 1\nlevel: 1.4\n",
            "2:8: proxy.level: must be one of `1.2`, `1.3`, not `1.4` (did you mean `1.2`?)",
        ),
    ] {
        assert_eq!(read(text).1, [expected], "{text}");
    }
}
