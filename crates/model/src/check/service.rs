//! A service against its kind: the common keys and the driver's, and the rules of where a service is.

use super::provision::is_provisioned;
use super::walk::{Walk, find};
use super::{Problems, step};
use crate::cluster_fields::SERVICE;
use crate::field::Field;
use crate::kind::{KindCheck, Place};
use crate::suggest::{listed, nearest};
use crate::tree::{Node, Value};

/// Keys that say where a service is; one that lives in this process has none of them.
const OF_THE_NETWORK: [&str; 6] = ["host", "port", "weight", "endpoints", "replicas", RUN];

/// The key that says how a service is run.
pub(super) const RUN: &str = "run";

/// Keys that not every kind heeds: a kind has those that its own table lists.
const OF_SOME_KINDS: [&str; 3] = ["username", "password", "database"];

/// What is said of a service whose endpoints all have weight 0.
pub(super) const NEVER_ASKED: &str = "every endpoint has weight 0, so none would ever be asked";

/// The keys of a service of this kind, with those that it refuses. Where the driver knows a common key better,
/// its own row counts.
pub(crate) fn service_fields(kind: &dyn KindCheck) -> Vec<&'static Field> {
    let own: Vec<&'static Field> = kind.fields().iter().collect();
    let common = SERVICE.iter().filter(|field| find(&own, field.name).is_none());
    common.chain(kind.fields()).collect()
}

/// The keys of a service of this kind, without those that it refuses: what an editor or a form may offer.
pub(crate) fn offered_fields(kind: &dyn KindCheck) -> Vec<&'static Field> {
    let own: Vec<&Field> = kind.fields().iter().collect();
    let is_refused = |name: &str| {
        let is_elsewhere = kind.place() == Place::Embedded && OF_THE_NETWORK.contains(&name);
        let is_run_elsewhere = name == RUN && kind.runs().is_none();
        (is_elsewhere || is_run_elsewhere || OF_SOME_KINDS.contains(&name)) && find(&own, name).is_none()
    };
    service_fields(kind).into_iter().filter(|field| !is_refused(field.name)).collect()
}

/// The value of a key that is there and says something.
pub(crate) fn said<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|value| !value.is_null())
}

/// The endpoints of a service that lists any.
pub(super) fn said_endpoints(node: &Node) -> Option<&Node> {
    said(node, "endpoints").filter(|list| !list.items().is_empty())
}

/// Whether two paths below this one are the same, or one lies in the other.
fn touches(a: &str, b: &str, below: &str) -> bool {
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    (a == b || (a != below && b != below)) && (holds(a, b) || holds(b, a))
}

impl Walk<'_> {
    pub(super) fn service(&mut self, node: &Node, path: &str) {
        if !matches!(node.value, Value::Map(_)) {
            return self.wrong(node, "a mapping", path);
        }
        let Some(kind) = self.kind(node, path) else {
            // Which other keys there may be, nobody knows; the common ones are checked all the same.
            let common: Vec<&Field> = SERVICE.iter().filter(|field| field.name != "type").collect();
            let known = node.entries().iter().filter(|entry| find(&common, &entry.key).is_some());
            let known = Node { value: Value::Map(known.cloned().collect()), ..node.clone() };
            return self.fields(&known, &common, path);
        };
        let before = self.problems.len();
        self.fields(node, &service_fields(kind), path);
        let malformed = self.problems.paths_from(before);
        let rules = self.problems.len();
        self.problems.within(path, |problems| kind.check(node, problems));
        self.refuse(node, &OF_SOME_KINDS, kind, "has no such key", path);
        match kind.place() {
            Place::Embedded => self.embedded(node, kind, path),
            Place::Network => self.network(node, kind, path),
        }
        // Of a key that is malformed, and of what it is in or holds, that is all there is to say.
        self.problems.forget_from(rules, |problem| malformed.iter().any(|of| touches(of, problem, path)));
    }

    fn kind(&mut self, node: &Node, path: &str) -> Option<&'static dyn KindCheck> {
        let inner = step(path, "type");
        let names = self.kinds.names();
        let Some(value) = said(node, "type") else {
            self.problems.at(node, &inner, "is required").suggestion =
                Some(format!("one of {}", listed(names.iter().copied())));
            return None;
        };
        let Some(name) = value.as_str() else {
            self.wrong(value, "the name of a kind", &inner);
            return None;
        };
        if let Some(kind) = self.kinds.find(name) {
            return Some(kind);
        }
        if let Some(waits_for) = self.kinds.later(name) {
            let message = format!("the kind `{name}` is not built yet: waits for {waits_for}");
            self.problems.at(value, &inner, message).not_built = true;
            return None;
        }
        let suggestion = match nearest(name, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of {}", listed(names.iter().copied())),
        };
        self.problems.at(value, &inner, format!("`{name}` is not a kind")).suggestion = Some(suggestion);
        None
    }

    /// Refuses these keys where the kind's own table does not list them.
    pub(super) fn refuse(&mut self, node: &Node, keys: &[&str], kind: &dyn KindCheck, why: &str, path: &str) {
        let own: Vec<&Field> = kind.fields().iter().collect();
        for entry in node.entries().iter().filter(|entry| !entry.node.is_null()) {
            if keys.contains(&entry.key.as_str()) && find(&own, &entry.key).is_none() {
                let message = format!("means nothing for `{}`, which {why}", kind.name());
                self.problems.add(&step(path, &entry.key), entry.key_at, message).suggestion =
                    Some("take it away".to_owned());
            }
        }
    }

    fn embedded(&mut self, node: &Node, kind: &dyn KindCheck, path: &str) {
        self.refuse(node, &OF_THE_NETWORK, kind, "lives inside the gateway", path);
        if let Some(by) = said(node, "provision").filter(|value| value.as_str().is_some()) {
            let message =
                format!("`{}` lives inside the gateway and is not run by anything else", kind.name());
            self.problems.at(by, &step(path, "provision"), message).suggestion =
                Some("take it away".to_owned());
        }
    }

    fn network(&mut self, node: &Node, kind: &dyn KindCheck, path: &str) {
        if is_provisioned(node) {
            return self.provisioned(node, kind, path);
        }
        if !self.is_connected_to(node, kind, path) {
            return;
        }
        let (host, endpoints) = (said(node, "host"), said_endpoints(node));
        if let (Some(host), Some(list)) = (host, endpoints) {
            self.problems
                .at(
                    list,
                    &step(path, "endpoints"),
                    "stands beside `host`; a service has the one or the other",
                )
                .suggestion = Some(format!("move `{}` into `endpoints`", host.as_text().unwrap_or_default()));
            return;
        }
        let mut found = Endpoints::default();
        if host.is_some() {
            found.one(node, path, kind, self.problems);
        } else {
            for key in ["port", "weight", "replicas"] {
                if let Some(value) = said(node, key) {
                    let message = "stands beside `endpoints`; each of them has its own";
                    self.problems.at(value, &step(path, key), message);
                }
            }
        }
        for key in ["replicas", "endpoints"] {
            for (index, item) in said(node, key).map(Node::items).unwrap_or_default().iter().enumerate() {
                let path = format!("{}[{index}]", step(path, key));
                found.one(item, &path, kind, self.problems);
                if key == "replicas" && said(item, "role").and_then(Node::as_str) == Some("primary") {
                    let role = item.get("role").unwrap_or(item);
                    self.problems.at(role, &step(&path, "role"), "a replica is not a primary").suggestion =
                        Some("write all endpoints under `endpoints`, each with its role".to_owned());
                }
            }
        }
        if found.weight == 0 && !found.addresses.is_empty() {
            self.problems.at(node, path, NEVER_ASKED);
        }
    }
}

/// The endpoints of one service as they are read, for what must hold between them.
#[derive(Default)]
struct Endpoints {
    addresses: Vec<(String, String)>,
    weight: i64,
}

impl Endpoints {
    /// One mapping with `host`, `port` and `weight`.
    fn one(&mut self, node: &Node, path: &str, kind: &dyn KindCheck, problems: &mut Problems) {
        // One that is out of all bounds is told at its place, and comes here all the same.
        self.weight = self.weight.saturating_add(match said(node, "weight").map(|weight| &weight.value) {
            Some(Value::Int(n)) => *n,
            _ => 1,
        });
        let Some(host_at) = said(node, "host") else { return };
        let host = host_at.as_text().unwrap_or_default();
        let port = match said(node, "port").map(|port| &port.value) {
            Some(Value::Int(port)) => *port,
            _ => match kind.default_port() {
                Some(port) => i64::from(port),
                None => {
                    problems.at(node, &step(path, "port"), "is required");
                    return;
                }
            },
        };
        let address = format!("{}:{port}", host.to_lowercase());
        if let Some((_, first)) = self.addresses.iter().find(|(other, _)| *other == address) {
            problems.at(host_at, path, format!("has the address of `{first}`, {address}"));
            return;
        }
        self.addresses.push((address, path.to_owned()));
    }
}
