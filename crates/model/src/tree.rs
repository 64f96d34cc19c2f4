//! A document as a tree whose every value knows where it stands.
//!
//! YAML files and JSON bodies become the same tree, so that one check serves both.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Number;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
    pub(crate) source: Source,
}

/// A line and a column, both from 1, the column in characters. Zero is unknown: the value came from no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// What a value is, by the core schema of YAML 1.2 (of which JSON is a part).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// In order.
    List(Vec<Node>),
    /// In order; no key stands twice.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_at: Place,
    /// Its value.
    pub node: Node,
    pub(crate) key_span: Range<usize>,
}

/// How a value was written: what an edit needs to leave it alone, and what keeps `1.10` from becoming `1.1`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Source {
    /// Its bytes in the text.
    pub(crate) span: Range<usize>,
    pub(crate) style: Style,
    /// The characters of a scalar that the core schema took for something other than text.
    pub(crate) text: Option<Box<str>>,
    /// Set when a `${NAME}` stood in it.
    pub(crate) expanded: bool,
}

/// The way a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// Not in YAML at all.
    #[default]
    Unwritten,
    /// A scalar without quotes.
    Plain,
    /// A scalar in quotes.
    Quoted,
    /// A scalar behind `|` or `>`.
    Literal,
    /// A collection by indentation.
    Block,
    /// A collection in brackets.
    Flow,
}

impl Node {
    /// A value that stands nowhere.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Node { at: Place::default(), value, source: Source::default() }
    }

    /// The value of this key, when it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a mapping; nothing for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; nothing for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is `null` or nothing, which is the same as left out.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The characters of a text or a number as they were written: `1.10` stays `1.10`.
    ///
    /// A truth value is text only when a variable of the environment brought it in, since there the writer
    /// could not have quoted it.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match (&self.value, &self.source.text) {
            (Value::Text(text), _) => Some(Cow::Borrowed(text)),
            (Value::Int(_) | Value::Float(_), Some(written)) => Some(Cow::Borrowed(written)),
            (Value::Int(n), None) => Some(Cow::Owned(n.to_string())),
            (Value::Float(n), None) => Some(Cow::Owned(n.to_string())),
            (Value::Bool(_), Some(written)) if self.source.expanded => Some(Cow::Borrowed(written)),
            _ => None,
        }
    }

    /// The same as JSON. A number that JSON cannot say (`.inf`) becomes the text that was written.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) => (*n).into(),
            Value::Float(n) => match Number::from_f64(*n) {
                Some(number) => serde_json::Value::Number(number),
                None => self.as_text().unwrap_or_default().into(),
            },
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
            ),
        }
    }

    /// A tree without places, from a body.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Node {
        let mut written = None;
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(n), _) => Value::Int(n),
                (None, n) => {
                    written = Some(number.to_string().into_boxed_str());
                    Value::Float(n.unwrap_or(f64::NAN))
                }
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Node::from_json).collect()),
            serde_json::Value::Object(map) => {
                Value::Map(map.iter().map(|(key, value)| Entry::new(key, Node::from_json(value))).collect())
            }
        };
        let mut node = Node::new(value);
        node.source.text = written;
        node
    }
}

impl Entry {
    /// A key and a value that stand nowhere.
    #[must_use]
    pub fn new(key: impl Into<String>, node: Node) -> Self {
        Entry { key: key.into(), key_at: Place::default(), node, key_span: 0..0 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went_in() {
        let body = json!({ "b": 1, "a": [null, true, -3, 1.5, "x"], "c": {}, "d": [] });
        let node = Node::from_json(&body);
        assert_eq!(node.to_json().to_string(), body.to_string());
        assert_eq!(node.get("b").and_then(Node::as_text).as_deref(), Some("1"));
        assert!(node.get("missing").is_none());
    }

    #[test]
    fn a_number_too_long_keeps_its_digits() {
        let node = Node::from_json(&json!(18_446_744_073_709_551_615_u64));
        assert_eq!(node.as_text().as_deref(), Some("18446744073709551615"));
    }
}
