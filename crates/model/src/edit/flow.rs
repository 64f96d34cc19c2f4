//! A collection in brackets: scalars change where they stand while the keys stay; else it is written anew on
//! one line, with what did not change as it was.

use serde_json::Value as Json;

use super::{Editor, Pair};
use crate::expand::escape;
use crate::tree::{Style, Value};
use crate::yaml::{Context, inline, text};

impl Editor<'_> {
    pub(super) fn flow(&mut self, pair: Pair<'_>, new: &Json) -> Option<()> {
        if !matches!(new, Json::Array(_) | Json::Object(_)) {
            // What stands in brackets no longer is replaced as any other value is.
            return None;
        }
        if let Some(leaves) = leaves(pair, new) {
            for (pair, new) in leaves {
                let written = self.scalar(pair.before, new, Context::Flow);
                self.patch(pair.before.source.span.clone(), written);
            }
            return Some(());
        }
        let written = self.written(pair, new);
        self.patch(pair.before.source.span.clone(), written);
        Some(())
    }

    /// A value as it stands between brackets.
    fn written(&self, pair: Pair<'_>, new: &Json) -> String {
        let span = pair.before.source.span.clone();
        if pair.after.to_json() == *new && !span.is_empty() {
            return self.lines.text[span].to_owned();
        }
        match (&pair.before.value, new) {
            (Value::Map(entries), Json::Object(map)) if !map.is_empty() => {
                let after = pair.after.entries();
                let kept = entries.iter().zip(after).filter_map(|(old, expanded)| {
                    let new = map.get(&old.key)?;
                    let key = &self.lines.text[old.key_span.clone()];
                    let pair = Pair { before: &old.node, after: &expanded.node };
                    Some(format!("{key}: {}", self.written(pair, new)))
                });
                let added = map.iter().filter(|(key, _)| !entries.iter().any(|entry| entry.key == **key));
                let added = added.map(|(key, new)| {
                    format!("{}: {}", text(key, Context::Flow), inline(&escape(new), Context::Flow))
                });
                format!("{{ {} }}", kept.chain(added).collect::<Vec<_>>().join(", "))
            }
            (Value::List(items), Json::Array(new)) => {
                let after = pair.after.items();
                let items =
                    new.iter().enumerate().map(|(index, new)| match (items.get(index), after.get(index)) {
                        (Some(before), Some(after)) => self.written(Pair { before, after }, new),
                        _ => inline(&escape(new), Context::Flow),
                    });
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            _ => inline(&escape(new), Context::Flow),
        }
    }
}

/// The scalars that differ, when nothing else does.
fn leaves<'n>(pair: Pair<'n>, new: &'n Json) -> Option<Vec<(Pair<'n>, &'n Json)>> {
    if pair.after.to_json() == *new {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    match (&pair.before.value, new) {
        (Value::Map(entries), Json::Object(map)) if entries.len() == map.len() => {
            for (old, expanded) in entries.iter().zip(pair.after.entries()) {
                let pair = Pair { before: &old.node, after: &expanded.node };
                found.extend(leaves(pair, map.get(&old.key)?)?);
            }
        }
        (Value::List(items), Json::Array(new)) if items.len() == new.len() => {
            for ((before, after), new) in items.iter().zip(pair.after.items()).zip(new) {
                found.extend(leaves(Pair { before, after }, new)?);
            }
        }
        (_, Json::Array(_) | Json::Object(_)) => return None,
        _ => match pair.before.source.style {
            Style::Plain | Style::Quoted if !pair.before.source.span.is_empty() => found.push((pair, new)),
            _ => return None,
        },
    }
    Some(found)
}
