//! Commands in the shapes that Upstash's clients speak: one at a time, pipelines, and all or nothing. What a
//! command does is in `table.rs` and behind it.

// What is asked.
mod request;
// What is done.
mod command;
mod native;
mod run;
mod scan;
mod strings;
mod table;
mod times;
// What is answered.
mod reply;

use bytes::Bytes;
use http::{Method, Request, Response};
use model::{Code, Failure};

use crate::data::ask::Target;
use crate::data::place::Parts;
use crate::guard::Caller;
use crate::query::Query;
use reply::Form;

type Whole = Result<Response<Bytes>, Failure>;

/// Commands in one pipeline.
const MOST_PIPED: usize = 10_000;

/// Commands in one transaction, while which nobody else is served by the keys in it.
const MOST_TOGETHER: usize = 1_000;

/// Runs a command
///
/// The body is the command: `["SET", "key", "value", "EX", 60]`. A service with commands of its own knows those that it
/// allows, in full; any other service knows those on plain values. What it does not know is `unsupported_command`. With `Upstash-Encoding: base64` the texts of the result are
/// base64, but for `OK`; without it they are where one is not UTF-8, and `encoding` says so.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/command", operation_id = "cacheCommand", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<serde_json::Value>, content_type = "application/json"),
    responses((status = 200, description = "What the command gives.", body = reply::OneResult)))]
pub(crate) async fn command(target: &Target<'_>, query: Query<'_>, request: &Request<Bytes>) -> Whole {
    query.done()?;
    let form = Form::asked(request.headers())?;
    run_one(target, request::command(request.body())?, form).await
}

/// Runs commands one after the other
///
/// The body is a list of commands. Each has its `result` or its `error` in the answer, in order; commands of others may
/// run in between. When the service can no longer be asked, the rest says so.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/pipeline", operation_id = "cachePipeline", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<Vec<serde_json::Value>>, content_type = "application/json"),
    responses((status = 200, description = "A result or an error for each.", body = Vec<reply::ManyItem>)))]
pub(crate) async fn pipeline(target: &Target<'_>, query: Query<'_>, request: &Request<Bytes>) -> Whole {
    query.done()?;
    let form = Form::asked(request.headers())?;
    let commands = request::commands(request.body(), MOST_PIPED)?;
    Ok(form.list(&run::piped(target, commands).await?))
}

/// Runs commands at once
///
/// As a pipeline, but nobody sees some of it done and the rest not. A command that is unknown or has the wrong number of
/// arguments fails all of it, and nothing is done; one that fails in its turn has its `error`, and the others count.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/multi-exec", operation_id = "cacheMultiExec", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<Vec<serde_json::Value>>, content_type = "application/json"),
    responses((status = 200, description = "A result or an error for each.", body = Vec<reply::ManyItem>)))]
pub(crate) async fn multi_exec(target: &Target<'_>, query: Query<'_>, request: &Request<Bytes>) -> Whole {
    query.done()?;
    let form = Form::asked(request.headers())?;
    let commands = request::commands(request.body(), MOST_TOGETHER)?;
    Ok(form.list(&run::together(target, commands).await?))
}

/// The door of Upstash's clients to one service.
pub(crate) async fn door(target: &Target<'_>, request: &Request<Bytes>, parts: &Parts<'_>) -> Whole {
    request::refuse_token(request.uri())?;
    let query = Query::of(request.uri());
    match (request.method(), parts.raw(1)) {
        (&Method::POST, "") => upstash_command(target, query, request).await,
        (&Method::POST, "pipeline") => pipeline(target, query, request).await,
        (&Method::POST, "multi-exec") => multi_exec(target, query, request).await,
        (&Method::POST, path) => upstash_post(target, InPath::of(path, request)?).await,
        (&Method::PUT, path) => upstash_put(target, InPath::of(path, request)?).await,
        (_, path) => upstash_get(target, InPath::of(path, request)?).await,
    }
}

/// A command that stands in a path, and how its answer is to be written.
pub(crate) struct InPath {
    words: Vec<Bytes>,
    form: Form,
}

impl InPath {
    fn of(path: &str, request: &Request<Bytes>) -> Result<Self, Failure> {
        Ok(InPath { words: request::in_path(path, request)?, form: Form::asked(request.headers())? })
    }
}

/// Runs a command, for Upstash's clients
///
/// `UPSTASH_REDIS_REST_URL` is the URL of this path, and `UPSTASH_REDIS_REST_TOKEN` a token of the gateway.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/upstash", operation_id = "upstashCommand",
    tag = "cache",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<serde_json::Value>, content_type = "application/json"),
    responses((status = 200, description = "What the command gives.", body = reply::OneResult)))]
pub(crate) async fn upstash_command(
    target: &Target<'_>,
    query: Query<'_>,
    request: &Request<Bytes>,
) -> Whole {
    command(target, query, request).await
}

/// Runs a command that stands in the path
///
/// As `/set/key/value?EX=60`: parameters follow as further arguments. A command that writes needs a token, since any
/// page can make a browser get something.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/upstash/{command}", operation_id = "upstashGet",
    tag = "cache",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ("command" = String, Path, description = "The command and its arguments, with a `/` between them."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    responses((status = 200, description = "What the command gives.", body = reply::OneResult)))]
pub(crate) async fn upstash_get(target: &Target<'_>, asked: InPath) -> Whole {
    let by_anybody = *target.caller == Caller::Trusted;
    if by_anybody && run::writes(target, &asked.words)? {
        let detail = "A command that writes is not taken by GET without a token that this gateway issued: any page could \
                      send it.";
        return Err(Failure::client(Code::PermissionDenied, detail)
            .with_hint("Send it by POST, or with a token that `throome token create` made."));
    }
    run_one(target, asked.words, asked.form).await
}

/// Runs a command that stands in the path, its last argument in the body
///
/// As `/set/key` with the value as the body. `/pipeline` and `/multi-exec` take lists of commands, as the calls of the
/// cache do.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/services/{name}/upstash/{command}", operation_id = "upstashPost",
    tag = "cache",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ("command" = String, Path, description = "The command and its arguments, with a `/` between them."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "What the command gives; for a pipeline a list of them.",
        body = reply::OneResult)))]
pub(crate) async fn upstash_post(target: &Target<'_>, asked: InPath) -> Whole {
    run_one(target, asked.words, asked.form).await
}

/// The same as by POST
#[utoipa::path(put, path = "/api/v1/clusters/{id}/services/{name}/upstash/{command}", operation_id = "upstashPut",
    tag = "cache",
    params(("id" = String, Path, description = "The cluster."), ("name" = String, Path, description = "The service."),
        ("command" = String, Path, description = "The command and its arguments, with a `/` between them."),
        ("Upstash-Encoding" = Option<String>, Header, description = "`base64`: texts of results in base64.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "What the command gives.", body = reply::OneResult)))]
pub(crate) async fn upstash_put(target: &Target<'_>, asked: InPath) -> Whole {
    run_one(target, asked.words, asked.form).await
}

async fn run_one(target: &Target<'_>, words: Vec<Bytes>, form: Form) -> Whole {
    Ok(form.one(&run::one(target, words).await?))
}
