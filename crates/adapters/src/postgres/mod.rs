//! PostgreSQL by its own protocol: the kind `postgres`.
//!
//! Everything is text on the wire, so that every type that the server has becomes JSON. Connections are pooled, keep
//! their statements prepared, and are cleaned when somebody leaves in the middle.

mod adapter;
mod conn;
mod failure;
mod lag;
mod options;
mod pool;
mod recipe;
mod role;
mod run;
mod text;
mod types;

use std::sync::Arc;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::recipe::{Recipe, Runs, Site};
use model::tree::Node;
use model::{Address, EndpointSpec, Failure, ServiceSpec};

use crate::{Adapter, Driver, Fact, Home};

/// The driver of kind `postgres`.
pub static POSTGRES: PostgresDriver = PostgresDriver;

/// Knows PostgreSQL, from version 12 on.
#[derive(Debug)]
pub struct PostgresDriver;

/// What is otherwise than with other kinds that run SQL.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "As `synchronous_commit` and `synchronous_standby_names` of the server say; by default what was \
               answered is on the primary's disk. A standby that is promoted may lack what it had not yet received.",
    },
    Fact {
        name: "concurrent_writes",
        says: "Those who write the same rows wait for each other until their deadline, and end with `timeout` then; \
               those who read wait for nobody.",
    },
    Fact {
        name: "isolation",
        says: "As asked for; unsaid, what the server has as default, `read_committed` unless changed. A batch that \
               others are in the way of begins anew within its time; a statement or an interactive transaction ends \
               with `conflict`, and its client may begin it again.",
    },
    Fact {
        name: "failed_transactions",
        says: "A statement that fails ends what its transaction can do: only a rollback, to a savepoint or of all, \
               goes on from there. A statement that is cut off ends it.",
    },
    Fact {
        name: "cut_results",
        says: "A result that a limit cuts ends its statement where that seems only to read; what functions in it \
               changed is undone then. A statement that writes is always carried out whole.",
    },
    Fact {
        name: "session",
        says: "Connections are shared. After a statement that may leave its session changed (SET, LISTEN, PREPARE, \
               temporary tables, advisory locks, DO, CALL and the like) the session is set back, so what must hold \
               for several statements belongs into one transaction. What a function does inside is not seen.",
    },
    Fact {
        name: "refused_statements",
        says: "BEGIN, COMMIT and ROLLBACK as statements, and COPY from and to the client. ALTER SYSTEM and COPY … \
               PROGRAM unless `allow_admin` is set; this looks at the text, so that the rights of the role remain \
               the wall.",
    },
    Fact {
        name: "replica_reads",
        says: "A standby may not have what was just written; who needs it says so. One that has received more than it \
               applied for `max_lag` is not asked. One that receives nothing, since its primary is gone, does not \
               know its lag, and is.",
    },
];

impl KindCheck for PostgresDriver {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        Some(5432)
    }

    fn fields(&self) -> &'static [Field] {
        options::FIELDS
    }

    fn check(&self, service: &Node, problems: &mut Problems) {
        options::check(service, problems);
    }

    fn runs(&self) -> Option<Runs> {
        Some(recipe::RUNS)
    }
}

impl Driver for PostgresDriver {
    fn about(&self) -> &'static str {
        "PostgreSQL 12 and later: SQL with every type of the server, pooled connections, primary and standbys"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Sql]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn recipe(&self, service: &ServiceSpec, site: &Site) -> Option<Recipe> {
        recipe::recipe(service, site)
    }

    fn check_files(&self, service: &ServiceSpec) -> Result<(), Failure> {
        options::check_files(service)
    }

    fn connect(
        &self,
        endpoint: &EndpointSpec,
        service: &ServiceSpec,
        _home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let options = options::of(service)?;
        let address = Address::new(endpoint.host.as_str(), endpoint.port);
        let target = conn::Target::new(address, &options)?;
        Ok(Arc::new(adapter::PostgresAdapter::new(target, &options)))
    }
}
