//! One service: its facts, and what an operator may do to it.

use std::sync::Arc;

use adapters::Sql;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use clusters::{Act, By, Service};
use model::field::{Field, Shape, field};
use model::kind::Ability;
use model::view::{Operation, ServiceFacts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operations::carry;
use super::{carried_through, json as answer};
use crate::body::{Table, read_or_default};
use crate::door::{Answer, Door};
use crate::query::Query;

pub(super) const REASON: Field = field("reason", Shape::Text, "Why, for the history.");

/// `{reason?}`; the body may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    pub(super) reason: Option<String>,
}

impl Table for Reason {
    const NAME: &'static str = "Reason";
    const FIELDS: &'static [Field] = &[REASON];
}

/// `{endpoint?, reason?}`; the body may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    endpoint: Option<String>,
    reason: Option<String>,
}

impl Table for Reset {
    const NAME: &'static str = "BreakerReset";
    const FIELDS: &'static [Field] =
        &[field("endpoint", Shape::Text, "The endpoint, as its address is shown; left out, all."), REASON];
}

/// The facts of a service, and where it is asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceShown {
    #[serde(flatten)]
    facts: ServiceFacts,
    /// Where clients ask it, at this door and at the data door.
    doors: Vec<ServiceDoor>,
}

/// Where clients of one sort ask a service.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ServiceDoor {
    /// `cache`, `db` and `queue` are calls of the data API; `upstash` and `neon` are for clients that speak such.
    name: &'static str,
    /// To be put behind the URL of the gateway. Calls of the data API follow behind it, and say `?service=` where the
    /// cluster has several such services.
    path: String,
}

/// What a service can be asked by, where it can be asked by its name.
fn doors_of(service: &Service) -> Vec<ServiceDoor> {
    let Service { cluster, name, .. } = service;
    let door =
        |door, rest: &str| ServiceDoor { name: door, path: format!("/api/v1/clusters/{cluster}/{rest}") };
    let own = |rest: &str| format!("services/{name}/{rest}");
    let native =
        || service.endpoints.first().and_then(|at| at.adapter().sql()).and_then(Sql::native).is_some();
    let mut doors = Vec::new();
    for ability in service.driver.abilities() {
        match ability {
            Ability::Http => {}
            Ability::KeyValue => doors.extend([door("cache", "cache"), door("upstash", &own("upstash"))]),
            Ability::Sql => {
                doors.push(door("db", "db"));
                if native() {
                    doors.push(door("neon", &own("sql")));
                }
            }
            Ability::Queue => doors.push(door("queue", "queue")),
        }
    }
    doors
}

/// Shows the facts of a service
///
/// Lifecycle, health, rotation and breaker are four separate facts; one verdict and its reason sum them up.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}", operation_id = "getService", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "The facts, and where it is asked.", body = ServiceShown)))]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    let facts = door.clusters().service_facts(&id, &name)?;
    let snapshot = door.clusters().snapshot();
    let doors = snapshot.service(&id, &name).map(|service| doors_of(service))?;
    Ok(answer(StatusCode::OK, &ServiceShown { facts, doors }))
}

/// Drains a service
///
/// It gets no new requests; those under way end in peace. Draining twice is the same as once.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/drain", operation_id = "drainService",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "The facts as they are now.", body = ServiceFacts)))]
pub(crate) async fn drain(
    door: State<Arc<Door>>,
    by: Extension<By>,
    path: Path<(String, String)>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    set_draining(door, by, path, &uri, &bytes, true).await
}

/// Puts a drained service back
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/undrain", operation_id = "undrainService",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "The facts as they are now.", body = ServiceFacts)))]
pub(crate) async fn undrain(
    door: State<Arc<Door>>,
    by: Extension<By>,
    path: Path<(String, String)>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    set_draining(door, by, path, &uri, &bytes, false).await
}

async fn set_draining(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((id, name)): Path<(String, String)>,
    uri: &Uri,
    bytes: &[u8],
    draining: bool,
) -> Answer {
    Query::of(uri).done()?;
    let Reason { reason } = read_or_default(bytes)?;
    let clusters = door.clusters().clone();
    let facts =
        carried_through(
            async move { clusters.set_draining(&id, &name, draining, reason.as_deref(), by).await },
        );
    Ok(answer(StatusCode::OK, &facts.await?))
}

/// Restarts a service that the gateway runs
///
/// Waits until it answers again; `Prefer: respond-async` does not. Its data stay.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/restart", operation_id = "restartService",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: its end is not waited for.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "It runs again: the operation.", body = Operation),
        (status = 202, description = "The operation that does so; `Location` is its own.", body = Operation)))]
pub(crate) async fn restart(
    door: State<Arc<Door>>,
    by: Extension<By>,
    path: Path<(String, String)>,
    head: Parts,
    bytes: Bytes,
) -> Answer {
    act(door, by, path, &head, &bytes, Act::Restart).await
}

/// Stops a service that the gateway runs
///
/// It stays stopped, over restarts of the gateway too, until it is started. Its data stay.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/stop", operation_id = "stopService",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: its end is not waited for.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "It is stopped: the operation.", body = Operation),
        (status = 202, description = "The operation that does so; `Location` is its own.", body = Operation)))]
pub(crate) async fn stop(
    door: State<Arc<Door>>,
    by: Extension<By>,
    path: Path<(String, String)>,
    head: Parts,
    bytes: Bytes,
) -> Answer {
    act(door, by, path, &head, &bytes, Act::Stop).await
}

/// Starts a service that the gateway runs
///
/// Waits until it answers; `Prefer: respond-async` does not.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/start", operation_id = "startService",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: its end is not waited for.")),
    request_body(content = ref("#/components/schemas/Reason")),
    responses((status = 200, description = "It runs: the operation.", body = Operation),
        (status = 202, description = "The operation that does so; `Location` is its own.", body = Operation)))]
pub(crate) async fn start(
    door: State<Arc<Door>>,
    by: Extension<By>,
    path: Path<(String, String)>,
    head: Parts,
    bytes: Bytes,
) -> Answer {
    act(door, by, path, &head, &bytes, Act::Start).await
}

async fn act(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((id, name)): Path<(String, String)>,
    head: &Parts,
    bytes: &[u8],
    act: Act,
) -> Answer {
    Query::of(&head.uri).done()?;
    let Reason { reason } = read_or_default(bytes)?;
    let clusters = door.clusters().clone();
    carry(head, Box::pin(async move { clusters.act(&id, &name, act, reason.as_deref(), by).await })).await
}

/// Closes the breakers of a service
///
/// Its endpoints are tried again at once.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/reset-breaker", operation_id = "resetBreaker",
    tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service.")),
    request_body(content = ref("#/components/schemas/BreakerReset")),
    responses((status = 200, description = "The facts as they are now.", body = ServiceFacts)))]
pub(crate) async fn reset_breaker(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path((id, name)): Path<(String, String)>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let Reset { endpoint, reason } = read_or_default(&bytes)?;
    let clusters = door.clusters().clone();
    let facts = carried_through(async move {
        clusters.reset_breaker(&id, &name, endpoint.as_deref(), reason.as_deref(), by).await
    });
    Ok(answer(StatusCode::OK, &facts.await?))
}
