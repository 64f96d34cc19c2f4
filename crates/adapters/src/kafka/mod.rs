//! Kafka: the kind `kafka`, spoken by librdkafka, whose threads do what would block.
//!
//! One adapter stands for all brokers, since the client finds them by itself. `producer.rs` publishes, `topics.rs` and
//! `groups.rs` look and change, and a stream of messages is a member of its group on the broker (`member.rs`) whose
//! deliveries are counted here (`group.rs`, `ledger.rs`).

mod adapter;
mod batch;
mod client;
mod consumer;
mod contact;
mod desk;
mod extents;
mod failure;
mod group;
mod groups;
mod joined;
mod ledger;
mod letters;
mod limits;
mod making;
mod member;
mod once;
mod options;
mod places;
mod producer;
mod protocol;
mod publish;
mod recipe;
mod record;
mod settle;
mod shared;
mod table;
mod token;
mod topics;

use std::sync::Arc;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::recipe::{Recipe, Runs, Site};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::{Adapter, Driver, Fact, Home};

/// The driver of kind `kafka`.
pub static KAFKA: KafkaDriver = KafkaDriver;

/// Knows clusters of Kafka.
#[derive(Debug)]
pub struct KafkaDriver;

impl KindCheck for KafkaDriver {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        Some(9092)
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

impl Driver for KafkaDriver {
    fn about(&self) -> &'static str {
        "Apache Kafka, 3.0 and later, and what speaks its protocol"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::Queue]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn recipe(&self, service: &ServiceSpec, site: &Site) -> Option<Recipe> {
        recipe::recipe(service, site)
    }

    fn chooses_nodes(&self, _service: &ServiceSpec) -> bool {
        true
    }

    fn connect(
        &self,
        _endpoint: &EndpointSpec,
        service: &ServiceSpec,
        home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let options = options::of(service)?;
        let settings = client::Settings::of(service, &options)?;
        let label = format!("{}/{}", home.cluster, home.service);
        Ok(Arc::new(adapter::KafkaAdapter::new(label.into(), options, settings)))
    }
}

/// Where it differs from queues that live inside the gateway.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "What was answered is in all replicas that are in step (`acks=all`). When these write to their disks, and \
               how many there must be, is set on the brokers and topics.",
    },
    Fact {
        name: "acknowledgement",
        says: "The lowest offset of a partition that is not settled is committed as the place of the group. After \
               a crash or a change of its consumers, what was settled above it may come again.",
    },
    Fact {
        name: "settling",
        says: "A settlement must reach the gateway process that holds the stream: another one knows nothing of the \
               delivery, and counts it as not settled.",
    },
    Fact {
        name: "deliveries",
        says: "How often a message was delivered, leases and delays are remembered by the gateway process, and not \
               by Kafka: another process begins at 1.",
    },
    Fact {
        name: "idempotency",
        says: "Publishes under an idempotency key are remembered for 24 hours by the gateway process, 100000 of \
               them with a million messages at most; a restart, or a change of the service, forgets them.",
    },
    Fact {
        name: "group",
        says: "A consumer joins its group on the broker. That takes a moment, and `group.initial.rebalance.delay.ms` of \
               the broker for the first of a group: its stream begins when it has its partitions, or after four \
               seconds without.",
    },
    Fact {
        name: "unsettled",
        says: "Messages that may come again stay in memory. A stream is sent no more while it has `max_unsettled` \
               bytes of them, whatever its credit is.",
    },
];
