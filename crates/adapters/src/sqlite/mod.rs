//! A database in one file of this machine, or in memory: the kind `sqlite`.
//!
//! The engine is `disk`: one writer that commits its callers as a group, and readers beside it. Here are the
//! options, the words of SQL around it, and values in and out.

mod adapter;
mod bind;
mod cells;
mod failure;
mod options;
mod pace;
mod run;
mod text;
mod transaction;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use disk::Disk;
use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::embedded::{Shelf, place};
use crate::{Adapter, Driver, Fact, Home};
use options::MEMORY;

/// The file in the service's own directory, when its options name none.
const FILE: &str = "data.db";

/// Every database of this process: services that name the same file stand on the same engine.
static FILES: Shelf<Disk> = Shelf::new();

/// The driver of kind `sqlite`.
pub static SQLITE: SqliteDriver = SqliteDriver;

/// Knows databases inside this process.
#[derive(Debug)]
pub struct SqliteDriver;

/// What is otherwise than with other kinds that run SQL.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "What was answered is on the disk, and a power cut takes nothing back. With `path: :memory:` nothing \
               is kept when the process ends.",
    },
    Fact {
        name: "concurrent_writes",
        says: "One transaction writes at a time. Others wait for their turn until their deadline, and are `busy` \
               then; those who read wait for nobody.",
    },
    Fact {
        name: "isolation",
        says: "Always `serializable`, whatever is asked for: a transaction that writes is alone, and one that only \
               looks sees the database as it was.",
    },
    Fact {
        name: "failed_transactions",
        says: "A statement that fails undoes itself alone, and its transaction goes on. A statement that is \
               cut off while it writes ends it.",
    },
    Fact {
        name: "cut_results",
        says: "A result that a limit cuts ends its statement. What that writes is written before its first row, \
               and so whole.",
    },
    Fact {
        name: "session",
        says: "Nothing of a session outlives a statement: there are no temporary tables, and settings are not \
               changed.",
    },
    Fact {
        name: "refused_statements",
        says: "BEGIN, COMMIT and ROLLBACK as statements, ATTACH, VACUUM, extensions, and PRAGMA where it \
               sets how the database is kept.",
    },
    Fact {
        name: "replica_reads",
        says: "There are no replicas: a read sees every write that was answered before it.",
    },
];

impl KindCheck for SqliteDriver {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn place(&self) -> Place {
        Place::Embedded
    }

    fn default_port(&self) -> Option<u16> {
        None
    }

    fn fields(&self) -> &'static [Field] {
        options::FIELDS
    }

    fn check(&self, service: &Node, problems: &mut Problems) {
        options::check(service, problems);
    }
}

impl Driver for SqliteDriver {
    fn about(&self) -> &'static str {
        "A database inside the gateway: nothing to install, SQL with transactions, in one file or in memory"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Sql]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn connect(
        &self,
        _endpoint: &EndpointSpec,
        service: &ServiceSpec,
        home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let options = options::of(service)?;
        let slot = match options.path.as_deref() {
            // By its service, so that a changed service finds what the one before kept.
            Some(MEMORY) => FILES.in_memory(&home.dir, |_| Disk::in_memory()),
            named => FILES.slot(&place::file(named, FILE, home)?, Disk::open),
        };
        Ok(Arc::new(adapter::SqliteAdapter::new(slot, &options)))
    }
}
