//! A service as asked: its kind, where it is, and the keys that only its kind knows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::{EndpointSpec, Role};
use crate::policy::{HealthSpec, LimitsSpec, OutlierSpec};
use crate::provision::RunSpec;
use crate::secret::Secret;

/// One named dependency of a cluster, as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// What it speaks: the name of a driver.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether we run it: `true`, `false`, or the name of a provisioner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provision: Option<Provision>,
    /// How, where we do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunSpec>,
    /// Where it is, when there is one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port of `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Weight of `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Where it is, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointSpec>,
    /// Copies beside `host` that take reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<EndpointSpec>,
    /// Who we are to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How we prove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Which of its databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Written by the predecessor after provisioning; read and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// How its endpoints are set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierSpec>,
    /// What only its kind knows, checked by the driver's own table of fields.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// Who runs a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Provision {
    /// `true`: we do, by whatever there is; `false`: somebody else does.
    Asked(bool),
    /// We do, by this provisioner.
    By(String),
}

impl ServiceSpec {
    /// A service of this kind with nothing said about it.
    pub fn of_kind(kind: impl Into<String>) -> Self {
        ServiceSpec {
            kind: kind.into(),
            provision: None,
            run: None,
            host: None,
            port: None,
            weight: None,
            endpoints: Vec::new(),
            replicas: Vec::new(),
            username: None,
            password: None,
            database: None,
            container_id: None,
            outlier: None,
            options: Map::new(),
        }
    }

    /// All endpoints: the flat one first, then its replicas, or else the list. Empty when nothing says where it is.
    #[must_use]
    pub fn all_endpoints(&self) -> Vec<EndpointSpec> {
        let mut all = Vec::with_capacity(1 + self.replicas.len() + self.endpoints.len());
        if let (Some(host), Some(port)) = (&self.host, self.port) {
            let weight = self.weight.unwrap_or(1);
            all.push(EndpointSpec { host: host.clone(), port, weight, role: Role::Primary });
        }
        all.extend(
            self.replicas.iter().map(|replica| EndpointSpec { role: Role::Replica, ..replica.clone() }),
        );
        all.extend(self.endpoints.iter().cloned());
        all
    }

    /// The keys of `health` that this service lays over its cluster's.
    #[must_use]
    pub fn health(&self, cluster: &HealthSpec) -> HealthSpec {
        let Some(Value::Object(own)) = self.options.get("health") else { return cluster.clone() };
        let Ok(Value::Object(mut merged)) = serde_json::to_value(cluster) else { return cluster.clone() };
        for (key, value) in own {
            if merged.contains_key(key) {
                merged.insert(key.clone(), value.clone());
            }
        }
        serde_json::from_value(Value::Object(merged)).unwrap_or_else(|_| cluster.clone())
    }

    /// How much it is asked at once, when it says anything of that.
    #[must_use]
    pub fn limits(&self) -> Option<LimitsSpec> {
        let limits: LimitsSpec = serde_json::from_value(self.options.get("limits")?.clone()).ok()?;
        (limits != LimitsSpec::default()).then_some(limits)
    }
}
