//! What types there are: those that every server has from the start, all others asked for once.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use super::builtin::TYPES;
use super::{Delimiter, Kind, Known};

/// Types that are learned at most. Whoever makes and drops types all day begins anew from time to time.
const LEARNED: usize = 4096;

/// How far a type may stand from the one beneath it: domains over domains and arrays of them are few.
const DEPTH: usize = 16;

static BUILTIN: LazyLock<HashMap<u32, Known>> = LazyLock::new(|| {
    let mut known = HashMap::with_capacity(TYPES.len() * 2);
    for builtin in TYPES {
        let element = Known { name: builtin.name.into(), kind: builtin.kind.clone() };
        if builtin.array != 0 {
            known.insert(builtin.array, Known::array_of(&element, Delimiter(builtin.delimiter)));
        }
        known.insert(builtin.oid, element);
    }
    known
});

/// The types of one database. Shared by all of its connections; numbers mean nothing in another.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Catalog {
    learned: RwLock<HashMap<u32, Known>>,
}

/// A row of [`Catalog::LOOKUP`].
struct Row<'r> {
    name: &'r str,
    /// What it is a domain over, or zero.
    base: u32,
    /// What it is an array of, or zero.
    element: u32,
    delimiter: u8,
}

impl Catalog {
    /// Asks for types by number, as one argument of type `oid[]` that [`Catalog::asking`] writes, and for all
    /// that they rest on. Its rows are what [`Catalog::learn`] takes, in text form.
    ///
    /// An array is known by the function that writes it: other types have elements as well, and are written otherwise.
    pub(in crate::postgres) const LOOKUP: &'static str = "\
        WITH RECURSIVE asked (oid) AS ( \
            SELECT pg_catalog.unnest($1::pg_catalog.oid[]) \
            UNION \
            SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END \
            FROM asked JOIN pg_catalog.pg_type t ON t.oid = asked.oid \
            WHERE t.typtype = 'd' OR t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc) \
        SELECT t.oid, t.typname, \
            CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE 0::pg_catalog.oid END, \
            CASE WHEN t.typtype <> 'd' AND t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc \
                THEN t.typelem ELSE 0::pg_catalog.oid END, \
            COALESCE(e.typdelim, ',') \
        FROM asked JOIN pg_catalog.pg_type t ON t.oid = asked.oid \
            LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem";

    /// The argument of [`Catalog::LOOKUP`] that asks for these.
    pub(in crate::postgres) fn asking(oids: &[u32]) -> String {
        let numbers: Vec<String> = oids.iter().map(u32::to_string).collect();
        format!("{{{}}}", numbers.join(","))
    }

    /// The type of that number, unless it has to be asked for.
    pub(in crate::postgres) fn find(&self, oid: u32) -> Option<Known> {
        if let Some(known) = BUILTIN.get(&oid) {
            return Some(known.clone());
        }
        self.learned.read().unwrap_or_else(PoisonError::into_inner).get(&oid).cloned()
    }

    /// Learns what the server answered. What it did not name it does not have: [`Known::nameless`].
    pub(in crate::postgres) fn learn<R, C>(&self, rows: impl IntoIterator<Item = R>)
    where
        R: AsRef<[Option<C>]>,
        C: AsRef<[u8]>,
    {
        let answer: Vec<R> = rows.into_iter().collect();
        let rows: HashMap<u32, Row<'_>> = answer.iter().filter_map(|row| read(row.as_ref())).collect();
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.len() + rows.len() > LEARNED {
            learned.clear();
        }
        for oid in rows.keys().take(LEARNED) {
            if let Some(known) = resolve(*oid, &rows, DEPTH) {
                learned.insert(*oid, known);
            }
        }
    }
}

/// What a type is, by the rows and by what everybody knows.
fn resolve(oid: u32, rows: &HashMap<u32, Row<'_>>, depth: usize) -> Option<Known> {
    if let Some(known) = BUILTIN.get(&oid) {
        return Some(known.clone());
    }
    let row = rows.get(&oid)?;
    let deeper = depth.checked_sub(1)?;
    Some(match (row.base, row.element) {
        (0, 0) => Known { name: row.name.into(), kind: Kind::Text },
        (0, element) => Known::array_of(&resolve(element, rows, deeper)?, Delimiter(row.delimiter)),
        (base, _) => resolve(base, rows, deeper)?,
    })
}

fn read<C: AsRef<[u8]>>(cells: &[Option<C>]) -> Option<(u32, Row<'_>)> {
    let text = |at: usize| str::from_utf8(cells.get(at)?.as_ref()?.as_ref()).ok();
    let number = |at: usize| text(at)?.parse::<u32>().ok();
    let delimiter = *text(4)?.as_bytes().first()?;
    Some((number(0)?, Row { name: text(1)?, base: number(2)?, element: number(3)?, delimiter }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Cells = [Option<String>; 5];

    fn row(oid: u32, name: &str, base: u32, element: u32, delimiter: &str) -> Cells {
        [oid.to_string(), name.to_owned(), base.to_string(), element.to_string(), delimiter.to_owned()]
            .map(Some)
    }

    #[test]
    fn arrays_stand_beside_their_elements() {
        let catalog = Catalog::default();
        let known = |oid| catalog.find(oid).map(|known| (known.name.to_string(), known.kind));
        assert_eq!(known(23), Some(("int4".to_owned(), Kind::Integer)));
        let array = Kind::Array(Arc::new(Kind::Integer), Delimiter(b','));
        assert_eq!(known(1007), Some(("int4[]".to_owned(), array)));
        let boxes = Kind::Array(Arc::new(Kind::Text), Delimiter(b';'));
        assert_eq!(known(1020), Some(("box[]".to_owned(), boxes)));
        assert_eq!(known(16_400), None);
    }

    #[test]
    fn domains_are_told_as_what_is_beneath_them() {
        let catalog = Catalog::default();
        catalog.learn([
            row(16_400, "positive", 16_401, 0, ","),
            row(16_401, "whole", 20, 0, ","),
            row(16_402, "_positive", 0, 16_400, ","),
            row(16_403, "mood", 0, 0, ","),
            row(16_404, "corners", 1020, 0, ","),
        ]);
        let known = |oid| catalog.find(oid).unwrap();
        assert_eq!((&*known(16_400).name, known(16_400).kind), ("int8", Kind::Integer));
        assert_eq!(&*known(16_402).name, "int8[]");
        assert_eq!(known(16_402).kind, Kind::Array(Arc::new(Kind::Integer), Delimiter(b',')));
        assert_eq!((&*known(16_403).name, known(16_403).kind), ("mood", Kind::Text));
        assert_eq!(&*known(16_404).name, "box[]");
    }

    #[test]
    fn a_circle_and_a_gap_are_not_learned() {
        let catalog = Catalog::default();
        catalog.learn([row(16_400, "a", 16_401, 0, ","), row(16_401, "b", 16_400, 0, ",")]);
        catalog.learn([row(16_402, "_gone", 0, 16_403, ",")]);
        catalog.learn([[Some("x"), None, None, None, None]]);
        for oid in 16_400..16_403 {
            assert_eq!(catalog.find(oid), None);
        }
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let catalog = Catalog::default();
        let most = u32::try_from(LEARNED).unwrap();
        for oid in 20_000..20_000 + 2 * most {
            catalog.learn([row(oid, "one", 0, 0, ",")]);
        }
        assert!(catalog.learned.read().unwrap().len() <= LEARNED);
        assert!(catalog.find(20_000 + 2 * most - 1).is_some());
    }
}
