//! What is wrong with a cluster's document, all of it at once.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use model::{Code, Failure, Problem};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::json as answer;
use crate::body;
use crate::door::{Answer, Door};
use crate::query::Query;

/// Whether a document can be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Validation {
    /// Whether it has no fault.
    valid: bool,
    /// Every fault, with line and column where the document came as text.
    errors: Vec<Problem>,
}

/// Checks a cluster's document
///
/// As JSON, as `{"yaml": "…"}`, or as YAML with content type `application/yaml`. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/validate", operation_id = "validate", tag = "clusters",
    request_body(content((ref("#/components/schemas/ClusterDocument") = "application/json"),
        (String = "application/yaml"))),
    responses((status = 200, description = "What is wrong with it.", body = Validation)))]
pub(crate) async fn check(
    State(door): State<Arc<Door>>,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let errors = if is_yaml(&headers) {
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::client(Code::InvalidRequest, "The body is not UTF-8."))?;
        door.clusters().check_text(text)
    } else {
        let body = body::any(&bytes)?;
        match wrapped(&body) {
            Some(text) => door.clusters().check_text(text),
            None => door.clusters().check(&body),
        }
    };
    Ok(answer(StatusCode::OK, &Validation { valid: errors.is_empty(), errors }))
}

fn is_yaml(headers: &HeaderMap) -> bool {
    const NAMES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    NAMES.iter().any(|name| kind.eq_ignore_ascii_case(name))
}

/// The text in `{"yaml": "…"}`, which no cluster's document looks like.
fn wrapped(body: &Value) -> Option<&str> {
    let fields = body.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("yaml")?.as_str()
}
