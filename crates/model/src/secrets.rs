//! Secrets of a whole cluster: kept where a view's mask is sent back, masked where a driver's key holds one,
//! and written out where the cluster's own file is made.

use serde_json::{Map, Value};

use crate::check::{Problem, Problems, service_fields, step};
use crate::cluster::{ClusterInput, ClusterSpec};
use crate::field::{Field, Shape};
use crate::kind::Kinds;
use crate::secret::MASK;
use crate::service::ServiceSpec;
use crate::tree::Place;

/// Puts the old secret back wherever the new input has the mask in its place. Answers the masks that stand for
/// nothing, since no password is ever `***`.
pub fn keep_secrets(new: &mut ClusterInput, old: &ClusterSpec) -> Vec<Problem> {
    let mut problems = Problems::default();
    put_back(new, &|name| old.service(name), &mut problems);
    problems.into_vec()
}

/// Notes every mask in the input of a cluster that is new: there is nothing yet that one could stand for.
pub(crate) fn refuse_masks(new: &mut ClusterInput, problems: &mut Problems) {
    put_back(new, &|_| None, problems);
}

fn put_back<'o>(
    new: &mut ClusterInput,
    old: &dyn Fn(&str) -> Option<&'o ServiceSpec>,
    problems: &mut Problems,
) {
    for (name, service) in &mut new.services {
        let path = step("services", name);
        let old = old(name).filter(|old| old.kind == service.kind);
        if service.password.as_ref().is_some_and(|secret| secret.reveal() == MASK) {
            match old.and_then(|old| old.password.clone()) {
                Some(secret) => service.password = Some(secret),
                None => stands_for_nothing(&step(&path, "password"), problems),
            }
        }
        for (key, value) in &mut service.options {
            keep(value, old.and_then(|old| old.options.get(key)), &step(&path, key), problems);
        }
    }
}

fn keep(value: &mut Value, old: Option<&Value>, path: &str, problems: &mut Problems) {
    match value {
        Value::String(text) if text == MASK => match old {
            Some(old) => *value = old.clone(),
            None => stands_for_nothing(path, problems),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                keep(item, old.and_then(|old| old.get(index)), &format!("{path}[{index}]"), problems);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                keep(value, old.and_then(|old| old.get(key)), &step(path, key), problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn stands_for_nothing(path: &str, problems: &mut Problems) {
    problems.add(
        path,
        Place::default(),
        format!("is the mask `{MASK}`, and there is no secret that it could keep"),
    );
}

/// The spec for a view: as it serialises, with the secrets among the drivers' own keys masked too.
#[must_use]
pub fn masked(spec: &ClusterSpec, kinds: &dyn Kinds) -> Value {
    let mut json = serde_json::to_value(spec).unwrap_or_default();
    for (name, service) in &spec.services {
        if let (Some(Value::Object(map)), Some(kind)) =
            (json.pointer_mut("/services").and_then(|all| all.get_mut(name)), kinds.find(&service.kind))
        {
            mask(map, &service_fields(kind));
        }
    }
    json
}

fn mask(map: &mut Map<String, Value>, fields: &[&Field]) {
    for field in fields {
        if let Some(value) = map.get_mut(field.name) {
            mask_value(value, field.shape);
        }
    }
}

fn mask_value(value: &mut Value, shape: Shape) {
    match (shape, value) {
        (Shape::Secret, value) if !value.is_null() => *value = MASK.into(),
        (Shape::Fields(fields), Value::Object(map)) => mask(map, &fields.iter().collect::<Vec<_>>()),
        (Shape::List(inner), Value::Array(items)) => {
            items.iter_mut().for_each(|item| mask_value(item, *inner))
        }
        (Shape::MapOf(inner), Value::Object(map)) => {
            map.values_mut().for_each(|item| mask_value(item, *inner))
        }
        (Shape::AnyOf(shapes), value) => shapes.iter().for_each(|shape| mask_value(value, *shape)),
        _ => {}
    }
}

/// Whether anything in the cluster's file must be kept from other users of the machine.
#[must_use]
pub fn holds_secret(spec: &ClusterSpec, kinds: &dyn Kinds) -> bool {
    fn shows_mask(value: &Value) -> bool {
        match value {
            Value::String(text) => text == MASK,
            Value::Array(items) => items.iter().any(shows_mask),
            Value::Object(map) => map.values().any(shows_mask),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    shows_mask(&masked(spec, kinds))
}

/// A service with its password in clear, for its own file and for nothing else.
pub(crate) fn revealed(service: &ServiceSpec) -> Value {
    let mut json = serde_json::to_value(service).unwrap_or_default();
    if let (Some(secret), Some(map)) = (&service.password, json.as_object_mut()) {
        map.insert("password".to_owned(), secret.reveal().into());
    }
    json
}
