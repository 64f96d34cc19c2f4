//! Counts of the recent past: ten slices of a window, each two counts in one word.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::{Time, micros};

const SLICES: u64 = 10;

/// A slice is a word: its number since the beginning (24 bits, 194 days of one-second slices), then the two counts.
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// How many things happened within the window, and how many of them were marked. "Within the window" is the slice of
/// now and the nine before it: between nine and ten tenths of it.
#[derive(Debug)]
pub(crate) struct Window {
    slice: u64,
    slices: [AtomicU64; SLICES as usize],
}

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) plain: u64,
    pub(crate) marked: u64,
}

/// Which of the two counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    Marked,
}

impl Window {
    pub(crate) fn new(span: Duration) -> Self {
        Window {
            slice: (micros(span) / SLICES).max(1),
            slices: [const { AtomicU64::new(0) }; SLICES as usize],
        }
    }

    pub(crate) fn add(&self, now: Time, mark: Mark) {
        self.change(now, |counts| {
            // A full count halves both, so that their ratio stays.
            if counts.plain.max(counts.marked) == COUNT_MAX {
                *counts = Counts { plain: counts.plain / 2, marked: counts.marked / 2 };
            }
            *counts.of(mark) += 1;
        });
    }

    /// Takes back what was added at the same moment, unless its slice has passed already.
    pub(crate) fn take_back(&self, now: Time, mark: Mark) {
        self.change(now, |counts| *counts.of(mark) = counts.of(mark).saturating_sub(1));
    }

    pub(crate) fn counts(&self, now: Time) -> Counts {
        let newest = self.number(now);
        let mut sum = Counts::default();
        for slice in &self.slices {
            let (number, counts) = unpack(slice.load(Relaxed));
            // Numbers wrap; what another core has begun a moment ahead of us is as good as now.
            let age = newest.wrapping_sub(number) & NUMBER_MASK;
            if age < SLICES || age == NUMBER_MASK {
                sum.plain += counts.plain;
                sum.marked += counts.marked;
            }
        }
        sum
    }

    pub(crate) fn clear(&self) {
        for slice in &self.slices {
            slice.store(0, Relaxed);
        }
    }

    fn number(&self, now: Time) -> u64 {
        // One more, so that an untouched slice is not the first one of the process.
        (now.0 / self.slice + SLICES + 1) & NUMBER_MASK
    }

    fn change(&self, now: Time, change: impl Fn(&mut Counts)) {
        let number = self.number(now);
        let slice = &self.slices[((now.0 / self.slice) % SLICES) as usize];
        let mut word = slice.load(Relaxed);
        loop {
            let (held, counts) = unpack(word);
            let mut counts = if held == number { counts } else { Counts::default() };
            change(&mut counts);
            match slice.compare_exchange_weak(word, pack(number, counts), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }
}

impl Counts {
    fn of(&mut self, mark: Mark) -> &mut u64 {
        match mark {
            Mark::Plain => &mut self.plain,
            Mark::Marked => &mut self.marked,
        }
    }
}

const NUMBER_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

fn pack(number: u64, counts: Counts) -> u64 {
    number << (2 * COUNT_BITS) | counts.plain << COUNT_BITS | counts.marked
}

fn unpack(word: u64) -> (u64, Counts) {
    let counts = Counts { plain: word >> COUNT_BITS & COUNT_MAX, marked: word & COUNT_MAX };
    (word >> (2 * COUNT_BITS), counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(window: &Window, at: u64, plain: u64, marked: u64) {
        assert_eq!(window.counts(Time(at)), Counts { plain, marked }, "at {at}");
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let window = Window::new(Duration::from_micros(100));
        check(&window, 0, 0, 0);
        window.add(Time(0), Mark::Plain);
        window.add(Time(9), Mark::Marked);
        window.add(Time(55), Mark::Plain);
        check(&window, 55, 2, 1);
        check(&window, 99, 2, 1);
        check(&window, 100, 1, 0);
        check(&window, 149, 1, 0);
        check(&window, 150, 0, 0);
        window.add(Time(1_000_050), Mark::Plain);
        check(&window, 1_000_050, 1, 0);
        window.take_back(Time(1_000_050), Mark::Plain);
        check(&window, 1_000_050, 0, 0);
    }

    #[test]
    fn a_full_count_keeps_its_ratio() {
        let window = Window::new(Duration::from_secs(10));
        for n in 0..COUNT_MAX * 2 {
            window.add(Time(1), if n % 4 == 0 { Mark::Marked } else { Mark::Plain });
        }
        let counts = window.counts(Time(1));
        assert!(counts.plain > COUNT_MAX / 2 && counts.plain.abs_diff(counts.marked * 3) < 100, "{counts:?}");
    }
}
