//! The OpenAPI document, made from the code: paths from the handlers, bodies from their tables of fields.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use model::cluster_fields::{CLUSTER, HEALTH, ROUTE, ROUTING};
use model::failure::CODES;
use model::schema::field_schema;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::body::Table;
use crate::control::clusters::ClusterDocument;
use crate::control::routes::RouteDocument;
use crate::control::services::{Reason, Reset};
use crate::control::{activity, clusters, events, explain, health, kinds, metrics, routes, services, validate};
use crate::data::bodies::{ExpireBody, IncrBody, KeyBody, SetBody};
use crate::data::{cache, keys};
use crate::{page, respond};

/// The document as text: the same for the same code.
#[must_use]
pub fn document() -> String {
    TEXT.clone()
}

/// The document of this gateway
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "gateway",
    responses((status = 200, description = "OpenAPI 3.1.", body = Value)))]
pub(crate) async fn show() -> Response {
    let kind = HeaderValue::from_static("application/json");
    respond::with(StatusCode::OK, kind, Bytes::from_static(TEXT.as_bytes())).map(Body::from)
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Api::openapi().to_pretty_json().map_or(Value::Null, |text| {
        serde_json::from_str(&text).unwrap_or_default()
    });
    complete(&mut document);
    format!("{document:#}\n")
});

#[derive(OpenApi)]
#[openapi(
    info(title = "Throome", description = "One gateway in front of an application's services. Failures are \
        problem documents (RFC 9457) of one shape, whose `code` says what went wrong. Every answer carries \
        `X-Request-Id`: the client's, when it is 1 to 64 of A-Z a-z 0-9 - _ . : / + =, else a new one."),
    paths(
        page::front, health::show, health::show_as_well, kinds::list, show, metrics::show,
        clusters::list, clusters::create, clusters::show, clusters::replace, clusters::delete, clusters::plan,
        clusters::health, clusters::metrics, validate::check,
        services::show, services::drain, services::undrain, services::reset_breaker,
        routes::list, routes::create, routes::show, routes::replace, routes::delete, explain::explain,
        activity::list, activity::requests, activity::of_cluster, activity::of_service, events::list,
        cache::get, cache::set, cache::delete, cache::incr, cache::expire, cache::ttl,
        keys::scan, keys::get, keys::put, keys::delete,
    ),
    tags(
        (name = "gateway", description = "The gateway as a whole."),
        (name = "clusters", description = "Named groups of services, created and removed as one."),
        (name = "services", description = "The services of a cluster, and what operators do to them."),
        (name = "routes", description = "Which requests lead to which service."),
        (name = "activity", description = "What was asked of services, and what has changed."),
        (name = "cache", description = "Keys and values in a cluster's cache."),
    ),
    security((), ("bearer" = [])),
    modifiers(&Bearer),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of the gateway. A door on loopback asks for none."))
            .build();
        openapi.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Something with a schema that no Rust type has. Handlers refer to it by its name, and [`complete`] puts it in.
trait Documented {
    const NAME: &'static str;
    fn schema() -> Value;
}

impl<T: Table> Documented for T {
    const NAME: &'static str = T::NAME;

    fn schema() -> Value {
        let mut schema = field_schema(T::FIELDS);
        if let Value::Object(fields) = &mut schema {
            // Free keys are for files.
            fields.shift_remove("patternProperties");
        }
        schema
    }
}

/// A cluster as shown.
struct Cluster;

impl Documented for Cluster {
    const NAME: &'static str = "Cluster";

    fn schema() -> Value {
        let mut properties = json!({
            "id": { "type": "string", "description": "Unique in the gateway." },
            "cluster_id": { "type": "string", "description": "The same as `id`." },
            "name": { "type": "string", "description": "For people." },
            "created_at": { "type": "string", "format": "date-time", "description": "RFC 3339, UTC." },
            "healthy": { "type": "boolean", "description": "Whether all that is known of it is healthy." },
            "status": { "$ref": "#/components/schemas/Status" },
        });
        let shown = field_schema(CLUSTER);
        for part in ["services", "routes"] {
            properties[part] = shown["properties"][part].clone();
        }
        properties["routing"] = field_schema(ROUTING);
        properties["health"] = field_schema(HEALTH);
        let required = ["id", "cluster_id", "name", "created_at", "healthy", "status", "services", "routing", "health"];
        json!({ "type": "object", "description": "A cluster as it runs; secrets are `***`.",
            "properties": properties, "required": required })
    }
}

/// A route as shown.
struct Route;

impl Documented for Route {
    const NAME: &'static str = "Route";

    fn schema() -> Value {
        let mut schema = field_schema(ROUTE);
        if let Value::Object(fields) = &mut schema {
            fields.shift_remove("patternProperties");
            fields.shift_remove("additionalProperties");
        }
        schema["properties"]["owner"] = json!({ "enum": ["file", "api"],
            "description": "Who owns it. What a cluster's file owns is read-only here." });
        schema["required"] = json!(["id", "cluster", "service", "path", "enabled", "owner"]);
        schema
    }
}

/// A failure.
struct Problem;

impl Documented for Problem {
    const NAME: &'static str = "Problem";

    fn schema() -> Value {
        let codes: Vec<&str> = CODES.iter().map(|row| row.name).collect();
        let text = |about: &str| json!({ "type": "string", "description": about });
        json!({
            "type": "object",
            "description": "A failure (RFC 9457).",
            "properties": {
                "type": text("A page about the code."),
                "title": text("A few words, the same for every occurrence."),
                "status": { "type": "integer", "description": "The HTTP status." },
                "detail": text("What happened, in one sentence."),
                "code": { "enum": codes, "description": "What kind of failure it is." },
                "retryable": { "type": "boolean", "description": "Whether the same request may be sent again as it is." },
                "hint": text("What the reader can do about it."),
                "request_id": text("As in `X-Request-Id`."),
                "service": text("The service that it happened on."),
                "errors": { "type": "array", "items": { "$ref": "#/components/schemas/Fault" },
                    "description": "Every place of a document or request that is wrong." },
                "error": text("The same as `detail`, for older clients."),
                "message": text("The same as `detail`, for older clients."),
            },
            "required": ["type", "title", "status", "detail", "code", "retryable", "request_id", "errors", "error", "message"],
        })
    }
}

/// Every such schema.
fn documented() -> Vec<(&'static str, Value)> {
    fn of<D: Documented>() -> (&'static str, Value) {
        (D::NAME, D::schema())
    }
    vec![
        of::<Cluster>(),
        of::<ClusterDocument>(),
        of::<Route>(),
        of::<RouteDocument>(),
        of::<Problem>(),
        of::<Reason>(),
        of::<Reset>(),
        of::<KeyBody<'_>>(),
        of::<SetBody<'_>>(),
        of::<IncrBody<'_>>(),
        of::<ExpireBody<'_>>(),
    ]
}

/// Puts in what the handlers do not say one by one: schemas from tables, and how every operation fails.
fn complete(document: &mut Value) {
    for (name, schema) in documented() {
        document["components"]["schemas"][name] = schema;
    }
    document["components"]["responses"]["Problem"] = json!({
        "description": "It failed; `code` says how. 401 and 403 come from the door, 413 and 408 from its limits.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        operation["responses"]["default"] = json!({ "$ref": "#/components/responses/Problem" });
    }
}

#[cfg(test)]
mod tests;
