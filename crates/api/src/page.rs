//! The front page: facts for programs, and for browsers a plain page while there is no dashboard.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::door::{Answer, Door};
use crate::query::Query;
use crate::respond;

/// What a page may do: nothing but show what this gateway serves, in no frame of another.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Who answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Front {
    /// `Throome Gateway`.
    service: &'static str,
    /// Its version.
    version: &'static str,
    /// `running`.
    status: &'static str,
}

/// Says who answers
///
/// A browser gets a page, unless `dashboard.enabled` is off.
#[utoipa::path(get, path = "/", operation_id = "front", tag = "gateway",
    responses((status = 200, description = "Name, version and status.", body = Front)))]
pub(crate) async fn front(State(door): State<Arc<Door>>, uri: Uri, headers: HeaderMap) -> Answer {
    Query::of(&uri).done()?;
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wants_page =
        accept.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/html"));
    let version = door.options.version;
    let mut response = if wants_page && door.options.dashboard_enabled {
        html(page(version, door.options.metrics_path.as_deref()))
    } else {
        super::control::json(
            StatusCode::OK,
            &Front { service: "Throome Gateway", version, status: "running" },
        )
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A page, with what browsers must be told about it.
pub(crate) fn html(text: impl Into<bytes::Bytes>) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    guarded(respond::with(StatusCode::OK, kind, text).map(axum::body::Body::from))
}

/// The headers that browsers obey for what this gateway serves them.
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn page(version: &str, metrics_path: Option<&str>) -> String {
    let fixed = [
        ("/swagger/", "the API, to read and to try"),
        ("/openapi.json", "the same as a document"),
        ("/health", "whether the gateway can serve"),
        ("/api/v1/clusters", "clusters and how they are"),
        ("/api/v1/routes", "routes"),
        ("/api/v1/activity", "what was asked of services lately"),
        ("/api/v1/events", "what has changed lately"),
        ("/api/v1/kinds", "kinds of services"),
    ];
    let metrics = metrics_path.map(|path| (path, "metrics for Prometheus"));
    let links: String = fixed
        .into_iter()
        .chain(metrics)
        .map(|(path, about)| (escape(path), about))
        .map(|(path, about)| format!("<li><a href=\"{path}\">{path}</a>: {about}</li>\n"))
        .collect();
    let version = escape(version);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Throome</title>\n\
         </head>\n<body>\n<h1>Throome {version}</h1>\n<p>The gateway is running. Its dashboard is not built yet; \
         these are here:</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
