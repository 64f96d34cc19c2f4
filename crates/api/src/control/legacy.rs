//! The status pages of an earlier gateway, in its envelope: what it answered by these paths, and the truth.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::json as answer;
use crate::door::{Answer, Door};
use crate::query::Query;

/// The envelope of the earlier gateway around an answer that went well. Failures are problem documents, whose `error` is
/// what its clients read.
#[derive(Serialize, ToSchema)]
pub(crate) struct GatewayStatusAnswer {
    /// `true`.
    success: bool,
    /// The answer.
    data: GatewayStatus,
}

/// The gateway as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct GatewayStatus {
    /// `running`, or `stopping` while it finishes what is under way.
    status: &'static str,
    /// Its version.
    version: &'static str,
    /// Seconds since it began.
    uptime: u64,
    /// Routes that take part.
    routes: usize,
    /// Services of all clusters.
    services: usize,
}

/// The envelope around [`LoadBalancer`].
#[derive(Serialize, ToSchema)]
pub(crate) struct LoadBalancerAnswer {
    /// `true`.
    success: bool,
    /// The answer.
    data: LoadBalancer,
}

/// What requests are spread over.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoadBalancer {
    /// Every endpoint of every service that answers requests.
    backends: Vec<LoadBalancerBackend>,
    /// How they are picked: a strategy, `mixed` where services differ, `none` where there is no service.
    algorithm: &'static str,
}

/// One endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoadBalancerBackend {
    /// Where it is.
    url: String,
    /// Whether it is asked.
    healthy: bool,
    /// Tries under way.
    active_connections: u32,
    /// The same, by its older name.
    connections: u32,
    /// Its share against its siblings.
    weight: u32,
    /// `cluster/service`.
    service: String,
    /// How it is picked among its siblings.
    algorithm: &'static str,
}

/// The envelope around [`CircuitBreakers`].
#[derive(Serialize, ToSchema)]
pub(crate) struct CircuitBreakersAnswer {
    /// `true`.
    success: bool,
    /// The answer.
    data: CircuitBreakers,
}

/// The breakers of all endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct CircuitBreakers {
    /// Each of them.
    breakers: Vec<CircuitBreaker>,
}

/// The breaker of one endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct CircuitBreaker {
    /// The endpoint it stands before.
    name: String,
    /// `closed`, `half-open` or `open`.
    state: &'static str,
    /// Failures since the last success.
    failures: u32,
    /// Since when it is in this state; RFC 3339, UTC.
    #[schema(value_type = String)]
    since: jiff::Timestamp,
    /// `cluster/service`.
    service: String,
}

/// Says how the gateway is, in the envelope of an earlier one
#[utoipa::path(get, path = "/api/status", operation_id = "legacyStatus", tag = "legacy",
    responses((status = 200, description = "The gateway.", body = GatewayStatusAnswer)))]
pub(crate) async fn status(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let world = door.clusters().snapshot();
    let closing = door.closing.load(std::sync::atomic::Ordering::Relaxed);
    let data = GatewayStatus {
        status: if closing { "stopping" } else { "running" },
        version: door.options.version,
        uptime: clusters::clock::now().0 / 1_000_000,
        routes: world.routes.iter().count(),
        services: world.clusters.values().map(|cluster| cluster.services.len()).sum(),
    };
    Ok(answer(StatusCode::OK, &GatewayStatusAnswer { success: true, data }))
}

/// Lists what requests are spread over, in the envelope of an earlier gateway
#[utoipa::path(get, path = "/api/load-balancer/status", operation_id = "legacyLoadBalancer", tag = "legacy",
    responses((status = 200, description = "Every endpoint that answers requests.", body = LoadBalancerAnswer)))]
pub(crate) async fn load_balancer(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let carried = door.clusters().backends().into_iter().filter(|backend| backend.carries_http);
    let backends: Vec<LoadBalancerBackend> = carried
        .map(|backend| LoadBalancerBackend {
            url: backend.url,
            healthy: backend.healthy,
            active_connections: backend.active,
            connections: backend.active,
            weight: backend.weight,
            service: backend.service,
            algorithm: backend.algorithm,
        })
        .collect();
    let algorithm = match backends.as_slice() {
        [] => "none",
        [first, rest @ ..] if rest.iter().all(|other| other.algorithm == first.algorithm) => first.algorithm,
        _ => "mixed",
    };
    let data = LoadBalancer { backends, algorithm };
    Ok(answer(StatusCode::OK, &LoadBalancerAnswer { success: true, data }))
}

/// Lists the breakers of all endpoints, in the envelope of an earlier gateway
#[utoipa::path(get, path = "/api/circuit-breaker/status", operation_id = "legacyCircuitBreakers", tag = "legacy",
    responses((status = 200, description = "Every breaker.", body = CircuitBreakersAnswer)))]
pub(crate) async fn circuit_breakers(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let breakers = door.clusters().backends().into_iter().map(|backend| CircuitBreaker {
        name: backend.url,
        state: backend.breaker,
        failures: backend.failures,
        since: backend.since,
        service: backend.service,
    });
    let data = CircuitBreakers { breakers: breakers.collect() };
    Ok(answer(StatusCode::OK, &CircuitBreakersAnswer { success: true, data }))
}
