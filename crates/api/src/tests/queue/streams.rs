//! Streams of messages: what comes, in which order, and what happens when it is not settled.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Gateway, at, post, publish, shop};

/// Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(20);

/// A stream as its client reads it.
pub(super) struct Reader {
    body: Body,
    text: String,
    lines: bool,
    pub(super) heartbeats: usize,
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) resume: String,
    pub(super) data: Value,
}

impl Told {
    pub(super) fn ack(&self) -> String {
        self.data["ack"].as_str().unwrap_or_default().to_owned()
    }

    fn value(&self) -> &str {
        self.data["value"].as_str().unwrap()
    }
}

pub(super) async fn open(gateway: &Gateway, query: &str, headers: &[(&str, &str)]) -> Reader {
    let mut request = Request::get(at(&format!("consume?{query}"))).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = gateway.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    if head.status != 200 {
        let text = body.collect().await.unwrap().to_bytes();
        panic!("{} {}", head.status, String::from_utf8_lossy(&text));
    }
    assert_eq!(head.headers["cache-control"], "no-store");
    assert_eq!(head.headers["x-accel-buffering"], "no");
    let kind = head.headers["content-type"].to_str().unwrap();
    let lines = kind == "application/x-ndjson";
    assert!(lines || kind == "text/event-stream", "{kind}");
    Reader { body, text: String::new(), lines, heartbeats: 0 }
}

impl Reader {
    /// The next event; `None` when the stream has ended, an error when it was cut.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, String> {
        loop {
            let end = if self.lines { "\n" } else { "\n\n" };
            while let Some((event, rest)) = self.text.split_once(end) {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.is_empty() || event.starts_with(':') {
                    self.heartbeats += 1;
                    continue;
                }
                return Ok(Some(if self.lines { line(&event) } else { event_of(&event) }));
            }
            let frame = tokio::time::timeout(SOON, self.body.frame()).await.expect("something in time");
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
                }
            }
        }
    }

    pub(super) async fn told(&mut self) -> Told {
        self.next().await.unwrap().expect("the stream goes on")
    }

    /// The next message; what else is told before it is passed over.
    pub(super) async fn message(&mut self) -> Told {
        loop {
            let told = self.told().await;
            if told.name == "message" {
                return told;
            }
        }
    }

    /// All that comes until the end.
    pub(super) async fn rest(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(told) = self.next().await.unwrap() {
            all.push(told);
        }
        all
    }

    /// Whether nothing but heartbeats comes for so long.
    async fn is_silent(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next()).await.is_err()
    }
}

fn line(text: &str) -> Told {
    let data: Value = serde_json::from_str(text).unwrap();
    let of = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    Told { name: of("event"), resume: of("resume"), data: data.clone() }
}

fn event_of(text: &str) -> Told {
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(own, _)| *own == name).map_or("", |(_, value)| value).to_owned()
    };
    Told { name: field("event"), resume: field("id"), data: serde_json::from_str(&field("data")).unwrap() }
}

async fn settle(gateway: &Gateway, how: Value) -> u64 {
    let mut body = json!({ "topic": "t", "group": "g" });
    body.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    let reply = post(gateway, "ack", body).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["status"]),
        (200, &json!("success")),
        "{}",
        reply.text()
    );
    reply.json()["acknowledged"].as_u64().unwrap()
}

#[tokio::test]
async fn hello_comes_first_and_then_the_messages_in_order() {
    let gateway = shop().await;
    publish(&gateway, "t", &["a", "b"]).await;
    for format in ["sse", "ndjson"] {
        let query = format!("topic=t&group={format}&format={format}&credit=7&lease_ms=5000");
        let mut stream = open(&gateway, &query, &[]).await;
        let hello = stream.told().await;
        assert_eq!((hello.name.as_str(), &hello.data["assignment"]), ("hello", &json!([0])));
        assert!(hello.data["consumer"].as_str().is_some_and(|id| !id.is_empty()));
        for (field, expected) in
            [("topic", json!("t")), ("group", json!(format)), ("credit", json!(7)), ("lease_ms", json!(5000))]
        {
            assert_eq!(hello.data[field], expected);
        }
        publish(&gateway, "t", &["c"]).await;
        for (offset, value) in ["a", "b", "c"].into_iter().enumerate() {
            let message = stream.message().await;
            let data = &message.data;
            assert_eq!(
                (message.value(), &data["offset"], &data["topic"]),
                (value, &json!(offset), &json!("t"))
            );
            assert_eq!(
                (&data["partition"], &data["delivery"], &data["key"]),
                (&json!(0), &json!(1), &Value::Null)
            );
            assert!(!message.resume.is_empty() && !message.ack().is_empty());
            assert!(data["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        }
        assert!(stream.is_silent(Duration::from_millis(50)).await);
        // What the next round finds.
        gateway.delete(&at("topics/t")).await;
        publish(&gateway, "t", &["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_message_comes_as_it_was_published() {
    let gateway = shop().await;
    let messages = json!([
        { "message": "ü\n\"1\"", "key": "k", "headers": { "b": "1", "a": "zwei\r\n" } },
        { "message": [0, 255], "key": "/w==", "key_encoding": "base64" },
        { "message": "/wA=", "encoding": "base64" },
        { "message": "" },
    ]);
    let reply = post(&gateway, "publish", json!({ "topic": "t", "messages": messages })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for format in ["sse", "ndjson"] {
        let query = format!("topic=t&group={format}&format={format}&wait_ms=200");
        let told = open(&gateway, &query, &[]).await.rest().await;
        let of = |index: usize| {
            let data = &told[index + 1].data;
            json!([
                data["value"],
                data.get("encoding"),
                data["key"],
                data.get("key_encoding"),
                data["headers"]
            ])
        };
        assert_eq!(of(0), json!(["ü\n\"1\"", null, "k", null, { "b": "1", "a": "zwei\r\n" }]));
        assert_eq!(of(1), json!(["AP8=", "base64", "/w==", "base64", {}]));
        assert_eq!(of(2), json!(["/wA=", "base64", null, null, {}]));
        assert_eq!(of(3), json!(["", null, null, null, {}]));
    }
}

#[tokio::test]
async fn what_reconnects_goes_on_without_loss() {
    let gateway = shop().await;
    publish(&gateway, "t", &["0", "1", "2", "3", "4", "5"]).await;
    for by_header in [true, false] {
        let group = if by_header { "header" } else { "query" };
        let format = if by_header { "sse" } else { "ndjson" };
        let query = format!("topic=t&group={group}&format={format}&credit=4");
        let mut stream = open(&gateway, &query, &[]).await;
        let consumer = stream.told().await.data["consumer"].clone();
        let first = stream.message().await;
        assert_eq!(first.value(), "0");
        // Four were delivered; the client has seen one when its connection breaks.
        drop(stream);
        let mut stream = if by_header {
            let stale = format!("{query}&resume=stale");
            open(&gateway, &stale, &[("last-event-id", &first.resume)]).await
        } else {
            open(&gateway, &format!("{query}&resume={}", first.resume), &[]).await
        };
        assert_eq!(stream.told().await.data["consumer"], consumer, "it is the same one");
        for expected in ["1", "2", "3"] {
            assert_eq!(stream.message().await.value(), expected);
        }
        assert!(stream.is_silent(Duration::from_millis(50)).await, "its credit is used up");
    }
    let refused = gateway.get(&at("consume?topic=t&group=header&resume=nothing")).await;
    assert_eq!(refused.problem(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn settled_messages_make_room_for_others() {
    let gateway = shop().await;
    publish(&gateway, "t", &["0", "1", "2", "3"]).await;
    let mut stream = open(&gateway, "topic=t&group=g&credit=2", &[]).await;
    let (first, second) = (stream.message().await, stream.message().await);
    assert!(stream.is_silent(Duration::from_millis(50)).await);
    assert_eq!(settle(&gateway, json!({ "ack": [first.ack(), second.ack()] })).await, 2);
    assert_eq!(settle(&gateway, json!({ "ack": [first.ack()] })).await, 0, "it was settled before");
    assert_eq!((stream.message().await.value(), stream.message().await.value()), ("2", "3"));
    let unknown = post(&gateway, "ack", json!({ "topic": "t", "group": "g", "ack": ["nothing"] })).await;
    assert_eq!(unknown.problem(), (400, "invalid_request".to_owned()));
    let other = post(&gateway, "ack", json!({ "topic": "none", "group": "g", "ack": [first.ack()] })).await;
    assert_eq!(other.problem(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn what_is_put_off_comes_again_and_what_is_given_up_is_dead() {
    let gateway = shop().await;
    publish(&gateway, "t", &["again", "dead"]).await;
    let mut stream = open(&gateway, "topic=t&group=g", &[]).await;
    let (again, dead) = (stream.message().await, stream.message().await);
    let began = std::time::Instant::now();
    let nack = json!([{ "ack": again.ack(), "delay_ms": 300 }]);
    assert_eq!(settle(&gateway, json!({ "nack": nack, "term": [dead.ack()] })).await, 2);
    let second = stream.message().await;
    assert_eq!((second.value(), &second.data["delivery"]), ("again", &json!(2)));
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
    let told = open(&gateway, "topic=t.dead&group=g&wait_ms=300", &[]).await.rest().await;
    assert_eq!((told.len(), told[1].value()), (2, "dead"));
    assert_eq!(told[1].data["headers"]["dead-topic"], "t");
}

#[tokio::test]
async fn what_nobody_settles_comes_again() {
    let gateway = shop().await;
    publish(&gateway, "t", &["a"]).await;
    let mut stream = open(&gateway, "topic=t&group=g&lease_ms=150", &[]).await;
    assert_eq!(stream.message().await.data["delivery"], 1);
    let second = stream.message().await;
    assert_eq!((second.value(), &second.data["delivery"]), ("a", &json!(2)));
    assert_eq!(settle(&gateway, json!({ "ack": [second.ack()] })).await, 1);
    assert!(stream.is_silent(Duration::from_millis(400)).await);
}

#[tokio::test]
async fn a_stream_that_waits_so_long_ends_well() {
    let gateway = shop().await;
    publish(&gateway, "t", &["a"]).await;
    let mut stream = open(&gateway, "topic=t&group=g&wait_ms=0&format=ndjson", &[]).await;
    let told = stream.rest().await;
    assert_eq!((told.len(), told[1].value()), (2, "a"), "what is there comes, however short the wait");
    let mut stream = open(&gateway, "topic=t&group=new&from=latest&wait_ms=150", &[]).await;
    let began = std::time::Instant::now();
    assert_eq!(stream.rest().await.len(), 1);
    assert!(began.elapsed() >= Duration::from_millis(140));
}

#[tokio::test]
async fn members_of_a_group_are_told_what_is_theirs() {
    let gateway = shop().await;
    post(&gateway, "topics", json!({ "topic": "t", "num_partitions": 4 })).await;
    let mut first = open(&gateway, "topic=t&group=g", &[]).await;
    assert_eq!(first.told().await.data["assignment"], json!([0, 1, 2, 3]));
    let mut second = open(&gateway, "topic=t&group=g&format=ndjson", &[]).await;
    let mut theirs: Vec<u64> = Vec::new();
    for (stream, lines) in [(&mut first, false), (&mut second, true)] {
        // `hello` may have come before the other one had let go.
        let own = loop {
            let told = stream.told().await;
            let own: Vec<u64> = serde_json::from_value(told.data["assignment"].clone()).unwrap();
            if own.len() == 2 {
                assert!(told.name == "assignment" || (lines && told.name == "hello"), "{told:?}");
                break own;
            }
        };
        theirs.extend(own);
    }
    theirs.sort_unstable();
    assert_eq!(theirs, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_before_the_stream() {
    let gateway = shop().await;
    let missing = gateway.get(&at("consume?topic=none&group=g")).await;
    assert_eq!(
        (missing.problem(), &missing.json()["service"]),
        ((404, "not_found".to_owned()), &json!("events"))
    );
    let faulty = gateway.get(&at("consume?credit=0")).await;
    assert_eq!(
        (faulty.problem().0, faulty.faults()),
        (400, vec!["topic".into(), "group".into(), "credit".into()])
    );
    let unable = gateway.get(&at("consume?topic=t&group=g&service=cache")).await;
    assert_eq!(unable.problem(), (422, "unsupported_ability".to_owned()));
}

#[tokio::test]
async fn a_stream_is_cut_with_its_reason_when_what_it_reads_is_deleted() {
    for whole in [false, true] {
        let gateway = shop().await;
        publish(&gateway, "t", &["a"]).await;
        let mut stream = open(&gateway, "topic=t&group=g&format=ndjson", &[]).await;
        stream.message().await;
        let path = if whole { "/api/v1/clusters/shop".to_owned() } else { at("topics/t") };
        assert_eq!(gateway.delete(&path).await.status, 200);
        let told = stream.told().await;
        let code = if whole { "draining" } else { "not_found" };
        assert_eq!((told.name.as_str(), &told.data["code"]), ("error", &json!(code)));
        assert!(stream.next().await.is_err(), "a cut stream does not look whole");
    }
}

#[tokio::test]
async fn a_client_that_goes_leaves_its_group() {
    let gateway = shop().await;
    publish(&gateway, "t", &["a"]).await;
    let consumers =
        async || gateway.get(&at("groups?topic=t")).await.json()["groups"][0]["consumers"].clone();
    let mut stream = open(&gateway, "topic=t&group=g", &[]).await;
    let id = stream.told().await.data["consumer"].clone();
    assert_eq!(consumers().await, json!([id]));
    let world = gateway.clusters.snapshot().clone();
    let in_flight = || world.service("shop", "events").unwrap().in_flight();
    assert_eq!(in_flight(), 1);
    drop(stream);
    assert_eq!(in_flight(), 0);
    let left = async {
        while consumers().await != json!([]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, left).await.unwrap();
}
