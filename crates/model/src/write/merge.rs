//! Three states of a value to one: what the file says, what that means, and what is to hold from now on.

use serde_json::{Map, Value as Json};

use crate::cluster_fields::SERVICE;
use crate::field::{Field, Shape};

/// A value of the file (absent: not written), its meaning with all defaults, and the new meaning.
#[derive(Clone, Copy)]
pub(super) struct Three<'j> {
    pub(super) present: Option<&'j Json>,
    pub(super) old: Option<&'j Json>,
    pub(super) new: &'j Json,
}

impl<'j> Three<'j> {
    fn key(self, key: &str, new: &'j Json) -> Three<'j> {
        Three {
            present: self.present.and_then(|value| value.get(key)),
            old: self.old.and_then(|value| value.get(key)),
            new,
        }
    }
}

/// What the file is to say; `None` when it needs to say nothing.
pub(super) fn merge(three: Three<'_>, shape: Shape) -> Option<Json> {
    let Three { present, old, new } = three;
    if old == Some(new) {
        return present.cloned();
    }
    match new {
        Json::Object(map) => Some(mapping(three, map, shape)),
        Json::Array(items) => Some(list(three, items, shape)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Some(new.clone()),
    }
}

fn mapping(three: Three<'_>, new: &Map<String, Json>, shape: Shape) -> Json {
    let fields = fields(shape);
    let field = |key: &str| fields.iter().find(|field| field.name == key);
    let old = three.old.and_then(Json::as_object);
    let mut out = Map::new();
    // What the file says beside the spec stays: `x-` keys, keys of older files.
    for (key, value) in three.present.and_then(Json::as_object).into_iter().flatten() {
        let is_gone = old.is_some_and(|old| old.contains_key(key)) && !new.contains_key(key);
        if !is_gone && !new.contains_key(key) {
            out.insert(key.clone(), value.clone());
        } else if let Some(new) = new.get(key)
            && let Some(value) = merge(three.key(key, new), inner(shape, field(key)))
        {
            out.insert(key.clone(), value);
        }
    }
    for (key, new) in new {
        if out.contains_key(key) {
            continue;
        }
        let three = three.key(key, new);
        let holds_anyway = three.old.is_none() && field(key).is_some_and(|field| is_default(new, field));
        if !holds_anyway && let Some(value) = merge(three, inner(shape, field(key))) {
            out.insert(key.clone(), value);
        }
    }
    Json::Object(out)
}

fn list(three: Three<'_>, new: &[Json], shape: Shape) -> Json {
    let shape = match shape {
        Shape::List(inner) => *inner,
        _ => Shape::Any,
    };
    let items = |list: Option<&Json>| list.and_then(Json::as_array).cloned().unwrap_or_default();
    let (present, old) = (items(three.present), items(three.old));
    // Most items follow the one that they followed before, so the search begins there.
    let mut next = 0;
    let mut merged = Vec::with_capacity(new.len());
    for new in new {
        let at = (next..old.len()).chain(0..next.min(old.len())).find(|at| is_same(&old[*at], new));
        next = at.map_or(next, |at| at + 1);
        let at = at.filter(|_| present.len() == old.len());
        let three = Three { present: at.map(|at| &present[at]), old: at.map(|at| &old[at]), new };
        merged.push(merge(three, shape).unwrap_or_else(|| new.clone()));
    }
    merged.into()
}

/// Whether two items of a list are one thing in two states: a route by its id, an endpoint by its address.
fn is_same(old: &Json, new: &Json) -> bool {
    let names = |key: &str| old.get(key).is_some() && old.get(key) == new.get(key);
    old == new || names("id") || (names("host") && names("port"))
}

fn fields(shape: Shape) -> Vec<&'static Field> {
    match shape {
        Shape::Fields(fields) => fields.iter().collect(),
        // Only these hold structs of ours, with their defaults. What a kind knows is kept as it was said, and
        // there a default that is said may mean more than nothing: `health` lies over the cluster's.
        Shape::Service => SERVICE
            .iter()
            .filter(|field| ["endpoints", "replicas", "outlier"].contains(&field.name))
            .collect(),
        _ => Vec::new(),
    }
}

fn inner(shape: Shape, field: Option<&&'static Field>) -> Shape {
    match (shape, field) {
        (Shape::MapOf(inner), _) => *inner,
        (_, Some(field)) => field.shape,
        _ => Shape::Any,
    }
}

/// Whether a value of a spec is what holds when it is left out.
fn is_default(value: &Json, field: &Field) -> bool {
    crate::check::is_default(&crate::tree::Node::from_json(value), field)
}
