//! Kinds of service that exist only in tests: at a host and port, one of them run by the gateway, and inside the process.

use serde_json::json;

use crate::check::Problems;
use crate::cluster_fields::{DATABASE, PASSWORD, USERNAME};
use crate::field::{Field, Shape, field, word};
use crate::kind::{Ability, KindCheck, Kinds, Place};
use crate::recipe::Runs;
use crate::tree::Node;

/// Knows `net`, `bare` and `mem`, and `mute`, which answers no requests and is not listed; `soon` waits for a later stage.
pub(crate) struct TestKinds;

struct Net {
    name: &'static str,
    port: Option<u16>,
}
struct Mem;

const NET: &[Field] = &[
    USERNAME,
    PASSWORD,
    DATABASE,
    field(
        "pool",
        Shape::Fields(&[field("max", Shape::Integer(1, 100), "The most.").default("10")]),
        "Connections.",
    ),
    field("token", Shape::Secret, "A token."),
    field("mode", Shape::Choice(&[word("fast"), word("safe")]), "How.").default("fast"),
    field("options", Shape::Any, "What the service itself takes."),
];

impl KindCheck for Net {
    fn name(&self) -> &'static str {
        self.name
    }
    fn place(&self) -> Place {
        Place::Network
    }
    fn default_port(&self) -> Option<u16> {
        self.port
    }
    fn fields(&self) -> &'static [Field] {
        NET
    }
    fn runs(&self) -> Option<Runs> {
        let kept = &["username", "password", "database"];
        let runs = Runs { port: 701, username: Some("root"), database: None, password: true, kept };
        (self.name == "net").then_some(runs)
    }
    fn check(&self, service: &Node, problems: &mut Problems) {
        if let Some(mode) = service.get("mode")
            && service.get("token").is_none()
            && mode.as_str() == Some("safe")
        {
            problems.at(mode, "mode", "`safe` needs a `token`");
        }
    }
}

impl KindCheck for Mem {
    fn name(&self) -> &'static str {
        "mem"
    }
    fn place(&self) -> Place {
        Place::Embedded
    }
    fn default_port(&self) -> Option<u16> {
        None
    }
    fn fields(&self) -> &'static [Field] {
        &[]
    }
}

impl Kinds for TestKinds {
    fn find(&self, name: &str) -> Option<&'static dyn KindCheck> {
        match name {
            "net" => Some(&Net { name: "net", port: Some(700) }),
            "bare" => Some(&Net { name: "bare", port: None }),
            "mute" => Some(&Net { name: "mute", port: Some(700) }),
            "mem" => Some(&Mem),
            _ => None,
        }
    }
    fn names(&self) -> Vec<&'static str> {
        vec!["net", "bare", "mem"]
    }
    fn can(&self, name: &str, ability: Ability) -> bool {
        ability == Ability::Http && name != "mute"
    }
    fn later(&self, name: &str) -> Option<&'static str> {
        (name == "soon").then_some("part 9")
    }
}

/// A cluster file with one of everything, which has no fault.
pub(crate) const GOOD: &str = r#"# The shop.
cluster_id: shop
name: Shop   # for people
created_at: 2024-01-01T00:00:00Z
updated_at: 2024-01-02T00:00:00Z
description: 'It''s a shop'
x-owner: { team: core }
services:
  web:
    type: bare
    endpoints:
      - { host: 127.0.0.1, port: 3000, weight: 2 }
      - { host: 127.0.0.1, port: 3001, role: readonly }
    health: { interval: 5s }
    outlier: { max_ejection: 2m }
  db:
    type: net
    host: db.internal     # no port: 700
    replicas:
      - host: db2.internal
    username: app
    password: 0123
    database: 1.10
    container_id: abc123
    token: t0k3n
    pool:
      max: 20
    options: { anything: [goes, 1] }
  cache:
    type: mem
    provision: true

routes:
  - { id: api, path: "/api/*", service: web, methods: [get, POST], timeout: 10, strategy: least_connections }
  - path: /users/:id
    service: web
    host: Shop.example
    headers: { x-tenant: 7 }
    rewrite: /people/:id
    retry: { attempts: 2, on: [connect] }
routing:
  strategy: round_robin
  timeout_ms: 5000
  circuit_breaker: { enabled: true, reset_timeout: 60 }
health: { enabled: true, interval: 10, timeout: 5, threshold: 3 }
ai: { enabled: false, model: linear_regression, min_data_points: 100, update_interval: 300, features: [latency, load, error_rate] }
"#;

/// Every problem as one line.
pub(crate) fn lines(problems: Problems) -> Vec<String> {
    problems.into_vec().iter().map(ToString::to_string).collect()
}

/// A body that creates a cluster.
pub(crate) fn creation() -> serde_json::Value {
    json!({ "name": "Shop", "services": { "db": { "type": "net", "host": "h", "password": "p", "token": "t" } } })
}
