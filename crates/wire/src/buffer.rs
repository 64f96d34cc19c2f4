//! Buffers that a core lends to whoever is ready to read.
//!
//! A connection that waits holds none. There are two sizes: small for heads, large for relaying bodies,
//! where the number of system calls is what counts. Large ones are few; when a core has lent them all
//! (many slow readers), small ones are lent instead, so memory stays bounded.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

/// Enough for nearly every head, and the least that is read at once.
pub const SMALL: usize = 16 * 1024;
/// Where a relay's cost stops falling: 64 KiB costs 1.0 of nginx, 256 KiB 0.84.
pub const LARGE: usize = 256 * 1024;
/// Large buffers that one core lends at once.
const LARGE_LENT: usize = 64;
/// Buffers of each size that a core keeps when they come back.
const KEPT: usize = 64;
const LARGE_KEPT: usize = 16;
/// Room for what several streams say at once; a core keeps some of these, too.
const SAID: usize = 80 * 1024;
const SAID_KEPT: usize = 16;
/// So many bytes are worth more than the buffer they stand in.
const WORTH_A_BUFFER: usize = 4 * 1024;

/// How many large buffers a core has lent. One may come back on another core.
type Lent = Arc<AtomicUsize>;

#[derive(Default)]
struct Shelf {
    small: Vec<Box<[u8]>>,
    large: Vec<Box<[u8]>>,
    large_lent: Lent,
    said: Vec<Vec<u8>>,
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
    /// Where it is counted, if it is large.
    counted: Option<Lent>,
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
            (self.bytes, self.counted) = lend(size);
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
            let (bytes, counted) = lend_anyway(size);
            let mut larger = Buffer { bytes, start: 0, end: self.len(), counted };
            larger.bytes[..self.len()].copy_from_slice(self.filled());
            *self = larger;
        }
    }

    /// Takes the first `n` bytes out of it; together with the buffer when they fill much of it and little follows, which
    /// moves into another.
    pub fn take(&mut self, n: usize) -> Bytes {
        let fills_much = n >= WORTH_A_BUFFER && n >= self.bytes.len() / 4;
        if !fills_much || self.len() - n > n {
            let bytes = Bytes::copy_from_slice(&self.filled()[..n]);
            self.consume(n);
            return bytes;
        }
        let mut rest = Buffer::default();
        let following = &self.filled()[n..];
        if !following.is_empty() {
            (rest.bytes, rest.counted) = lend_anyway(self.bytes.len());
            rest.bytes[..following.len()].copy_from_slice(following);
            rest.end = following.len();
        }
        self.end = self.start + n;
        Bytes::from_owner(Taken(std::mem::replace(self, rest)))
    }

    /// Gives the buffer back when nothing is left in it.
    pub fn release(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            *self = Buffer::default();
        }
    }
}

/// A buffer that is read and nothing else.
struct Taken(Buffer);

impl AsRef<[u8]> for Taken {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(lent) = &self.counted {
            lent.fetch_sub(1, Relaxed);
        }
        if !self.bytes.is_empty() {
            give_back(std::mem::take(&mut self.bytes));
        }
    }
}

/// A buffer of about that size, and where it is counted.
type Loan = (Box<[u8]>, Option<Lent>);

fn lend(size: usize) -> Loan {
    SHELF
        .try_with(|shelf| {
            let shelf = &mut *shelf.borrow_mut();
            if size > SMALL && shelf.large_lent.load(Relaxed) < LARGE_LENT {
                let bytes = shelf.large.pop().unwrap_or_else(|| vec![0; LARGE].into_boxed_slice());
                return (bytes, Some(shelf.count()));
            }
            (shelf.small.pop().unwrap_or_else(|| vec![0; SMALL].into_boxed_slice()), None)
        })
        .unwrap_or_else(|_| (vec![0; SMALL].into_boxed_slice(), None))
}

impl Shelf {
    /// Counts a large buffer, which is told where.
    fn count(&self) -> Lent {
        self.large_lent.fetch_add(1, Relaxed);
        Arc::clone(&self.large_lent)
    }
}

/// Room to say much in, empty.
pub(crate) fn spare() -> Vec<u8> {
    let kept = SHELF.try_with(|shelf| shelf.borrow_mut().said.pop()).ok().flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(SAID))
}

/// Gives room back in which nothing is said any more.
pub(crate) fn keep(said: &mut Vec<u8>) {
    if said.is_empty() && said.capacity() >= SAID {
        let said = std::mem::take(said);
        let _ = SHELF.try_with(|shelf| {
            let shelf = &mut shelf.borrow_mut().said;
            if shelf.len() < SAID_KEPT {
                shelf.push(said);
            }
        });
    }
}

/// A buffer of that size, whatever is lent already.
fn lend_anyway(size: usize) -> Loan {
    let large = |shelf: &RefCell<Shelf>| {
        let shelf = &mut *shelf.borrow_mut();
        (shelf.large.pop(), shelf.count())
    };
    let (kept, counted) = if size == LARGE { SHELF.try_with(large).ok() } else { None }.unzip();
    (kept.flatten().unwrap_or_else(|| vec![0; size].into_boxed_slice()), counted)
}

fn give_back(bytes: Box<[u8]>) {
    // The shelf is gone when its thread ends; then the buffer is simply freed.
    let _ = SHELF.try_with(|shelf| {
        let shelf = &mut *shelf.borrow_mut();
        match bytes.len() {
            SMALL if shelf.small.len() < KEPT => shelf.small.push(bytes),
            LARGE if shelf.large.len() < LARGE_KEPT => shelf.large.push(bytes),
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
    fn what_is_taken_stays_while_the_rest_moves() {
        let mut buffer = Buffer::default();
        for size in [100, 3 * WORTH_A_BUFFER, LARGE / 2] {
            let bytes: Vec<u8> = (0..size + 7).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
            buffer.room(LARGE)[..bytes.len()].copy_from_slice(&bytes);
            buffer.advance(bytes.len());
            let taken = buffer.take(size);
            assert_eq!(taken[..], bytes[..size]);
            assert_eq!(buffer.filled(), &bytes[size..]);
            buffer.room(LARGE)[0] = 1;
            assert_eq!(taken[..], bytes[..size]);
            buffer.consume(7);
        }
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
