//! Buffers that a core lends to whoever is ready to read.
//!
//! A connection that waits holds none. There are two sizes: small for heads, large for relaying bodies,
//! where the number of system calls is what counts. Large ones are few; when a core has lent them all
//! (many slow readers), small ones are lent instead, so memory stays bounded.

use std::cell::RefCell;

/// Enough for nearly every head, and the least that is read at once.
pub const SMALL: usize = 16 * 1024;
/// Where a relay's cost stops falling: 64 KiB costs 1.0 of nginx, 256 KiB 0.84.
pub const LARGE: usize = 256 * 1024;
/// Large buffers that one core lends at once.
const LARGE_LENT: usize = 64;
/// Buffers of each size that a core keeps when they come back.
const KEPT: usize = 64;
const LARGE_KEPT: usize = 4;

#[derive(Default)]
struct Shelf {
    small: Vec<Box<[u8]>>,
    large: Vec<Box<[u8]>>,
    large_lent: usize,
}

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::default();
}

/// Bytes that were read and not yet used, in a buffer that is lent while there are any.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was read and not yet used.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much is left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// How much it can hold now; 0 when nothing is lent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Marks `n` bytes as used.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len(), "consumed more than was read");
        self.start += n;
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room to read into: lent when there is none yet, made by moving what is left to the front when full.
    /// Empty only when all of it is filled.
    pub fn room(&mut self, size: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = lend(size);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Says that `n` bytes of the room are filled.
    pub fn advance(&mut self, n: usize) {
        self.end += n;
        debug_assert!(self.end <= self.bytes.len(), "filled more than there was room for");
    }

    /// Moves what is left into a buffer of at least `size`, whatever is lent already: a head has no choice.
    pub fn grow(&mut self, size: usize) {
        if self.bytes.len() < size {
            let mut larger = Buffer { bytes: lend_anyway(size), start: 0, end: self.len() };
            larger.bytes[..self.len()].copy_from_slice(self.filled());
            *self = larger;
        }
    }

    /// Gives the buffer back when nothing is left in it.
    pub fn release(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            *self = Buffer::default();
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            give_back(std::mem::take(&mut self.bytes));
        }
    }
}

fn lend(size: usize) -> Box<[u8]> {
    SHELF
        .try_with(|shelf| {
            let shelf = &mut *shelf.borrow_mut();
            if size > SMALL && shelf.large_lent < LARGE_LENT {
                shelf.large_lent += 1;
                return shelf.large.pop().unwrap_or_else(|| vec![0; LARGE].into_boxed_slice());
            }
            shelf.small.pop().unwrap_or_else(|| vec![0; SMALL].into_boxed_slice())
        })
        .unwrap_or_else(|_| vec![0; SMALL].into_boxed_slice())
}

fn lend_anyway(size: usize) -> Box<[u8]> {
    if size == LARGE {
        // It counts when it comes back, so it counts when it goes.
        let _ = SHELF.try_with(|shelf| shelf.borrow_mut().large_lent += 1);
    }
    vec![0; size].into_boxed_slice()
}

fn give_back(bytes: Box<[u8]>) {
    // The shelf is gone when its thread ends; then the buffer is simply freed.
    let _ = SHELF.try_with(|shelf| {
        let shelf = &mut *shelf.borrow_mut();
        match bytes.len() {
            SMALL if shelf.small.len() < KEPT => shelf.small.push(bytes),
            LARGE => {
                shelf.large_lent = shelf.large_lent.saturating_sub(1);
                if shelf.large.len() < LARGE_KEPT {
                    shelf.large.push(bytes);
                }
            }
            _ => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.capacity(), 0);
        buffer.room(SMALL)[..5].copy_from_slice(b"hello");
        buffer.advance(5);
        buffer.consume(2);
        assert_eq!(buffer.filled(), b"llo");
        buffer.grow(LARGE);
        assert_eq!(buffer.filled(), b"llo");
        buffer.consume(3);
        buffer.release();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn a_core_lends_a_bounded_number_of_large_buffers() {
        let mut lent: Vec<Buffer> = (0..LARGE_LENT + 10).map(|_| Buffer::default()).collect();
        for buffer in &mut lent {
            buffer.room(LARGE);
        }
        let large = lent.iter().filter(|buffer| buffer.capacity() == LARGE).count();
        assert_eq!(large, LARGE_LENT);
        drop(lent);
        let mut again = Buffer::default();
        assert_eq!(again.room(LARGE).len(), LARGE);
    }
}
