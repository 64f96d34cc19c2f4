//! A change of a document's values that leaves the rest of its text alone: comments, order, quotes and `${…}`.
//!
//! The text is parsed, the changes become patches of bytes, and the result is parsed again: what does not read
//! back as the wanted value is never written.

mod flow;
mod lines;
mod list;
mod mapping;

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::Value as Json;

use crate::check::Problems;
use crate::expand::{escape, expand};
use crate::tree::{Node, Style, Value};
use crate::yaml::{Context, block, double_quoted, emit, inline, is_inline, parse};
use lines::Lines;

/// A text whose values, once `${…}` is expanded with `env`, are `new`, and which is otherwise `text`.
///
/// A value that expands to the new one keeps its reference. Changed scalars are replaced where they stand,
/// removed keys lose their lines, added keys go to the end of their mapping, and a list keeps the items that
/// did not change. Where the text allows no such change (or is no YAML) the answer is the plain form of `new`.
#[must_use]
pub fn edit(text: &str, new: &Json, env: &dyn Fn(&str) -> Option<String>) -> String {
    in_place(text, new, env).unwrap_or_else(|| emit(&escape(new)))
}

/// The edit, when it can be made without writing the whole document anew.
fn in_place(text: &str, new: &Json, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (before, after) = read(text, env)?;
    if after.to_json() == *new {
        return Some(text.to_owned());
    }
    let mut text = text.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut editor = Editor { lines: Lines::new(&text), patches: Vec::new() };
    editor.value(Pair { before: &before, after: &after }, new, Slot::Root)?;
    let edited = editor.apply();
    let (_, after) = read(&edited, env)?;
    (after.to_json() == *new).then_some(edited)
}

/// The tree as written and as it is once expanded.
fn read(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<(Node, Node)> {
    let before = parse(text).ok()?;
    let mut after = before.clone();
    // A name that is not set leaves a value that differs from the new one, and so is replaced.
    expand(&mut after, env, &mut Problems::default());
    Some((before, after))
}

/// A value as written and as it is once expanded; both trees have the same shape.
#[derive(Clone, Copy)]
struct Pair<'n> {
    before: &'n Node,
    after: &'n Node,
}

/// Where a value stands, which says how it may be replaced.
#[derive(Clone, Copy)]
enum Slot {
    /// The whole document.
    Root,
    /// Behind a key in a block mapping: the column of the key from 0, and the byte behind the colon.
    Entry { column: usize, colon: usize },
    /// Behind a dash in a block list: the column of the dash from 0.
    Item { column: usize },
}

/// The patches so far. Methods answer `None` when they cannot do it in place; the caller then replaces more.
struct Editor<'t> {
    lines: Lines<'t>,
    patches: Vec<(Range<usize>, String)>,
}

impl Editor<'_> {
    /// Makes one value the new one.
    fn value(&mut self, pair: Pair<'_>, new: &Json, slot: Slot) -> Option<()> {
        if pair.after.to_json() == *new {
            return Some(());
        }
        let known = self.patches.len();
        let inner = match (&pair.before.value, pair.before.source.style, new) {
            (_, Style::Flow, _) => self.flow(pair, new),
            (Value::Map(_), Style::Block, Json::Object(map)) => self.mapping(pair, map, slot),
            (Value::List(_), Style::Block, Json::Array(items)) => self.list(pair, items),
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
        self.patches.truncate(known);
        self.replace(pair.before, new, slot)
    }

    /// Puts the new value in the old one's place, whatever either looks like.
    fn replace(&mut self, node: &Node, new: &Json, slot: Slot) -> Option<()> {
        let style = node.source.style;
        match slot {
            Slot::Root if node.is_null() && !is_inline(new) => {
                self.insert_block(self.lines.text.len(), new, 0);
            }
            Slot::Root => return None,
            Slot::Entry { colon, .. } if node.is_null() && node.source.span.is_empty() => {
                self.behind_colon(colon, colon, new, slot);
            }
            Slot::Entry { colon, column } => {
                let end = self.lines.end(node, column)?;
                match (style, is_inline(new)) {
                    (Style::Plain | Style::Quoted | Style::Literal | Style::Flow, true) => {
                        let written = self.scalar(node, new, Context::Block);
                        self.patch(node.source.span.start..end, written);
                    }
                    (Style::Block, _) => {
                        let lines = self.lines.next(colon)..self.lines.after(end, column);
                        self.patch(lines, String::new());
                        self.behind_colon(colon, colon, new, slot);
                    }
                    _ => self.behind_colon(colon, end, new, slot),
                }
            }
            Slot::Item { column } => {
                let start = self.lines.start(node)?;
                let end = self.lines.end(node, column)?;
                if is_inline(new) {
                    let written = self.scalar(node, new, Context::Block);
                    self.patch(start..end, written);
                } else {
                    let mut text = String::new();
                    block(&escape(new), self.lines.column(start), &mut text);
                    let newline = self.lines.newline(end);
                    self.patch(start..newline, text.trim_end_matches('\n').to_owned());
                }
            }
        }
        Some(())
    }

    /// Writes a value behind a colon, in place of what stands there up to `end`; a comment on that line stays.
    fn behind_colon(&mut self, colon: usize, end: usize, new: &Json, slot: Slot) {
        let Slot::Entry { column, .. } = slot else { return };
        if is_inline(new) {
            self.patch(colon..end, format!(" {}", inline(&escape(new), Context::Block)));
        } else {
            self.patch(colon..end, String::new());
            self.insert_block(self.lines.next(end), new, column + 2);
        }
    }

    fn insert_block(&mut self, at: usize, new: &Json, indent: usize) {
        let mut text = " ".repeat(indent);
        block(&escape(new), indent, &mut text);
        self.patch(at..at, text);
    }

    /// A new scalar in the quotes of the old one, where it had some and they fit.
    fn scalar(&self, node: &Node, new: &Json, context: Context) -> String {
        let new = escape(new);
        match (&new, self.lines.text.as_bytes().get(node.source.span.start)) {
            (Json::String(text), Some(b'"')) if node.source.style == Style::Quoted => double_quoted(text),
            (Json::String(text), Some(b'\''))
                if node.source.style == Style::Quoted && !text.contains(char::is_control) =>
            {
                format!("'{}'", text.replace('\'', "''"))
            }
            _ => inline(&new, context),
        }
    }

    fn patch(&mut self, range: Range<usize>, with: String) {
        let with = if self.lines.is_crlf() { with.replace('\n', "\r\n") } else { with };
        self.patches.push((range, with));
    }

    /// The text with its patches. What is inserted at one place keeps the order in which it was asked for.
    fn apply(mut self) -> String {
        self.patches.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(self.lines.text.len());
        let mut at = 0;
        for (range, with) in &self.patches {
            // An overlap would be a fault of ours; the check of the result then refuses it.
            out.push_str(self.lines.text.get(at..range.start).unwrap_or_default());
            out.push_str(with);
            at = at.max(range.end);
        }
        out.push_str(&self.lines.text[at..]);
        out
    }
}
