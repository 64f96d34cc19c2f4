//! A value as block YAML, quoted exactly where it has to be.

use std::fmt::Write;

use serde_json::Value;

use super::scalar::{is_ambiguous, resolve};

/// Columns by which a nested mapping or list is set in.
const STEP: usize = 2;

/// Where a scalar will stand: between brackets, `,` and brackets end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    Block,
    Flow,
}

/// The text whose parse is `value`: block style, two columns a level, ending with a line feed.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    if is_inline(value) {
        out.push_str(&inline(value, Context::Block));
        out.push('\n');
    } else {
        block(value, 0, &mut out);
    }
    out
}

/// Lines of a mapping or list that is not empty, at this indentation; the first line's is already there.
pub(crate) fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                margin(index, indent, out);
                entry(key, value, indent, out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                margin(index, indent, out);
                out.push_str("- ");
                if is_inline(item) {
                    out.push_str(&inline(item, Context::Block));
                    out.push('\n');
                } else {
                    block(item, indent + STEP, out);
                }
            }
        }
        scalar => {
            out.push_str(&inline(scalar, Context::Block));
            out.push('\n');
        }
    }
}

/// One entry of a block mapping whose keys stand at this indentation.
pub(crate) fn entry(key: &str, value: &Value, indent: usize, out: &mut String) {
    out.push_str(&text(key, Context::Block));
    out.push(':');
    if is_inline(value) {
        out.push(' ');
        out.push_str(&inline(value, Context::Block));
        out.push('\n');
    } else {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent + STEP));
        block(value, indent + STEP, out);
    }
}

/// Whether it is written behind its key, on the same line.
pub(crate) fn is_inline(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// A value on one line, collections in brackets.
pub(crate) fn inline(value: &Value, context: Context) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => text(s, context),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| inline(item, Context::Flow)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", text(key, Context::Flow), inline(value, Context::Flow)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A text as a scalar: plain when it reads back as itself, else quoted.
pub(crate) fn text(text: &str, context: Context) -> String {
    if is_plain(text, context) {
        return text.to_owned();
    }
    if text.contains(['"', '\\']) && text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    double_quoted(text)
}

pub(crate) fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    n @ 0..=0xFF => write!(out, "\\x{n:02x}"),
                    n @ 0x100..=0xFFFF => write!(out, "\\u{n:04x}"),
                    n => write!(out, "\\U{n:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

fn is_plain(text: &str, context: Context) -> bool {
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    let may_begin = match first {
        None => false,
        Some('-' | '?' | ':') => second.is_some_and(|c| c != ' ' && !(",[]{}".contains(c))),
        Some(c) => !",[]{}#&*!|>'\"%@`".contains(c),
    };
    may_begin
        && text.trim() == text
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !(context == Context::Flow && text.contains([',', '[', ']', '{', '}', ':']))
        && text.chars().all(is_printable)
        && matches!(resolve(text), crate::tree::Value::Text(_))
        && !is_ambiguous(text)
}

/// Printable in YAML and on one line. Rarer planes are escaped: escaping is never wrong.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{1fff}' | '\u{2030}'..='\u{d7ff}' | '\u{e000}'..='\u{fdff}' | '\u{1f300}'..='\u{1faff}')
        && !c.is_whitespace() | (c == ' ')
}

fn margin(index: usize, indent: usize, out: &mut String) {
    if index > 0 {
        out.extend(std::iter::repeat_n(' ', indent));
    }
}
