//! A cache inside this process: the kind `memory`.
//!
//! Nothing here survives the process, unless another takes its place (`kept`), and what is used least makes room when the memory is full.

mod adapter;
mod glob;
mod kept;
mod options;
mod scan;
mod shard;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::{Adapter, Driver, Fact, Home};

/// The driver of kind `memory`.
pub static MEMORY: MemoryDriver = MemoryDriver;

/// Knows caches inside this process.
#[derive(Debug)]
pub struct MemoryDriver;

/// What is otherwise than with other kinds that keep keys and values.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "Nothing is kept when the process ends, unless another program takes its place (SIGUSR2).",
    },
    Fact {
        name: "eviction",
        says: "When `max_memory` is full, what is used least makes room, however long it was to stay.",
    },
    Fact { name: "media_type", says: "Kept: a value that was set with one comes back with it." },
    Fact {
        name: "scan",
        says: "A key that stays through a whole scan is seen exactly once. A page may be short, even empty, with \
               more to come.",
    },
    Fact {
        name: "transactions",
        says: "Commands of a transaction are carried out while nobody else has their keys: one that fails undoes \
               none of the others. Those that walk over all keys cannot stand in one.",
    },
    Fact {
        name: "replica_reads",
        says: "There are no replicas: a read sees every write that was answered before it.",
    },
];

impl KindCheck for MemoryDriver {
    fn name(&self) -> &'static str {
        "memory"
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

impl Driver for MemoryDriver {
    fn about(&self) -> &'static str {
        "A cache inside the gateway: nothing to install, bounded memory, gone when the process ends"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::KeyValue]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn connect(
        &self,
        _endpoint: &EndpointSpec,
        service: &ServiceSpec,
        _home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let options = options::of(service)?;
        Ok(Arc::new(adapter::MemoryAdapter::new(options)))
    }
}
