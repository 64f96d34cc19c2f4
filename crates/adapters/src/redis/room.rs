//! How many connections a service may have open, counted over all cores and nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::failure::Refusal;

/// The count, with its limit.
#[derive(Debug)]
pub(super) struct Room {
    open: AtomicUsize,
    most: usize,
    closed: AtomicBool,
}

/// The right to one open connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    room: Arc<Room>,
    among: Option<Arc<AtomicUsize>>,
}

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Room { open: AtomicUsize::new(0), most, closed: AtomicBool::new(false) })
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// From now on there is room for none.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Why there is no room.
    pub(super) fn refusal(&self) -> Refusal {
        if self.is_closed() { Refusal::closed() } else { Refusal::full(self.most) }
    }

    /// One more, if the limit has room for it.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        self.take_leaving(0)
    }

    /// One more of some that stand in for each other, which are counted by `among`. From the second on they leave room
    /// for those who can share none.
    pub(super) fn take_among(self: &Arc<Self>, among: &Arc<AtomicUsize>) -> Option<Permit> {
        let first = among.fetch_add(1, Relaxed) == 0;
        let left = if first { 0 } else { (self.most / 3).min(2) };
        let Some(mut permit) = self.take_leaving(left) else {
            among.fetch_sub(1, Relaxed);
            return None;
        };
        permit.among = Some(Arc::clone(among));
        Some(permit)
    }

    fn take_leaving(self: &Arc<Self>, left: usize) -> Option<Permit> {
        if self.is_closed() {
            return None;
        }
        let most = self.most - left;
        let more = |open| (open < most).then_some(open + 1);
        let taken = self.open.fetch_update(Relaxed, Relaxed, more);
        taken.ok().map(|_| Permit { room: Arc::clone(self), among: None })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(among) = &self.among {
            among.fetch_sub(1, Relaxed);
        }
        self.room.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_are_open() {
        let room = Room::new(3);
        let among = Arc::default();
        let first = room.take_among(&among).unwrap();
        let _second = room.take_among(&among).unwrap();
        assert!(room.take_among(&among).is_none(), "the last one is for those who can share none");
        let third = room.take().unwrap();
        assert!(room.take().is_none());
        drop(first);
        assert_eq!(room.open(), 2);
        assert!(room.take().is_some());
        drop(third);
    }

    #[test]
    fn what_is_closed_has_room_for_none() {
        let room = Room::new(2);
        let open = room.take();
        room.close();
        assert!(room.take().is_none());
        assert_eq!(room.refusal().failure().code(), model::Code::Draining);
        drop(open);
        assert_eq!(room.open(), 0);
    }

    #[test]
    fn a_small_limit_is_given_out_whole() {
        let room = Room::new(1);
        let only = room.take_among(&Arc::default()).unwrap();
        assert!(room.take().is_none());
        drop(only);
        assert_eq!(room.open(), 0);
    }
}
