//! A change of state or configuration: who, what, since when, why.

use serde::{Deserialize, Serialize};

/// One line of the history of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Rises by one with each event of this gateway, also over a restart.
    pub id: u64,
    /// RFC 3339, UTC.
    #[schema(value_type = String)]
    pub time: jiff::Timestamp,
    /// What happened, as a dotted word: `cluster.created`, `endpoint.unhealthy`, `breaker.opened`.
    pub kind: String,
    /// The cluster concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The service concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The endpoint concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The route concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Who or what decided: `api`, `token:NAME` of a token that has a name, `file`, `probe`, `traffic`,
    /// `operator`, `start`.
    pub actor: String,
    /// One sentence.
    pub message: String,
    /// The request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
