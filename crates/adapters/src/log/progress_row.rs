//! Progress as a row: the offset that comes next, and what is open before it in runs of the same kind.
//!
//! Leases are not kept, since consumers do not outlive the process: what was leased comes again at once.

use super::progress::{MOST_OPEN, Millis, Progress};
use super::varint;

/// The first byte; another one is another form.
const FORM: u64 = 1;

/// The bytes of a row.
pub(super) fn encode(progress: &Progress, now: Millis) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    varint::put(&mut out, FORM);
    varint::put(&mut out, progress.next());
    let mut debts = progress.debts(now).peekable();
    let mut behind = 0;
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

/// What a row says; `None` when it is none.
pub(super) fn decode(mut row: &[u8]) -> Option<Progress> {
    let row = &mut row;
    if varint::take(row)? != FORM {
        return None;
    }
    let next = varint::take(row)?;
    let mut progress = Progress::at(next);
    let mut at = 0u64;
    while !row.is_empty() {
        at = at.checked_add(varint::take(row)?)?;
        let end = at.checked_add(varint::take(row)?).filter(|end| *end <= next)?;
        let (delivery, due) = (varint::take_u32(row)?, varint::take(row)?);
        if progress.delivered() + (end - at) > MOST_OPEN as u64 {
            return None;
        }
        for offset in at..end {
            progress.owe(offset, delivery, due);
        }
        at = end;
    }
    Some(progress)
}

#[cfg(test)]
mod tests {
    use super::super::progress::Holder;
    use super::*;

    #[test]
    fn a_row_keeps_debts_and_their_counts() {
        let holder = Holder { consumer: 1, sequence: 1 };
        let mut progress = Progress::at(100);
        for offset in 100..200 {
            progress.deliver(offset, 5000, holder);
        }
        assert!(progress.settle(150));
        progress.give_back(120, 1, 9000);
        progress.give_back(130, 1, 50);
        progress.deliver(130, 5000, holder);
        let row = encode(&progress, 100);
        assert!(row.len() < 48, "{} bytes for runs", row.len());
        let read = decode(&row).unwrap();
        assert_eq!((read.settled(), read.next(), read.delivered()), (100, 200, 99));
        assert_eq!(read.delivery_of(150), None);
        assert_eq!(read.delivery_of(130), Some(2));
        let at_once = read.wanted(100, 200, 1000);
        assert_eq!(at_once.len(), 98, "all but the one that was told to wait");
        assert!(!at_once.contains(&120));
        assert_eq!(read.wakes_at(100), Some(9000));
        assert_eq!(encode(&read, 100), row);
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for bad in [
            &[][..],
            &[2, 0],
            &[1],
            &[1, 5, 9, 1, 1, 0],
            &[1, 5, 0, 1, 1],
            &[1, 0xff, 0xff, 0x7f, 0, 0xff, 0xff, 0x7f, 1, 0],
        ] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
        assert_eq!(decode(&[1, 5]), Some(Progress::at(5)));
    }
}
