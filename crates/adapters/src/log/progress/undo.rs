//! What a turn has changed: to be undone when it could not be written, and what of it must be written.

use super::{Open, Progress, SEGMENT, segment_of};

/// How things were before a turn.
#[derive(Debug, Clone)]
pub(super) struct Before {
    next: u64,
    /// Each change, the latest last: what was open at this offset.
    open: Vec<(u64, Option<Open>)>,
}

impl Progress {
    /// From here on what changes can be undone. False when a turn has begun already.
    pub(in crate::log) fn begin(&mut self) -> bool {
        let begins = self.before.is_none();
        if begins {
            self.before = Some(Box::new(Before { next: self.next, open: Vec::new() }));
        }
        begins
    }

    /// Puts everything back as it was at the beginning of the turn.
    pub(in crate::log) fn undo(&mut self) {
        let Some(before) = self.before.take() else { return };
        for (offset, open) in before.open.into_iter().rev() {
            self.close(offset);
            if let Some(open) = open {
                self.put(offset, open);
            }
        }
        self.next = before.next;
    }

    /// Notes what was open at an offset that is about to change.
    pub(super) fn note(&mut self, offset: u64, open: Option<Open>) {
        self.stale.insert(offset / SEGMENT);
        if let Some(before) = &mut self.before {
            before.open.push((offset, open));
        }
    }

    /// Segments whose rows must be written, and those whose rows must go. Between all rows of a group in a
    /// partition the largest `next` is the one that counts, so that the row of the last segment always stays.
    pub(in crate::log) fn changed(&self) -> (Vec<u64>, Vec<u64>) {
        if self.stale.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let (last, settled) = (segment_of(self.next), self.settled() / SEGMENT);
        let mut write: Vec<u64> = self.stale.iter().copied().filter(|own| self.owes(*own)).collect();
        if (self.stale.contains(&last) || !self.kept.contains(&last)) && !write.contains(&last) {
            write.push(last);
        }
        let paid = self.stale.intersection(&self.kept).copied().filter(|own| *own > settled);
        let gone = self.kept.range(..=settled).copied().chain(paid);
        (write, gone.filter(|own| *own != last && !self.owes(*own)).collect())
    }

    /// What [`Progress::changed`] named is in the file.
    pub(in crate::log) fn wrote(&mut self) {
        let (write, gone) = self.changed();
        self.kept.extend(write);
        self.kept.retain(|segment| !gone.contains(segment));
        self.stale.clear();
        self.before = None;
    }

    /// This segment was read from its row.
    pub(in crate::log) fn read(&mut self, segment: u64) {
        self.kept.insert(segment);
        self.stale.clear();
    }

    /// Whether something of a segment is open.
    fn owes(&self, segment: u64) -> bool {
        self.open.range(segment * SEGMENT..(segment + 1) * SEGMENT).next().is_some()
    }
}
