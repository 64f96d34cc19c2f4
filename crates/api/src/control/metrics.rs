//! The metrics, at the path that a setting names; any other path that no route has is not found.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use telemetry::Format;
use telemetry::metrics::render;

use crate::accept::Accept;
use crate::door::{Answer, Door};
use crate::respond::unknown_path;

/// The metrics of the gateway
///
/// OpenMetrics 1.0.0 for whoever accepts it, otherwise the text format of Prometheus, 0.0.4.
/// `monitoring.metrics_path` may name another path.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "gateway",
    responses((status = 200, description = "Every series.",
        content((String = "text/plain"), (String = "application/openmetrics-text")))))]
pub(crate) async fn show(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let path = request.uri().path();
    if !door.is_metrics(path) {
        return Err(unknown_path(path).into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = (header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [allow]).into_response());
    }
    let format = wished(&Accept::of(request.headers()));
    let mut response = Response::new(render(door.clusters().sample(), format).into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// OpenMetrics for whoever names it and likes nothing better: a reader that says nothing may not know it.
fn wished(accept: &Accept) -> Format {
    let newer = accept.named("application/openmetrics-text", "1.0.0").unwrap_or(0.0);
    let older = accept.quality("text/plain", "0.0.4").unwrap_or(0.0);
    if newer > 0.0 && newer >= older { Format::OpenMetrics } else { Format::Prometheus }
}
