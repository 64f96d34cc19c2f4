//! One address of a service, with its weight and role.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an endpoint may be asked: a primary takes everything, a replica takes reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and writes.
    #[default]
    Primary,
    /// Reads only.
    #[serde(alias = "readonly")]
    Replica,
}

/// What a server says of itself, where its protocol has words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it takes writes.
    pub role: Role,
    /// The history that it writes, which tells a server that was replaced from the one that replaced it.
    pub history: Option<History>,
    /// How far it is behind its primary, where it knows.
    pub lag: Option<Duration>,
    /// It only reads and has lost its primary: what it has grows old.
    pub cut_off: bool,
}

/// Where the data of a primary comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Which history it is: two primaries of the same one can be compared by their number.
    pub id: Box<str>,
    /// Raised by each promotion, where the engine counts them.
    pub number: u64,
    /// The history that it went on from when it was promoted, where the engine gives each a name of its own.
    pub came_from: Option<Box<str>>,
    /// Whether the endpoints of a service must be of one history. Engines whose servers may stand alone side by side
    /// say no.
    pub shared: bool,
}

/// Host and port as asked. Two endpoints of a service are the same one when their addresses are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: Arc<str>,
    /// TCP port; 0 for an endpoint inside this process.
    pub port: u16,
}

impl Address {
    /// Host and port.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Address { host: host.into(), port }
    }

    /// The address of an engine that lives in this process.
    #[must_use]
    pub fn embedded() -> Self {
        Address::new("embedded", 0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => f.write_str(&self.host),
            port if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

/// An endpoint as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Share of the traffic against its siblings, from 1; 0 takes it out of rotation.
    #[serde(default = "one")]
    pub weight: u32,
    /// What it may be asked.
    #[serde(default)]
    pub role: Role,
}

fn one() -> u32 {
    1
}

impl EndpointSpec {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new(self.host.as_str(), self.port)
    }
}
