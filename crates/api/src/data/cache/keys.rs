//! Keys as resources: bytes with their media type, and the list of them.

use adapters::key_value::{SetOptions, Value};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use model::kind::Ability;
use model::{Code, Failure};
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{Encoding, base64, seconds_of};
use super::operations::{Delete, Get, Scan, Set, walk_access};
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::{empty, json, with};

type Answer = Result<Response<Bytes>, Failure>;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A value may be a page that somebody stored: it must not run with the rights of this origin.
const SANDBOX: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Reads a value as bytes
///
/// With the media type that it was set with.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/cache/keys/{key}", operation_id = "cacheReadKey", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("key" = String, Path, description = "The key: any bytes, percent-encoded."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    responses((status = 200, description = "The value.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "`not_found`: there is no such key.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn get(target: &Target<'_>, query: Query<'_>, key: &[u8]) -> Answer {
    query.done()?;
    let value = target.ask(&Get { key }).await?.ok_or_else(missing)?;
    let kind =
        value.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok()).unwrap_or(BYTES);
    let mut response = with(StatusCode::OK, kind, value.bytes);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, SANDBOX);
    Ok(response)
}

/// Sets a value from bytes
///
/// The `Content-Type` is kept with it. `If-None-Match: *` sets it only where there is none. 201 is answered
/// only then, since finding out otherwise would cost a second call.
#[utoipa::path(put, path = "/api/v1/clusters/{id}/cache/keys/{key}", operation_id = "cacheWriteKey", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("key" = String, Path, description = "The key: any bytes, percent-encoded."),
        ("ttl" = Option<f64>, Query, description = "How long it stays, in seconds; left out, for ever."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It was not there, and is now."),
        (status = 204, description = "It is stored."),
        (status = 412, description = "`precondition_failed`: it is there already.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn put(
    target: &Target<'_>,
    mut query: Query<'_>,
    key: &[u8],
    request: &Request<Bytes>,
) -> Answer {
    let ttl: Option<f64> = query.parse("ttl", "a number of seconds");
    query.done()?;
    let ttl = ttl.map(|seconds| seconds_of("ttl", seconds)).transpose()?;
    let headers = request.headers();
    if headers.contains_key(IF_MATCH) {
        return Err(Failure::client(Code::InvalidRequest, "Keys have no `ETag`, so `If-Match` cannot hold."));
    }
    // Keys have no entity tags, so any tag but `*` differs from what is there.
    let if_absent = headers.get_all(IF_NONE_MATCH).iter().any(|tag| tag.as_bytes() == b"*");
    let content_type = match headers.get(CONTENT_TYPE) {
        None => None,
        Some(kind) => Some(kind.to_str().map_err(|_| {
            Failure::client(Code::InvalidRequest, "The `Content-Type` has characters beyond ASCII.")
        })?),
    };
    let value = Value { bytes: request.body().clone(), content_type: content_type.map(Into::into) };
    let stored = target.ask(&Set { key, value, options: SetOptions { ttl, if_absent } }).await?;
    match (if_absent, stored) {
        (false, _) => Ok(empty(StatusCode::NO_CONTENT)),
        (true, true) => Ok(empty(StatusCode::CREATED)),
        (true, false) => Err(Failure::client(Code::PreconditionFailed, "The key is there already.")),
    }
}

/// Deletes a key
#[utoipa::path(delete, path = "/api/v1/clusters/{id}/cache/keys/{key}", operation_id = "cacheDeleteKey",
    tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("key" = String, Path, description = "The key: any bytes, percent-encoded."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    responses((status = 204, description = "It is gone."),
        (status = 404, description = "`not_found`: there is no such key.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn delete(target: &Target<'_>, query: Query<'_>, key: &[u8]) -> Answer {
    query.done()?;
    if target.ask(&Delete { key }).await? { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(missing()) }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheKeys)]
pub(crate) struct Keys {
    keys: Vec<String>,
    count: usize,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
}

/// Lists keys
///
/// A page may be short, or empty with more to come: only a null `next_cursor` is the end. Where a page has a
/// key that is not UTF-8, all its keys are base64 and `encoding` says so.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/cache/keys", operation_id = "cacheListKeys", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("match" = Option<String>, Query, description = "A glob: `*`, `?`, `[a-z]`; left out, all."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, description = "Keys in a page, 1 to 1000; 100 when left out."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    responses((status = 200, description = "A page of keys.", body = Keys)))]
pub(crate) async fn scan(target: &Target<'_>, mut query: Query<'_>) -> Answer {
    let pattern = query.bytes("match").filter(|pattern| !pattern.is_empty());
    let cursor = query.text("cursor").map(|cursor| URL_SAFE_NO_PAD.decode(cursor));
    if matches!(cursor, Some(Err(_))) {
        query.fault("cursor", "is not one that a page of keys gave");
    }
    let cursor = cursor.and_then(Result::ok).map(Bytes::from);
    let limit = query.limit();
    query.done()?;
    let access = walk_access(&*target.service(Ability::KeyValue)?);
    let page = target.ask(&Scan { access, pattern: pattern.as_deref(), cursor, limit }).await?;
    let plain = page.keys.iter().all(|key| std::str::from_utf8(key).is_ok());
    let write = |key: &Bytes| if plain { String::from_utf8_lossy(key).into_owned() } else { base64(key) };
    let keys: Vec<String> = page.keys.iter().map(write).collect();
    let encoding = (!plain).then_some(Encoding::Base64);
    let next_cursor = page.next.map(|next| URL_SAFE_NO_PAD.encode(next));
    Ok(json(StatusCode::OK, &Keys { count: keys.len(), keys, next_cursor, encoding }))
}

fn missing() -> Failure {
    Failure::client(Code::NotFound, "There is no such key.")
}
