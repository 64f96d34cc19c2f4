//! The metrics, at the path that a setting names; any other path that no route has is not found.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use telemetry::metrics::{CONTENT_TYPE, render};

use crate::door::{Answer, Door};
use crate::respond::unknown_path;

/// The metrics of the gateway
///
/// OpenMetrics text, which Prometheus reads. `monitoring.metrics_path` may name another path.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "gateway",
    responses((status = 200, description = "Every series.", body = String,
        content_type = "application/openmetrics-text")))]
pub(crate) async fn show(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let path = request.uri().path();
    if !door.is_metrics(path) {
        return Err(unknown_path(path).into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = (header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [allow]).into_response());
    }
    let mut response = Response::new(render(door.clusters().sample()).into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}
