//! `/api/routes`: routes from a path to a URL, as seed 003 has them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use clusters::By;
use model::field::{Field, Shape, field};
use model::url_route::{UrlRoute, UrlRouteSpec};
use model::{Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{done, with};
use crate::body::{Table, read};
use crate::control::carried_through;
use crate::door::{Answer, Door};
use crate::etag;
use crate::query::Query;

/// `{path, target_url, method?, enabled?, rate_limit?, timeout?}`; what only an answer has is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteInput {
    path: Option<String>,
    target_url: Option<String>,
    method: Option<String>,
    enabled: Option<bool>,
    rate_limit: Option<u32>,
    timeout: Option<u32>,
    id: Option<i64>,
    #[serde(rename = "created_at")]
    _created_at: Option<Value>,
    #[serde(rename = "updated_at")]
    _updated_at: Option<Value>,
}

impl Table for RouteInput {
    const NAME: &'static str = "UrlRouteInput";
    const FIELDS: &'static [Field] = &[
        field("path", Shape::Text, "`/exact`, `/users/:id` or `/users/{id}`, `/files/*`.").required(),
        field(
            "target_url",
            Shape::Text,
            "Where its requests go, in place of the path that was asked for. What `*` and names stand for is kept.",
        )
        .required(),
        field("method", Shape::Text, "The one method that it takes; `*` or `ANY` is all of them.").default("GET"),
        field("enabled", Shape::Bool, "Whether it takes part.").default("true"),
        field("rate_limit", LIMIT, "Requests a second that each client may send; 0 is no limit.").default("0"),
        field("timeout", TIMEOUT, "Seconds for a request; 0 is the default.").default("30"),
        field("id", Shape::Integer(0, i64::MAX), "As an answer has it; it must be that of the path."),
        field("created_at", Shape::Any, "As an answer has it; passed over."),
        field("updated_at", Shape::Any, "As an answer has it; passed over."),
    ];
}

const LIMIT: Shape = Shape::Integer(0, 1_000_000);
const MOST_REQUESTS: u32 = 1_000_000;
const TIMEOUT: Shape = Shape::Integer(0, 86_400);
const MOST_SECONDS: u32 = 86_400;

/// A route in the envelope.
#[derive(Serialize, ToSchema)]
pub(crate) struct RouteAnswer {
    /// True.
    success: bool,
    /// What was done.
    message: String,
    /// The route.
    data: UrlRoute,
}

/// Routes in the envelope.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoutesAnswer {
    /// True.
    success: bool,
    /// What was done.
    message: String,
    /// Every route, by number.
    data: Vec<UrlRoute>,
}

/// An envelope without data.
#[derive(Serialize, ToSchema)]
pub(crate) struct DoneAnswer {
    /// True.
    success: bool,
    /// What was done.
    message: String,
}

/// A failure in the envelope.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailedAnswer {
    /// False.
    success: bool,
    /// What happened, in one sentence.
    error: String,
    /// What kind of failure it is.
    code: String,
    /// Whether the same request may be sent again as it is.
    retryable: bool,
    /// What the reader can do about it.
    hint: Option<String>,
    /// As in `X-Request-Id`.
    request_id: String,
}

/// Lists routes to URLs
#[utoipa::path(get, path = "/api/routes", operation_id = "listUrlRoutes", tag = "compat",
    responses((status = 200, description = "All of them.", body = RoutesAnswer)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    Ok(with(StatusCode::OK, "Routes retrieved", &door.clusters().url_routes()))
}

/// Creates a route to a URL
#[utoipa::path(post, path = "/api/routes", operation_id = "createUrlRoute", tag = "compat",
    request_body(content = ref("#/components/schemas/UrlRouteInput")),
    responses((status = 201, description = "The route; `ETag` is its version.", body = RouteAnswer)))]
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let (_, spec) = asked(&bytes)?;
    let clusters = door.clusters().clone();
    let (route, revision) = carried_through(async move { clusters.create_url_route(spec, by).await }).await?;
    Ok(etag::tagged(with(StatusCode::CREATED, "Route created successfully", &route), revision))
}

/// Shows a route to a URL
#[utoipa::path(get, path = "/api/routes/{id}", operation_id = "getUrlRoute", tag = "compat",
    params(("id" = String, Path, description = "The number of the route.")),
    responses((status = 200, description = "The route; `ETag` is its version.", body = RouteAnswer)))]
pub(crate) async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let (route, revision) = door.clusters().url_route(number(&id)?)?;
    Ok(etag::tagged(with(StatusCode::OK, "Route retrieved", &route), revision))
}

/// Replaces a route to a URL
#[utoipa::path(put, path = "/api/routes/{id}", operation_id = "replaceUrlRoute", tag = "compat",
    params(("id" = String, Path, description = "The number of the route."),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that was read: 412 if it has changed since.")),
    request_body(content = ref("#/components/schemas/UrlRouteInput")),
    responses((status = 200, description = "The route as it is now.", body = RouteAnswer)))]
pub(crate) async fn replace(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let id = number(&id)?;
    let if_match = etag::if_match(&headers, || revision(&door, id))?;
    let (own, spec) = asked(&bytes)?;
    if own.is_some_and(|own| own != id) {
        let detail = format!("The body says route {}, the path says {id}.", own.unwrap_or_default());
        return Err(Failure::client(Code::InvalidRequest, detail).into());
    }
    let clusters = door.clusters().clone();
    let (route, revision) =
        carried_through(async move { clusters.replace_url_route(id, spec, if_match, by).await }).await?;
    Ok(etag::tagged(with(StatusCode::OK, "Route updated successfully", &route), revision))
}

/// Deletes a route to a URL
#[utoipa::path(delete, path = "/api/routes/{id}", operation_id = "deleteUrlRoute", tag = "compat",
    params(("id" = String, Path, description = "The number of the route."),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that was read: 412 if it has changed since.")),
    responses((status = 200, description = "It is gone.", body = DoneAnswer)))]
pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    Query::of(&uri).done()?;
    let id = number(&id)?;
    let if_match = etag::if_match(&headers, || revision(&door, id))?;
    let clusters = door.clusters().clone();
    carried_through(async move { clusters.delete_url_route(id, if_match, by).await }).await?;
    Ok(done("Route deleted successfully"))
}

fn revision(door: &Door, id: i64) -> Option<u64> {
    door.clusters().url_route(id).ok().map(|(_, revision)| revision)
}

fn number(id: &str) -> Result<i64, Failure> {
    let invalid = || Failure::client(Code::InvalidRequest, "Invalid route ID").with_hint("It is a number.");
    id.parse().map_err(|_| invalid())
}

/// What a body asks for, and the number that it says.
fn asked(bytes: &[u8]) -> Result<(Option<i64>, UrlRouteSpec), Failure> {
    let input: RouteInput = read(bytes)?;
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (Some(path), Some(target_url)) = (said(input.path), said(input.target_url)) else {
        return Err(Failure::client(Code::InvalidRequest, "Path and target URL are required"));
    };
    let (rate_limit, timeout) = (input.rate_limit.unwrap_or(0), input.timeout.unwrap_or(30));
    for (name, value, most) in [("rate_limit", rate_limit, MOST_REQUESTS), ("timeout", timeout, MOST_SECONDS)]
    {
        if value > most {
            let detail = format!("{name}: must be a whole number between 0 and {most}");
            return Err(Failure::client(Code::InvalidRequest, detail));
        }
    }
    let method =
        said(input.method).map_or_else(|| "GET".to_owned(), |method| method.trim().to_ascii_uppercase());
    let method = if matches!(&*method, "ANY" | "ALL") { "*".to_owned() } else { method };
    let enabled = input.enabled.unwrap_or(true);
    Ok((input.id, UrlRouteSpec { path, target_url, method, enabled, rate_limit, timeout }))
}
