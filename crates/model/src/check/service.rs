//! A service against its kind: the common keys and the driver's, and the rules of where a service is.

use super::walk::{Walk, find};
use super::{Problems, step};
use crate::cluster_fields::SERVICE;
use crate::field::Field;
use crate::kind::{KindCheck, Place};
use crate::suggest::{listed, nearest};
use crate::tree::{Node, Value};

/// What a service that we would have to run waits for.
const PROVISIONING: &str = "provisioning waits for part 5 of the roadmap: containers and local processes";

/// Keys that say where a service is; one that lives in this process has none of them.
const OF_THE_NETWORK: [&str; 5] = ["host", "port", "weight", "endpoints", "replicas"];

/// Keys that not every kind heeds: a kind has those that its own table lists.
const OF_SOME_KINDS: [&str; 3] = ["username", "password", "database"];

/// Hosts beside which `provision` means "publish it there".
const OF_THIS_MACHINE: [&str; 2] = ["localhost", "host.docker.internal"];

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
        (is_elsewhere || OF_SOME_KINDS.contains(&name)) && find(&own, name).is_none()
    };
    service_fields(kind).into_iter().filter(|field| !is_refused(field.name)).collect()
}

/// The value of a key that is there and says something.
pub(crate) fn said<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|value| !value.is_null())
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
        // Rules between keys mean something only where each key is well formed.
        if self.problems.len() > before {
            return;
        }
        self.problems.within(path, |problems| kind.check(node, problems));
        self.refuse(node, &OF_SOME_KINDS, kind, "has no such key", path);
        match kind.place() {
            Place::Embedded => self.embedded(node, kind, path),
            Place::Network => self.network(node, kind, path),
        }
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
    fn refuse(&mut self, node: &Node, keys: &[&str], kind: &dyn KindCheck, why: &str, path: &str) {
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
        let host = said(node, "host");
        let endpoints = said(node, "endpoints").filter(|list| !list.items().is_empty());
        if !self.provision(node, host, endpoints, path) {
            return;
        }
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
            self.problems.at(node, path, "every endpoint has weight 0, so none would ever be asked");
        }
    }

    /// Whether the service is to be connected to; all else is noted.
    fn provision(&mut self, node: &Node, host: Option<&Node>, endpoints: Option<&Node>, path: &str) -> bool {
        let provision = said(node, "provision");
        let inner = step(path, "provision");
        let asked = provision.filter(|value| value.value != Value::Bool(false));
        let is_somewhere = host.is_some() || endpoints.is_some();
        let Some(asked) = asked else {
            if !is_somewhere && provision.is_some() {
                self.problems.at(node, path, "needs a `host` or `endpoints`, since `provision` is false");
            } else if !is_somewhere {
                let message = format!("has no `host`, so it would be run for you, and {PROVISIONING}");
                let problem = self.problems.at(node, path, message);
                problem.not_built = true;
                problem.suggestion =
                    Some("give it a `host` and a `port`, or a kind that needs neither".to_owned());
            }
            return is_somewhere;
        };
        let is_here =
            host.and_then(Node::as_text).is_some_and(|host| OF_THIS_MACHINE.contains(&host.as_ref()));
        if is_somewhere && !(is_here && said(node, "port").is_some()) {
            self.problems
                .at(asked, &inner, "contradicts `host`: a service that has an address is connected to")
                .suggestion = Some("take `provision` away, or the address".to_owned());
            return false;
        }
        let problem = self.problems.at(asked, &inner, format!("is not built yet: {PROVISIONING}"));
        problem.not_built = true;
        problem.suggestion = Some("start it yourself, and write its `host` and `port`".to_owned());
        false
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
        self.weight += match said(node, "weight").map(|weight| &weight.value) {
            Some(Value::Int(n)) => *n,
            _ => 1,
        };
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
