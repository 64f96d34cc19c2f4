//! A cluster's services: the facts, and what an operator may do to one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::escape;
use crate::backups::Backups;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::cluster::ClusterHealth;
use crate::error::Error;
use crate::gateway::{ActivityRecord, Filter};
use crate::logs::{LogLines, LogOptions};
use crate::operations::Operation;
use crate::page::Paged;

/// The services of a cluster; from [`ClusterHandle::services`](crate::ClusterHandle::services).
#[derive(Debug, Clone)]
pub struct Services {
    client: Client,
    cluster: String,
    reason: Option<String>,
}

impl Services {
    pub(crate) fn new(client: Client, cluster: String) -> Services {
        Services { client, cluster, reason: None }
    }

    /// The same, where all that is done to them is done for this reason, which their history tells.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Services {
        self.reason = Some(reason.to_owned());
        self
    }

    /// The facts of all of them, by name.
    pub fn list(&self) -> Call<BTreeMap<String, ServiceFacts>> {
        let path = format!("{}/health", self.cluster);
        self.client
            .call::<Value>(Outgoing::get(path, Patience::Management))
            .decoded_by(|reply| Ok(reply.json::<ClusterHealth>()?.services))
    }

    /// The facts of one.
    pub fn get(&self, name: &str) -> Call<ServiceFacts> {
        self.client.call(Outgoing::get(self.path(name, ""), Patience::Management))
    }

    /// Gives it no new requests; those under way end in peace.
    pub fn drain(&self, name: &str) -> Call<Value> {
        self.order(name, "/drain")
    }

    /// Gives it requests again.
    pub fn undrain(&self, name: &str) -> Call<Value> {
        self.order(name, "/undrain")
    }

    /// Closes the breakers of its endpoints, which are then tried at once.
    pub fn reset_breaker(&self, name: &str) -> Call<Value> {
        self.order(name, "/reset-breaker")
    }

    /// Restarts one that the gateway runs, and waits until it answers again; [`Call::started`] does not. Its data stay.
    pub fn restart(&self, name: &str) -> Call<Operation> {
        self.client.call(self.ordered(name, "/restart", Patience::Provisioning))
    }

    /// Stops one that the gateway runs: it stays so, also when the gateway starts again. Its data stay.
    pub fn stop(&self, name: &str) -> Call<Operation> {
        self.client.call(self.ordered(name, "/stop", Patience::Provisioning))
    }

    /// Starts one that the gateway runs, and waits until it answers; [`Call::started`] does not.
    pub fn start(&self, name: &str) -> Call<Operation> {
        self.client.call(self.ordered(name, "/start", Patience::Provisioning))
    }

    /// The backups of one that the gateway runs.
    #[must_use]
    pub fn backups(&self, name: &str) -> Backups {
        Backups::new(self.client.clone(), self.path(name, ""), self.reason.clone())
    }

    /// What one that the gateway runs has said, line by line, and with [`LogOptions::follow`] what it says from then on.
    ///
    /// # Errors
    /// The gateway cannot be reached, does not run it, or cannot read what it has said.
    pub async fn logs(&self, name: &str, options: &LogOptions) -> Result<LogLines, Error> {
        LogLines::open(&self.client, options.onto(&self.path(name, "/logs"))).await
    }

    /// Operations on it, the latest first.
    pub fn activity(&self, name: &str, filter: &Filter) -> Paged<ActivityRecord> {
        let path = filter.onto(&self.path(name, "/activity"));
        Paged::new(self.client.clone(), path, "activities", Patience::Management)
    }

    fn order(&self, name: &str, what: &str) -> Call<Value> {
        self.client.call(self.ordered(name, what, Patience::Management))
    }

    fn ordered(&self, name: &str, what: &str, patience: Patience) -> Outgoing {
        let order = Outgoing::post(self.path(name, what), patience);
        match &self.reason {
            Some(reason) => order.json(&json!({ "reason": reason })),
            None => order,
        }
    }

    fn path(&self, name: &str, rest: &str) -> String {
        format!("{}/services/{}{rest}", self.cluster, escape(name))
    }
}

/// Four facts that are never merged, and one verdict with its reason.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ServiceFacts {
    /// Unique in its cluster.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it can be used.
    #[serde(default)]
    pub healthy: bool,
    /// `HEALTHY`, `DEGRADED`, `UNHEALTHY` or `UNKNOWN`.
    pub status: String,
    /// `serving`, `serving_degraded` or `not_serving`.
    #[serde(default)]
    pub verdict: String,
    /// Why, in one sentence.
    #[serde(default)]
    pub reason: String,
    /// Since when the verdict holds; RFC 3339, UTC.
    #[serde(default)]
    pub since: String,
    /// `external` or `embedded`, or the stage of a service that the gateway runs.
    #[serde(default)]
    pub lifecycle: String,
    /// `unknown`, `healthy`, `degraded` or `unhealthy`, by probes and traffic.
    #[serde(default)]
    pub health: String,
    /// `in`, `draining`, `ejected` or `maintenance`.
    #[serde(default)]
    pub rotation: String,
    /// `closed`, `open` or `half-open`: the worst of its endpoints'.
    #[serde(default)]
    pub breaker: String,
    /// Each of its endpoints.
    #[serde(default)]
    pub endpoints: Vec<EndpointFacts>,
    /// Where clients ask it; told with the facts of one service.
    #[serde(default)]
    pub doors: Vec<ServiceDoor>,
}

/// Where clients of one sort ask a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ServiceDoor {
    /// `cache`, `db`, `queue` for calls of the data API; `upstash`, `neon` for clients that speak such.
    pub name: String,
    /// To be put behind the URL of the gateway.
    pub path: String,
}

/// The facts of one endpoint.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct EndpointFacts {
    /// `host:port`.
    pub address: String,
    /// `primary`, `replica`, `replaced` or `contested`.
    #[serde(default)]
    pub role: String,
    /// Whether it answers, and nothing is wrong with it.
    #[serde(default)]
    pub healthy: bool,
    /// Why, in one sentence.
    #[serde(default)]
    pub reason: String,
    /// Since when that holds; RFC 3339, UTC.
    #[serde(default)]
    pub since: String,
    /// `closed`, `open` or `half-open`.
    #[serde(default)]
    pub breaker: String,
    /// Requests under way.
    #[serde(default)]
    pub in_flight: u64,
    /// Smoothed time to an answer.
    #[serde(default)]
    pub latency_ms: f64,
}
