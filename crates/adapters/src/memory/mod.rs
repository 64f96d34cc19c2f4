//! A cache inside this process: the kind `memory`.
//!
//! Nothing here survives the process, and what is used least makes room when the memory is full.

mod adapter;
mod glob;
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

use crate::{Adapter, Driver, Home};

/// The driver of kind `memory`.
pub static MEMORY: MemoryDriver = MemoryDriver;

/// Knows caches inside this process.
#[derive(Debug)]
pub struct MemoryDriver;

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
