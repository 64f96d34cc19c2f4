//! Publishing: one message or many, in order, with an answer for each.

use std::sync::Arc;

use adapters::queue::{Idempotency, Receipt};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use model::{Failure, problem};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::bodies::{Faults, PublishBody};
use super::operations::{Ask, Publish};
use crate::body::read;
use crate::data::ask::Target;
use crate::guard::Caller;
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::query::Query;
use crate::respond::json;

/// The longest key of an idempotent publish, in bytes.
const LONGEST_KEY: usize = 255;

#[derive(Serialize, ToSchema)]
#[schema(as = QueuePublished)]
pub(crate) struct Published<'a> {
    /// One for each message, in order.
    results: Vec<PublishResult<'a>>,
    /// `success`, or `partial` when a message failed.
    status: &'static str,
}

/// Where a message stands, or why it does not.
#[derive(Serialize, ToSchema)]
#[schema(as = QueuePublishResult)]
pub(crate) struct PublishResult<'a> {
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    /// Its place there.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// Why it was not published: a problem document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

/// Publishes messages
///
/// Answered when the engine has them on its disk. One message that fails is a problem document; of several,
/// each has its own result, and the status is 207 when any failed. With an `Idempotency-Key` the same body may be
/// sent again: it is published once, and answered alike.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/queue/publish", operation_id = "queuePublish", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/QueuePublish")),
    responses((status = 200, description = "All are published.", body = Published),
        (status = 207, description = "Some are not: each result says.", body = Published)))]
pub(crate) async fn publish(
    target: &Target<'_>,
    query: Query<'_>,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, Failure> {
    query.done()?;
    let idempotency = idempotency(request.headers(), request.body(), target.caller)?;
    let (topic, messages) = read::<PublishBody<'_>>(request.body())?.messages()?;
    let asked = Ask(Publish { topic: &topic, messages: &messages, idempotency: idempotency.as_ref() });
    let (results, held) = target.open(&asked).await?;
    let service = Arc::clone(&held.seat().service.name);
    let (status, word) = match results.iter().find_map(|result| result.as_ref().err()) {
        None => {
            held.finish();
            (StatusCode::OK, "success")
        }
        Some(failure) => {
            held.partly(failure);
            (StatusCode::MULTI_STATUS, "partial")
        }
    };
    let told = |result| match result {
        Ok(Receipt { partition, offset }) => PublishResult {
            topic: Some(&*topic),
            partition: Some(partition),
            offset: Some(offset),
            error: None,
        },
        Err(failure) => {
            let failure: Failure = failure;
            let failure = failure.with_service(Arc::clone(&service));
            let status = failure.code().status();
            let error = problem::document(&failure, status, target.id.as_str());
            PublishResult { topic: None, partition: None, offset: None, error: Some(error) }
        }
    };
    let results = results.into_iter().map(told).collect();
    Ok(json(status, &Published { results, status: word }))
}

/// What makes this publish one that may be sent again. A key counts for one caller; what is published stands in
/// the body, its topic included.
fn idempotency(headers: &HeaderMap, body: &[u8], caller: &Caller) -> Result<Option<Idempotency>, Failure> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let mut faults = Faults::default();
    if given.next().is_some() {
        faults.add("Idempotency-Key", "is given more than once");
        return faults.none_or(None);
    }
    // Some clients write it as the quoted string that the draft of the header asks for.
    let text = first.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if !(1..=LONGEST_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = format!("must be 1 to {LONGEST_KEY} visible characters of ASCII");
        faults.add("Idempotency-Key", &rule);
        return faults.none_or(None);
    }
    // No visible character of a key can look like what ends the name of a token.
    let key = caller.token().map_or_else(|| key.into(), |token| format!("{token} {key}").into());
    Ok(Some(Idempotency { key, fingerprint: store::fingerprint(body) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_stands_once_and_counts_for_its_caller() {
        let holder = Caller::Holder { name: "app".into(), scope: None };
        let with = |keys: &[&[u8]], caller: &Caller| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append(IDEMPOTENCY_KEY, key.to_vec().try_into().unwrap());
            }
            idempotency(&headers, b"abc", caller)
        };
        assert_eq!(with(&[], &Caller::Trusted).unwrap(), None);
        let taken = with(&[b"order-7"], &Caller::Trusted).unwrap().unwrap();
        assert_eq!((&*taken.key, taken.fingerprint), ("order-7", store::fingerprint(b"abc")));
        assert_ne!(taken.fingerprint, store::fingerprint(b"abd"));
        assert_eq!(with(&[b"\"order-7\""], &Caller::Trusted).unwrap().unwrap(), taken);
        assert_eq!(&*with(&[b"order-7"], &holder).unwrap().unwrap().key, "app order-7");
        assert!(with(&[&[b'k'; 255]], &holder).is_ok());
        for wrong in [&[&b""[..]][..], &[b"\"\""], &[&[b'k'; 256]], &[b"a b"], &[b"\xff"], &[b"a", b"a"]] {
            let failure = with(wrong, &Caller::Trusted).unwrap_err();
            assert_eq!(failure.problems()[0].path, "Idempotency-Key", "{wrong:?}");
        }
    }
}
