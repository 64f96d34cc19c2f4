//! Which statements are so quick that they are run where they are asked for: the way to a reader's thread and back
//! costs several times what a look at one row does. A statement shows it by what it took before.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

/// What a quick statement takes at most.
const QUICK: Duration = Duration::from_micros(100);

/// What it may take once, for a thread that had to wait for its core; more is no accident.
const SLOW: Duration = Duration::from_millis(1);

/// Quick runs in a row after which a statement is believed to be quick.
const PROOFS: u8 = 3;

/// Statements that are remembered.
const MEMORY: usize = 512;

/// What is known of statements, by their text.
pub(super) struct Pace(Cache<Arc<str>, u8>);

impl Pace {
    pub(super) fn new() -> Self {
        Pace(Cache::new(MEMORY))
    }

    /// Whether it may be run on the spot.
    pub(super) fn is_quick(&self, query: &str) -> bool {
        self.0.get(query).is_some_and(|proofs| proofs >= PROOFS)
    }

    /// It took so long.
    pub(super) fn took(&self, query: &Arc<str>, time: Duration) {
        let proofs = self.0.get(query).unwrap_or(0);
        if time > SLOW || (time > QUICK && proofs < PROOFS) {
            self.was_slow(query);
        } else if time <= QUICK && proofs < PROOFS {
            self.0.insert(Arc::clone(query), proofs + 1);
        }
    }

    /// It was not quick, so it has to show it anew.
    pub(super) fn was_slow(&self, query: &str) {
        self.0.remove(query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_shows_that_it_is_quick_and_loses_it_when_it_is_slow() {
        let pace = Pace::new();
        let query: Arc<str> = "SELECT 1".into();
        let took = |micros| pace.took(&query, Duration::from_micros(micros));
        took(5);
        took(5);
        assert!(!pace.is_quick(&query));
        took(500);
        took(5);
        took(5);
        assert!(!pace.is_quick(&query), "in a row, and one was not");
        took(5);
        assert!(pace.is_quick(&query) && !pace.is_quick("SELECT 2"));
        took(500);
        assert!(pace.is_quick(&query), "a core may be busy now and then");
        took(5000);
        assert!(!pace.is_quick(&query));
        (0..3).for_each(|_| took(5));
        pace.was_slow(&query);
        assert!(!pace.is_quick(&query));
    }
}
