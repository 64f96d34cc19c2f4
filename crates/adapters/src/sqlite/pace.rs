//! Which statements are so quick that they are run where they are asked for: the way to a reader's thread and back
//! costs several times what a look at one row does. A statement shows it by what it took before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;

/// What a quick statement takes at most.
const QUICK: Duration = Duration::from_micros(100);

/// What it may take once, for a thread that had to wait for its core; more is no accident.
const SLOW: Duration = Duration::from_millis(1);

/// Quick runs in a row after which a statement is believed to be quick.
const PROOFS: u8 = 3;

/// The longest statement that is remembered, in bytes.
const LONGEST: usize = 4 << 10;

/// Statements that are remembered.
const MEMORY: usize = 512;

/// What is known of one statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    /// Quick runs in a row.
    proofs: u8,
    /// Whether each of its steps is short, once somebody has looked.
    plain: Option<bool>,
    /// Which of its preparations this is known of.
    of: u64,
}

/// What is known of statements, by their text.
pub(super) struct Pace {
    statements: Cache<Arc<str>, Known>,
    preparations: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { statements: Cache::new(MEMORY), preparations: AtomicU64::new(0) }
    }

    /// Whether it may be run on the spot.
    pub(super) fn is_quick(&self, query: &str) -> bool {
        matches!(self.known(query), Known { proofs: PROOFS, plain: Some(true), .. })
    }

    /// Which preparation of it has shown to be quick, if nobody knows yet whether it is plain.
    pub(super) fn wants_a_look(&self, query: &str) -> Option<u64> {
        let known = self.known(query);
        (known.proofs == PROOFS && known.plain.is_none()).then_some(known.of)
    }

    /// Somebody has looked whether this preparation is plain.
    pub(super) fn looked(&self, query: &Arc<str>, of: u64, plain: bool) {
        let known = self.known(query);
        if known.of == of {
            self.set(query, Known { plain: Some(plain), ..known });
        }
    }

    /// It took so long. A statement that was prepared just now is another than the one that was known.
    pub(super) fn took(&self, query: &Arc<str>, time: Duration, is_new: bool) {
        if is_new {
            let of = self.preparations.fetch_add(1, Ordering::Relaxed) + 1;
            self.set(query, Known { of, ..Known::default() });
            return;
        }
        let known = self.known(query);
        if time > SLOW || (time > QUICK && known.proofs < PROOFS) {
            self.set(query, Known { proofs: 0, ..known });
        } else if time <= QUICK && known.proofs < PROOFS {
            self.set(query, Known { proofs: known.proofs + 1, ..known });
        }
    }

    /// It was not quick, so it has to show it anew.
    pub(super) fn was_slow(&self, query: &str) {
        self.statements.remove(query);
    }

    fn known(&self, query: &str) -> Known {
        self.statements.get(query).unwrap_or_default()
    }

    fn set(&self, query: &Arc<str>, known: Known) {
        if query.len() <= LONGEST {
            self.statements.insert(Arc::clone(query), known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_shows_that_it_is_quick_and_loses_it_when_it_is_slow() {
        let pace = Pace::new();
        let query: Arc<str> = "SELECT 1".into();
        let took = |micros| pace.took(&query, Duration::from_micros(micros), false);
        took(5);
        took(5);
        assert_eq!(pace.wants_a_look(&query), None);
        took(500);
        took(5);
        took(5);
        assert_eq!(pace.wants_a_look(&query), None, "in a row, and one was not");
        took(5);
        assert!(!pace.is_quick(&query), "nobody has looked");
        let of = pace.wants_a_look(&query).unwrap();
        pace.looked(&query, of, true);
        assert!(pace.is_quick(&query) && !pace.is_quick("SELECT 2"));
        took(500);
        assert!(pace.is_quick(&query), "a core may be busy now and then");
        took(5000);
        assert!(!pace.is_quick(&query));
        (0..3).for_each(|_| took(5));
        assert!(pace.is_quick(&query), "what it is has not changed");
        pace.took(&query, Duration::from_micros(5), true);
        (0..3).for_each(|_| took(5));
        pace.looked(&query, of, true);
        assert!(!pace.is_quick(&query), "prepared anew, it may be another");
        pace.looked(&query, pace.wants_a_look(&query).unwrap(), false);
        assert!(!pace.is_quick(&query) && pace.wants_a_look(&query).is_none());
        pace.was_slow(&query);
        (0..3).for_each(|_| took(5));
        assert!(pace.wants_a_look(&query).is_some());
    }
}
