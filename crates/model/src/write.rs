//! A cluster's spec to the text of its file: what the spec says anew is changed, what it says as before is not
//! touched, and what holds anyway is not written.

mod merge;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::check::Problems;
use crate::cluster::ClusterSpec;
use crate::cluster_fields::CLUSTER;
use crate::edit::edit;
use crate::expand::{escape, expand};
use crate::field::Shape;
use crate::kind::Kinds;
use crate::read::read_cluster;
use crate::secrets::revealed;
use crate::tree::{Node, Value};
use crate::yaml::{emit, parse};
use merge::{Three, merge};

/// What expands `${NAME}`: a name of the environment to its value.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The text of a cluster's file, passwords in clear: read back with the same `env` it is this spec again.
///
/// With the present text of the file, its comments, order, quotes and `${…}` survive wherever the spec says what
/// it said before. Without one, or where it cannot be read, the file is written anew.
#[must_use]
pub fn file_text(spec: &ClusterSpec, present: Option<&str>, kinds: &dyn Kinds, env: Env<'_>) -> String {
    let new = whole(spec);
    if let Some(present) = present
        && let Some(tree) = tree_of(present, env)
        && let Some(old) = settled(&tree, spec, kinds)
    {
        let three = Three { present: Some(&tree.to_json()), old: Some(&whole(&old)), new: &new };
        let body = merge(three, Shape::Fields(CLUSTER)).unwrap_or_default();
        // An id that is made from the path goes its own way when the path changes; then it has to be written.
        for body in [with_ids(&body, &[]), with_ids(&body, &spec.routes)] {
            let text = edit(present, &body, env);
            if tree_of(&text, env).and_then(|tree| settled(&tree, spec, kinds)).as_ref() == Some(spec) {
                return text;
            }
        }
    }
    let nothing = settled(&Node::new(Value::Null), spec, kinds).map(|spec| whole(&spec)).unwrap_or_default();
    let three = Three { present: None, old: Some(&nothing), new: &new };
    let mut body = Map::new();
    for key in ["cluster_id", "name", "description", "created_at"] {
        if let Some(value) = new.get(key) {
            body.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(Json::Object(rest)) = merge(three, Shape::Fields(CLUSTER)) {
        body.extend(rest);
    }
    emit(&escape(&with_ids(&Json::Object(body), &spec.routes)))
}

/// The values of a file, when it can be read.
fn tree_of(text: &str, env: Env<'_>) -> Option<Node> {
    let mut node = parse(text).ok()?;
    let mut problems = Problems::default();
    expand(&mut node, env, &mut problems);
    problems.is_empty().then_some(node)
}

/// The spec that a file says, under the id and, where it names no time of its own, the time of this one.
fn settled(node: &Node, spec: &ClusterSpec, kinds: &dyn Kinds) -> Option<ClusterSpec> {
    let input = read_cluster(node, kinds, &mut Problems::default())?;
    Some(input.settle(spec.cluster_id.clone(), spec.created_at))
}

/// All that a spec says, secrets in clear; a route's cluster is the file's.
fn whole(spec: &ClusterSpec) -> Json {
    let mut json = serde_json::to_value(spec).unwrap_or_default();
    for (name, service) in &spec.services {
        json["services"][name] = revealed(service);
    }
    for route in json.get_mut("routes").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(route) = route.as_object_mut() {
            route.shift_remove("cluster");
        }
    }
    json
}

/// The body with the ids of these routes written out.
fn with_ids(body: &Json, routes: &[Arc<crate::RouteSpec>]) -> Json {
    let mut body = body.clone();
    let written = body.get_mut("routes").and_then(Json::as_array_mut).into_iter().flatten();
    for (written, route) in written.zip(routes) {
        if let Some(map) = written.as_object_mut().filter(|map| !map.contains_key("id")) {
            map.shift_insert(0, "id".to_owned(), route.id.clone().into());
        }
    }
    body
}
