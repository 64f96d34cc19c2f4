//! Schemas of the OpenAPI document that no Rust type has: they are made from the tables of fields.

use model::cluster_fields::{CLUSTER, HEALTH, ROUTE, ROUTING};
use model::failure::CODES;
use model::field::Field;
use model::schema::field_schema;
use serde_json::{Value, json};

use crate::body::Table;
use crate::compat::routes::RouteInput;
use crate::control::backups::Restore;
use crate::control::services::{Reason, Reset};
use crate::control::tokens::TokenRequest;
use crate::data::cache::bodies::{ExpireBody, IncrBody, KeyBody, SetBody};
use crate::data::db::bodies::{BatchBody, BeginBody, QueryBody, StatementBody};
use crate::data::neon::NeonBody;
use crate::data::queue::bodies::{AckBody, PublishBody, ResetBody, TopicBody};

/// Something with a schema that no Rust type has. Handlers refer to it by its name; [`documented`] brings it.
trait Documented {
    const NAME: &'static str;
    fn schema() -> Value;
}

impl<T: Table> Documented for T {
    const NAME: &'static str = T::NAME;

    fn schema() -> Value {
        let mut schema = asked(T::FIELDS);
        as_called(&mut schema);
        schema
    }
}

/// A document takes a number for a text and has free keys; a call does not.
fn as_called(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(kind) = fields.get_mut("type").filter(|kind| **kind == json!(["string", "number"])) {
                *kind = "string".into();
            }
            fields.shift_remove("patternProperties");
            fields.values_mut().for_each(as_called);
        }
        Value::Array(items) => items.iter_mut().for_each(as_called),
        _ => {}
    }
}

/// What a body may hold: as in a file, but for free keys.
fn asked(fields: &[Field]) -> Value {
    let mut schema = field_schema(fields);
    if let Value::Object(fields) = &mut schema {
        fields.shift_remove("patternProperties");
    }
    schema
}

/// A cluster as asked.
struct ClusterDocument;

impl Documented for ClusterDocument {
    const NAME: &'static str = "ClusterDocument";

    fn schema() -> Value {
        let mut schema = asked(CLUSTER);
        schema["properties"]["config"] =
            json!({ "type": "object", "description": "The same keys, as earlier clients nest them." });
        schema["required"] = json!(["name"]);
        schema
    }
}

/// A route as asked.
struct RouteDocument;

impl Documented for RouteDocument {
    const NAME: &'static str = "RouteDocument";

    fn schema() -> Value {
        let mut schema = asked(ROUTE);
        schema["required"] = json!(["cluster", "path"]);
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
            "healthy": { "type": "boolean", "description": "Whether all of it is healthy." },
            "status": { "$ref": "#/components/schemas/Status" },
        });
        let shown = field_schema(CLUSTER);
        for part in ["services", "routes"] {
            properties[part] = shown["properties"][part].clone();
        }
        properties["routing"] = field_schema(ROUTING);
        properties["health"] = field_schema(HEALTH);
        let required =
            ["id", "cluster_id", "name", "created_at", "healthy", "status", "services", "routing", "health"];
        json!({ "type": "object", "description": "A cluster as it runs; secrets are `***`.",
            "properties": properties, "required": required })
    }
}

/// A route as shown.
struct Route;

impl Documented for Route {
    const NAME: &'static str = "Route";

    fn schema() -> Value {
        let mut schema = asked(ROUTE);
        if let Value::Object(fields) = &mut schema {
            // Later versions may show more.
            fields.shift_remove("additionalProperties");
        }
        schema["properties"]["owner"] = json!({ "enum": ["file", "api"],
            "description": "Who owns it. What a cluster's file owns is read-only here." });
        schema["required"] = json!(["id", "cluster", "path", "enabled", "owner"]);
        schema
    }
}

/// A failure.
struct ProblemDocument;

impl Documented for ProblemDocument {
    const NAME: &'static str = "ProblemDocument";

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
                "retryable": { "type": "boolean",
                    "description": "Whether the same request may be sent again as it is." },
                "hint": text("What the reader can do about it."),
                "request_id": text("As in `X-Request-Id`."),
                "service": text("The service that it happened on."),
                "errors": { "type": "array", "items": { "$ref": "#/components/schemas/Problem" },
                    "description": "Every place of a document or request that is wrong." },
                "error": text("The same as `detail`, for older clients."),
                "message": text("The same as `detail`, for older clients."),
            },
            "required": ["type", "title", "status", "detail", "code", "retryable", "request_id", "errors",
                "error", "message"],
        })
    }
}

/// The rows of a statement, which the engine writes.
struct SqlRows;

impl Documented for SqlRows {
    const NAME: &'static str = "SqlRows";

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "columns": { "type": "array", "description": "The columns, in order.", "items": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "As rows say it; repeated, with `_2` behind it." },
                        "type": { "type": "string", "description": "As the engine calls it." },
                    },
                    "required": ["name", "type"],
                } },
                "rows": { "type": "array", "items": { "type": "object" }, "description": "Values by column." },
                "row_count": { "type": "integer", "description": "How many rows there are here." },
                "truncated": { "type": "boolean", "description": "True where a limit cut the rows." },
                "expires_at": { "type": "string", "format": "date-time",
                    "description": "In a transaction: when it is rolled back if nothing runs in it until then." },
                "position": position(),
            },
            "required": ["columns", "rows", "row_count"],
        })
    }
}

/// How far the engine has come.
fn position() -> Value {
    json!({ "type": ["string", "null"],
        "description": "Where it was asked for: how far the engine has come, for `after`; null where it could not say." })
}

/// What a statement without rows gave.
struct SqlAffected;

impl Documented for SqlAffected {
    const NAME: &'static str = "SqlAffected";

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "rows_affected": { "type": "integer", "description": "How many rows it changed." },
                "expires_at": { "type": "string", "format": "date-time",
                    "description": "In a transaction: when it is rolled back if nothing runs in it until then." },
                "position": position(),
            },
            "required": ["rows_affected"],
        })
    }
}

/// What the statements of a batch gave.
struct SqlResults;

impl Documented for SqlResults {
    const NAME: &'static str = "SqlResults";

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "results": { "type": "array", "description": "One for each statement, in order.",
                    "items": { "anyOf": [{ "$ref": "#/components/schemas/SqlRows" },
                        { "$ref": "#/components/schemas/SqlAffected" }] } },
                "position": position(),
            },
            "required": ["results"],
        })
    }
}

/// Every such schema.
pub(super) fn documented() -> Vec<(&'static str, Value)> {
    fn of<D: Documented>() -> (&'static str, Value) {
        (D::NAME, D::schema())
    }
    vec![
        of::<Cluster>(),
        of::<ClusterDocument>(),
        of::<Route>(),
        of::<RouteDocument>(),
        of::<ProblemDocument>(),
        of::<Reason>(),
        of::<Restore>(),
        of::<Reset>(),
        of::<TokenRequest>(),
        of::<RouteInput>(),
        of::<KeyBody<'_>>(),
        of::<SetBody<'_>>(),
        of::<IncrBody<'_>>(),
        of::<ExpireBody<'_>>(),
        of::<PublishBody<'_>>(),
        of::<TopicBody<'_>>(),
        of::<AckBody<'_>>(),
        of::<ResetBody<'_>>(),
        of::<QueryBody<'_>>(),
        of::<StatementBody<'_>>(),
        of::<BatchBody<'_>>(),
        of::<NeonBody<'_>>(),
        of::<BeginBody<'_>>(),
        of::<SqlRows>(),
        of::<SqlAffected>(),
        of::<SqlResults>(),
    ]
}
