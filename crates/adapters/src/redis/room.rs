//! How many connections a service may have open, counted over all cores and nodes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The count, with its limit.
#[derive(Debug)]
pub(super) struct Room {
    open: AtomicUsize,
    most: usize,
}

/// The right to one open connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Room>);

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Room { open: AtomicUsize::new(0), most })
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// One more, if the limit has room for it.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        self.take_leaving(0)
    }

    /// One more for somebody who could share another's, so that room is left for those who cannot.
    pub(super) fn take_spare(self: &Arc<Self>) -> Option<Permit> {
        self.take_leaving((self.most / 3).min(2))
    }

    fn take_leaving(self: &Arc<Self>, left: usize) -> Option<Permit> {
        let most = self.most - left;
        let more = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_are_open() {
        let room = Room::new(3);
        let first = room.take().unwrap();
        let _second = room.take_spare().unwrap();
        assert!(room.take_spare().is_none(), "the last one is for those who can share none");
        let third = room.take().unwrap();
        assert!(room.take().is_none());
        drop(first);
        assert_eq!(room.open(), 2);
        assert!(room.take().is_some());
        drop(third);
    }

    #[test]
    fn a_small_limit_is_given_out_whole() {
        let room = Room::new(1);
        let only = room.take_spare().unwrap();
        assert!(room.take().is_none());
        drop(only);
        assert_eq!(room.open(), 0);
    }
}
