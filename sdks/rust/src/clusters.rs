//! The clusters of a gateway: list, get, create, replace, delete, plan, validate.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::address::escape;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::page::Paged;
use crate::problem::FieldError;

impl Client {
    /// All clusters.
    #[must_use]
    pub fn clusters(&self) -> Clusters {
        Clusters { client: self.clone() }
    }
}

/// The clusters of a gateway.
#[derive(Debug, Clone)]
pub struct Clusters {
    client: Client,
}

impl Clusters {
    /// All of them, with their services.
    pub fn list(&self) -> Paged<ClusterSummary> {
        Paged::new(self.client.clone(), "/api/v1/clusters".to_owned(), "clusters", Patience::Management)
    }

    /// One, with the specs of its services; secrets are masked.
    pub fn get(&self, id: &str) -> Call<Cluster> {
        self.client.call(Outgoing::get(path(id), Patience::Management))
    }

    /// Creates one from `{name, cluster_id?, services, routes?, routing?, health?}`; waits until it is there.
    pub fn create(&self, spec: &Value) -> Call<Cluster> {
        self.client.call(Outgoing::post("/api/v1/clusters".to_owned(), Patience::Provisioning).json(spec))
    }

    /// Replaces its document; what does not change is left alone. A masked secret stays as it is.
    pub fn replace(&self, id: &str, spec: &Value) -> Call<Cluster> {
        self.client.call(Outgoing::new(Method::PUT, path(id), Patience::Provisioning).json(spec))
    }

    /// Removes it and, unless they are to be kept, the data of what the gateway ran for it.
    pub fn delete(&self, id: &str, data: Data) -> Call<Value> {
        let query = match data {
            Data::Keep => "?keep_data=true",
            Data::Remove => "",
        };
        self.client.call(Outgoing::new(
            Method::DELETE,
            format!("{}{query}", path(id)),
            Patience::Provisioning,
        ))
    }

    /// What replacing it would do. Nothing is changed.
    pub fn plan(&self, id: &str, spec: &Value) -> Call<Plan> {
        let request = Outgoing::post(format!("{}/plan", path(id)), Patience::Management).reads_only();
        self.client.call(request.json(spec))
    }

    /// What is wrong with a cluster's document, all of it at once. Nothing is changed.
    pub fn validate(&self, spec: &Value) -> Call<Validation> {
        let request = Outgoing::post("/api/v1/validate".to_owned(), Patience::Management).reads_only();
        self.client.call(request.json(spec))
    }
}

/// Whether the data of provisioned services outlive their cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// They stay on disk.
    Keep,
    /// They go too.
    Remove,
}

/// Where a cluster is.
pub(crate) fn path(id: &str) -> String {
    format!("/api/v1/clusters/{}", escape(id))
}

/// A cluster in a list.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ClusterSummary {
    /// Unique in the gateway.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub created_at: String,
    /// Whether all of it is healthy.
    #[serde(default)]
    pub healthy: bool,
    /// `HEALTHY`, `DEGRADED`, `UNHEALTHY` or `UNKNOWN`.
    pub status: String,
    /// Its services.
    #[serde(default)]
    pub services: Vec<ServiceSummary>,
}

/// A service in a list.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ServiceSummary {
    /// Unique in its cluster.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of its first endpoint; empty when it lives in the gateway.
    #[serde(default)]
    pub host: String,
    /// Of its first endpoint; 0 when it lives in the gateway.
    #[serde(default)]
    pub port: u16,
    /// Whether it can be used.
    #[serde(default)]
    pub healthy: bool,
    /// `HEALTHY`, `DEGRADED`, `UNHEALTHY` or `UNKNOWN`.
    pub status: String,
}

/// One cluster in full. Written back, it is a document for [`Clusters::replace`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cluster {
    /// Unique in the gateway.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub created_at: String,
    /// `HEALTHY`, `DEGRADED`, `UNHEALTHY` or `UNKNOWN`.
    #[serde(default)]
    pub status: String,
    /// The spec of each service by its name, secrets masked. Its keys depend on its kind.
    #[serde(default)]
    pub services: Map<String, Value>,
    /// All else: `routes`, `routing`, `health` and what later versions add.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a change would do.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The cluster.
    pub cluster_id: String,
    /// Whether anything would change.
    pub changes: bool,
    /// In the order in which it would be done.
    #[serde(default)]
    pub steps: Vec<PlanStep>,
}

/// One thing that a change would do.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct PlanStep {
    /// `create`, `update`, `delete` or `keep`.
    pub action: String,
    /// What it is done to: `service`, `route`, …
    pub what: String,
    /// Its name.
    pub name: String,
    /// What changes, in one sentence.
    #[serde(default)]
    pub detail: String,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Validation {
    /// Whether it can be used.
    pub valid: bool,
    /// Every fault.
    pub errors: Vec<FieldError>,
}

impl From<&Cluster> for Value {
    fn from(cluster: &Cluster) -> Value {
        serde_json::to_value(cluster).unwrap_or_else(|_| json!({}))
    }
}
