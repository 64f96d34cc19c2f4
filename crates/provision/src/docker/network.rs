//! The network of a cluster: made with its first container, gone with its last.

use std::collections::HashMap;

use bollard::models::{Network, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
use jiff::Timestamp;
use model::Failure;

use crate::docker::Maker;
use crate::docker::engine::Engine;
use crate::docker::names::{self, CLUSTER, GATEWAY};
use crate::docker::wrong::{self, asked, said, status};

/// Sees to it that the cluster has a network: its id.
///
/// An engine lets two networks have one name where they are made at once, and then starts nothing in either. Services of
/// one gateway wait for each other here; of those of two gateways, all take the older one and take the other away.
pub(super) async fn ensure(engine: &Engine, cluster: &str, maker: &Maker<'_>) -> Result<String, Failure> {
    let (engine, cluster, gateway) = (engine.clone(), cluster.to_owned(), maker.gateway.to_owned());
    maker.making.alone(async move { find_or_create(&engine, &cluster, &gateway).await }).await
}

async fn find_or_create(engine: &Engine, cluster: &str, gateway: &str) -> Result<String, Failure> {
    let called = names::network(cluster);
    let mut there = find(engine, cluster).await?;
    if there.ours.is_empty() {
        if there.has_strangers {
            return Err(wrong::of_a_stranger("network", &called));
        }
        create(engine, cluster, gateway).await?;
        there = find(engine, cluster).await?;
    }
    let mut ours = there.ours.into_iter();
    let first = ours.next().ok_or_else(|| wrong::changed_meanwhile(&called))?;
    for more in ours {
        // One that somebody is in stays, and goes with the cluster.
        if let Err(error) = engine.ask().remove_network(&more).await {
            tracing::debug!(network = called, id = more, %error, "a second network of the same name stays");
        }
    }
    Ok(first)
}

async fn create(engine: &Engine, cluster: &str, gateway: &str) -> Result<(), Failure> {
    let called = names::network(cluster);
    let labels = [(GATEWAY.to_owned(), gateway.to_owned()), (CLUSTER.to_owned(), cluster.to_owned())];
    let request = NetworkCreateRequest {
        name: called.clone(),
        driver: Some("bridge".to_owned()),
        labels: Some(HashMap::from(labels)),
        ..NetworkCreateRequest::default()
    };
    let mut made = engine.ask().create_network(request.clone()).await;
    // For as long as a firewall, or another engine that begins, makes its chains anew.
    if made.as_ref().is_err_and(|error| error.to_string().contains("iptables failed")) {
        tokio::time::sleep(CHAINS).await;
        made = engine.ask().create_network(request).await;
    }
    match made {
        Ok(_) => Ok(()),
        // Somebody was faster, and the engine of a version that lets nobody be second.
        Err(error) if status(&error) == Some(409) => Ok(()),
        Err(error) => Err(asked(engine, format!("create the network `{called}`"))(error)),
    }
}

/// How long chains of a firewall may be away.
const CHAINS: std::time::Duration = std::time::Duration::from_millis(500);

/// What has the name of a cluster's network.
struct There {
    /// Ids of those that are ours, the oldest first.
    ours: Vec<String>,
    /// Whether there are others.
    has_strangers: bool,
}

async fn find(engine: &Engine, cluster: &str) -> Result<There, Failure> {
    let called = names::network(cluster);
    let named = HashMap::from([("name".to_owned(), vec![called.clone()])]);
    let listed = engine.ask().list_networks(Some(ListNetworksOptions { filters: Some(named) })).await;
    let listed = listed.map_err(asked(engine, format!("look for the network `{called}`")))?;
    // The engine finds all whose names hold these words.
    let same = listed.into_iter().filter(|network| network.name.as_deref() == Some(&called));
    let is_ours = |network: &Network| {
        let labels = network.labels.as_ref();
        labels.and_then(|labels| labels.get(CLUSTER)).is_some_and(|owner| owner == cluster)
    };
    let (mut ours, others): (Vec<Network>, Vec<Network>) = same.partition(is_ours);
    let age = |network: &Network| -> Option<Timestamp> { network.created.as_deref()?.parse().ok() };
    ours.sort_by(|one, other| (age(one), &one.id).cmp(&(age(other), &other.id)));
    let ours = ours.into_iter().filter_map(|network| network.id).collect();
    Ok(There { ours, has_strangers: !others.is_empty() })
}

/// Lets the gateway's own container into a network.
pub(super) async fn join(engine: &Engine, id: &str, own: &str, maker: &Maker<'_>) -> Result<(), Failure> {
    let request = NetworkConnectRequest { container: own.to_owned(), endpoint_config: None };
    let (client, id) = (engine.ask().clone(), id.to_owned());
    match maker.making.whole(async move { client.connect_network(&id, request).await }).await {
        Ok(()) => Ok(()),
        Err(error) if said(&error).is_some_and(|said| said.contains("already exists in network")) => Ok(()),
        Err(error) => Err(asked(engine, "let the gateway into the network of a cluster")(error)),
    }
}

/// Removes the network where no container of the cluster is left, running or not.
pub(super) async fn tidy(engine: &Engine, cluster: &str, own: Option<&str>) -> Result<(), Failure> {
    let called = names::network(cluster);
    let of_cluster = HashMap::from([("label".to_owned(), vec![format!("{CLUSTER}={cluster}")])]);
    let ask =
        ListContainersOptions { all: true, filters: Some(of_cluster), ..ListContainersOptions::default() };
    let left = engine.ask().list_containers(Some(ask)).await;
    if !left.map_err(asked(engine, "list containers"))?.is_empty() {
        return Ok(());
    }
    for id in find(engine, cluster).await?.ours {
        if let Some(own) = own {
            let request = NetworkDisconnectRequest { container: own.to_owned(), force: Some(true) };
            // It may never have joined.
            if let Err(error) = engine.ask().disconnect_network(&id, request).await {
                tracing::debug!(network = called, %error, "the gateway is not in the network");
            }
        }
        match engine.ask().remove_network(&id).await {
            Ok(()) => {}
            Err(error) if status(&error) == Some(404) => {}
            // Somebody else's container has joined it: they still need it, and it costs nothing.
            Err(error) if said(&error).is_some_and(|said| said.contains("active endpoints")) => {}
            Err(error) => return Err(asked(engine, format!("remove the network `{called}`"))(error)),
        }
    }
    Ok(())
}
