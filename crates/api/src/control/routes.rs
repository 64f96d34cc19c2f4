//! Routes: listed, shown, created, replaced, deleted. Those that a cluster's file owns are read-only here,
//! which `clusters` says.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use clusters::By;
use model::view::RouteView;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Array, ArrayBuilder, Ref};

use super::clusters::Gone;
use super::{carried_through, json as answer, page};
use crate::body;
use crate::door::{Answer, Door};
use crate::etag;
use crate::percent::segment;
use crate::query::Query;

/// A page of routes.
#[derive(Serialize, ToSchema)]
pub(crate) struct RouteList {
    /// By id.
    #[schema(schema_with = routes_schema)]
    routes: Vec<RouteView>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

fn routes_schema() -> Array {
    ArrayBuilder::new().items(Ref::new("#/components/schemas/Route")).build()
}

/// Lists routes
#[utoipa::path(get, path = "/api/v1/routes", operation_id = "listRoutes", tag = "routes",
    params(("cluster" = Option<String>, Query, description = "Only those that lead to services of this cluster."),
        ("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page of routes.", body = RouteList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let (cluster, cursor, limit) = (query.text("cluster"), query.text("cursor"), query.limit());
    query.done()?;
    let mut routes = door.clusters().routes();
    if let Some(cluster) = cluster {
        routes.retain(|route| route.spec.cluster == cluster);
    }
    let (routes, next_cursor) = page(routes, |route| &route.spec.id, cursor.as_deref(), limit);
    Ok(answer(StatusCode::OK, &RouteList { count: routes.len(), routes, next_cursor }))
}

/// Creates a route
#[utoipa::path(post, path = "/api/v1/routes", operation_id = "createRoute", tag = "routes",
    request_body(content = ref("#/components/schemas/RouteDocument")),
    responses((status = 201, description = "The route; `Location` and `ETag` are its own.",
        body = ref("#/components/schemas/Route"))))]
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let body = body::any(&bytes)?;
    let clusters = door.clusters().clone();
    let (route, revision) = carried_through(async move { clusters.create_route(&body, by).await }).await?;
    let location = HeaderValue::try_from(format!("/api/v1/routes/{}", segment(&route.spec.id)));
    let mut response = etag::tagged(answer(StatusCode::CREATED, &route), revision);
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows a route
#[utoipa::path(get, path = "/api/v1/routes/{id}", operation_id = "getRoute", tag = "routes",
    params(("id" = String, Path, description = "The route.")),
    responses((status = 200, description = "The route; `ETag` is its version.",
        body = ref("#/components/schemas/Route"))))]
pub(crate) async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let (route, revision) = door.clusters().route(&id)?;
    Ok(etag::tagged(answer(StatusCode::OK, &route), revision))
}

/// Replaces a route
#[utoipa::path(put, path = "/api/v1/routes/{id}", operation_id = "replaceRoute", tag = "routes",
    params(("id" = String, Path, description = "The route."),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that was read: 412 if it has changed since.")),
    request_body(content = ref("#/components/schemas/RouteDocument")),
    responses((status = 200, description = "The route as it is now.", body = ref("#/components/schemas/Route"))))]
pub(crate) async fn replace(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let if_match = etag::if_match(&headers, || revision(&door, &id))?;
    let body = body::any(&bytes)?;
    let clusters = door.clusters().clone();
    let (route, revision) =
        carried_through(async move { clusters.replace_route(&id, &body, if_match, by).await }).await?;
    Ok(etag::tagged(answer(StatusCode::OK, &route), revision))
}

/// Deletes a route
#[utoipa::path(delete, path = "/api/v1/routes/{id}", operation_id = "deleteRoute", tag = "routes",
    params(("id" = String, Path, description = "The route."),
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
    Query::of(&uri).done()?;
    let if_match = etag::if_match(&headers, || revision(&door, &id))?;
    let clusters = door.clusters().clone();
    let own = id.clone();
    carried_through(async move { clusters.delete_route(&own, if_match, by).await }).await?;
    Ok(answer(StatusCode::OK, &Gone { id, deleted: true, message: "Route deleted successfully".to_owned() }))
}

fn revision(door: &Door, id: &str) -> Option<u64> {
    door.clusters().route(id).ok().map(|(_, revision)| revision)
}
