//! Which core a thread serves, and things of which each core has one.
//!
//! The process has `count()` traffic cores, each a thread with a runtime of its own; every other thread
//! (control) shares the last slot. A slot is found by the thread that asks, so nothing needs to carry it.

use std::cell::Cell;
use std::sync::OnceLock;

static COUNT: OnceLock<usize> = OnceLock::new();

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Says how many traffic cores there are. Only the first word counts; unsaid, it is one.
pub fn set_count(count: usize) {
    let _ = COUNT.set(count.max(1));
}

/// How many traffic cores there are.
#[must_use]
pub fn count() -> usize {
    *COUNT.get_or_init(|| 1)
}

/// How many slots a thing of each core has: one a core, and one for all other threads.
#[must_use]
pub fn slots() -> usize {
    count() + 1
}

/// Makes the calling thread the one that serves core `index`.
pub fn enter(index: usize) {
    INDEX.set(index);
}

/// The slot of the calling thread, below [`slots`].
#[must_use]
pub fn index() -> usize {
    INDEX.get().min(count())
}

/// A cache line of its own, so that two cores never write to the same one.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// One `T` for each slot.
#[derive(Debug)]
pub struct PerCore<T>(Box<[Padded<T>]>);

impl<T> PerCore<T> {
    /// Makes one for each slot.
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        PerCore((0..slots()).map(|_| Padded(make())).collect())
    }

    /// That of the calling thread.
    #[must_use]
    pub fn here(&self) -> &T {
        &self.0[index().min(self.0.len() - 1)].0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
