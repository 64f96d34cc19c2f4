//! The gateway as a whole: its health, its kinds, what happened, and what would happen to a request.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::address::with_query;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::page::Paged;
use crate::routes::Route;

impl Client {
    /// How the gateway is. That it is not well is an answer too, not an error.
    pub fn health(&self) -> Call<Health> {
        let mut request = Outgoing::get("/api/v1/health".to_owned(), Patience::Management);
        request.also_answer = Some(503);
        self.call(request)
    }

    /// The kinds of services there are, with the schema of their options.
    pub fn kinds(&self) -> Call<KindList> {
        self.call(Outgoing::get("/api/v1/kinds".to_owned(), Patience::Management))
    }

    /// Operations on services of all clusters, the latest first.
    pub fn activity(&self, filter: &Filter) -> Paged<ActivityRecord> {
        Paged::new(self.clone(), filter.onto("/api/v1/activity"), "activities", Patience::Management)
    }

    /// Changes of state and configuration, the latest first.
    pub fn events(&self, filter: &Filter) -> Paged<Event> {
        Paged::new(self.clone(), filter.onto("/api/v1/events"), "events", Patience::Management)
    }

    /// What would happen to a request that is described and not sent: `path` may have a query.
    pub fn explain(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &BTreeMap<String, String>,
    ) -> Call<Explanation> {
        let body = json!({ "method": method, "host": host, "path": path, "headers": headers });
        let request = Outgoing::post("/api/v1/explain".to_owned(), Patience::Management).reads_only();
        self.call(request.json(&body))
    }
}

/// Which records of a list are wanted; what is left out is not looked at.
///
/// ```
/// let mut failures = throome_sdk::Filter::default();
/// failures.outcome = Some("error".to_owned());
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this service.
    pub service: Option<String>,
    /// With this outcome: `success`, `error` or `cancelled`.
    pub outcome: Option<String>,
    /// With this operation, such as `GET` or `QUERY`.
    pub operation: Option<String>,
    /// Of this kind: of events alone.
    pub kind: Option<String>,
    /// By this actor: of events alone.
    pub actor: Option<String>,
    /// With this code of failure.
    pub code: Option<String>,
    /// Of the request with this id.
    pub request_id: Option<String>,
    /// Not before this time; RFC 3339.
    pub since: Option<String>,
    /// Before this time; RFC 3339.
    pub until: Option<String>,
    /// Records in a page; left out, as many as the gateway likes.
    pub limit: Option<u32>,
}

impl Filter {
    pub(crate) fn onto(&self, path: &str) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        with_query(
            path,
            &[
                ("cluster", self.cluster.as_deref()),
                ("service", self.service.as_deref()),
                ("outcome", self.outcome.as_deref()),
                ("operation", self.operation.as_deref()),
                ("kind", self.kind.as_deref()),
                ("actor", self.actor.as_deref()),
                ("code", self.code.as_deref()),
                ("request_id", self.request_id.as_deref()),
                ("since", self.since.as_deref()),
                ("until", self.until.as_deref()),
                ("limit", limit.as_deref()),
            ],
        )
    }
}

/// `GET /api/v1/health`.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// One word; `healthy` or `ok` when the gateway can serve.
    pub status: String,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: i64,
    /// All else: the checks of its components.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `GET /api/v1/kinds`. What a kind says of itself is data, so that new kinds need no new client.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct KindList {
    /// Each with `name`, its option schema, default port and abilities.
    pub kinds: Vec<Value>,
}

/// The record of one operation on one service.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ActivityRecord {
    /// Unique; later ones sort later.
    pub id: String,
    /// When it began; RFC 3339, UTC.
    pub time: String,
    /// The cluster.
    #[serde(default)]
    pub cluster: String,
    /// The service.
    #[serde(default)]
    pub service: String,
    /// The method of a request, or the name of a data operation.
    #[serde(default)]
    pub operation: String,
    /// The route of a request, or the shape of a key or statement; never values.
    #[serde(default)]
    pub shape: String,
    /// `success`, `error` or `cancelled`.
    #[serde(default)]
    pub outcome: String,
    /// The failure's code.
    #[serde(default)]
    pub code: Option<String>,
    /// From its beginning to its last byte.
    #[serde(default)]
    pub duration_ms: f64,
    /// Endpoints asked.
    #[serde(default)]
    pub tries: u32,
    /// The last endpoint asked.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The id in the client's answer.
    #[serde(default)]
    pub request_id: String,
}

/// A change of state or configuration.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Rises with each event.
    pub id: u64,
    /// RFC 3339, UTC.
    pub time: String,
    /// What happened, as a dotted word: `cluster.created`, `breaker.opened`.
    pub kind: String,
    /// The cluster concerned.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The service concerned.
    #[serde(default)]
    pub service: Option<String>,
    /// Who or what decided.
    #[serde(default)]
    pub actor: String,
    /// One sentence.
    #[serde(default)]
    pub message: String,
}

/// What would happen to a request.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The route that matches, if one does.
    #[serde(default)]
    pub route: Option<Route>,
    /// `cluster/service`.
    #[serde(default)]
    pub service: Option<String>,
    /// The endpoint that would be asked first.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What applies on the way, in order.
    #[serde(default)]
    pub policies: Vec<Value>,
    /// Each endpoint of the service, and why it is or is not chosen.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    /// Why nothing matches, when nothing does.
    #[serde(default)]
    pub reason: Option<String>,
}

/// One endpoint in an [`Explanation`].
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// `host:port`.
    pub endpoint: String,
    /// Whether it would be asked first.
    pub chosen: bool,
    /// Why or why not.
    #[serde(default)]
    pub reason: String,
}
