//! What a page shows beside what was said: `…` stands for what is different each time.

use serde_json::{Deserializer, Value};

/// What stands for anything.
const ANY: &str = "…";

/// One JSON value after another. `…` stands for a value, for a part of a text, and in a list or an object for
/// whatever else is there; without it nothing else may be.
pub(super) fn json(shown: &str, said: &str) -> Result<(), String> {
    let shown = values(&quoted(shown)).map_err(|error| format!("the page shows no JSON: {error}"))?;
    let said = values(said).map_err(|error| format!("this is no JSON: {error}"))?;
    if shown.len() != said.len() {
        return Err(format!("{} values are shown, {} were said", shown.len(), said.len()));
    }
    shown
        .iter()
        .zip(&said)
        .enumerate()
        .try_for_each(|(at, (shown, said))| fits(shown, said, &format!("value {at}")))
}

/// Line by line. `…` stands for a part of a line, and alone on a line for any number of lines.
pub(super) fn text(shown: &str, said: &str) -> Result<(), String> {
    let lines = |text: &str| -> Vec<String> {
        text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
    };
    let (shown, said) = (lines(shown), lines(said));
    if fit(&shown, &said) { Ok(()) } else { Err("something else is shown".to_owned()) }
}

fn fit(shown: &[String], said: &[String]) -> bool {
    match (shown, said) {
        ([], []) => true,
        ([any, behind @ ..], _) if any == ANY => (0..=said.len()).any(|taken| fit(behind, &said[taken..])),
        ([one, behind @ ..], [other, rest @ ..]) => like(one, other) && fit(behind, rest),
        _ => false,
    }
}

/// Whether a text is as shown.
fn like(shown: &str, said: &str) -> bool {
    let mut parts = shown.split(ANY);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn fits(shown: &Value, said: &Value, path: &str) -> Result<(), String> {
    match (shown, said) {
        (Value::String(any), _) if any == ANY => Ok(()),
        (Value::String(text), Value::String(other)) if like(text, other) => Ok(()),
        (Value::Array(shown), Value::Array(said)) => {
            let open = shown.last().is_some_and(|last| last == ANY);
            let listed = &shown[..shown.len() - usize::from(open)];
            if said.len() < listed.len() || (!open && said.len() > listed.len()) {
                return Err(format!("{path}: {} items are shown, {} were said", listed.len(), said.len()));
            }
            let mut pairs = listed.iter().zip(said).enumerate();
            pairs.try_for_each(|(at, (shown, said))| fits(shown, said, &format!("{path}[{at}]")))
        }
        (Value::Object(shown), Value::Object(said)) => {
            for (name, shown) in shown.iter().filter(|(name, _)| *name != ANY) {
                let said = said.get(name).ok_or_else(|| format!("{path}: there is no `{name}`"))?;
                fits(shown, said, &format!("{path}.{name}"))?;
            }
            let hidden = said.keys().find(|name| !shown.contains_key(*name));
            match hidden.filter(|_| !shown.contains_key(ANY)) {
                Some(name) => Err(format!("{path}: `{name}` is not shown")),
                None => Ok(()),
            }
        }
        (shown, said) if shown == said => Ok(()),
        (shown, said) => Err(format!("{path}: {shown} is shown, {said} was said")),
    }
}

fn values(text: &str) -> Result<Vec<Value>, serde_json::Error> {
    Deserializer::from_str(text).into_iter().collect()
}

/// The same with each bare `…` as JSON has it: as a text, or as a field where one would stand.
fn quoted(shown: &str) -> String {
    let mut out = String::new();
    let (mut open, mut inside, mut escaped, mut before) = (Vec::new(), false, false, ' ');
    for c in shown.chars() {
        match c {
            _ if inside => {
                inside = c != '"' || escaped;
                escaped = c == '\\' && !escaped;
            }
            '"' => inside = true,
            '{' | '[' => open.push(c),
            '}' | ']' => drop(open.pop()),
            '…' => {
                out.push_str(if open.last() == Some(&'{') && before != ':' {
                    "\"…\":null"
                } else {
                    "\"…\""
                });
                before = c;
                continue;
            }
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
        out.push(c);
    }
    out
}

#[test]
fn only_what_is_marked_may_differ() {
    let said = r#"{"id":"7-a","list":[1,2],"at":{"x":1.5}}"#;
    for (shown, same) in [
        (r#"{"id":"7-a","list":[1,2],"at":{"x":1.5}}"#, true),
        (r#"{"id":"…","list":[1,…],"at":{…}}"#, true),
        (r#"{"id":"7-…","at":…,…}"#, true),
        (r#"{…,"list":[…]}"#, true),
        (r#"{"id":"8-…",…}"#, false),
        (r#"{"id":"7-a","list":[1,2]}"#, false),
        (r#"{"list":[1],…}"#, false),
        (r#"{"list":[1,2,3],…}"#, false),
        (r#"{"other":…,…}"#, false),
        (r#"{"at":{"x":2},…}"#, false),
        ("", false),
    ] {
        assert_eq!(json(shown, said).is_ok(), same, "{shown}");
    }
    assert_eq!(quoted(r#"{"a":"{…","b":[…,{…}],…}"#), r#"{"a":"{…","b":["…",{"…":null}],"…":null}"#);
    assert!(
        json("{\"a\":1}\n{…}", "{\"a\":1}{\"b\":2}").is_ok() && json("{\"a\":1}", "{\"a\":1}{}").is_err()
    );
}

#[test]
fn lines_are_compared_as_lines() {
    for (shown, said, same) in [
        ("a\nb\n", "a\r\nb", true),
        ("a\n…\nd\n", "a\nb\nc\nd\n", true),
        ("a\n…\n", "a\n", true),
        ("id: …x\n", "id: 12x\n", true),
        ("id: …x\n", "id: 12\n", false),
        ("a\n", "a\nb\n", false),
        ("…\nc\n", "a\nb\n", false),
    ] {
        assert_eq!(text(shown, said).is_ok(), same, "{shown:?} {said:?}");
    }
}
