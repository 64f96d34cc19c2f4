//! A durable queue inside this process: the kind `log`.
//!
//! One file keeps topics, messages and how far each group has come. Its broker takes turns, each of them one
//! transaction: see `broker/mod.rs` first, then `progress.rs` for what a group remembers.

mod adapter;
mod assign;
mod broker;
mod clock;
mod command;
mod consumer;
mod engine;
mod failure;
mod limits;
mod options;
mod partitioner;
mod progress;
mod progress_row;
mod reads;
mod receipts;
mod stored;
mod tables;
mod token;
mod trim;
mod writes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::{Adapter, Driver, Fact, Home};

/// The driver of kind `log`.
pub static LOG: LogDriver = LogDriver;

/// Knows durable queues inside this process.
#[derive(Debug)]
pub struct LogDriver;

/// What is otherwise than with other kinds that keep messages.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "What was answered is on the disk, in one copy. With `path: :memory:` nothing is kept when the \
               process ends.",
    },
    Fact {
        name: "acknowledgement",
        says: "Each message is settled by itself, and stays settled over a restart.",
    },
    Fact { name: "settling", says: "A settlement counts whichever connection it comes by." },
    Fact {
        name: "deliveries",
        says: "How often a message was delivered is written down before it is handed out. Leases end with the \
               process: what was not settled comes again at once.",
    },
    Fact {
        name: "idempotency",
        says: "Publishes under an idempotency key are remembered on the disk for 24 hours, the latest 200000 of \
               them.",
    },
    Fact { name: "group", says: "A consumer has its partitions as soon as it has joined." },
    Fact { name: "unsettled", says: "Messages that may come again are kept on the disk." },
];

impl KindCheck for LogDriver {
    fn name(&self) -> &'static str {
        "log"
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

impl Driver for LogDriver {
    fn about(&self) -> &'static str {
        "A durable queue inside the gateway: nothing to install, acknowledged means on the disk, one file"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Queue]
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
        Ok(Arc::new(adapter::LogAdapter::new(options, home)?))
    }
}
