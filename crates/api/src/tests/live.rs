//! The live stream: what is there, what changes, and what happens to whoever comes back or reads too slowly.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use clusters::{Following, Happening};
use http_body_util::BodyExt;
use model::live::{LiveDelta, LiveSnapshot, Op, Topic};
use model::view::ActivityRecord;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::served::{connect, served};
use super::{Gateway, gateway, gateway_with, shop, shop_document};

/// One who follows.
struct Tap {
    body: Body,
    text: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Event {
    fn snapshot(&self) -> LiveSnapshot {
        assert_eq!(self.name, "snapshot", "{self:?}");
        let snapshot: LiveSnapshot = serde_json::from_str(&self.data).unwrap();
        assert_eq!(self.id, format!("{}-{}", snapshot.epoch, snapshot.seq));
        snapshot
    }

    fn delta(&self) -> LiveDelta {
        assert_eq!(self.name, "delta", "{self:?}");
        let delta: LiveDelta = serde_json::from_str(&self.data).unwrap();
        assert!(self.id.ends_with(&format!("-{}", delta.seq)));
        delta
    }
}

impl Tap {
    async fn open(gateway: &Gateway, query: &str, last: Option<&str>) -> Tap {
        let mut request = Request::get(format!("/api/v1/live{query}")).header("host", "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = gateway.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Tap { body: response.into_body(), text: String::new() }
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(own, _)| *own == name).map_or("", |(_, value)| value).to_owned()
                };
                let one = Event { id: field("id"), name: field("event"), data: field("data") };
                // A stream of which nothing was heard for a while says that it lives: that is no event.
                let comment = event.starts_with(':');
                self.text = rest.to_owned();
                if comment {
                    continue;
                }
                return one;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let data = frame.expect("an event in time").expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(data.data_ref().unwrap()).unwrap());
        }
    }

    /// Deltas up to one that is meant.
    async fn until(&mut self, meant: impl Fn(&LiveDelta) -> bool) -> Vec<(String, LiveDelta)> {
        let mut all = Vec::new();
        loop {
            let event = self.next().await;
            let delta = event.delta();
            let found = meant(&delta);
            all.push((event.id, delta));
            if found {
                return all;
            }
        }
    }
}

fn tell(gateway: &Gateway, cluster: &str, message: String) {
    gateway.clusters.events().tell(Happening {
        kind: "test.told".to_owned(),
        cluster: Some(cluster.to_owned()),
        message,
        ..Happening::default()
    });
}

fn is_event(delta: &LiveDelta, message: &str) -> bool {
    delta.topic == Topic::Events && delta.value.as_ref().is_some_and(|value| value["message"] == message)
}

#[tokio::test]
async fn what_is_there_comes_first_and_then_what_changes() {
    let gateway = shop().await;
    let mut tap = Tap::open(&gateway, "", None).await;
    let first = tap.next().await.snapshot();
    let listed = gateway.get("/api/v1/clusters").await.json();
    let clusters = first.clusters.unwrap();
    assert_eq!(serde_json::to_value(&clusters["shop"]).unwrap(), listed["clusters"][0]);
    assert_eq!(first.services.unwrap()["shop/cache"].verdict, "serving");
    assert_eq!(first.routes.unwrap()["api"]["path"], "/api/*");
    assert!(first.events.unwrap().iter().any(|event| event.kind == "cluster.created"));
    assert!(first.activity.is_none() && first.metrics.is_none(), "nobody asked");

    let began = Instant::now();
    gateway.post("/api/v1/clusters/shop/services/cache/drain", &json!({ "reason": "a test" })).await;
    let drained = |delta: &LiveDelta| {
        delta.key.as_deref() == Some("shop/cache")
            && delta.value.as_ref().is_some_and(|value| value["rotation"] == "draining")
    };
    let deltas = tap.until(drained).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(deltas.is_sorted_by(|(_, a), (_, b)| a.seq < b.seq));
    gateway.delete("/api/v1/clusters/shop").await;
    let mut gone = Vec::new();
    while gone.len() < 4 {
        let delta = tap.next().await.delta();
        if delta.op == Op::Remove {
            assert!(delta.value.is_none());
            gone.push((delta.topic.name(), delta.key.unwrap()));
        }
    }
    gone.sort();
    let expected =
        [("clusters", "shop"), ("routes", "api"), ("services", "shop/cache"), ("services", "shop/web")];
    assert_eq!(gone, expected.map(|(topic, key)| (topic, key.to_owned())));
}

#[tokio::test]
async fn one_may_ask_for_some_of_it() {
    let gateway = shop().await;
    gateway.post("/api/v1/clusters", &json!({ "name": "B", "cluster_id": "blog", "services": {} })).await;
    let mut tap =
        Tap::open(&gateway, "?topics=clusters,services,events,metrics&cluster=shop&service=web", None).await;
    let first = tap.next().await.snapshot();
    assert_eq!(first.clusters.unwrap().keys().collect::<Vec<_>>(), ["shop"]);
    assert_eq!(first.services.unwrap().keys().collect::<Vec<_>>(), ["shop/web"]);
    assert_eq!(first.metrics.unwrap()["shop"].total.requests, 0);
    assert!(first.events.unwrap().iter().all(|event| event.service.as_deref() == Some("web")));
    assert!(first.routes.is_none());
    tell(&gateway, "blog", "not for this one".to_owned());
    gateway.post("/api/v1/clusters/shop/cache/get", &json!({ "key": "a" })).await;
    let delta = loop {
        let delta = tap.next().await.delta();
        assert!(!is_event(&delta, "not for this one"));
        if delta.topic == Topic::Metrics {
            break delta;
        }
    };
    assert_eq!((delta.key.as_deref(), &delta.value.unwrap()["requests"]), (Some("shop"), &json!(1)));

    for (query, word) in [
        ("?topics=cluster", "did you mean `clusters`?"),
        ("?topics=everything", "there are: clusters, services"),
        ("?topics=,", "must name what to follow"),
        ("?topic=events", "is not a known parameter"),
    ] {
        let refused = gateway.get(&format!("/api/v1/live{query}")).await;
        assert_eq!(refused.problem(), (400, "invalid_request".to_owned()));
        assert!(refused.text().contains(word), "{query}: {}", refused.text());
    }
}

#[tokio::test]
async fn operations_are_followed_as_they_end() {
    let gateway = shop().await;
    gateway.post("/api/v1/clusters/shop/cache/get", &json!({ "key": "before" })).await;
    let mut tap = Tap::open(&gateway, "?topics=activity&cluster=shop&service=cache", None).await;
    let first = tap.next().await.snapshot();
    assert_eq!(first.activity.unwrap().len(), 1);
    for n in 0..50 {
        gateway
            .post("/api/v1/clusters/shop/cache/set", &json!({ "key": "canary", "value": n.to_string() }))
            .await;
    }
    let mut records: Vec<ActivityRecord> = Vec::new();
    while records.len() < 50 {
        let delta = tap.next().await.delta();
        assert_eq!((delta.op, delta.key, delta.skipped), (Op::Append, None, None));
        let value = delta.value.unwrap();
        assert!(!value.to_string().contains("canary"));
        records.push(serde_json::from_value(value).unwrap());
    }
    assert!(records.is_sorted_by(|a, b| a.id < b.id), "each once, in order");
    let listed = gateway.get("/api/v1/activity?limit=50").await.json();
    assert_eq!(serde_json::to_value(&records[49]).unwrap(), listed["activities"][0]);
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_gets_nothing_twice() {
    let gateway = shop().await;
    let mut tap = Tap::open(&gateway, "?topics=events,clusters", None).await;
    let snapshot = tap.next().await;
    for n in 0..5 {
        tell(&gateway, "shop", format!("event {n}"));
    }
    let seen = tap.until(|delta| is_event(delta, "event 2")).await;
    drop(tap);
    for n in 5..8 {
        tell(&gateway, "shop", format!("event {n}"));
    }
    let last = &seen.last().unwrap().0;
    let rest = |deltas: Vec<(String, LiveDelta)>| -> Vec<Value> {
        let events = deltas.into_iter().filter(|(_, delta)| delta.topic == Topic::Events);
        events.map(|(_, delta)| delta.value.unwrap()["message"].clone()).collect()
    };
    let messages =
        |range: std::ops::Range<u32>| range.map(|n| format!("event {n}").into()).collect::<Vec<Value>>();
    let mut again = Tap::open(&gateway, "?topics=events,clusters", Some(last)).await;
    assert_eq!(rest(again.until(|delta| is_event(delta, "event 7")).await), messages(3..8));
    // By the query, and from the snapshot on.
    let query = format!("?topics=events&last_event_id={}", snapshot.id);
    let mut again = Tap::open(&gateway, &query, None).await;
    assert_eq!(rest(again.until(|delta| is_event(delta, "event 7")).await), messages(0..8));

    // What is not known: another run, a topic that nobody followed meanwhile, a number of the future, no id at all.
    let (epoch, seq) = last.split_once('-').unwrap();
    for (query, last) in [
        ("?topics=events", format!("{epoch}0-{seq}")),
        ("?topics=events,routes", last.clone()),
        ("?topics=events", format!("{epoch}-99999999")),
        ("?topics=events", "nonsense".to_owned()),
    ] {
        let first = Tap::open(&gateway, query, Some(&last)).await.next().await.snapshot();
        assert!(first.events.unwrap().iter().any(|event| event.message == "event 7"), "{query} {last}");
    }
}

#[tokio::test]
async fn who_reads_too_slowly_gets_a_snapshot_and_costs_no_memory() {
    let gateway = gateway().await;
    let mut slow = Tap::open(&gateway, "?topics=events", None).await;
    let mut quick = Tap::open(&gateway, "?topics=events", None).await;
    let first = slow.next().await.snapshot();
    quick.next().await.snapshot();
    for round in 0..5 {
        for n in 0..1000 {
            tell(&gateway, "c", format!("{round}:{n} {}", "x".repeat(4000)));
        }
        let last = |delta: &LiveDelta| {
            delta.value.as_ref().unwrap()["message"].as_str().unwrap().starts_with(&format!("{round}:999 "))
        };
        loop {
            let event = quick.next().await;
            if event.name == "snapshot" || last(&event.delta()) {
                break;
            }
        }
    }
    let (count, bytes) = gateway.clusters.live_remembers();
    assert!(count > 1000 && bytes <= 16 << 20, "{count} deltas of {bytes} bytes");
    // It had room for what came first; then it is told everything anew.
    let mut event = slow.next().await;
    while event.name == "delta" {
        event = slow.next().await;
    }
    let anew = event.snapshot();
    assert!(anew.seq > first.seq + 4000 && anew.events.unwrap().len() == 100);
    tell(&gateway, "c", "and on".to_owned());
    slow.until(|delta| is_event(delta, "and on")).await;
}

#[tokio::test]
async fn not_everybody_may_follow_at_once() {
    let gateway = gateway().await;
    let following = || Following { topics: vec![Topic::Events], ..Following::default() };
    let mut many = Vec::new();
    for _ in 0..256 {
        many.push(gateway.clusters.follow(following(), None).await.unwrap());
    }
    assert_eq!(gateway.get("/api/v1/live").await.problem(), (503, "overloaded".to_owned()));
    many.pop();
    Tap::open(&gateway, "", None).await.next().await.snapshot();
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_its_streams_and_is_named_by_what_it_did() {
    let gateway = gateway_with(|options| {
        (options.guard.loopback, options.guard.token_required) = (false, true);
    })
    .await;
    let token = gateway.store.ensure_admin_token().await.unwrap().unwrap();
    let bearer = format!("Bearer {}", token.reveal());
    assert_eq!(gateway.get("/api/v1/live").await.problem().0, 401);
    let create = Request::post("/api/v1/clusters").header("authorization", &bearer);
    let body = json!({ "name": "A", "cluster_id": "a", "services": {} }).to_string();
    assert_eq!(gateway.send(create, body).await.status, 201);

    let request = Request::get("/api/v1/live?topics=events").header("authorization", &bearer);
    let request = request.body(Body::empty()).unwrap();
    let response = gateway.router.clone().oneshot(request).await.unwrap();
    let mut tap = Tap { body: response.into_body(), text: String::new() };
    let events = tap.next().await.snapshot().events.unwrap();
    assert_eq!((events[0].kind.as_str(), events[0].actor.as_str()), ("cluster.created", "token:admin"));
    gateway.store.rotate_admin_token().await.unwrap();
    let ended = async { while tap.body.frame().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(15), ended).await.expect("the stream ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_stays_and_ends_with_the_door() {
    let served = served(Duration::from_secs(5), |options| {
        options.limits.write_timeout = Duration::from_millis(300);
        options.limits.read_timeout = Duration::from_millis(300);
    })
    .await;
    let address = served.address;
    let mut stream = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        read_until(&mut stream, &mut text, "still here");
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("event: snapshot"), "{text}");
        let mut other = connect(address);
        let body = shop_document().to_string();
        let head = format!(
            "POST /api/v1/clusters HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        other.write_all((head + &body).as_bytes()).unwrap();
        read_until(&mut stream, &mut text, "cluster.created");
        stream
    })
    .await
    .unwrap();
    let began = Instant::now();
    served.close.send(()).unwrap();
    served.done.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "it holds nobody up");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "a good end: {rest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_is_let_go() {
    let mut clusters = None;
    let served = served(Duration::from_millis(100), |options| {
        options.limits.write_timeout = Duration::from_millis(300);
        clusters = Some(options.clusters.clone());
    })
    .await;
    let (address, clusters) = (served.address, clusters.unwrap());
    let mut stalled = connect(address);
    stalled.write_all(b"GET /api/v1/live?topics=events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let open = || clusters.control().connections.load(std::sync::atomic::Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut opened = false;
    while !opened || open() > 0 {
        opened |= open() > 0;
        assert!(Instant::now() < deadline, "it is still there");
        for _ in 0..200 {
            let message = "x".repeat(8000);
            clusters.events().tell(Happening { kind: "test".to_owned(), message, ..Happening::default() });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(served.close);
    served.done.await.unwrap().unwrap();
}

fn read_until(stream: &mut std::net::TcpStream, text: &mut String, word: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(word) {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}
