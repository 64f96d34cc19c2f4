//! A block list: items that did not change stay, the others change where they stand, come or go.

use serde_json::Value as Json;

use super::{Editor, Pair, Slot};
use crate::expand::escape;
use crate::yaml::block;

impl Editor<'_> {
    pub(super) fn list(&mut self, pair: Pair<'_>, new: &[Json]) -> Option<()> {
        let (old, after) = (pair.before.items(), pair.after.items());
        if new.is_empty() {
            return None;
        }
        let now: Vec<Json> = after.iter().map(crate::tree::Node::to_json).collect();
        let shorter = now.len().min(new.len());
        let head = (0..shorter).take_while(|at| now[*at] == new[*at]).count();
        let tail = (0..shorter - head)
            .take_while(|back| now[now.len() - 1 - back] == new[new.len() - 1 - back])
            .count();
        let (old_end, new_end) = (now.len() - tail, new.len() - tail);
        let changed = (old_end - head).min(new_end - head);

        let column = self.lines.column(self.lines.dash(old.first()?)?);
        for at in head..head + changed {
            let pair = Pair { before: &old[at], after: &after[at] };
            self.value(pair, &new[at], Slot::Item { column })?;
        }
        for item in &old[head + changed..old_end] {
            let dash = self.lines.dash(item)?;
            if !self.lines.is_first(dash) {
                return None;
            }
            let end = self.lines.end(item, column)?;
            self.patch(self.lines.begin(dash)..self.lines.after(end, column), String::new());
        }
        let added = &new[head + changed..new_end];
        if !added.is_empty() {
            let mut text = " ".repeat(column);
            block(&escape(&Json::from(added.to_vec())), column, &mut text);
            let at = match (head + changed).checked_sub(1) {
                Some(last) => self.lines.after(self.lines.end(&old[last], column)?, column),
                None => {
                    let dash = self.lines.dash(old.first()?)?;
                    if !self.lines.is_first(dash) {
                        return None;
                    }
                    self.lines.begin(dash)
                }
            };
            self.patch(at..at, text);
        }
        Some(())
    }
}
