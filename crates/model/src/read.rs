//! Documents to specs: a cluster's file, the bodies of the API that create and replace one, and a route.
//!
//! Each reader notes every fault and answers `None` when there is one; what it answers needs no second look.

mod bodies;
mod routes;
mod services;
mod settle;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

pub use bodies::{read_creation, read_replacement};
pub use routes::unknown_listener;
pub use services::no_requests;

use crate::check::{Problems, canonical, said, step, walk};
use crate::cluster::ClusterInput;
use crate::cluster_fields::{CLUSTER, ROUTE};
use crate::field::Field;
use crate::id::ClusterId;
use crate::kind::{Ability, KindCheck, Kinds};
use crate::route::RouteSpec;
use crate::tree::Node;

use services::Services;

/// The longest name of a cluster, in characters.
const LONGEST_NAME: usize = 64;

/// Reads a cluster file.
pub fn read_cluster(node: &Node, kinds: &dyn Kinds, problems: &mut Problems) -> Option<ClusterInput> {
    walk(node, CLUSTER, kinds, "", problems);
    between(node, node.get("services"), kinds, "", problems);
    input(node, kinds, problems)
}

/// The input of a cluster whose problems were noted. Routes are read one by one: there may be tens of thousands, and
/// what is made on the way is a multiple of what is left.
fn input(node: &Node, kinds: &dyn Kinds, problems: &mut Problems) -> Option<ClusterInput> {
    let rest = bodies::without(node, &["routes"]);
    let mut input: ClusterInput = spec(canonical(&rest, CLUSTER, kinds), problems)?;
    let routes = said(node, "routes").map(Node::items).unwrap_or_default();
    input.routes.reserve_exact(routes.len());
    for route in routes {
        input.routes.push(spec(canonical(route, ROUTE, kinds), problems)?);
    }
    Some(input)
}

/// Notes where a cluster file disagrees with the id that it will have: its directory's name.
pub fn check_id(node: &Node, id: &ClusterId, problems: &mut Problems) {
    if let Some(own) =
        node.get("cluster_id").filter(|own| own.as_text().is_some_and(|text| text != id.as_str()))
    {
        let message = format!("differs from the name of its directory, `{id}`");
        problems.at(own, "cluster_id", message).suggestion =
            Some("rename the one or take the other away".to_owned());
    }
    if let Some(list) = node.get("routes") {
        routes::check_cluster(list, id.as_str(), "routes", problems);
    }
}

/// Notes the routes of a cluster's document that name a listener which is none of these.
pub fn check_listeners(node: &Node, known: &[String], problems: &mut Problems) {
    if let Some(list) = node.get("routes") {
        routes::check_listeners(list, known, "routes", problems);
    }
}

/// Reads one route as the API takes it: it names its cluster. `owner`, which the API shows, is passed over.
pub fn read_route(node: &Node, problems: &mut Problems) -> Option<RouteSpec> {
    let fields: Vec<Field> =
        ROUTE.iter().map(|field| if field.name == "cluster" { field.required() } else { *field }).collect();
    let node = bodies::without(node, &["owner"]);
    walk(&node, &fields, &NoKinds, "", problems);
    if problems.is_empty() {
        routes::check_one(&node, "", problems);
    }
    let mut route: RouteSpec = spec(canonical(&node, ROUTE, &NoKinds), problems)?;
    settle::tidy(&mut route);
    Some(route)
}

/// The rules between the parts of a cluster whose keys stand below `path`, and whose services are these.
fn between(node: &Node, services: Option<&Node>, kinds: &dyn Kinds, path: &str, problems: &mut Problems) {
    if let Some(name) = node.get("name") {
        let length = name.as_text().map_or(1, |text| text.trim().chars().count());
        if length == 0 {
            problems.at(name, &step(path, "name"), "is empty");
        } else if length > LONGEST_NAME {
            problems.at(name, &step(path, "name"), format!("is longer than {LONGEST_NAME} characters"));
        }
    }
    if let Some(list) = node.get("routes") {
        let path = step(path, "routes");
        let services = Services::of(services, kinds);
        routes::check_all(list, &services, &path, problems);
        if let Some(id) = node.get("cluster_id").and_then(Node::as_text) {
            routes::check_cluster(list, &id, &path, problems);
        }
    }
}

fn spec<T: DeserializeOwned>(json: serde_json::Value, problems: &mut Problems) -> Option<T> {
    if !problems.is_empty() {
        return None;
    }
    match serde_json::from_value(json) {
        Ok(spec) => Some(spec),
        // The table let through what the spec does not take: a fault of ours, told rather than hidden.
        Err(error) => {
            problems.add("", crate::tree::Place::default(), format!("cannot be read: {error}"));
            None
        }
    }
}

/// A route on its own holds no service, so no kind is ever asked for.
struct NoKinds;

impl Kinds for NoKinds {
    fn find(&self, _name: &str) -> Option<&'static dyn KindCheck> {
        None
    }

    fn names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn can(&self, _name: &str, _ability: Ability) -> bool {
        false
    }

    fn later(&self, _name: &str) -> Option<&'static str> {
        None
    }
}
