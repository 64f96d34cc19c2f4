//! A cluster as asked: a named group of services that one application uses together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ClusterId;
use crate::policy::{HealthSpec, RoutingSpec};
use crate::route::RouteSpec;
use crate::service::ServiceSpec;

/// The whole of a cluster file, checked. `PartialEq` is what the plan compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterSpec {
    /// Unique in the gateway, and the name of its directory.
    pub cluster_id: ClusterId,
    /// For people, at most 64 characters.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it was created; RFC 3339, UTC.
    pub created_at: jiff::Timestamp,
    /// In the order of the file.
    #[serde(serialize_with = "as_map")]
    pub services: Vec<(String, ServiceSpec)>,
    /// Routes that this file owns; there may be tens of thousands, so what runs shares them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Arc<RouteSpec>>,
    /// How requests are routed.
    pub routing: RoutingSpec,
    /// How endpoints are probed.
    pub health: HealthSpec,
}

impl ClusterSpec {
    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|(own, _)| own == name).map(|(_, service)| service)
    }
}

/// The body of a cluster file before its id, name and time of creation are settled.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClusterInput {
    /// Left out: the directory's name, or made from `name`.
    #[serde(default)]
    pub cluster_id: Option<ClusterId>,
    /// Left out: the id.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub description: String,
    #[serde(default)]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub created_at: Option<jiff::Timestamp>,
    #[serde(default, deserialize_with = "from_map")]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub services: Vec<(String, ServiceSpec)>,
    #[serde(default)]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub routes: Vec<RouteSpec>,
    #[serde(default)]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub routing: RoutingSpec,
    #[serde(default)]
    #[expect(missing_docs, reason = "as in ClusterSpec")]
    pub health: HealthSpec,
}

fn as_map<S: serde::Serializer>(services: &[(String, ServiceSpec)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(services.iter().map(|(name, service)| (name, service)))
}

fn from_map<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<(String, ServiceSpec)>, D::Error> {
    let map = serde_json::Map::deserialize(d)?;
    map.into_iter()
        .map(|(name, value)| {
            ServiceSpec::deserialize(value).map(|service| (name, service)).map_err(serde::de::Error::custom)
        })
        .collect()
}
