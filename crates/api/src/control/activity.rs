//! The record of operations, of all services or of some.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use clusters::ActivityFilter;
use model::Failure;
use model::view::ActivityRecord;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::json as answer;
use crate::door::{Answer, Door};
use crate::query::Query;

/// What a time must be.
pub(super) const TIME: &str = "a time such as `2026-01-31T12:00:00Z`";

/// A page of operations, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActivityList {
    /// The operations.
    activities: Vec<ActivityRecord>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Which operations are asked for; for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`read` takes them from the query, with their older names")]
pub(crate) struct ActivityQuery {
    /// Only of this cluster. `cluster_id` is the same.
    cluster: Option<String>,
    /// Only of this service. `service_name` is the same.
    service: Option<String>,
    /// Only of services of this kind.
    service_type: Option<String>,
    /// Only this operation: a method, or `GET`, `SET`, … of a cache.
    operation: Option<String>,
    /// Only with this outcome: `success`, `error` or `cancelled`. `status` is the same.
    outcome: Option<String>,
    /// Only with this failure's code.
    code: Option<String>,
    /// Only of the request with this `X-Request-Id`.
    request_id: Option<String>,
    /// Only what began then or later; RFC 3339.
    since: Option<String>,
    /// Only what began before then; RFC 3339.
    until: Option<String>,
    /// Items in a page, 1 to 1000; 100 when left out.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists operations on services
///
/// The latest 100,000 are kept, also over a restart. A gateway that is asked more often than 2,000 times a second
/// keeps those that failed and data calls first; the rest is here for as long as memory has it.
#[utoipa::path(get, path = "/api/v1/activity", operation_id = "listActivity", tag = "activity", params(ActivityQuery),
    responses((status = 200, description = "Operations, the latest first.", body = ActivityList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let (filter, limit) = read(&uri)?;
    Ok(show(&door, &filter, limit).await)
}

/// Lists requests of the traffic door
#[utoipa::path(get, path = "/api/v1/requests", operation_id = "listRequests", tag = "activity", params(ActivityQuery),
    responses((status = 200, description = "Routed requests, the latest first.", body = ActivityList)))]
pub(crate) async fn requests(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let (filter, limit) = read(&uri)?;
    Ok(show(&door, &ActivityFilter { requests_only: true, ..filter }, limit).await)
}

/// Lists operations on the services of a cluster
#[utoipa::path(get, path = "/api/v1/clusters/{id}/activity", operation_id = "listClusterActivity", tag = "activity",
    params(("id" = String, Path, description = "The cluster."), ActivityQuery),
    responses((status = 200, description = "Operations, the latest first.", body = ActivityList)))]
pub(crate) async fn of_cluster(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    let (filter, limit) = read(&uri)?;
    // Looked at and let go: a page is waited for.
    door.clusters().snapshot().cluster(&id).map(drop)?;
    Ok(within(&door, filter, &id, None, limit).await)
}

/// Lists operations on a service
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/activity", operation_id = "listServiceActivity",
    tag = "activity",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ActivityQuery),
    responses((status = 200, description = "Operations, the latest first.", body = ActivityList)))]
pub(crate) async fn of_service(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    let (filter, limit) = read(&uri)?;
    door.clusters().snapshot().service(&id, &name).map(drop)?;
    Ok(within(&door, filter, &id, Some(&name), limit).await)
}

/// Of one cluster or service. A query that asks for another finds nothing: both hold.
async fn within(
    door: &Door,
    mut filter: ActivityFilter,
    cluster: &str,
    service: Option<&str>,
    limit: usize,
) -> axum::response::Response {
    let differs = |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked != own);
    if differs(&filter.cluster, cluster) || service.is_some_and(|own| differs(&filter.service, own)) {
        return answer(StatusCode::OK, &ActivityList { activities: Vec::new(), count: 0, next_cursor: None });
    }
    filter.cluster = Some(cluster.to_owned());
    if let Some(service) = service {
        filter.service = Some(service.to_owned());
    }
    show(door, &filter, limit).await
}

async fn show(door: &Door, filter: &ActivityFilter, limit: usize) -> axum::response::Response {
    let (activities, next_cursor) = door.clusters().activity_page(filter, limit).await;
    answer(StatusCode::OK, &ActivityList { count: activities.len(), activities, next_cursor })
}

fn read(uri: &Uri) -> Result<(ActivityFilter, usize), Failure> {
    let mut query = Query::of(uri);
    let filter = ActivityFilter {
        cluster: either(&mut query, "cluster", "cluster_id"),
        service: either(&mut query, "service", "service_name"),
        service_type: query.text("service_type"),
        operation: query.text("operation").map(|name| name.to_ascii_uppercase()),
        outcome: either(&mut query, "outcome", "status"),
        code: query.text("code"),
        request_id: query.text("request_id"),
        since: query.parse("since", TIME),
        until: query.parse("until", TIME),
        before: query.text("cursor"),
        requests_only: false,
    };
    if let Some(outcome) = &filter.outcome
        && !["success", "error", "cancelled"].contains(&outcome.as_str())
    {
        query.fault("outcome", &format!("must be `success`, `error` or `cancelled`, not `{outcome}`"));
    }
    let limit = query.limit();
    query.done()?;
    Ok((filter, limit))
}

/// A filter under its name, or under the one that earlier clients send.
fn either(query: &mut Query<'_>, name: &'static str, older: &'static str) -> Option<String> {
    let (own, other) = (query.text(name), query.text(older));
    if own.is_some() && other.is_some() {
        query.fault(older, &format!("says the same as `{name}`; write one of them"));
    }
    own.or(other)
}
