//! What the rest of the house knows of a kind without knowing which kinds there are.

use crate::check::Problems;
use crate::field::Field;
use crate::recipe::Runs;
use crate::tree::Node;

/// What a kind's service can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Answers routed HTTP requests.
    Http,
    /// get, set, delete and friends.
    KeyValue,
    /// query and execute.
    Sql,
    /// publish and consume.
    Queue,
}

impl Ability {
    /// Name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ability::Http => "http",
            Ability::KeyValue => "key_value",
            Ability::Sql => "sql",
            Ability::Queue => "queue",
        }
    }
}

/// Where a service of a kind is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Inside this process: takes no host, needs no provisioning.
    Embedded,
    /// At a host and port.
    Network,
}

/// What a document check needs to know of a kind.
pub trait KindCheck: Sync {
    /// The word in `type`.
    fn name(&self) -> &'static str;
    /// Where its services are.
    fn place(&self) -> Place;
    /// Port when none is said.
    fn default_port(&self) -> Option<u16>;
    /// The keys of a service that only this kind knows.
    fn fields(&self) -> &'static [Field];
    /// What the table cannot say: rules between keys. `service` is the mapping of the service.
    fn check(&self, _service: &Node, _problems: &mut Problems) {}
    /// What the gateway settles of such a service when it runs it; `None` for a kind that it does not run.
    fn runs(&self) -> Option<Runs> {
        None
    }
}

/// Which kinds there are; `adapters` implements it once, over its list.
pub trait Kinds: Sync {
    /// The kind that `type` names.
    fn find(&self, name: &str) -> Option<&'static dyn KindCheck>;
    /// Every name that works, for suggestions.
    fn names(&self) -> Vec<&'static str>;
    /// Whether services of the kind of this name have the ability.
    fn can(&self, name: &str, ability: Ability) -> bool;
    /// Set for a kind that is known and not built yet: what it waits for.
    fn later(&self, name: &str) -> Option<&'static str>;
}
