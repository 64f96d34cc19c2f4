//! Servers that speak the protocol of Redis: the kind `redis`.
//!
//! Every core has a connection of its own, on which what its requests ask is under way at once. Native commands go
//! over another one, which speaks the second version of the protocol, and those that wait over one of their own.

mod adapter;
mod cluster;
mod commands;
mod cursor;
mod decode;
mod dial;
mod failure;
mod flight;
mod gate;
mod link;
mod links;
mod options;
mod own;
mod recipe;
mod reply;
mod role;
mod room;
mod script;
mod sentinel;
mod server;
mod slots;
mod sort;
mod space;
mod spread;
mod table;
mod talk;
mod values;
mod whole;

use std::sync::Arc;

use model::check::Problems;
use model::field::Field;
use model::kind::{Ability, KindCheck, Place};
use model::recipe::{Recipe, Runs, Site};
use model::tree::Node;
use model::{EndpointSpec, Failure, ServiceSpec};

use crate::{Adapter, Driver, Fact, Home};

/// The driver of kind `redis`.
pub static REDIS: RedisDriver = RedisDriver;

/// Knows servers that speak the protocol of Redis.
#[derive(Debug)]
pub struct RedisDriver;

impl KindCheck for RedisDriver {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn place(&self) -> Place {
        Place::Network
    }

    fn default_port(&self) -> Option<u16> {
        Some(6379)
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

impl Driver for RedisDriver {
    fn about(&self) -> &'static str {
        "Redis 6 or newer, and servers that speak its protocol: one, with replicas, behind sentinels, or a cluster"
    }

    fn abilities(&self) -> &'static [Ability] {
        &[Ability::KeyValue]
    }

    fn facts(&self) -> &'static [Fact] {
        FACTS
    }

    fn recipe(&self, service: &ServiceSpec, site: &Site) -> Option<Recipe> {
        recipe::recipe(service, site)
    }

    fn chooses_nodes(&self, service: &ServiceSpec) -> bool {
        !matches!(options::of(service).map(|options| options.mode), Ok(options::Mode::Standalone) | Err(_))
    }

    fn connect(
        &self,
        endpoint: &EndpointSpec,
        service: &ServiceSpec,
        _home: &Home,
    ) -> Result<Arc<dyn Adapter>, Failure> {
        let options = options::of(service)?;
        let room = room::Room::new(options.most_connections);
        let whole = whole::Whole::new(endpoint, service, &options, &room)?;
        let gate = gate::Gate::new(options.allow, options.deny);
        Ok(Arc::new(adapter::RedisAdapter::new(whole, gate, room, options.keep.least)))
    }
}

/// In what it differs from others that keep keys and values.
const FACTS: &[Fact] = &[
    Fact {
        name: "durability",
        says: "What was answered is as durable as the server's own settings make it: a server that crashes may lose \
               the last second or everything, and a replica that is promoted lacks what had not reached it.",
    },
    Fact { name: "eviction", says: "As `maxmemory` and `maxmemory-policy` of the server say." },
    Fact {
        name: "media_type",
        says: "Not kept: the server has no place for it. A value comes back as bytes.",
    },
    Fact {
        name: "scan",
        says: "A key that stays through a whole scan is seen at least once and perhaps more often; in a cluster that \
               moves keys meanwhile, and behind a failover, it may be missed. Where there are replicas the primary is \
               asked.",
    },
    Fact {
        name: "transactions",
        says: "Native commands run together in MULTI and EXEC: one that fails undoes none of the others.",
    },
    Fact {
        name: "replica_reads",
        says: "Reads may be answered by a replica, which is a little behind its primary.",
    },
    Fact {
        name: "waiting",
        says: "A command that waits, such as BLPOP, waits for at most five minutes, also where it says for ever. WAIT \
               counts the writes that stand before it in the same pipeline.",
    },
    Fact {
        name: "answers",
        says: "The answers to one request take 64 MB at most, where each item of a list counts as 64 bytes more. One \
               that is larger is `too_large`; its command was carried out.",
    },
    Fact {
        name: "scripts",
        says: "EVAL, EVALSHA and FCALL do what the server lets the gateway's user do, FLUSHALL, RESTORE and MIGRATE \
               among it, though clients are refused these. A service that denies any command takes scripts only \
               where `commands.allow` names them; the user's rights on the server bind all.",
    },
];
