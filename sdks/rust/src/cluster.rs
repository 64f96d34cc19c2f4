//! One cluster: the handle through which everything inside it is reached.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cache::Cache;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::clusters::path;
use crate::db::Database;
use crate::error::Error;
use crate::gateway::{ActivityRecord, Filter};
use crate::page::Paged;
use crate::queue::Queue;
use crate::services::{ServiceFacts, Services};

impl Client {
    /// A handle on this cluster. Nothing is sent: whether it exists shows with the first call.
    #[must_use]
    pub fn cluster(&self, id: &str) -> ClusterHandle {
        ClusterHandle { client: self.clone(), path: path(id) }
    }

    /// A handle on the cluster of [`Client::with_cluster`] or `THROOME_CLUSTER`.
    ///
    /// # Errors
    /// None was named.
    pub fn default_cluster(&self) -> Result<ClusterHandle, Error> {
        match &self.settings.cluster {
            Some(id) => Ok(self.cluster(id)),
            None => Err(Error::usage("no cluster is named", "Set THROOME_CLUSTER, or name it in the call.")),
        }
    }
}

/// One cluster.
#[derive(Debug, Clone)]
pub struct ClusterHandle {
    client: Client,
    /// `/api/v1/clusters/{id}`
    path: String,
}

impl ClusterHandle {
    /// Its cache.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::new(self.client.clone(), &self.path)
    }

    /// Its database.
    #[must_use]
    pub fn db(&self) -> Database {
        Database::new(self.client.clone(), &self.path)
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::new(self.client.clone(), &self.path)
    }

    /// Its services.
    #[must_use]
    pub fn services(&self) -> Services {
        Services::new(self.client.clone(), self.path.clone())
    }

    /// What is known of the health of each of its services.
    pub fn health(&self) -> Call<ClusterHealth> {
        self.get("/health")
    }

    /// Counts and times since the gateway started.
    pub fn metrics(&self) -> Call<ClusterMetrics> {
        self.get("/metrics")
    }

    /// Operations on its services, the latest first.
    pub fn activity(&self, filter: &Filter) -> Paged<ActivityRecord> {
        let path = filter.onto(&format!("{}/activity", self.path));
        Paged::new(self.client.clone(), path, "activities", Patience::Management)
    }

    fn get<T: serde::de::DeserializeOwned>(&self, rest: &str) -> Call<T> {
        self.client.call(Outgoing::get(format!("{}{rest}", self.path), Patience::Management))
    }
}

/// `GET …/health`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ClusterHealth {
    /// The cluster.
    pub cluster_id: String,
    /// Whether all of it is healthy.
    #[serde(default)]
    pub healthy: bool,
    /// `HEALTHY`, `DEGRADED`, `UNHEALTHY` or `UNKNOWN`.
    pub status: String,
    /// Facts by service.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceFacts>,
}

/// `GET …/metrics`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ClusterMetrics {
    /// The cluster.
    pub cluster_id: String,
    /// Of all services together.
    #[serde(flatten)]
    pub total: Metrics,
    /// By service.
    #[serde(default)]
    pub services: BTreeMap<String, Metrics>,
}

/// Counts and times since the gateway started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Metrics {
    /// Operations ended.
    pub requests: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Under way.
    pub active: u64,
    /// Quantiles of their durations.
    pub latency_ms: Quantiles,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// 99 of 100 are below.
    pub p99: f64,
}
