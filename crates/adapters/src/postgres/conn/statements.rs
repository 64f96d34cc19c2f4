//! Statements that a connection keeps prepared, by their text: those that were used last.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::super::types::{Kind, Known};

/// The longest statement that is kept, in bytes: each connection keeps many.
const KEPT: usize = 16 << 10;

/// A statement that the server has prepared.
#[derive(Debug)]
pub(in crate::postgres) struct Prepared {
    /// Its name on this connection; empty for the one without a name, which holds until the next one.
    pub(super) name: Box<str>,
    /// What it takes.
    pub(in crate::postgres) parameters: Box<[Known]>,
    /// What it gives; `None` when it has no rows.
    pub(in crate::postgres) columns: Option<Box<[Column]>>,
}

/// A column of what a statement gives.
#[derive(Debug, Clone)]
pub(in crate::postgres) struct Column {
    pub(in crate::postgres) name: Box<str>,
    pub(in crate::postgres) type_name: Arc<str>,
    pub(in crate::postgres) kind: Kind,
    pub(in crate::postgres) type_id: u32,
    pub(in crate::postgres) table_id: u32,
    pub(in crate::postgres) column_id: i16,
    pub(in crate::postgres) type_size: i16,
    pub(in crate::postgres) type_modifier: i32,
}

/// What one connection has prepared.
pub(super) struct Statements {
    known: HashMap<Arc<str>, (Arc<Prepared>, u64)>,
    most: usize,
    /// Raised by each use and each name.
    clock: u64,
    /// What names begin with: unlike any other connection's, since a pooler may mix them up.
    prefix: u64,
    /// Names that the server may have and nobody needs.
    leftover: Vec<Box<str>>,
}

impl Statements {
    pub(super) fn new(most: usize) -> Self {
        let prefix = RandomState::new().hash_one(());
        Statements { known: HashMap::new(), most, clock: 0, prefix, leftover: Vec::new() }
    }

    /// Whether any are kept.
    pub(super) fn are_kept(&self) -> bool {
        self.most > 0
    }

    pub(super) fn find(&mut self, query: &str) -> Option<Arc<Prepared>> {
        let (prepared, used) = self.known.get_mut(query)?;
        self.clock += 1;
        *used = self.clock;
        Some(Arc::clone(prepared))
    }

    /// A name for a statement that is about to be prepared; empty for one that is not kept. Until it is kept, the
    /// server may have it and nobody need it.
    pub(super) fn name(&mut self, query: &str) -> Box<str> {
        if self.most == 0 || query.len() > KEPT {
            return Box::default();
        }
        self.clock += 1;
        let name: Box<str> = format!("throome_{:x}_{}", self.prefix, self.clock).into();
        self.leftover.push(name.clone());
        name
    }

    /// Keeps it, in the place of the one that was not used for the longest time.
    pub(super) fn keep(&mut self, query: &Arc<str>, prepared: &Arc<Prepared>) {
        if prepared.name.is_empty() {
            return;
        }
        self.leftover.retain(|name| *name != prepared.name);
        if self.known.len() >= self.most {
            let oldest =
                self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(query, _)| Arc::clone(query));
            if let Some(oldest) = oldest {
                self.forget(&oldest);
            }
        }
        self.clock += 1;
        self.known.insert(Arc::clone(query), (Arc::clone(prepared), self.clock));
    }

    /// Gives it up: the server has it no more, or would run another than was meant.
    pub(super) fn forget(&mut self, query: &str) {
        if let Some((prepared, _)) = self.known.remove(query) {
            self.leftover.push(prepared.name.clone());
        }
    }

    /// Names that the server can let go of.
    pub(super) fn leftover(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.leftover)
    }

    /// The server has let go of all.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.leftover.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(statements: &mut Statements, query: &Arc<str>) -> Box<str> {
        let name = statements.name(query);
        let prepared = Prepared { name: name.clone(), parameters: Box::default(), columns: None };
        statements.keep(query, &Arc::new(prepared));
        name
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes() {
        let mut statements = Statements::new(2);
        let [a, b, c]: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        prepare(&mut statements, &a);
        let gone = prepare(&mut statements, &b);
        assert!(statements.find(&a).is_some() && statements.leftover().is_empty());
        prepare(&mut statements, &c);
        assert!(statements.find(&b).is_none() && statements.find(&a).is_some());
        assert_eq!(statements.leftover(), [gone]);
        assert!(statements.leftover().is_empty());
    }

    #[test]
    fn one_that_was_not_kept_is_left_over() {
        let mut statements = Statements::new(2);
        let name = statements.name("a");
        assert!(statements.find("a").is_none());
        assert_eq!(statements.leftover(), [name]);
    }

    #[test]
    fn long_ones_and_all_without_a_cache_have_no_name() {
        let long: Arc<str> = "x".repeat(KEPT + 1).into();
        let mut statements = Statements::new(2);
        assert!(prepare(&mut statements, &long).is_empty() && statements.find(&long).is_none());
        let mut none = Statements::new(0);
        let query: Arc<str> = "a".into();
        assert!(prepare(&mut none, &query).is_empty() && none.find("a").is_none());
    }
}
