//! The bodies that create and replace a cluster, in the shapes that clients send.
//!
//! Everything may stand at the top or below `config`, as the predecessor's clients have it, but not in both.

use serde_json::Value as Json;

use super::{between, input};
use crate::check::{Problems, said, step, walk};
use crate::cluster::ClusterInput;
use crate::cluster_fields::CLUSTER;
use crate::field::{Field, Shape, field};
use crate::kind::Kinds;
use crate::secrets::refuse_masks;
use crate::tree::{Entry, Node, Value};

/// What a view shows of a cluster and a replacement passes over.
const SHOWN_ONLY: [&str; 6] = ["id", "cluster_id", "created_at", "updated_at", "healthy", "status"];

/// Reads the body that creates a cluster: `{name, cluster_id?, services | config: {services}, …}`. One of the first two is
/// enough: the other is made from it.
pub fn read_creation(body: &Json, kinds: &dyn Kinds, problems: &mut Problems) -> Option<ClusterInput> {
    let node = asked_to_run(Node::from_json(body), kinds);
    let input = read(&node, kinds, problems);
    if matches!(node.value, Value::Map(_))
        && !is_called(&node)
        && !said(&node, "config").is_some_and(is_called)
    {
        problems.at(&node, "name", "is required where there is no `cluster_id`").suggestion =
            Some("a name for people, from which the id is made".to_owned());
    }
    let mut input = input?;
    refuse_masks(&mut input, problems);
    problems.is_empty().then_some(input)
}

/// Whether a cluster's keys say what it is called.
fn is_called(node: &Node) -> bool {
    ["name", "cluster_id"].iter().any(|key| said(node, key).is_some())
}

/// The body without each `provision: false` that stands beside no address. Clients that always send the key mean
/// nothing by it: a service that has no address is run.
fn asked_to_run(mut body: Node, kinds: &dyn Kinds) -> Node {
    let is_run = |service: &Node| {
        let kind = said(service, "type").and_then(Node::as_str).and_then(|name| kinds.find(name));
        let is_somewhere = ["host", "endpoints"].iter().any(|key| said(service, key).is_some());
        kind.is_some_and(|kind| kind.runs().is_some()) && !is_somewhere
    };
    let Value::Map(entries) = &mut body.value else { return body };
    for entry in entries {
        match (entry.key.as_str(), &mut entry.node.value) {
            ("config", Value::Map(_)) => entry.node = asked_to_run(entry.node.clone(), kinds),
            ("services", Value::Map(services)) => {
                for service in services.iter_mut().map(|service| &mut service.node) {
                    let says_no =
                        said(service, "provision").map(|said| &said.value) == Some(&Value::Bool(false));
                    if says_no && is_run(service) {
                        *service = without(service, &["provision"]);
                    }
                }
            }
            _ => {}
        }
    }
    body
}

/// Reads the body that replaces a cluster. What only a view shows is passed over, and a secret may be the mask:
/// [`keep_secrets`](crate::secrets::keep_secrets) puts the old one back.
pub fn read_replacement(body: &Json, kinds: &dyn Kinds, problems: &mut Problems) -> Option<ClusterInput> {
    let node = Node::from_json(body);
    if let (Some(id), Some(routes)) =
        (node.get("cluster_id").or(node.get("id")).and_then(Node::as_text), node.get("routes"))
    {
        super::routes::check_cluster(routes, &id, "routes", problems);
    }
    read(&without(&node, &SHOWN_ONLY), kinds, problems)
}

/// A mapping without these keys.
pub(super) fn without(node: &Node, keys: &[&str]) -> Node {
    let Value::Map(entries) = &node.value else { return node.clone() };
    let kept = entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())).cloned().collect();
    Node { value: Value::Map(kept), ..node.clone() }
}

fn read(node: &Node, kinds: &dyn Kinds, problems: &mut Problems) -> Option<ClusterInput> {
    let config = field("config", Shape::Any, "The same keys, as earlier clients nest them.");
    let outer: Vec<Field> = CLUSTER.iter().copied().chain([config]).collect();
    walk(node, &outer, kinds, "", problems);
    let Some(config) = said(node, "config") else {
        between(node, node.get("services"), kinds, "", problems);
        return input(node, kinds, problems);
    };
    walk(config, CLUSTER, kinds, "config", problems);
    for entry in config.entries().iter().filter(|entry| said(node, &entry.key).is_some()) {
        let message = format!("stands beside `{}` at the top; write one of them", entry.key);
        problems.add(&step("config", &entry.key), entry.key_at, message);
    }
    let outer = without(node, &["config"]);
    let joined = joined(outer.clone(), config);
    between(&outer, joined.get("services"), kinds, "", problems);
    between(config, joined.get("services"), kinds, "config", problems);
    input(&joined, kinds, problems)
}

fn joined(mut outer: Node, config: &Node) -> Node {
    if let Value::Map(entries) = &mut outer.value {
        let known: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let more = config.entries().iter().filter(|entry| !known.contains(&entry.key));
        entries.extend(more.map(|entry| Entry::new(entry.key.clone(), entry.node.clone())));
    }
    outer
}
