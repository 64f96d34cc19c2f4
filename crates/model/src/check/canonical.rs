//! A checked tree as the JSON that the specs are read from: names instead of aliases, texts as texts.

use serde_json::{Map, Value as Json};

use super::walk::{find, fits};
use super::{is_provisioned, said, service_fields};
use crate::field::{Field, Shape};
use crate::kind::{KindCheck, Kinds, Place};
use crate::span::Span;
use crate::tree::{Node, Value};

/// A mapping that [`walk`](super::walk()) found no fault with, as JSON: every key by its own name, what is null,
/// unknown (`x-`) or of a later stage left out, texts as they were written (`5433` stays `"5433"` where a text
/// is meant), durations in their shortest spelling, a missing port as the kind's own, replicas as replicas, whether the
/// gateway runs a service spelt out.
#[must_use]
pub fn canonical(node: &Node, fields: &[Field], kinds: &dyn Kinds) -> Json {
    mapping(node, &fields.iter().collect::<Vec<_>>(), kinds)
}

fn mapping(node: &Node, fields: &[&Field], kinds: &dyn Kinds) -> Json {
    let mut map = Map::new();
    for entry in node.entries().iter().filter(|entry| !entry.node.is_null()) {
        if let Some(field) = find(fields, &entry.key).filter(|field| field.later.is_none()) {
            map.insert(field.name.to_owned(), value(&entry.node, field.shape, kinds));
        }
    }
    Json::Object(map)
}

fn value(node: &Node, shape: Shape, kinds: &dyn Kinds) -> Json {
    match (shape, &node.value) {
        (Shape::List(inner), Value::List(items)) => {
            items.iter().map(|item| value(item, *inner, kinds)).collect()
        }
        (Shape::MapOf(inner), Value::Map(entries)) => Json::Object(
            entries.iter().map(|entry| (entry.key.clone(), value(&entry.node, *inner, kinds))).collect(),
        ),
        (Shape::Fields(fields), Value::Map(_)) => canonical(node, fields, kinds),
        (Shape::Service, Value::Map(_)) => {
            match said(node, "type").and_then(Node::as_str).and_then(|name| kinds.find(name)) {
                Some(kind) => service(node, kind, kinds),
                None => node.to_json(),
            }
        }
        (Shape::AnyOf(shapes), _) => match shapes.iter().find(|shape| fits(node, **shape, kinds)) {
            Some(shape) => value(node, *shape, kinds),
            None => node.to_json(),
        },
        (Shape::Span | Shape::SpanFrom(_), _) => {
            match node.as_text().and_then(|text| text.parse::<Span>().ok()) {
                Some(span) => span.to_string().into(),
                None => node.to_json(),
            }
        }
        (
            Shape::Text
            | Shape::Secret
            | Shape::Timestamp
            | Shape::Host
            | Shape::RouteHost
            | Shape::ClusterId
            | Shape::Name
            | Shape::RoutePath
            | Shape::Choice(_),
            _,
        ) => node.as_text().map_or_else(|| node.to_json(), |text| text.as_ref().into()),
        _ => node.to_json(),
    }
}

fn service(node: &Node, kind: &dyn KindCheck, kinds: &dyn Kinds) -> Json {
    let mut service = mapping(node, &service_fields(kind), kinds);
    if let Some(map) = service.as_object_mut() {
        if kind.place() == Place::Embedded {
            // Whatever it says: it is at home in the gateway.
            map.shift_remove("provision");
        } else if kind.runs().is_some() && is_provisioned(node) {
            map.entry("provision").or_insert_with(|| true.into());
        }
    }
    let port = kind.default_port().filter(|_| kind.place() == Place::Network);
    for key in ["replicas", "endpoints"] {
        for endpoint in service.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten() {
            fill_port(endpoint, port);
            if let (true, Some(endpoint)) = (key == "replicas", endpoint.as_object_mut()) {
                endpoint.entry("role").or_insert_with(|| "replica".into());
            }
        }
    }
    fill_port(&mut service, port);
    service
}

fn fill_port(endpoint: &mut Json, port: Option<u16>) {
    if let (Some(port), Some(endpoint)) = (port, endpoint.as_object_mut())
        && endpoint.contains_key("host")
        && !endpoint.contains_key("port")
    {
        endpoint.insert("port".to_owned(), port.into());
    }
}
