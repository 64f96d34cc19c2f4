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
    /// Groups of which none is open: each may need one at any moment.
    lacking: AtomicUsize,
    closed: AtomicBool,
}

/// Connections that stand in for each other.
#[derive(Debug)]
pub(super) struct Group {
    room: Arc<Room>,
    open: AtomicUsize,
}

/// The right to one open connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    room: Arc<Room>,
    among: Option<Arc<Group>>,
}

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let (open, lacking) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Room { open, most, lacking, closed: AtomicBool::new(false) })
    }

    /// Some that will stand in for each other.
    pub(super) fn group(self: &Arc<Self>) -> Arc<Group> {
        self.lacking.fetch_add(1, Relaxed);
        Arc::new(Group { room: Arc::clone(self), open: AtomicUsize::new(0) })
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

    fn take_leaving(self: &Arc<Self>, left: usize) -> Option<Permit> {
        if self.is_closed() {
            return None;
        }
        let most = self.most.saturating_sub(left);
        let more = |open| (open < most).then_some(open + 1);
        let taken = self.open.fetch_update(Relaxed, Relaxed, more);
        taken.ok().map(|_| Permit { room: Arc::clone(self), among: None })
    }
}

impl Group {
    /// One more of these. From the second on they leave room for those who can share none, and for the first ones of
    /// other groups: many cores must not keep the last node of a cluster from everybody.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        let left =
            if self.more() { 0 } else { (self.room.most / 3).min(2) + self.room.lacking.load(Relaxed) };
        let Some(mut permit) = self.room.take_leaving(left) else {
            self.fewer();
            return None;
        };
        permit.among = Some(Arc::clone(self));
        Some(permit)
    }

    /// Counts one more, and says whether it is the first.
    fn more(&self) -> bool {
        let first = self.open.fetch_add(1, Relaxed) == 0;
        if first {
            self.room.lacking.fetch_sub(1, Relaxed);
        }
        first
    }

    fn fewer(&self) {
        if self.open.fetch_sub(1, Relaxed) == 1 {
            self.room.lacking.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Group {
    /// Nobody needs any of them any more; none is open, since each keeps its group.
    fn drop(&mut self) {
        self.room.lacking.fetch_sub(1, Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(among) = &self.among {
            among.fewer();
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
        let group = room.group();
        let first = group.take().unwrap();
        let _second = group.take().unwrap();
        assert!(group.take().is_none(), "the last one is for those who can share none");
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
        let only = room.group().take().unwrap();
        assert!(room.take().is_none());
        drop(only);
        assert_eq!(room.open(), 0);
    }

    #[test]
    fn the_first_of_each_group_has_a_place() {
        let room = Room::new(10);
        let groups: Vec<_> = (0..5).map(|_| room.group()).collect();
        let mut open: Vec<_> = std::iter::from_fn(|| groups[0].take()).collect();
        assert_eq!(open.len(), 4, "four other groups, and two who can share none");
        open.extend(groups[1..].iter().map(|group| group.take().expect("its place is kept")));
        assert!(groups[0].take().is_none());
        open.clear();
        drop(groups);
        assert_eq!((room.open(), room.lacking.load(Relaxed)), (0, 0));
    }
}
