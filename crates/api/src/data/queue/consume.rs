//! Joining a group: a stream of messages, as server-sent events or as lines of JSON.

use std::time::Duration;

use adapters::queue::{ConsumeOptions, From};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use model::Failure;
use serde_json::json;
use utoipa::ToSchema;
use wire::Body;

use super::bodies::{is_group, is_topic};
use super::deliver::Stream;
use super::events::Format;
use super::frames::written;
use super::groups::required;
use super::operations::{Ask, Subscribe};
use crate::data::Answer;
use crate::data::ask::Target;
use crate::query::Query;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const MOST_CREDIT: u32 = 10_000;
const CREDIT: u32 = 100;

/// In milliseconds: a hundred of them to an hour.
const LEASES: std::ops::RangeInclusive<u64> = 100..=3_600_000;
const LEASE: u64 = 30_000;

/// Ten minutes, in milliseconds.
const LONGEST_WAIT: u64 = 600_000;

/// Finding what is there takes a moment: a stream that does not wait at all would end before the first message.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// One server-sent event, as its lines say it; for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "`frames` writes events as text")]
pub(crate) struct StreamEvent {
    /// `hello`, `message`, `assignment` or `error`.
    event: String,
    /// What resumes behind it, as `Last-Event-ID`; a message has one.
    id: Option<String>,
    /// A JSON document.
    data: String,
}

/// Reads messages
///
/// A stream without end, as server-sent events, or as lines of JSON where `Accept` or `format` asks for
/// `application/x-ndjson`. The first event is `hello {consumer, topic, group, assignment, credit, lease_ms}`; then come
/// `message {topic, partition, offset, key, value, headers, timestamp, delivery, ack}`, `assignment {assignment}` when
/// the partitions change that are its own, and `error` with a problem document before the stream is cut. A line has the
/// name of its event in `event`. A value that is not UTF-8 is base64 with `encoding: "base64"`, a key with `key_encoding`; where
/// the value of a header is not, all are base64 with `headers_encoding`. Every ten seconds of silence there is a comment, or an
/// empty line. The id of an event, and `resume` of a line, resume behind it.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/queue/consume", operation_id = "queueConsume", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("topic" = String, Query, description = "What is read."),
        ("group" = String, Query, description = "For whom; each group gets every message once."),
        ("credit" = Option<u32>, Query, description = "Messages that may be delivered and unsettled, 1 to 10000; 100 when left out."),
        ("from" = Option<String>, Query, description = "Where a new group begins: `earliest`, as when left out, or `latest`."),
        ("wait_ms" = Option<u32>, Query, description = "Ends the stream after so long without a message, 0 to 600000; never when left out. Less than 100 is 100: looking takes a moment."),
        ("lease_ms" = Option<u32>, Query, description = "How long a message waits for its settlement, 100 to 3600000; 30000 when left out."),
        ("resume" = Option<String>, Query, description = "Behind which message of an earlier stream this one goes on."),
        ("format" = Option<String>, Query, description = "`sse` or `ndjson`, whatever `Accept` says."),
        ("Last-Event-ID" = Option<String>, Header, description = "As `resume`, and stands before it: what reconnects sends its first URL again."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    responses((status = 200, description = "The stream.",
            content((StreamEvent = "text/event-stream"), (String = "application/x-ndjson"))),
        (status = 404, description = "`not_found`: there is no such topic.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn consume(target: &Target<'_>, query: Query<'_>, headers: &HeaderMap) -> Answer {
    let Asked { options, format, wait } = asked(query, headers)?;
    let (consumer, held) = target.open(&Ask(Subscribe(&options))).await?;
    let hello = json!({
        "consumer": consumer.id(),
        "topic": options.topic,
        "group": options.group,
        "assignment": consumer.assignment(),
        "credit": options.credit,
        "lease_ms": u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX),
    });
    let stream = Stream {
        attempt: held.opened(),
        clusters: target.clusters.clone(),
        topic: options.topic,
        format,
        wait,
        id: target.id,
    };
    let frames = written(|pen| stream.deliver(consumer, hello, pen));
    let mut response = Response::new(Body::Frames(Box::pin(frames), Bytes::new()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, format.media_type());
    // Proxies that gather answers would hold messages back.
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What a request for a stream says.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    options: ConsumeOptions,
    format: Format,
    wait: Option<Duration>,
}

fn asked(mut query: Query<'_>, headers: &HeaderMap) -> Result<Asked, Failure> {
    let topic = required(&mut query, "topic", is_topic);
    let group = required(&mut query, "group", is_group);
    let credit = number(&mut query, "credit", 1..=MOST_CREDIT.into());
    let lease = number(&mut query, "lease_ms", LEASES);
    let wait = number(&mut query, "wait_ms", 0..=LONGEST_WAIT);
    let from = match query.text("from").as_deref() {
        None | Some("earliest") => From::Earliest,
        Some("latest") => From::Latest,
        Some(other) => {
            query.fault("from", &format!("must be `earliest` or `latest`, not `{other}`"));
            From::Earliest
        }
    };
    let format = match query.text("format").as_deref() {
        None => accepted(headers),
        Some("sse") => Format::Events,
        Some("ndjson") => Format::Lines,
        Some(other) => {
            query.fault("format", &format!("must be `sse` or `ndjson`, not `{other}`"));
            Format::Events
        }
    };
    let resume = query.text("resume");
    let last = match headers.get(LAST_EVENT_ID).map(|id| id.to_str()) {
        Some(Err(_)) => {
            query.fault("Last-Event-ID", "is none that a stream gave");
            None
        }
        Some(Ok(id)) => Some(id).filter(|id| !id.is_empty()),
        None => None,
    };
    query.done()?;
    let options = ConsumeOptions {
        topic: topic.into(),
        group: group.into(),
        from,
        credit: credit.and_then(|credit| u32::try_from(credit).ok()).unwrap_or(CREDIT),
        lease: Duration::from_millis(lease.unwrap_or(LEASE)),
        // Whoever reconnects sends its first URL again, and in the header what it has had since.
        resume: last.map(Into::into).or_else(|| resume.map(Into::into)),
    };
    let wait = wait.map(|wait| Duration::from_millis(wait).max(LEAST_WAIT));
    Ok(Asked { options, format, wait })
}

fn number(query: &mut Query<'_>, name: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let what = format!("a whole number from {} to {}", range.start(), range.end());
    let number = query.parse(name, &what)?;
    if !range.contains(&number) {
        query.fault(name, &format!("must be {what}, not `{number}`"));
    }
    Some(number)
}

/// Lines where they are asked for and preferred; events where nothing is said.
fn accepted(headers: &HeaderMap) -> Format {
    let mut preferred = (Format::Events, 0.0);
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in ranges.flat_map(|ranges| ranges.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/ndjson" => Format::Lines,
            "text/event-stream" => Format::Events,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        if let Ok(weight) = weight
            && weight > preferred.1
        {
            preferred = (format, weight);
        }
    }
    preferred.0
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn read(query: &str, headers: &[(HeaderName, &str)]) -> Result<Asked, Vec<String>> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        asked(Query::of(&uri), &map)
            .map_err(|failure| failure.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let asked = read("topic=t&group=g", &[]).unwrap();
        let options = ConsumeOptions {
            topic: "t".into(),
            group: "g".into(),
            from: From::Earliest,
            credit: 100,
            lease: Duration::from_secs(30),
            resume: None,
        };
        assert_eq!(asked, Asked { options, format: Format::Events, wait: None });
        let said = "topic=t&group=g&credit=10000&from=latest&lease_ms=100&wait_ms=250&resume=r&format=ndjson";
        let asked = read(said, &[(ACCEPT, "text/event-stream")]).unwrap();
        assert_eq!((asked.options.credit, asked.options.from), (10_000, From::Latest));
        assert_eq!(
            (asked.options.lease, asked.wait),
            (Duration::from_millis(100), Some(Duration::from_millis(250)))
        );
        assert_eq!((asked.options.resume.as_deref(), asked.format), (Some("r"), Format::Lines));
        assert_eq!(read("topic=t&group=g&wait_ms=0", &[]).unwrap().wait, Some(LEAST_WAIT));
    }

    #[test]
    fn every_fault_is_named() {
        for (query, expected) in [
            ("", vec!["topic: is required", "group: is required"]),
            ("topic=a/b&group=g", vec!["topic: must be 1 to 249 of A-Z a-z 0-9 . _ -"]),
            ("topic=t&group=g&credit=0", vec!["credit: must be a whole number from 1 to 10000, not `0`"]),
            (
                "topic=t&group=g&credit=10001",
                vec!["credit: must be a whole number from 1 to 10000, not `10001`"],
            ),
            (
                "topic=t&group=g&lease_ms=99",
                vec!["lease_ms: must be a whole number from 100 to 3600000, not `99`"],
            ),
            (
                "topic=t&group=g&wait_ms=-1",
                vec!["wait_ms: must be a whole number from 0 to 600000, not `-1`"],
            ),
            ("topic=t&group=g&from=now", vec!["from: must be `earliest` or `latest`, not `now`"]),
            ("topic=t&group=g&format=xml", vec!["format: must be `sse` or `ndjson`, not `xml`"]),
            ("topic=t&group=g&grupo=1", vec!["grupo: is not a known parameter (did you mean `group`?)"]),
        ] {
            assert_eq!(read(query, &[]).unwrap_err(), expected, "{query}");
        }
    }

    #[test]
    fn the_form_is_the_one_that_is_preferred() {
        for (accept, expected) in [
            ("", Format::Events),
            ("*/*", Format::Events),
            ("text/event-stream", Format::Events),
            ("application/x-ndjson", Format::Lines),
            ("Application/X-NDJSON; charset=utf-8", Format::Lines),
            ("application/ndjson, text/event-stream", Format::Lines),
            ("application/x-ndjson;q=0.5, text/event-stream", Format::Events),
            ("application/x-ndjson;q=0", Format::Events),
            ("application/json", Format::Events),
        ] {
            assert_eq!(read("topic=t&group=g", &[(ACCEPT, accept)]).unwrap().format, expected, "{accept}");
        }
    }

    #[test]
    fn what_reconnects_goes_on_behind_what_it_has_had() {
        let resume = |query: &str, headers: &[(HeaderName, &str)]| {
            read(&format!("topic=t&group=g{query}"), headers).unwrap().options.resume
        };
        assert_eq!(resume("&resume=old", &[(LAST_EVENT_ID, "new")]).as_deref(), Some("new"));
        assert_eq!(resume("&resume=old", &[(LAST_EVENT_ID, "")]).as_deref(), Some("old"));
        assert_eq!(resume("", &[(LAST_EVENT_ID, "new")]).as_deref(), Some("new"));
        assert_eq!(resume("", &[]), None);
    }
}
