//! Progress as rows: for each segment of offsets the offset that comes next, and what is open in runs of the same kind.
//!
//! Leases are not kept, since consumers do not outlive the process: what was leased comes again at once.

use super::progress::{Millis, Progress, SEGMENT};
use crate::queue::varint;

/// The first byte; another one is another form.
const FORM: u64 = 2;

/// What the file is told of a change, by segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) write: Vec<(u64, Vec<u8>)>,
    pub(super) gone: Vec<u64>,
}

/// What must be written of what has changed.
pub(super) fn rows(progress: &Progress, now: Millis) -> Rows {
    let (write, gone) = progress.changed();
    Rows { write: write.into_iter().map(|own| (own, encode(progress, own, now))).collect(), gone }
}

/// The bytes of a row.
fn encode(progress: &Progress, segment: u64, now: Millis) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    varint::put(&mut out, FORM);
    varint::put(&mut out, progress.next());
    let mut debts = progress.debts(segment, now).peekable();
    let mut behind = segment * SEGMENT;
    while let Some((first, delivery, due)) = debts.next() {
        let mut end = first + 1;
        while debts.next_if_eq(&(end, delivery, due)).is_some() {
            end += 1;
        }
        varint::put(&mut out, first - behind);
        varint::put(&mut out, end - first);
        varint::put(&mut out, delivery.into());
        varint::put(&mut out, due);
        behind = end;
    }
    out
}

/// Takes up what the row of a segment says; `None` when it is no such row.
pub(super) fn decode(progress: &mut Progress, segment: u64, mut row: &[u8]) -> Option<()> {
    let row = &mut row;
    if varint::take(row)? != FORM {
        return None;
    }
    let next = varint::take(row)?;
    let mut at = segment.checked_mul(SEGMENT)?;
    let bound = at.checked_add(SEGMENT)?.min(next);
    while !row.is_empty() {
        at = at.checked_add(varint::take(row)?)?;
        let end = at.checked_add(varint::take(row)?).filter(|end| *end <= bound)?;
        let (delivery, due) = (varint::take_u32(row)?, varint::take(row)?);
        for offset in at..end {
            progress.owe(offset, delivery, due);
        }
        at = end;
    }
    progress.advance(next);
    progress.read(segment);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::progress::Holder;
    use super::*;

    /// What rows say, whichever is read first.
    fn read(rows: &[(u64, Vec<u8>)]) -> Progress {
        let mut progress = Progress::default();
        rows.iter().rev().for_each(|(segment, row)| decode(&mut progress, *segment, row).unwrap());
        progress
    }

    #[test]
    fn rows_keep_debts_and_their_counts() {
        let holder = Holder { consumer: 1, sequence: 1 };
        let mut progress = Progress::at(100);
        for offset in 100..300 {
            progress.deliver(offset, 5000, holder);
        }
        assert!(progress.settle(150));
        progress.give_back(120, 1, 9000);
        progress.give_back(130, 1, 50);
        progress.deliver(130, 5000, holder);
        let Rows { write, gone } = rows(&progress, 100);
        assert_eq!((write.len(), gone.len()), (2, 0), "two segments");
        let bytes: usize = write.iter().map(|(_, row)| row.len()).sum();
        assert!(bytes < 60, "{bytes} bytes for runs");
        let read = read(&write);
        assert_eq!((read.settled(), read.next(), read.delivered()), (100, 300, 199));
        assert_eq!(read.delivery_of(150), None);
        assert_eq!(read.delivery_of(130), Some(2));
        let at_once = read.wanted(100, 300, 1000);
        assert_eq!(at_once.len(), 198, "all but the one that was told to wait");
        assert!(!at_once.contains(&120));
        assert_eq!(read.wakes_at(100), Some(9000));
        assert_eq!(rows(&read, 100), Rows::default(), "what was read stands there");
    }

    #[test]
    fn a_change_costs_its_own_segment_however_much_is_open() {
        let mut progress = Progress::default();
        for offset in 0..9000 {
            progress.deliver(offset, 5000, Holder { consumer: 1, sequence: offset });
        }
        assert_eq!(rows(&progress, 0).write.len(), 36);
        progress.wrote();
        // The worst row: no two neighbours are alike.
        for offset in (512..768).step_by(2) {
            assert!(progress.settle(offset));
        }
        let Rows { write, gone } = rows(&progress, 0);
        assert_eq!((write.len(), gone.len(), write[0].0), (1, 0, 2));
        assert!(write[0].1.len() < 600, "{} bytes", write[0].1.len());
        progress.wrote();
        // One message that is stuck keeps its own row; the others go with what they were about.
        assert!((1..9000).filter(|offset| progress.settle(*offset)).count() == 8871);
        let Rows { write, gone } = rows(&progress, 0);
        assert_eq!(write.iter().map(|own| own.0).collect::<Vec<_>>(), [0, 35], "its own, and the place");
        assert_eq!(gone.len(), 34);
        progress.wrote();
        progress.deliver(9000, 5000, Holder { consumer: 1, sequence: 1 });
        assert_eq!(rows(&progress, 0).write.len(), 1);
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for bad in [
            &[][..],
            &[1, 0],
            &[2],
            &[2, 5, 9, 1, 1, 0],
            &[2, 5, 0, 1, 1],
            &[2, 0xff, 0xff, 0x7f, 0, 0xff, 0xff, 0x7f, 1, 0],
        ] {
            assert!(decode(&mut Progress::default(), 0, bad).is_none(), "{bad:?}");
        }
        assert!(decode(&mut Progress::default(), u64::MAX, &[2, 5]).is_none());
        let mut progress = Progress::default();
        decode(&mut progress, 0, &[2, 5]).unwrap();
        assert_eq!((progress.next(), progress.owed()), (5, 0));
    }
}
