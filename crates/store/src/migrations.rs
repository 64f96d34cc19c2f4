//! Brings the store to the tables of this version: ordered SQL, each piece once, and never tables from the future.

use crate::Error;
use crate::db::{Done, Session, cells};
use crate::digest::Digest;

/// One step. Its text never changes after a release: the next change is the next number.
pub(crate) struct Migration {
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

impl Refusal {
    /// What is told of it.
    pub(crate) fn at(self, place: &str, migrations: &[Migration]) -> Error {
        let place = place.to_owned();
        match self {
            Refusal::Newer(found) => {
                Error::Newer { place, found, known: migrations.last().map_or(0, |last| last.number) }
            }
            Refusal::Changed(number) => Error::Changed { place, number },
        }
    }
}

/// All of them, in order, counted from 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "routes_and_tokens",
        sql: include_str!("migrations/0001_routes_and_tokens.sql"),
    },
    Migration { number: 2, name: "history", sql: include_str!("migrations/0002_history.sql") },
    Migration { number: 3, name: "service_tokens", sql: include_str!("migrations/0003_service_tokens.sql") },
    Migration { number: 4, name: "idempotency", sql: include_str!("migrations/0004_idempotency.sql") },
    Migration { number: 5, name: "deletions", sql: include_str!("migrations/0005_deletions.sql") },
    Migration { number: 6, name: "url_routes", sql: include_str!("migrations/0006_url_routes.sql") },
    Migration { number: 7, name: "operations", sql: include_str!("migrations/0007_operations.sql") },
];

/// Why a file is left as it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has this step, which is beyond what this program knows.
    Newer(i64),
    /// It has been through another text of this step.
    Changed(i64),
}

/// The same tables in a PostgreSQL, whose steps are counted by themselves.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration { number: 1, name: "tables", sql: include_str!("migrations/postgres/0001_tables.sql") },
    Migration { number: 2, name: "operations", sql: include_str!("migrations/postgres/0002_operations.sql") },
];

/// Runs what the tables have not been through. Stands in one transaction with its caller: all or nothing.
pub(crate) fn run(s: &Session<'_>, migrations: &[Migration]) -> Done<Result<(), Refusal>> {
    let (number, strict) = match s {
        Session::Disk(_) => ("INTEGER", " STRICT"),
        Session::Postgres(_) => ("BIGINT", ""),
    };
    s.batch(&format!(
        "CREATE TABLE IF NOT EXISTS migrations (
             number     {number} NOT NULL PRIMARY KEY,
             name       TEXT    NOT NULL,
             checksum   TEXT    NOT NULL,
             applied_at {number} NOT NULL
         ){strict}"
    ))?;
    let applied: Vec<(i64, String)> =
        s.rows("SELECT number, checksum FROM migrations ORDER BY number DESC", &[], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for (number, checksum) in &applied {
        match migrations.iter().find(|own| own.number == *number) {
            None => return Ok(Err(Refusal::Newer(*number))),
            Some(own) if Digest::of(own.sql).to_hex() != *checksum => {
                return Ok(Err(Refusal::Changed(*number)));
            }
            Some(_) => {}
        }
    }
    for migration in migrations {
        if !applied.iter().any(|(number, _)| *number == migration.number) {
            apply(s, migration)?;
        }
    }
    Ok(Ok(()))
}

fn apply(s: &Session<'_>, migration: &Migration) -> Done<()> {
    s.batch(migration.sql)?;
    let (checksum, now) = (Digest::of(migration.sql).to_hex(), jiff::Timestamp::now().as_millisecond());
    s.execute(
        "INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
        cells![migration.number, migration.name, &checksum, now],
    )?;
    tracing::info!(number = migration.number, name = migration.name, "the store was brought forward");
    Ok(())
}
