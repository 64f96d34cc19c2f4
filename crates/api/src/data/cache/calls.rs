//! The cache calls that take and answer JSON.

use adapters::key_value::{SetOptions, Ttl, Value};
use bytes::Bytes;
use http::{Response, StatusCode};
use model::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{Encoding, ExpireBody, IncrBody, KeyBody, SetBody, written};
use super::operations::{Delete, Expire, Get, Incr, Set, TimeToLive};
use crate::body::read;
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::json;

type Answer = Result<Response<Bytes>, Failure>;

#[derive(Serialize, ToSchema)]
#[schema(as = CacheValue)]
pub(crate) struct Found<'a> {
    key: &'a str,
    found: bool,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
}

/// Reads a value
///
/// A key that is not there is no failure: `found` is false and `value` null.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/get", operation_id = "cacheGet", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/CacheKey")),
    responses((status = 200, description = "What stands there.", body = Found)))]
pub(crate) async fn get(target: &Target<'_>, body: &[u8]) -> Answer {
    let KeyBody { key } = read(body)?;
    let value = target.ask(&Get { key: key.as_bytes() }).await?;
    let written = value.as_ref().map(|value| written(&value.bytes));
    let (value, encoding) =
        written.as_ref().map_or((None, None), |(text, encoding)| (Some(&**text), *encoding));
    Ok(json(StatusCode::OK, &Found { key: &key, found: value.is_some(), value, encoding }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheStored)]
pub(crate) struct Stored<'a> {
    key: &'a str,
    stored: bool,
    /// What earlier clients look for.
    status: &'static str,
}

/// Sets a value
///
/// Without `ttl` it stays until it is deleted or makes room for others.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/set", operation_id = "cacheSet", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/CacheSet")),
    responses((status = 200, description = "It is stored.", body = Stored)))]
pub(crate) async fn set(target: &Target<'_>, body: &[u8]) -> Answer {
    let body: SetBody<'_> = read(body)?;
    let options = SetOptions { ttl: body.ttl()?, if_absent: false };
    let value = Value::plain(body.bytes()?);
    let stored = target.ask(&Set { key: body.key.as_bytes(), value, options }).await?;
    Ok(json(StatusCode::OK, &Stored { key: &body.key, stored, status: "success" }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheDeleted)]
pub(crate) struct Deleted<'a> {
    key: &'a str,
    deleted: bool,
    /// What earlier clients look for.
    status: &'static str,
}

/// Deletes a key
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/delete", operation_id = "cacheDelete", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/CacheKey")),
    responses((status = 200, description = "It is gone; `deleted` says whether it was there.",
        body = Deleted)))]
pub(crate) async fn delete(target: &Target<'_>, query: Query<'_>, body: &[u8]) -> Answer {
    query.done()?;
    let KeyBody { key } = read(body)?;
    let deleted = target.ask(&Delete { key: key.as_bytes() }).await?;
    Ok(json(StatusCode::OK, &Deleted { key: &key, deleted, status: "success" }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheSum)]
pub(crate) struct Sum<'a> {
    key: &'a str,
    value: i64,
}

/// Adds to a whole number
///
/// A key that is not there counts as 0. The time that a key has left stays as it is.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/incr", operation_id = "cacheIncr", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/CacheIncr")),
    responses((status = 200, description = "The sum.", body = Sum)))]
pub(crate) async fn incr(target: &Target<'_>, query: Query<'_>, body: &[u8]) -> Answer {
    query.done()?;
    let IncrBody { key, by } = read(body)?;
    let value = target.ask(&Incr { key: key.as_bytes(), by: by.unwrap_or(1) }).await?;
    Ok(json(StatusCode::OK, &Sum { key: &key, value }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheUpdated)]
pub(crate) struct Updated<'a> {
    key: &'a str,
    updated: bool,
}

/// Sets how long a key stays
#[utoipa::path(post, path = "/api/v1/clusters/{id}/cache/expire", operation_id = "cacheExpire", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/CacheExpire")),
    responses((status = 200, description = "`updated` says whether the key is there.",
        body = Updated)))]
pub(crate) async fn expire(target: &Target<'_>, query: Query<'_>, body: &[u8]) -> Answer {
    query.done()?;
    let body: ExpireBody<'_> = read(body)?;
    let updated = target.ask(&Expire { key: body.key.as_bytes(), ttl: body.ttl()? }).await?;
    Ok(json(StatusCode::OK, &Updated { key: &body.key, updated }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CacheTtl)]
pub(crate) struct Left<'a> {
    key: &'a str,
    found: bool,
    ttl: Option<f64>,
}

/// How long a key stays
///
/// `ttl` is seconds with a fraction, and null where the key stays for ever or is not there.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/cache/ttl", operation_id = "cacheTtl", tag = "cache",
    params(("id" = String, Path, description = "The cluster."),
        ("key" = String, Query, description = "The key."),
        ("service" = Option<String>, Query, description = "The cache, where the cluster has several.")),
    responses((status = 200, description = "What is left of its time.", body = Left)))]
pub(crate) async fn ttl(target: &Target<'_>, mut query: Query<'_>) -> Answer {
    let key = query.bytes("key");
    if key.is_none() {
        query.fault("key", "is required");
    }
    let key = match key.map(|key| String::from_utf8(key.into_owned())) {
        Some(Err(_)) => {
            query.fault("key", "is not UTF-8");
            String::new()
        }
        Some(Ok(key)) => key,
        None => String::new(),
    };
    query.done()?;
    let (found, ttl) = match target.ask(&TimeToLive { key: key.as_bytes() }).await? {
        Ttl::Missing => (false, None),
        Ttl::Forever => (true, None),
        Ttl::Left(left) => (true, Some(left.as_secs_f64())),
    };
    Ok(json(StatusCode::OK, &Left { key: &key, found, ttl }))
}
