//! `${NAME}` and `${NAME:-default}` in the values of a document. Names and values come from the caller.

use crate::check::{Problems, step};
use crate::tree::{Node, Style, Value};
use crate::yaml::resolve;

/// Replaces every `${NAME}` and `${NAME:-default}` in scalar values; `$$` is a dollar.
///
/// A scalar without quotes, or one that is nothing but a single reference, becomes a number or a truth value
/// when its text reads as one. A name that is not set and has no default is a problem; so is a reference
/// that is not closed.
pub fn expand(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, problems: &mut Problems) {
    walk(node, env, "", problems);
}

fn walk(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, path: &str, problems: &mut Problems) {
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, env, &format!("{path}[{index}]"), problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.node, env, &step(path, &entry.key), problems);
            }
        }
        Value::Text(text) if text.contains('$') => {
            let text = std::mem::take(text);
            scalar(node, &text, env, path, problems);
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn scalar(
    node: &mut Node,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    path: &str,
    problems: &mut Problems,
) {
    let mut out = String::with_capacity(text.len());
    let mut references = 0;
    for part in parts(text) {
        match part {
            Part::Text(part) => out.push_str(part),
            Part::Reference { name, default } => {
                references += 1;
                match env(name).or_else(|| default.map(str::to_owned)) {
                    Some(value) => out.push_str(&value),
                    None => {
                        let problem = problems.at(node, path, format!("the environment has no `{name}`"));
                        problem.suggestion = Some(format!("set it, or write `${{{name}:-default}}`"));
                    }
                }
            }
            Part::Broken(rest) => {
                let problem =
                    problems.at(node, path, format!("`{rest}` is not a reference such as `${{NAME}}`"));
                problem.suggestion = Some("write `$$` for a dollar".to_owned());
            }
        }
    }
    let is_one_reference = matches!(parts(text).as_slice(), [Part::Reference { .. }]);
    node.source.expanded = references > 0;
    node.value = match resolve(&out) {
        value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_))
            if references > 0 && (node.source.style == Style::Plain || is_one_reference) =>
        {
            node.source.text = Some(out.into_boxed_str());
            value
        }
        _ => Value::Text(out),
    };
}

/// Doubles the dollars of every text that [`expand`] would otherwise read something into.
#[must_use]
pub fn escape(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) if text.contains("$$") || text.contains("${") => {
            text.replace('$', "$$").into()
        }
        serde_json::Value::Array(items) => items.iter().map(escape).collect(),
        serde_json::Value::Object(map) => {
            serde_json::Value::Object(map.iter().map(|(key, value)| (key.clone(), escape(value))).collect())
        }
        other => other.clone(),
    }
}

#[derive(Debug, PartialEq)]
enum Part<'t> {
    Text(&'t str),
    Reference { name: &'t str, default: Option<&'t str> },
    Broken(&'t str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        // A dollar before anything else stands for itself.
        let literal = if after.starts_with('{') { &rest[..dollar] } else { &rest[..=dollar] };
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        rest = match after.as_bytes().first() {
            Some(b'$') => &after[1..],
            Some(b'{') => match reference(&after[1..]) {
                Some((part, rest)) => {
                    parts.push(part);
                    rest
                }
                None => {
                    parts.push(Part::Broken(&rest[dollar..]));
                    return parts;
                }
            },
            _ => after,
        };
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// What stands behind `${`, up to its `}`.
fn reference(text: &str) -> Option<(Part<'_>, &str)> {
    let (inner, rest) = text.split_once('}')?;
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let is_name = begins && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((Part::Reference { name, default }, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::parse;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("6380".to_owned()),
            "WORD" => Some("abc".to_owned()),
            "YES" => Some("true".to_owned()),
            "NULL" => Some("null".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn values() {
        for (text, value) in [
            ("${PORT}", json!(6380)),
            ("\"${PORT}\"", json!(6380)),
            ("\"a ${PORT}\"", json!("a 6380")),
            ("1${PORT}", json!(16380)),
            ("\"1${PORT}\"", json!("16380")),
            ("${NONE:-7}", json!(7)),
            ("${NONE:-}", json!("")),
            ("${WORD:-x}-${NONE:-b}", json!("abc-b")),
            ("${YES}", json!(true)),
            ("${NULL}", json!("null")),
            ("${EMPTY}", json!("")),
            ("$$", json!("$")),
            ("$${PORT}", json!("${PORT}")),
            ("a$b $", json!("a$b $")),
            ("$$$${PORT}", json!("$${PORT}")),
        ] {
            let mut node = parse(text).unwrap();
            let mut problems = Problems::default();
            expand(&mut node, &env, &mut problems);
            assert_eq!(node.to_json(), value, "{text}");
            assert!(problems.is_empty(), "{text}");
        }
    }

    #[test]
    fn every_missing_name_is_told() {
        let mut node = parse("a: ${ONE}\nb:\n  - x${TWO}\n  - ${PORT\n  - ${1X}\n").unwrap();
        let mut problems = Problems::new(Some("f.yaml"));
        expand(&mut node, &env, &mut problems);
        let told: Vec<String> = problems.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f.yaml:1:4: a: the environment has no `ONE` (set it, or write `${ONE:-default}`)",
                "f.yaml:3:5: b[0]: the environment has no `TWO` (set it, or write `${TWO:-default}`)",
                "f.yaml:4:5: b[1]: `${PORT` is not a reference such as `${NAME}` (write `$$` for a dollar)",
                "f.yaml:5:5: b[2]: `${1X}` is not a reference such as `${NAME}` (write `$$` for a dollar)",
            ]
        );
    }

    #[test]
    fn an_escaped_text_expands_to_itself() {
        for text in ["$", "$$", "a$b", "${PORT}", "$${PORT}", "$$$", "pa$$word${", "$}{$"] {
            let mut node = Node::from_json(&escape(&json!(text)));
            let mut problems = Problems::default();
            expand(&mut node, &env, &mut problems);
            assert!(problems.is_empty(), "{text}");
            assert_eq!(node.to_json(), json!(text));
        }
    }
}
