//! The statements that frame jobs, each with a mark that is drawn when the process starts: a stranger who sends the
//! same words means another statement in the connection's cache, and another savepoint.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

/// The marked words of this process.
pub(crate) static WORDS: LazyLock<Words> = LazyLock::new(Words::new);

pub(crate) struct Words {
    pub(crate) begin: String,
    pub(crate) rollback: String,
    pub(crate) savepoint: String,
    pub(crate) undo: String,
    pub(crate) release: String,
}

impl Words {
    fn new() -> Words {
        // Keys of the standard tables are drawn by the system, so that nobody can foresee them.
        let drawn = || RandomState::new().build_hasher().finish();
        let mark = format!("job_{:016x}{:016x}", drawn(), drawn());
        Words {
            begin: format!("BEGIN /* {mark} */"),
            rollback: format!("ROLLBACK /* {mark} */"),
            savepoint: format!("SAVEPOINT {mark}"),
            undo: format!("ROLLBACK TO {mark}"),
            release: format!("RELEASE {mark}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_draws_its_own() {
        let (one, other) = (Words::new(), Words::new());
        assert_ne!(one.savepoint, other.savepoint);
        assert_ne!(one.begin, other.begin);
    }
}
