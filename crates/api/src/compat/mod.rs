//! The paths that earlier clients ask, in the envelope that they read: `{success, message, data}`, and
//! `{success, error}` for what fails. What is behind them is the same as everywhere.

pub(crate) mod routes;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use model::problem;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control::json as answer;

/// What of a problem document stands in an envelope too, beside `error`.
const KEPT: [&str; 5] = ["code", "retryable", "hint", "request_id", "errors"];

/// Whether a path is one of those whose answers come in the envelope.
pub(crate) fn is_at(path: &str) -> bool {
    path.strip_prefix("/api/routes").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An answer with data.
fn with<T: Serialize>(status: StatusCode, message: &'static str, data: &T) -> Response {
    answer(status, &json!({ "success": true, "message": message, "data": data }))
}

/// An answer without.
fn done(message: &'static str) -> Response {
    answer(StatusCode::OK, &json!({ "success": true, "message": message }))
}

/// A failure in the envelope, with its status and headers; every other answer as it is.
pub(crate) async fn enveloped(response: Response) -> Response {
    let said = response.headers().get(header::CONTENT_TYPE);
    if said.is_none_or(|kind| kind != problem::CONTENT_TYPE) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // A document of ours, in memory.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut envelope = Map::new();
    envelope.insert("success".to_owned(), false.into());
    envelope.insert("error".to_owned(), document["detail"].clone());
    for name in KEPT {
        if let Some(value) = document.get(name) {
            envelope.insert(name.to_owned(), value.clone());
        }
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(Value::Object(envelope).to_string()))
}
