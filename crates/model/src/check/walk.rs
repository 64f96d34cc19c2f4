//! A tree against a table of fields: every unknown key, missing key and wrong value, with what to write instead.

use super::words::{describe, found, lower_first};
use super::{Problems, path, step};
use crate::field::{Field, Shape};
use crate::kind::Kinds;
use crate::span::Span;
use crate::suggest::{listed, nearest};
use crate::tree::{Entry, Node, Value};

/// Checks a mapping against a table and notes every fault below `path`. Nothing at all is an empty mapping.
pub fn walk(node: &Node, fields: &[Field], kinds: &dyn Kinds, path: &str, problems: &mut Problems) {
    let fields: Vec<&Field> = fields.iter().collect();
    let mut walk = Walk { kinds, problems };
    match node.value {
        Value::Null => walk.mapping(node, &fields, path),
        _ => walk.fields(node, &fields, path),
    }
}

/// The check under way.
pub(super) struct Walk<'w> {
    pub(super) kinds: &'w dyn Kinds,
    pub(super) problems: &'w mut Problems,
}

impl Walk<'_> {
    /// A value that must be a mapping with these keys.
    pub(super) fn fields(&mut self, node: &Node, fields: &[&Field], path: &str) {
        match node.value {
            Value::Map(_) => self.mapping(node, fields, path),
            _ => self.wrong(node, "a mapping", path),
        }
    }

    fn mapping(&mut self, node: &Node, fields: &[&Field], path: &str) {
        let mut seen: Vec<(&str, &Entry)> = Vec::new();
        for entry in node.entries() {
            let inner = step(path, &entry.key);
            let Some(field) = find(fields, &entry.key) else {
                self.unknown(entry, fields, &inner);
                continue;
            };
            if let Some((_, first)) = seen.iter().find(|(name, _)| *name == field.name) {
                let message = format!("says the same as `{}`; write one of them", first.key);
                self.problems.add(&inner, entry.key_at, message);
                continue;
            }
            seen.push((field.name, entry));
            self.field(entry, field, &inner);
        }
        let is_there =
            |field: &Field| seen.iter().any(|(name, entry)| *name == field.name && !entry.node.is_null());
        for field in fields.iter().filter(|field| field.required && !is_there(field)) {
            self.problems.add(&step(path, field.name), node.at, "is required").suggestion =
                Some(lower_first(field.doc));
        }
    }

    fn unknown(&mut self, entry: &Entry, fields: &[&Field], path: &str) {
        if entry.key.starts_with("x-") {
            return;
        }
        let names =
            fields.iter().flat_map(|field| std::iter::once(field.name).chain(field.aliases.iter().copied()));
        let suggestion = match nearest(&entry.key, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                let known = fields.iter().filter(|field| field.later.is_none()).map(|field| field.name);
                format!("known are {}", listed(known))
            }
        };
        self.problems.add(path, entry.key_at, "is not a known key").suggestion = Some(suggestion);
    }

    fn field(&mut self, entry: &Entry, field: &Field, path: &str) {
        if entry.node.is_null() || is_default(&entry.node, field) {
            return;
        }
        match field.later {
            Some(waits_for) => {
                let message = format!("`{}` is not built yet: waits for {waits_for}", field.name);
                self.problems.add(path, entry.key_at, message).not_built = true;
            }
            None => self.shape(&entry.node, field.shape, path),
        }
    }

    /// A value against its shape.
    pub(super) fn shape(&mut self, node: &Node, shape: Shape, path: &str) {
        match shape {
            Shape::Any => {}
            Shape::Bool => self.bool(node, path),
            Shape::Integer(least, most) => match node.value {
                Value::Int(n) if (least..=most).contains(&n) => {}
                _ => self.wrong(node, &describe(shape), path),
            },
            Shape::Number(least, most) => {
                #[expect(clippy::cast_precision_loss, reason = "only compared with bounds that are small")]
                let number = match node.value {
                    Value::Int(n) => Some(n as f64),
                    Value::Float(n) => Some(n),
                    Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
                };
                if !number.is_some_and(|n| n >= least && n <= most) {
                    self.wrong(node, &describe(shape), path);
                }
            }
            Shape::Choice(words) => self.choice(node, words, path),
            Shape::List(inner) => match &node.value {
                Value::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.shape(item, *inner, &format!("{path}[{index}]"));
                    }
                }
                _ => self.wrong(node, "a list", path),
            },
            Shape::MapOf(inner) => self.map_of(node, *inner, path),
            Shape::Fields(fields) => self.fields(node, &fields.iter().collect::<Vec<_>>(), path),
            Shape::AnyOf(shapes) => self.any_of(node, shapes, path),
            Shape::Service => self.service(node, path),
            Shape::Text
            | Shape::Secret
            | Shape::Span
            | Shape::SpanFrom(_)
            | Shape::Host
            | Shape::RouteHost
            | Shape::Timestamp
            | Shape::ClusterId
            | Shape::Name
            | Shape::RoutePath => self.word(node, shape, path),
        }
    }

    fn map_of(&mut self, node: &Node, inner: Shape, path: &str) {
        let Value::Map(entries) = &node.value else { return self.wrong(node, "a mapping", path) };
        for entry in entries {
            let path = step(path, &entry.key);
            if matches!(inner, Shape::Service)
                && let Err((message, suggestion)) = path::name(&entry.key)
            {
                self.problems.add(&path, entry.key_at, message).suggestion = suggestion;
            }
            // A mapping with nothing in it stands at its key.
            let node = if entry.node.is_null() {
                &Node { at: entry.key_at, ..entry.node.clone() }
            } else {
                &entry.node
            };
            self.shape(node, inner, &path);
        }
        if matches!(inner, Shape::Service) {
            self.ports(entries, path);
        }
    }

    /// The first that fits is enough; else the one whose kind of value this is says what is wrong.
    fn any_of(&mut self, node: &Node, shapes: &'static [Shape], path: &str) {
        if shapes.iter().any(|shape| fits(node, *shape, self.kinds)) {
            return;
        }
        match shapes.iter().find(|shape| is_alike(node, **shape)) {
            Some(shape) => self.shape(node, *shape, path),
            None => self.wrong(node, &describe(Shape::AnyOf(shapes)), path),
        }
    }

    /// Notes that a value is not what it must be.
    pub(super) fn wrong(&mut self, node: &Node, expected: &str, path: &str) {
        let problem = self.problems.at(node, path, format!("must be {expected}, not {}", found(node)));
        let Some(text) = node.as_str() else { return };
        problem.suggestion = match crate::yaml::resolve(text) {
            Value::Int(_) | Value::Float(_) if expected.contains("number") => {
                Some("take the quotes away".to_owned())
            }
            // `port:6379` without its space is one text.
            Value::Text(_) if expected == "a mapping" && text.contains(':') && !text.contains("://") => {
                Some("put a space after the colon".to_owned())
            }
            _ => None,
        };
    }
}

/// The field of this name or alias.
pub(super) fn find<'f>(fields: &[&'f Field], key: &str) -> Option<&'f Field> {
    fields.iter().find(|field| field.name == key || field.aliases.contains(&key)).copied()
}

/// Whether a value would pass without a problem.
pub(super) fn fits(node: &Node, shape: Shape, kinds: &dyn Kinds) -> bool {
    let mut problems = Problems::default();
    Walk { kinds, problems: &mut problems }.shape(node, shape, "");
    problems.is_empty()
}

/// Whether the value says what holds anyway.
pub(crate) fn is_default(node: &Node, field: &Field) -> bool {
    let Some(default) = field.default else { return false };
    if matches!(field.shape, Shape::Span | Shape::SpanFrom(_))
        && let (Some(text), Ok(default)) = (node.as_text(), default.parse::<Span>())
    {
        return text.parse() == Ok(default);
    }
    crate::yaml::parse(default).is_ok_and(|default| default.to_json() == node.to_json())
}

fn is_alike(node: &Node, shape: Shape) -> bool {
    match shape {
        Shape::Fields(_) | Shape::MapOf(_) | Shape::Service => matches!(node.value, Value::Map(_)),
        Shape::List(_) => matches!(node.value, Value::List(_)),
        Shape::Integer(..) | Shape::Number(..) => matches!(node.value, Value::Int(_) | Value::Float(_)),
        // A word near one of these was meant for it.
        Shape::Choice(words) => {
            node.as_str().is_some_and(|text| nearest(text, words.iter().map(|word| word.text)).is_some())
                || node.as_str().is_some_and(|text| words.iter().any(|word| word.text == text))
        }
        _ => false,
    }
}
