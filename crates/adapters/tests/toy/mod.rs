//! Keys in one table of this process: the kind `toy`, which the guide to writing adapters is about.

mod adapter;
mod glob;
mod options;

use std::sync::Arc;

use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::{EndpointSpec, Failure, ServiceSpec};
use throome_adapters::{Adapter, Driver, Home};

/// The driver of kind `toy`.
pub(crate) static TOY: ToyDriver = ToyDriver;

/// Knows tables of this process.
#[derive(Debug)]
pub(crate) struct ToyDriver;

impl KindCheck for ToyDriver {
    fn name(&self) -> &'static str {
        "toy"
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
}

impl Driver for ToyDriver {
    fn about(&self) -> &'static str {
        "Keys in one table of this process, gone when it ends"
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
        Ok(Arc::new(adapter::Toy::new(options::of(service)?)))
    }
}
