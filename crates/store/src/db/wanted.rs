//! A query that is put together from what is asked for.

use std::fmt::Write;

use super::Cell;

/// What rows must be like.
#[derive(Default)]
pub(crate) struct Wanted<'c> {
    terms: String,
    cells: Vec<Cell<'c>>,
}

impl<'c> Wanted<'c> {
    /// Asks for this, where there is a value for its `?`.
    pub(crate) fn term(&mut self, sql: &str, value: Option<impl Into<Cell<'c>>>) {
        if let Some(value) = value {
            self.cells.push(value.into());
            self.plain(&sql.replace('?', &format!("?{}", self.cells.len())));
        }
    }

    /// Asks for this, which has no value.
    pub(crate) fn plain(&mut self, sql: &str) {
        let and = if self.terms.is_empty() { " WHERE" } else { " AND" };
        // Writing to a string cannot fail.
        let _ = write!(self.terms, "{and} {sql}");
    }

    /// The query, and its values but for the last, which is how many rows there may be.
    pub(crate) fn select(self, what: &str, order: &str) -> (String, Vec<Cell<'c>>) {
        let limit = self.cells.len() + 1;
        (format!("{what}{} ORDER BY {order} LIMIT ?{limit}", self.terms), self.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_stands_in_it() {
        let mut wanted = Wanted::default();
        wanted.term("a = ?", Some(1_i64));
        wanted.term("b = ?", None::<i64>);
        wanted.term("f(?) = ?", Some("x"));
        wanted.plain("c <> 2");
        let (sql, cells) = wanted.select("SELECT d FROM e", "d DESC");
        assert_eq!(sql, "SELECT d FROM e WHERE a = ?1 AND f(?2) = ?2 AND c <> 2 ORDER BY d DESC LIMIT ?3");
        assert_eq!(cells.len(), 2);
        assert_eq!(Wanted::default().select("SELECT d FROM e", "d").0, "SELECT d FROM e ORDER BY d LIMIT ?1");
    }
}
