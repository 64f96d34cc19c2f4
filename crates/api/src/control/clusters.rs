//! Clusters: listed, shown, created, replaced, deleted; and what a replacement would do.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use clusters::{By, Changed, Clusters, Data, Shown};
use model::Failure;
use model::view::{ClusterHealth, ClusterMetrics, ClusterSummary, Operation, Plan};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{carried_through, json as answer, page};
use crate::body;
use crate::door::{Answer, Door};
use crate::etag;
use crate::query::Query;

/// A page of clusters.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterList {
    /// By id.
    clusters: Vec<ClusterSummary>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Lists clusters
#[utoipa::path(get, path = "/api/v1/clusters", operation_id = "listClusters", tag = "clusters",
    params(("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page of clusters with their services.", body = ClusterList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let (cursor, limit) = (query.text("cursor"), query.limit());
    query.done()?;
    let (clusters, next_cursor) =
        page(door.clusters().list(), |cluster| &cluster.id, cursor.as_deref(), limit);
    Ok(answer(StatusCode::OK, &ClusterList { count: clusters.len(), clusters, next_cursor }))
}

/// Creates a cluster
///
/// Waits until it is there, with everything that has to be started for it; `Prefer: respond-async` answers at once with the
/// operation that does so. `services` may stand at the top or below `config`; `cluster_id` left out is made from the name.
#[utoipa::path(post, path = "/api/v1/clusters", operation_id = "createCluster", tag = "clusters",
    params(("Prefer" = Option<String>, Header, description = "`respond-async`: what takes its time is not waited for.")),
    request_body(content = ref("#/components/schemas/ClusterDocument")),
    responses((status = 201, description = "The finished cluster; `Location` and `ETag` are its own.",
        body = ref("#/components/schemas/Cluster")),
        (status = 202, description = "The operation that makes it; `Location` is its own.", body = Operation)))]
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let body = body::any(&bytes)?;
    let clusters = door.clusters().clone();
    let own = clusters.clone();
    let change = Box::pin(async move { own.create(&body, by).await });
    let Shown { mut body, revision } = match carried(clusters, change, &headers).await? {
        Outcome::Done(shown) => shown,
        Outcome::Under(operation) => return Ok(accepted(&operation)),
    };
    let location = body["id"].as_str().map(|id| format!("/api/v1/clusters/{id}"));
    if let Value::Object(fields) = &mut body {
        // What earlier clients print.
        fields.insert("message".to_owned(), json!("Cluster created successfully"));
    }
    let mut response = etag::tagged(answer(StatusCode::CREATED, &body), revision);
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows a cluster
///
/// Secrets are masked as `***`. Written back with PUT, it changes nothing.
#[utoipa::path(get, path = "/api/v1/clusters/{id}", operation_id = "getCluster", tag = "clusters",
    params(("id" = String, Path, description = "The cluster.")),
    responses((status = 200, description = "The cluster; `ETag` is its version.",
        body = ref("#/components/schemas/Cluster"))))]
pub(crate) async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let Shown { body, revision } = door.clusters().show(&id)?;
    Ok(etag::tagged(answer(StatusCode::OK, &body), revision))
}

/// Replaces a cluster
///
/// What does not change is left alone. A secret that is sent as `***` stays as it is.
#[utoipa::path(put, path = "/api/v1/clusters/{id}", operation_id = "replaceCluster", tag = "clusters",
    params(("id" = String, Path, description = "The cluster."),
        ("keep_data" = Option<bool>, Query, description = "`false` removes the data of services that the gateway ran and \
            that are not asked for any more; else they stay, for a service of the same name."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: what takes its time is not waited for."),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that was read: 412 if it has changed since.")),
    request_body(content = ref("#/components/schemas/ClusterDocument")),
    responses((status = 200, description = "The cluster as it is now.", body = ref("#/components/schemas/Cluster")),
        (status = 202, description = "The operation that changes it; `Location` is its own.", body = Operation)))]
pub(crate) async fn replace(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let mut query = Query::of(&uri);
    let keep: Option<bool> = query.parse("keep_data", "`true` or `false`");
    query.done()?;
    let data = if keep == Some(false) { Data::Remove } else { Data::Keep };
    let if_match = etag::if_match(&headers, || revision(&door, &id))?;
    let body = body::any(&bytes)?;
    let clusters = door.clusters().clone();
    let own = clusters.clone();
    let change = Box::pin(async move { own.replace(&id, &body, if_match, data, by).await });
    match carried(clusters, change, &headers).await? {
        Outcome::Done(Shown { body, revision }) => Ok(etag::tagged(answer(StatusCode::OK, &body), revision)),
        Outcome::Under(operation) => Ok(accepted(&operation)),
    }
}

/// What came of a change when it was time to answer.
enum Outcome {
    Done(Shown),
    Under(Arc<Operation>),
}

/// Carries a change through, also when its client goes away, and waits for its end unless the client would rather not.
async fn carried(
    clusters: Clusters,
    change: impl Future<Output = Result<Changed, Failure>> + Send + 'static,
    headers: &HeaderMap,
) -> Result<Outcome, Failure> {
    let waits = !prefers_not_to_wait(headers);
    carried_through(async move {
        match change.await? {
            Changed::Now(shown) => Ok(Outcome::Done(shown)),
            Changed::Under(underway) if waits => Box::pin(underway.carry(&clusters)).await.map(Outcome::Done),
            Changed::Under(underway) => {
                let operation = underway.operation();
                // How it ends is the operation's to tell.
                tokio::spawn(async move { drop(underway.carry(&clusters).await) });
                Ok(Outcome::Under(operation))
            }
        }
    })
    .await
}

/// RFC 7240: `respond-async` among what is preferred.
pub(crate) fn prefers_not_to_wait(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|one| one.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("respond-async"))
}

/// 202: the operation that goes on.
pub(crate) fn accepted(operation: &Operation) -> Response {
    let mut response = answer(StatusCode::ACCEPTED, operation);
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/operations/{}", operation.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
    response
}

/// What an answer to a deletion says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Gone {
    /// What was deleted.
    pub(crate) id: String,
    /// True.
    pub(crate) deleted: bool,
    /// For people.
    pub(crate) message: String,
}

/// Deletes a cluster
///
/// With its services and the routes that lead to them.
#[utoipa::path(delete, path = "/api/v1/clusters/{id}", operation_id = "deleteCluster", tag = "clusters",
    params(("id" = String, Path, description = "The cluster."),
        ("keep_data" = Option<bool>, Query, description = "`true` keeps what its services have on the disk \
            of this machine, for a cluster of the same name; else it goes with the cluster."),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that was read: 412 if it has changed since.")),
    responses((status = 200, description = "It is gone.", body = Gone)))]
pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let mut query = Query::of(&uri);
    let keep: Option<bool> = query.parse("keep_data", "`true` or `false`");
    query.done()?;
    let if_match = etag::if_match(&headers, || revision(&door, &id))?;
    let clusters = door.clusters().clone();
    let own = id.clone();
    let data = if keep == Some(true) { Data::Keep } else { Data::Remove };
    carried_through(async move { clusters.delete(&own, if_match, data, by).await }).await?;
    // What earlier clients print.
    let message = "Cluster and all containers deleted successfully".to_owned();
    Ok(answer(StatusCode::OK, &Gone { id, deleted: true, message }))
}

/// Shows what replacing a cluster would do
///
/// Nothing is changed.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/plan", operation_id = "planCluster", tag = "clusters",
    params(("id" = String, Path, description = "The cluster.")),
    request_body(content = ref("#/components/schemas/ClusterDocument")),
    responses((status = 200, description = "The steps, in order.", body = Plan)))]
pub(crate) async fn plan(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let plan = door.clusters().plan(&id, &body::any(&bytes)?).await?;
    Ok(answer(StatusCode::OK, &plan))
}

/// The health of a cluster
#[utoipa::path(get, path = "/api/v1/clusters/{id}/health", operation_id = "clusterHealth", tag = "clusters",
    params(("id" = String, Path, description = "The cluster.")),
    responses((status = 200, description = "The facts of each of its services.", body = ClusterHealth)))]
pub(crate) async fn health(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    Ok(answer(StatusCode::OK, &door.clusters().health(&id)?))
}

/// Counts and times of a cluster
///
/// Since the gateway started.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/metrics", operation_id = "clusterMetrics", tag = "clusters",
    params(("id" = String, Path, description = "The cluster.")),
    responses((status = 200, description = "Of all its services together, and of each.", body = ClusterMetrics)))]
pub(crate) async fn metrics(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    Ok(answer(StatusCode::OK, &door.clusters().metrics(&id)?))
}

fn revision(door: &Door, id: &str) -> Option<u64> {
    door.clusters().show(id).ok().map(|shown| shown.revision)
}
