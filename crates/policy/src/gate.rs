//! Who may come in: how many requests to a service are under way, and how many wait until one of them ends. How they
//! wait, and in which order, is for the caller.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// What is under way and what waits, in one word: two cores never let in more than there is room for, and nobody is
/// forgotten between a look at the one count and a change of the other.
#[derive(Debug, Default)]
pub struct Gate {
    /// Under way (upper half), waiting (lower half).
    word: AtomicU64,
}

/// Whether somebody who has come may go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// There is room, and it is taken.
    In,
    /// There is none, and a place among those who wait is taken.
    Waits,
    /// There is neither.
    Full,
}

/// What becomes of the room of somebody who has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is free.
    Free,
    /// It is the next one's who waits.
    Passed,
}

impl Gate {
    /// Nobody is in, and nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Gate::default()
    }

    /// Goes in at once, when there is room among so many and nobody waits for it.
    pub fn enter_at_once(&self, most: u32) -> bool {
        self.change(|counts| (counts.waiting == 0 && counts.inside < most).then(|| counts.inside(1))).is_ok()
    }

    /// Goes in, or takes a place among at most so many who wait. Whoever was there before goes first.
    pub fn enter(&self, most: u32, most_waiting: u32) -> Entry {
        if self.enter_at_once(most) {
            return Entry::In;
        }
        let entered = self.change(|counts| {
            if counts.waiting == 0 && counts.inside < most {
                Some(counts.inside(1))
            } else {
                (counts.waiting < most_waiting).then(|| counts.waiting(1))
            }
        });
        match entered {
            Ok(before) if before.waiting == 0 && before.inside < most => Entry::In,
            Ok(_) => Entry::Waits,
            Err(_) => Entry::Full,
        }
    }

    /// Leaves, when nobody waits for the room.
    pub fn leave_at_once(&self) -> bool {
        self.change(|counts| (counts.waiting == 0).then(|| counts.inside(-1))).is_ok()
    }

    /// Leaves. The room goes to the next who waits, if there is one, and unless there is less room by now.
    pub fn leave(&self, most: u32) -> Exit {
        let passes = |counts: Counts| counts.waiting > 0 && counts.inside <= most;
        let left =
            self.change(|counts| Some(if passes(counts) { counts.waiting(-1) } else { counts.inside(-1) }));
        if left.is_ok_and(passes) { Exit::Passed } else { Exit::Free }
    }

    /// Lets the next in who waits, when there is room: there may be more of it than before.
    pub fn admit(&self, most: u32) -> bool {
        let admits = |counts: Counts| counts.waiting > 0 && counts.inside < most;
        self.change(|counts| admits(counts).then(|| counts.waiting(-1).inside(1))).is_ok()
    }

    /// Somebody waits no longer.
    pub fn give_up(&self) {
        let _ = self.change(|counts| Some(counts.waiting(-1)));
    }

    /// How many are under way.
    #[must_use]
    pub fn inside(&self) -> u32 {
        unpack(self.word.load(Relaxed)).inside
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        unpack(self.word.load(Relaxed)).waiting
    }

    /// The counts as they were before, when there was something to change.
    fn change(&self, change: impl Fn(Counts) -> Option<Counts>) -> Result<Counts, Counts> {
        let changed = self.word.fetch_update(AcqRel, Acquire, |word| change(unpack(word)).map(pack));
        changed.map(unpack).map_err(unpack)
    }
}

#[derive(Clone, Copy)]
struct Counts {
    inside: u32,
    waiting: u32,
}

impl Counts {
    fn inside(self, by: i32) -> Counts {
        debug_assert!(self.inside.checked_add_signed(by).is_some(), "somebody left who was not in");
        Counts { inside: self.inside.saturating_add_signed(by), ..self }
    }

    fn waiting(self, by: i32) -> Counts {
        debug_assert!(self.waiting.checked_add_signed(by).is_some(), "somebody gave up who did not wait");
        Counts { waiting: self.waiting.saturating_add_signed(by), ..self }
    }
}

fn pack(counts: Counts) -> u64 {
    u64::from(counts.inside) << 32 | u64::from(counts.waiting)
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
fn unpack(word: u64) -> Counts {
    Counts { inside: (word >> 32) as u32, waiting: word as u32 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn so_many_go_in_so_many_wait_and_the_rest_is_sent_away() {
        let gate = Gate::new();
        let entries: Vec<Entry> = (0..6).map(|_| gate.enter(2, 3)).collect();
        assert_eq!(entries, [Entry::In, Entry::In, Entry::Waits, Entry::Waits, Entry::Waits, Entry::Full]);
        assert_eq!((gate.inside(), gate.waiting()), (2, 3));
        assert_eq!(gate.leave(2), Exit::Passed);
        assert!(!gate.leave_at_once() && !gate.enter_at_once(9), "whoever waits goes first");
        gate.give_up();
        gate.give_up();
        assert_eq!((gate.inside(), gate.waiting()), (2, 0));
        assert!(gate.leave_at_once());
        assert_eq!((gate.leave(2), gate.inside()), (Exit::Free, 0));
    }

    #[test]
    fn less_room_is_not_passed_on_and_more_lets_more_in() {
        let gate = Gate::new();
        let entries: Vec<Entry> = (0..6).map(|_| gate.enter(4, 9)).collect();
        assert_eq!(entries.iter().filter(|entry| **entry == Entry::In).count(), 4);
        assert_eq!(gate.leave(2), Exit::Free, "three are still in, of whom two have room");
        assert_eq!(gate.leave(2), Exit::Free);
        assert_eq!(gate.leave(2), Exit::Passed);
        assert!(!gate.admit(2));
        assert!(gate.admit(3));
        assert_eq!((gate.inside(), gate.waiting()), (3, 0));
        assert!(!gate.admit(9), "nobody waits");
    }

    #[test]
    fn threads_at_once_never_pass_the_bounds_and_leave_nothing_behind() {
        let (gate, inside, most) = (Gate::new(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        match gate.enter(3, 2) {
                            Entry::Full => continue,
                            // Lets itself in as a queue would, once there is room.
                            Entry::Waits => {
                                while !gate.admit(3) {
                                    std::thread::yield_now();
                                }
                            }
                            Entry::In => {}
                        }
                        most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                        inside.fetch_sub(1, Ordering::Relaxed);
                        // Nobody is passed anything here: those who wait look for themselves.
                        assert_eq!(gate.leave(0), Exit::Free);
                    }
                });
            }
        });
        assert_eq!((gate.inside(), gate.waiting()), (0, 0));
        assert!(most.into_inner() <= 3);
    }
}
