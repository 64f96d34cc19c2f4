//! What things of ours are called in an engine, and the labels by which they are told from others'.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Name, Work};

/// The id of the gateway that made it.
pub(super) const GATEWAY: &str = "throome.gateway";
/// The cluster.
pub(super) const CLUSTER: &str = "throome.cluster";
/// The service of that cluster; a network has none.
pub(super) const SERVICE: &str = "throome.service";
/// The operation by which it came to be.
pub(super) const OPERATION: &str = "throome.operation";
/// The fingerprint of what it runs.
pub(super) const RECIPE: &str = "throome.recipe";
/// The port at which it listens for others of its network.
pub(super) const NETWORK_PORT: &str = "throome.network_port";

/// The name of a service's container.
pub(super) fn container(name: &Name) -> String {
    format!("throome-{}-{}", name.cluster, name.service)
}

/// The name of the volume of its data.
pub(super) fn volume(name: &Name) -> String {
    container(name)
}

/// The name of a cluster's network.
pub(super) fn network(cluster: &str) -> String {
    format!("throome-{cluster}")
}

/// Labels, as the engine takes and gives them.
pub(super) type Labels = HashMap<String, String>;

/// What stands on all that is of one service.
pub(super) fn labels(work: &Work, gateway: &str) -> Labels {
    HashMap::from([
        (GATEWAY.to_owned(), gateway.to_owned()),
        (CLUSTER.to_owned(), work.name.cluster.to_string()),
        (SERVICE.to_owned(), work.name.service.to_string()),
        (OPERATION.to_owned(), work.operation.clone()),
    ])
}

/// What the labels of something of a service say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Whose it is.
    pub(super) name: Name,
    /// The gateway that made it.
    pub(super) gateway: String,
    /// The operation by which it came to be.
    pub(super) operation: String,
}

impl Owner {
    /// `None` for what no gateway has made.
    pub(super) fn of(labels: &Labels) -> Option<Owner> {
        let of = |label: &str| labels.get(label).cloned();
        let name = Name { cluster: Arc::from(of(CLUSTER)?), service: Arc::from(of(SERVICE)?) };
        Some(Owner { name, gateway: of(GATEWAY)?, operation: of(OPERATION).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_all_that_we_put_there_is_of_a_gateway() {
        let labels = |words: &[(&str, &str)]| -> Labels {
            words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let whole = [(GATEWAY, "g"), (CLUSTER, "shop"), (SERVICE, "cache"), (OPERATION, "op")];
        let owner = Owner::of(&labels(&whole)).expect("all is there");
        assert_eq!((owner.gateway.as_str(), owner.operation.as_str()), ("g", "op"));
        assert_eq!(container(&owner.name), "throome-shop-cache");
        for missing in 0..3 {
            let mut some = whole.to_vec();
            some.remove(missing);
            assert_eq!(Owner::of(&labels(&some)), None, "without {}", whole[missing].0);
        }
    }
}
