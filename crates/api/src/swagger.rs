//! The API to read and to try: Swagger UI, from files inside the binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use model::{Code, Failure};
use utoipa_swagger_ui::Config;

use crate::door::Answer;
use crate::page::guarded;
use crate::{openapi, respond};

/// The document stands beside the page, so that the page also works behind a prefix. Nothing is asked of a
/// validator on the internet.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::new(["doc.json"]).validator_url("none").display_request_duration(true))
});

/// Files that change only with the version of the gateway.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=86400");

pub(crate) async fn redirect() -> Response {
    Redirect::permanent("/swagger/").into_response()
}

pub(crate) async fn index() -> Answer {
    serve("index.html")
}

pub(crate) async fn file(Path(file): Path<String>) -> Answer {
    if file == "doc.json" { Ok(openapi::show().await) } else { serve(&file) }
}

fn serve(file: &str) -> Answer {
    let found = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG));
    let found = found.map_err(|error| Failure::gateway(Code::Internal, error.to_string()))?;
    let found = found.ok_or_else(|| respond::unknown_path(&format!("/swagger/{file}")))?;
    let kind = HeaderValue::try_from(found.content_type)
        .map_err(|error| Failure::gateway(Code::Internal, "A file has no usable type.").with_cause(error))?;
    let body = match found.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = guarded(respond::with(StatusCode::OK, kind, body).map(Body::from));
    if !matches!(file, "index.html" | "swagger-initializer.js") {
        response.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    }
    Ok(response)
}
