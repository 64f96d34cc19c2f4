//! Shapes and values in words, as problems name them.

use crate::field::Shape;
use crate::suggest::listed;
use crate::tree::{Node, Value};

/// A shape in words, with its article.
pub(super) fn describe(shape: Shape) -> String {
    match shape {
        Shape::Text | Shape::Secret => "a text".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Integer(least, i64::MAX) => format!("a whole number from {least}"),
        Shape::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Shape::Number(least, most) => format!("a number from {least} to {most}"),
        Shape::Span | Shape::SpanFrom(_) => {
            "a duration such as `10s` or `500ms`, or a number of seconds".to_owned()
        }
        Shape::Timestamp => "a time such as `2026-01-31T12:00:00Z`".to_owned(),
        Shape::Host | Shape::RouteHost => "a name or an address".to_owned(),
        Shape::ClusterId => "a cluster's id".to_owned(),
        Shape::Name => "a name".to_owned(),
        Shape::RoutePath => "a path such as `/api/*`".to_owned(),
        Shape::Choice(words) => {
            let words: Vec<&str> =
                words.iter().filter(|word| word.later.is_none()).map(|word| word.text).collect();
            match words.as_slice() {
                [one] => format!("`{one}`"),
                words => format!("one of {}", listed(words.iter().copied())),
            }
        }
        Shape::List(_) => "a list".to_owned(),
        Shape::MapOf(_) | Shape::Fields(_) | Shape::Service => "a mapping".to_owned(),
        Shape::AnyOf(shapes) => shapes.iter().map(|shape| describe(*shape)).collect::<Vec<_>>().join(", or "),
        Shape::Any => "anything".to_owned(),
    }
}

/// A value in words, cut short.
pub(super) fn found(node: &Node) -> String {
    match &node.value {
        Value::Text(text) if text.chars().count() > 40 => {
            format!("the text `{}…`", text.chars().take(40).collect::<String>())
        }
        Value::Text(text) => format!("the text `{text}`"),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let written =
                node.source.text.as_deref().map_or_else(|| node.to_json().to_string(), str::to_owned);
            format!("`{written}`")
        }
        Value::Null | Value::List(_) | Value::Map(_) => kind_of(node).to_owned(),
    }
}

pub(super) fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// A sentence of the table as a remark: its first letter small, no full stop.
pub(super) fn lower_first(doc: &str) -> String {
    let doc = doc.trim_end_matches('.');
    let mut chars = doc.chars();
    let second_is_upper = doc.chars().nth(1).is_some_and(char::is_uppercase);
    match chars.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(chars).collect(),
        _ => doc.to_owned(),
    }
}
