//! The OpenAPI document, made from the code: paths from the handlers, bodies from their tables of fields.

mod schemas;

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::body::Table;
use crate::compat::routes as url_routes;
use crate::control::services::{Reason, Reset};
use crate::control::tokens::TokenRequest;
use crate::control::{
    activity, backups, clusters, events, explain, health, kinds, legacy, live, logs, metrics, operations,
    orphans, routes, services, tokens, validate,
};
use crate::data::cache::{calls as cache, keys};
use crate::data::db::bodies::BeginBody;
use crate::data::db::{calls as db, lifecycle};
use crate::data::queue::{consume, groups, publish, settle, topics};
use crate::data::{neon, upstash};
use crate::query::LARGEST_PAGE;
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
    let mut document = Api::openapi()
        .to_pretty_json()
        .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or_default());
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
        services::restart, services::stop, services::start, logs::show,
        backups::list, backups::create, backups::show, backups::delete, backups::download, backups::upload,
        backups::restore,
        tokens::list, tokens::create, tokens::show, tokens::revoke,
        routes::list, routes::create, routes::show, routes::replace, routes::delete, explain::explain,
        url_routes::list, url_routes::create, url_routes::show, url_routes::replace, url_routes::delete,
        activity::list, activity::requests, activity::of_cluster, activity::of_service, events::list,
        live::follow,
        operations::list, operations::show, operations::cancel, operations::events,
        orphans::list, orphans::delete,
        cache::get, cache::set, cache::delete, cache::incr, cache::expire, cache::ttl,
        keys::scan, keys::get, keys::put, keys::delete,
        upstash::command, upstash::pipeline, upstash::multi_exec,
        upstash::upstash_command, upstash::upstash_get, upstash::upstash_post, upstash::upstash_put,
        publish::publish, topics::topics, topics::create_topic, topics::topic, topics::delete_topic,
        consume::consume, settle::ack, groups::groups, groups::delete_group, groups::reset_group,
        neon::sql,
        legacy::status, legacy::load_balancer, legacy::circuit_breakers,
        db::query, db::execute, db::batch, lifecycle::begin, lifecycle::commit, lifecycle::rollback,
    ),
    tags(
        (name = "gateway", description = "The gateway as a whole."),
        (name = "clusters", description = "Named groups of services, created and removed as one."),
        (name = "services", description = "The services of a cluster, and what operators do to them."),
        (name = "routes", description = "Which requests lead to which service."),
        (name = "compat", description = "What earlier clients ask, in the envelope that they read."),
        (name = "tokens", description = "What clients are known by: shown once, and kept as hashes."),
        (name = "operations", description = "Changes that take a while: watched, cancelled and found again."),
        (name = "orphans", description = "What is run or kept that no cluster asks for."),
        (name = "activity", description = "What was asked of services, and what has changed."),
        (name = "cache", description = "Keys and values in a cluster's cache."),
        (name = "queue", description = "Topics of a cluster's queue: publishing, streams of messages, groups."),
        (name = "legacy", description = "What an earlier gateway answered, in its envelope."),
        (name = "db", description = "SQL on a cluster's database: statements, batches, transactions."),
    ),
    security((), ("bearer" = [])),
    components(schemas(url_routes::FailedAnswer)),
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
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Bodies that a request does not need.
const MAY_BE_LEFT_OUT: [&str; 4] = [
    <Reason as Table>::NAME,
    <Reset as Table>::NAME,
    <TokenRequest as Table>::NAME,
    <BeginBody<'_> as Table>::NAME,
];

/// Puts in what the handlers do not say one by one: schemas from tables, and how every operation fails.
fn complete(document: &mut Value) {
    for (name, schema) in schemas::documented() {
        document["components"]["schemas"][name] = schema;
    }
    document["components"]["responses"]["Failed"] = json!({
        "description": "It failed; `code` says how. 401 and 403 come from the door, 413 and 408 from its limits.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemDocument" } } },
    });
    document["components"]["responses"]["FailedInEnvelope"] = json!({
        "description": "It failed; `code` says how.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/FailedAnswer" } } },
    });
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.iter_mut());
    let operations = paths.filter_map(|(path, operations)| {
        let failed = if crate::compat::is_at(path) { "FailedInEnvelope" } else { "Failed" };
        operations.as_object_mut().map(|operations| (failed, operations))
    });
    for (failed, operation) in
        operations.flat_map(|(failed, all)| all.values_mut().map(move |one| (failed, one)))
    {
        operation["responses"]["default"] = json!({ "$ref": format!("#/components/responses/{failed}") });
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            as_sent(parameter);
        }
        if let Some(body) = operation.get_mut("requestBody") {
            let schema = &body["content"]["application/json"]["schema"]["$ref"];
            let may_be_left_out =
                MAY_BE_LEFT_OUT.iter().any(|name| schema.as_str().is_some_and(|s| s.ends_with(name)));
            body["required"] = (!may_be_left_out).into();
        }
    }
}

/// A parameter that may be left out is left out, and never the text `null`; pages have one size everywhere.
fn as_sent(parameter: &mut Value) {
    let schema = &mut parameter["schema"];
    if let Some([kind, null]) = schema["type"].as_array().map(Vec::as_slice)
        && null == "null"
    {
        schema["type"] = kind.clone();
    }
    if parameter["name"] == "limit" {
        let schema = &mut parameter["schema"];
        (schema["minimum"], schema["maximum"]) = (1.into(), LARGEST_PAGE.into());
    }
}

#[cfg(test)]
mod tests;
