//! How much memory the answers to one request may take. A server is asked for all of a list in few bytes, and gives
//! as much as it has.

/// So much for the answers to one request, over all nodes: what an answer to a client may have.
const MOST: usize = 64 << 20;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Space(usize);

impl Default for Space {
    fn default() -> Self {
        Space(MOST)
    }
}

impl Space {
    /// No more than so much.
    #[cfg(test)]
    pub(super) fn of(bytes: usize) -> Self {
        Space(bytes)
    }

    /// Takes so much, if it is there.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    /// All of it that is left, to be lent to whoever counts it further; none is left here meanwhile.
    pub(super) fn lend(&mut self) -> Space {
        Space(std::mem::replace(&mut self.0, 0))
    }
}
