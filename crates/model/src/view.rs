//! What is shown: the bodies of the control API. Shapes are a contract; fields may be added, none taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

mod backup;
mod operation;
mod orphan;

pub use backup::{Backup, BackupOrigin};
pub use operation::{Operation, OperationKind, OperationStatus, OperationStep, StepStatus};
pub use orphan::{Orphan, OrphanList, Unseen};

/// The one word for people. Healthy and unknown are not the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Everything answers, and serves as it was asked to.
    Healthy,
    /// Some of it does not answer, or not as it was asked to.
    Degraded,
    /// None of it answers.
    Unhealthy,
    /// Some of it was not asked anything yet, and nothing is known to be wrong.
    Unknown,
}

impl Status {
    /// The status of a whole by those of its parts.
    pub fn of_all(parts: impl IntoIterator<Item = Status>) -> Status {
        let (mut healthy, mut sick, mut unknown, mut degraded) = (0, 0, 0, 0);
        for part in parts {
            match part {
                Status::Healthy => healthy += 1,
                Status::Degraded => degraded += 1,
                Status::Unhealthy => sick += 1,
                Status::Unknown => unknown += 1,
            }
        }
        match (healthy, degraded, sick, unknown) {
            (_, 0, 0, 0) => Status::Healthy,
            (_, 0, 0, _) => Status::Unknown,
            (0, 0, 1.., 0) => Status::Unhealthy,
            _ => Status::Degraded,
        }
    }
}

/// A cluster in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClusterSummary {
    /// Unique in the gateway.
    pub id: String,
    /// The same as `id`, for clients that read this name.
    pub cluster_id: String,
    /// For people.
    pub name: String,
    /// RFC 3339, UTC.
    #[schema(value_type = String)]
    pub created_at: jiff::Timestamp,
    /// Whether all of it is healthy.
    pub healthy: bool,
    /// One word.
    pub status: Status,
    /// Its services.
    pub services: Vec<ServiceSummary>,
}

/// A service in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceSummary {
    /// Unique in its cluster.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of its first endpoint; empty when embedded.
    pub host: String,
    /// Of its first endpoint; 0 when embedded.
    pub port: u16,
    /// Whether it can be used.
    pub healthy: bool,
    /// One word.
    pub status: Status,
}

/// The facts of a service: four that are never merged, and one verdict with its reason.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceFacts {
    /// Unique in its cluster.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it can be used.
    pub healthy: bool,
    /// One word.
    pub status: Status,
    /// `serving`, `serving_degraded` or `not_serving`.
    pub verdict: String,
    /// Why, in one sentence.
    pub reason: String,
    /// Since when the verdict holds; RFC 3339, UTC.
    #[schema(value_type = String)]
    pub since: jiff::Timestamp,
    /// `external` or `embedded` (later: `declared`, `pulling`, `running`, …).
    pub lifecycle: String,
    /// `unknown`, `healthy`, `degraded` or `unhealthy`, by probes and traffic.
    pub health: String,
    /// `in`, `draining`, `ejected` or `maintenance`.
    pub rotation: String,
    /// `closed`, `open` or `half-open`: the worst of its endpoints'.
    pub breaker: String,
    /// How full it is, where something limits what it is asked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitFacts>,
    /// Each of its endpoints.
    pub endpoints: Vec<EndpointFacts>,
}

/// How full a service is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LimitFacts {
    /// Requests that may be under way at once; what was found out, where `adaptive` is asked for.
    pub max_requests: u32,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests that wait for one of these to end.
    pub pending: u32,
}

/// The facts of one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EndpointFacts {
    /// `host:port`.
    pub address: String,
    /// `primary` or `replica`; `replaced` when another was promoted in its place, `contested` when another takes
    /// writes with as much right.
    pub role: String,
    /// Its share against its siblings.
    pub weight: u32,
    /// Whether it answers, and nothing is wrong with it.
    pub healthy: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// Since when that holds; RFC 3339, UTC.
    #[schema(value_type = String)]
    pub since: jiff::Timestamp,
    /// `unknown`, `healthy` or `unhealthy`.
    pub health: String,
    /// `in`, `draining` or `ejected`.
    pub rotation: String,
    /// `closed`, `open` or `half-open`.
    pub breaker: String,
    /// Requests under way.
    pub in_flight: u64,
    /// Smoothed time to an answer.
    pub latency_ms: f64,
    /// How its connections stand, where `limits.max_connections` limits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionFacts>,
}

/// How the connections to an endpoint stand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConnectionFacts {
    /// Connections that may be open at once.
    pub max_connections: usize,
    /// Connections that are.
    pub open: usize,
    /// Requests that wait for one of these.
    pub pending: usize,
}

/// `GET …/{id}/health`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClusterHealth {
    /// The cluster.
    pub cluster_id: String,
    /// Whether all of it is healthy.
    pub healthy: bool,
    /// One word.
    pub status: Status,
    /// Facts by service.
    pub services: BTreeMap<String, ServiceFacts>,
}

/// Counts and times of a service or a cluster since the start of the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 95 of 100 are below.
    pub p95: f64,
    /// 99 of 100 are below.
    pub p99: f64,
}

/// `GET …/{id}/metrics`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClusterMetrics {
    /// The cluster.
    pub cluster_id: String,
    /// Of all services together.
    #[serde(flatten)]
    pub total: Metrics,
    /// By service.
    pub services: BTreeMap<String, Metrics>,
}

/// The record of one operation on one service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ActivityRecord {
    /// Unique; later ones sort later.
    pub id: String,
    /// When it began; RFC 3339, UTC.
    #[schema(value_type = String)]
    pub time: jiff::Timestamp,
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The method of a request, or the name of a data operation (`GET`, `SET`, …).
    pub operation: String,
    /// The route of a request, or the shape of a key or statement; never values.
    pub shape: String,
    /// `success`, `error` or `cancelled`.
    pub outcome: String,
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// HTTP status of a proxied answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From its beginning to its last byte.
    pub duration_ms: f64,
    /// Endpoints asked.
    pub tries: u32,
    /// The last endpoint asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The id in the client's answer.
    pub request_id: String,
}

/// Who owns a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// A cluster file: read-only by the API.
    File,
    /// The API.
    Api,
}

/// A route as shown.
#[derive(Debug, Clone, Serialize)]
pub struct RouteView {
    /// As asked.
    #[serde(flatten)]
    pub spec: Arc<crate::RouteSpec>,
    /// Who owns it.
    pub owner: Owner,
}

/// A step of a plan: one thing that a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStep {
    /// `create`, `update`, `delete` or `keep`.
    pub action: String,
    /// What it is done to: `service`, `route`, `routing`, `health`, `cluster`.
    pub what: String,
    /// Its name.
    pub name: String,
    /// What changes, in one sentence.
    pub detail: String,
}

/// `POST …/{id}/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The cluster.
    pub cluster_id: String,
    /// Whether anything would change.
    pub changes: bool,
    /// In the order in which it would be done.
    pub steps: Vec<PlanStep>,
}

/// `POST /api/v1/explain`: a request that is described, not sent.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// HTTP method.
    #[serde(default = "get")]
    pub method: String,
    /// The listener by which it comes.
    #[serde(default = "main_listener")]
    pub listener: String,
    /// As in the `Host` header.
    #[serde(default)]
    pub host: String,
    /// Path with query.
    pub path: String,
    /// Headers that a route may look at.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn main_listener() -> String {
    crate::route::MAIN_LISTENER.to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

/// What would happen to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// The route that matches, if one does.
    #[schema(value_type = Option<Object>)]
    pub route: Option<RouteView>,
    /// `cluster/service`.
    pub service: Option<String>,
    /// The endpoint that would be asked first.
    pub endpoint: Option<String>,
    /// What applies on the way: timeout, tries, strategy and breaker of the service, then what the route itself does:
    /// split, redirect, respond, rewrite, affinity, mirror, header changes, fallback.
    #[schema(value_type = Vec<Object>)]
    pub policies: Vec<Value>,
    /// Each endpoint of the service, and why it is or is not chosen.
    pub candidates: Vec<Candidate>,
    /// Why nothing matches, when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One endpoint in an [`Explanation`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// `host:port`.
    pub endpoint: String,
    /// Whether it would be asked first.
    pub chosen: bool,
    /// Why or why not.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::Status::{self, *};

    #[test]
    fn the_whole_is_judged_by_its_parts() {
        for (parts, whole) in [
            (vec![], Healthy),
            (vec![Healthy, Healthy], Healthy),
            (vec![Healthy, Unknown], Unknown),
            (vec![Unknown], Unknown),
            (vec![Unknown, Degraded], Degraded),
            (vec![Unhealthy, Unhealthy], Unhealthy),
            (vec![Unhealthy, Healthy], Degraded),
            (vec![Unhealthy, Unknown], Degraded),
            (vec![Degraded], Degraded),
        ] {
            assert_eq!(Status::of_all(parts.clone()), whole, "{parts:?}");
        }
    }
}
