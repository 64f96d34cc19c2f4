//! A block mapping: values changed where they stand, keys taken out with their lines, keys added at its end.

use serde_json::{Map, Value as Json};

use super::{Editor, Pair, Slot};
use crate::expand::escape;
use crate::tree::Entry;
use crate::yaml::entry;

impl Editor<'_> {
    pub(super) fn mapping(&mut self, pair: Pair<'_>, new: &Map<String, Json>, slot: Slot) -> Option<()> {
        let (entries, after) = (pair.before.entries(), pair.after.entries());
        // With no key left there is nothing to hold on to.
        let first_kept = entries.iter().position(|entry| new.contains_key(&entry.key))?;
        let column = self.lines.column(entries.first()?.key_span.start);
        for (index, (old, expanded)) in entries.iter().zip(after).enumerate() {
            let colon = self.lines.colon(old.key_span.end)?;
            match new.get(&old.key) {
                Some(new) => {
                    let pair = Pair { before: &old.node, after: &expanded.node };
                    self.value(pair, new, Slot::Entry { column, colon })?;
                }
                None => self.remove(entries, index, first_kept)?,
            }
        }
        let mut added = String::new();
        for (key, value) in new.iter().filter(|(key, _)| !entries.iter().any(|entry| entry.key == **key)) {
            added.push_str(&" ".repeat(column));
            entry(key, &escape(value), column, &mut added);
        }
        if !added.is_empty() {
            let outer = match slot {
                Slot::Entry { column, .. } | Slot::Item { column } => column,
                Slot::Root => 0,
            };
            let at = self.lines.after(self.lines.end(pair.before, outer)?, column);
            self.patch(at..at, added);
        }
        Some(())
    }

    fn remove(&mut self, entries: &[Entry], index: usize, first_kept: usize) -> Option<()> {
        let key = entries[index].key_span.start;
        if self.lines.is_first(key) {
            let column = self.lines.column(key);
            let end = match &entries[index].node {
                node if node.is_null() && node.source.span.is_empty() => {
                    self.lines.colon(entries[index].key_span.end)?
                }
                node => self.lines.end(node, column)?,
            };
            // Those before the first that stays may begin behind a dash and go together.
            if index > first_kept || self.lines.is_first(entries[0].key_span.start) {
                self.patch(self.lines.begin(key)..self.lines.after(end, column), String::new());
            }
            return Some(());
        }
        // Behind a dash: the first key that stays moves up into this place.
        self.patch(key..entries[first_kept].key_span.start, String::new());
        Some(())
    }
}
