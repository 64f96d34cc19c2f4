//! What would happen to a request that is described and not sent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use model::field::{Field, Shape, field};
use model::view::{ExplainRequest, Explanation};

use super::json as answer;
use crate::body::{Table, read};
use crate::door::{Answer, Door};
use crate::query::Query;

impl Table for ExplainRequest {
    const NAME: &'static str = "ExplainRequest";
    const FIELDS: &'static [Field] = &[
        field("method", Shape::Text, "HTTP method.").default("GET"),
        field("listener", Shape::Name, "The listener by which it comes.").default("main"),
        field("host", Shape::Text, "As in the `Host` header."),
        field("path", Shape::Text, "Path with query.").required(),
        field("headers", Shape::MapOf(&Shape::Text), "Headers that a route may look at."),
    ];
}

/// Explains what would happen to a request
///
/// Which route, which policies, which endpoint and why. Nothing is sent.
#[utoipa::path(post, path = "/api/v1/explain", operation_id = "explain", tag = "routes",
    request_body(content = ExplainRequest),
    responses((status = 200, description = "What would happen, also when no route matches.", body = Explanation)))]
pub(crate) async fn explain(State(door): State<Arc<Door>>, uri: Uri, bytes: Bytes) -> Answer {
    Query::of(&uri).done()?;
    let request: ExplainRequest = read(&bytes)?;
    Ok(answer(StatusCode::OK, &door.clusters().explain(&request)?))
}
