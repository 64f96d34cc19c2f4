//! Whether the gateway can serve. What its services are like is theirs to say, not this.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::json as answer;
use crate::door::{Answer, Door};
use crate::guard::Caller;
use crate::query::Query;

/// A store that has not answered by then is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the gateway is. Who brings no token where one is needed sees `status` alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`; `degraded` when it serves and a part of it fails; `unhealthy` when it takes no requests.
    status: &'static str,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    /// Each part that was looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
}

/// One part of the gateway.
#[derive(Serialize, ToSchema)]
pub(crate) struct Check {
    /// Which.
    name: &'static str,
    /// `healthy` or `unhealthy`.
    status: &'static str,
    /// Why, in one sentence.
    detail: String,
}

/// Says whether the gateway can serve
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "gateway", security(()),
    responses((status = 200, description = "It can.", body = Health),
        (status = 503, description = "It cannot.", body = Health)))]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    let checks = [doors(&door), store(&door).await, world(&door)];
    let fails = |name: &str| checks.iter().any(|check| check.name == name && check.status != HEALTHY);
    let (status, code) = match (fails("doors"), fails("store")) {
        (true, _) => (UNHEALTHY, StatusCode::SERVICE_UNAVAILABLE),
        // What runs goes on without it; only changes cannot be kept.
        (false, true) => ("degraded", StatusCode::OK),
        (false, false) => (HEALTHY, StatusCode::OK),
    };
    let mut health = Health { status, timestamp: None, checks: Vec::new() };
    if caller != Caller::Stranger {
        health.timestamp = Some(jiff::Timestamp::now().as_second());
        health.checks = checks.into();
    }
    Ok(answer(code, &health))
}

/// Says whether the gateway can serve, under its older path
#[utoipa::path(get, path = "/api/v1/health", operation_id = "apiHealth", tag = "gateway", security(()),
    responses((status = 200, description = "It can.", body = Health),
        (status = 503, description = "It cannot.", body = Health)))]
#[expect(dead_code, reason = "describes the second path of `show`")]
fn show_as_well() {}

const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";

fn doors(door: &Door) -> Check {
    if door.closing.load(Relaxed) {
        return Check {
            name: "doors",
            status: UNHEALTHY,
            detail: "The gateway is shutting down.".to_owned(),
        };
    }
    let count = |of: &clusters::doors::Door| of.connections.load(Relaxed);
    let clusters = door.clusters();
    let [control, traffic, data] = [clusters.control(), clusters.traffic(), clusters.data()].map(count);
    let detail = format!("Open connections: control {control}, traffic {traffic}, data {data}.");
    Check { name: "doors", status: HEALTHY, detail }
}

async fn store(door: &Door) -> Check {
    let (status, detail) = match tokio::time::timeout(PATIENCE, door.options.guard.store.ping()).await {
        Ok(Ok(())) => {
            door.store_failed.store(false, Relaxed);
            (HEALTHY, "The store answers.".to_owned())
        }
        Ok(Err(error)) => {
            // Whoever asks may ask very often.
            if !door.store_failed.swap(true, Relaxed) {
                tracing::warn!(%error, "the store does not answer");
            }
            (UNHEALTHY, "The store does not answer; the log has the reason.".to_owned())
        }
        Err(_) => (UNHEALTHY, format!("The store has not answered within {} s.", PATIENCE.as_secs())),
    };
    Check { name: "store", status, detail }
}

fn world(door: &Door) -> Check {
    let snapshot = door.clusters().snapshot();
    let services: usize = snapshot.clusters.values().map(|cluster| cluster.services.len()).sum();
    let detail = format!("Clusters: {}, services: {services}.", snapshot.clusters.len());
    Check { name: "configuration", status: HEALTHY, detail }
}
